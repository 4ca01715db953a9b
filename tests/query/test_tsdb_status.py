"""Counts of the cardinality page."""

from collections import Counter

from nissa.query.tsdb_status import tsdb_status
from oracle.series_twin import index_of

SERIES = [{"__name__": f"m{at % 3}", "host": f"h{at % 10}", "long": "x" * 50} for at in range(30)]


def test_counts_agree_with_counting_by_hand():
    """Every list is what a plain count of the labels gives, largest first."""
    status = tsdb_status(index_of(SERIES), 5, {"series": {"limit": 7}, "blocks": {"count": 2}})
    pairs = Counter(f"{name}={value}" for labels in SERIES for name, value in labels.items())
    assert {one["name"]: one["value"] for one in status["seriesCountByLabelValuePair"]}.items() <= pairs.items()
    assert [one["value"] for one in status["seriesCountByLabelValuePair"]] == [30, 10, 10, 10, 3]
    assert status["seriesCountByMetricName"] == [{"name": f"m{at}", "value": 10} for at in range(3)]
    assert status["labelValueCountByLabelName"][0] == {"name": "host", "value": 10}
    assert status["memoryInBytesByLabelName"] == [
        {"name": "long", "value": 50},
        {"name": "host", "value": 20},
        {"name": "__name__", "value": 6},
    ]
    assert status["headStats"] == {"numSeries": 30, "numLabelPairs": 14, "chunkCount": 2, "minTime": 0, "maxTime": 0}
    assert status["nissa"] == {"limit": 7}
