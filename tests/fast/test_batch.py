"""The memory that frames are decoded into: its limits, its counts, and its state after a refused frame."""

import numpy as np
import pytest

from nissa._proto.remote_write_v2_pb2 import Request
from nissa.model.errors import Malformed, TooLarge
from oracle.bodies import Rig, field, request_2, sample, series

UP = [("__name__", "up")]


def test_samples_of_a_frame_have_a_limit() -> None:
    """A frame may bring exactly as many samples as the limit; one more and nothing is kept."""
    rig = Rig(rows_max=2_000)
    rig.decode(series(UP, sample() * 2_000))
    assert len(rig.batch) == 2_000
    with pytest.raises(TooLarge, match=r"2001 is over the limit of 2000 \(ingest.frame_samples_max\)"):
        rig.decode(series([("__name__", "other")], sample() * 2_001))
    assert len(rig.batch) == 0
    assert rig.labels() == [UP]


def test_series_of_a_frame_have_a_limit() -> None:
    """The same for series, as soon as they are over the limit."""
    rig = Rig(records_max=10)
    rig.decode(b"".join(series([("__name__", str(number))]) for number in range(10)))
    assert len(rig.batch) == 10
    with pytest.raises(TooLarge, match=r"ingest\.frame_series_max"):
        rig.decode(b"".join(series([("__name__", str(number))]) for number in range(11)))
    with pytest.raises(TooLarge, match=r"ingest\.frame_series_max"):
        rig.decode(field(3, field(2, b"up")) * 11)
    assert rig.index.series_count == 10


def test_symbols_of_a_frame_have_a_limit() -> None:
    """A symbol table may be as long as the frame may have series."""
    rig = Rig(records_max=10)
    rig.decode(Request(symbols=[""] * 10).SerializeToString(), 2)
    with pytest.raises(TooLarge, match="symbols in one frame: 11 is over the limit of 10"):
        rig.decode(Request(symbols=[""] * 11).SerializeToString(), 2)


def test_columns_are_copies() -> None:
    """Arrays from columns() stay unchanged when the batch is used again."""
    rig = Rig()
    rig.decode(series(UP, sample(1.5, 7)))
    kept = rig.batch.columns()
    rig.decode(series(UP, sample(2.5, 8)))
    assert [column.tolist() for column in kept] == [[0], [7], [1.5]]
    assert [column.dtype for column in kept] == [np.uint32, np.int64, np.float64]


def test_copy_rows_stays_within_both_ends() -> None:
    """A range that is not in the batch, or does not fit the target, is an IndexError, also where the sum would wrap."""
    rig = Rig()
    rig.decode(series(UP, sample(), sample(), sample()))
    target = np.zeros(4, np.uint32), np.zeros(4, np.int64), np.zeros(4)
    rig.batch.copy_rows(*target, 1, 0, 3)
    assert target[2].tolist() == [0, 1, 1, 1]
    for at, first, count in (
        (2, 0, 3),
        (0, 1, 3),
        (0, 4, 0),
        (5, 0, 0),
        (0, 2**64 - 1, 2),
        (2**64 - 1, 0, 2),
        (0, 0, 2**64 - 1),
    ):
        with pytest.raises(IndexError):
            rig.batch.copy_rows(*target, at, first, count)
    with pytest.raises(ValueError, match="different lengths"):
        rig.batch.copy_rows(target[0], np.zeros(3, np.int64), target[2], 0, 0, 1)


def test_a_refused_frame_leaves_an_empty_batch() -> None:
    """After a malformed frame every count is 0, those of the frame before and of its sound part too."""
    rig = Rig()
    rig.decode(series(UP) + series([("a", "b")]) + series([*UP, ("late", "1")]), newest_ms=5)
    assert rig.batch.refused
    histogram = field(4, field(4, 127 << 1))
    with pytest.raises(Malformed):
        rig.decode(series(UP, sample(), histogram, field(3, b"")) + b"\x0a\x05")
    batch = rig.batch
    assert len(batch) == 0
    assert (batch.refused, batch.refused_rows) == ({}, {})
    assert (batch.samples, batch.histograms, batch.exemplars, batch.series_new, batch.rows_received) == (0, 0, 0, 0, 0)


def test_rows_outside_the_window_are_counted_by_side() -> None:
    """The window's edges belong to it; rows outside are counted, and the rest keeps its order."""
    rig = Rig()
    times = [99, 100, 50, 200, 201, 150]
    rig.decode(series(UP, *(sample(float(ts_ms), ts_ms) for ts_ms in times)), oldest_ms=100, newest_ms=200)
    assert rig.rows() == [("up", 100, 100.0), ("up", 200, 200.0), ("up", 150, 150.0)]
    assert rig.batch.refused == rig.batch.refused_rows == {"too_old": 2, "too_new": 1}
    assert (rig.batch.samples, rig.batch.rows_received) == (3, 6)


def test_one_bad_series_in_ten_thousand() -> None:
    """The good series are kept, the bad one is refused, and the counts are exact."""
    rig = Rig()
    rig.decode(request_2(*([("__name__", "m"), ("n", str(number))] for number in range(1_000))), 2)
    assert (len(rig.batch), rig.batch.refused) == (1_000, {})
    bodies = [series([("__name__", "m"), ("n", str(number))]) for number in range(10_000)]
    bodies[5_000] = series([("n", "5000")])
    rig.decode(b"".join(bodies))
    assert (rig.batch.samples, rig.batch.refused, rig.index.series_count) == (9_999, {"name_missing": 1}, 9_999)
