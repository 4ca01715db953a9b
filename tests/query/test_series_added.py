"""Series added since a number of series was known."""

from nissa.query.series_added import added_series
from oracle.series_twin import index_of


def test_added_series_are_named() -> None:
    """Added series are counted by metric name and by label name, the largest first, up to a limit."""
    old = [{"__name__": "up", "job": "a"}]
    fresh = [{"__name__": "up", "job": "b"}, *({"__name__": "hits", "path": f"/{n}", "job": "b"} for n in range(3))]
    index = index_of([*old, *fresh])
    found = added_series(index, 1, index.series_count, 2)
    assert (found.total, found.dropped) == (4, 0)
    assert found.by_metric_name == [{"name": "hits", "value": 3}, {"name": "up", "value": 1}]
    assert found.by_label_name == [{"name": "path", "value": 3}, {"name": "__name__", "value": 2}]
    assert added_series(index, 5, 5, 2).by_metric_name == []
