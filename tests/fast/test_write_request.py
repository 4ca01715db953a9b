"""Rows as a body of remote write 1.0, read back by Google's classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.write_request import series_body
from nissa._proto.remote_write_v1_pb2 import TimeSeries, WriteRequest

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**63 - 1), st.floats(allow_nan=False)), max_size=20)


def head(*labels: tuple[str, str]) -> bytes:
    """Labels as they stand in a TimeSeries."""
    series = TimeSeries()
    for name, value in labels:
        series.labels.add(name=name, value=value)
    return series.SerializeToString()


HEADS = [head(("__name__", "a")), head(("__name__", "b"), ("k", "v" * 300)), b""]


@given(ROWS)
def test_rows_are_read_back(rows: list[tuple[int, int, float]]) -> None:
    """Each row is one series of one sample, with the labels of its head."""
    which, ts_ms, value = (np.array([row[at] for row in rows], kind) for at, kind in enumerate((int, int, float)))
    request = WriteRequest.FromString(series_body(HEADS, which, ts_ms, value))
    assert [(one.samples[0].timestamp, one.samples[0].value) for one in request.timeseries] == [row[1:] for row in rows]
    for one in request.timeseries:
        del one.samples[:]
    assert [one.SerializeToString() for one in request.timeseries] == [HEADS[row[0]] for row in rows]


def test_wrong_rows_are_refused() -> None:
    """A head that is not there, a time below 0, columns of different lengths."""
    one, below, number = np.array([3]), np.array([-1]), np.array([1.0])
    for which, ts_ms, value in (
        (one, one, number),
        (below, one, number),
        (one - 3, below, number),
        (one - 3, one, number[:0]),
    ):
        with pytest.raises(ValueError, match="row"):
            series_body(HEADS, which, ts_ms, value)
