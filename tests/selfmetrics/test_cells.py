"""Histograms of the hot path."""

from nissa.selfmetrics.cells import LATENCY_BOUNDS_S, Histogram


def test_bounds_belong_to_their_bucket() -> None:
    """A value equal to a bound counts in that bound's bucket; one above all bounds in the last."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5, 1e9):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.sum == 7.0 + 1e9


def test_latency_bounds_rise() -> None:
    """The bounds are sorted: the search for a bucket relies on it."""
    assert list(LATENCY_BOUNDS_S) == sorted(set(LATENCY_BOUNDS_S))
