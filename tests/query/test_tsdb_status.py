"""Counts of the cardinality page."""

from collections import Counter

import pytest

from nissa.model.status import SeriesStatus, Status
from nissa.query import tsdb_status as module
from nissa.query.tsdb_status import tsdb_status
from oracle.series_twin import index_of

OFFLINE = Status(mode="offline", data_dir="", series=SeriesStatus(30, 30, limit=7), blocks={"count": 2})
SERIES = [{"__name__": f"m{at % 3}", "host": f"h{at % 10}", "long": "x" * 50} for at in range(30)]


def test_counts_agree_with_counting_by_hand():
    """Every list is what a plain count of the labels gives, largest first."""
    status = tsdb_status(index_of(SERIES), 5, OFFLINE)
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
    assert status["nissa"] == {"total": 30, "active": 30, "limit": 7}


def test_the_check_is_called_between_slices(monkeypatch):
    """The check gets the bytes of arrays held, and is called for every slice of texts; its error ends the work."""
    monkeypatch.setattr(module, "SYMBOLS_PER_SLICE", 4)
    index, taken = index_of(SERIES), []

    def check(taken_bytes: int = 0, /) -> None:
        taken.append(taken_bytes)
        if len(taken) > allowed:
            raise TimeoutError

    allowed = 100
    assert tsdb_status(index, 5, OFFLINE, check) == tsdb_status(index, 5, OFFLINE)
    assert taken.count(0) == -(-index.symbol_count // 4)
    assert sum(taken) >= 8 * index.symbol_count
    allowed = len(taken) + 3
    with pytest.raises(TimeoutError):
        tsdb_status(index, 5, OFFLINE, check)
