"""Window arithmetic at and around borders."""

import numpy as np
import pytest
from rollup.walks import TIERS, batch_of

from nissa.rollup.fold import fold_raw
from nissa.rollup.windows import ceil_ms, columns_of, cut_windows, floor_ms, windows_touched


@pytest.mark.parametrize(
    ("time_ms", "floor", "ceil"), [(0, 0, 0), (1, 0, 60), (59, 0, 60), (60, 60, 60), (-1, -60, 0), (-60, -60, -60)]
)
def test_a_time_lies_in_one_window(time_ms: int, floor: int, ceil: int) -> None:
    """Half-open, and the same before 1970."""
    assert (floor_ms(time_ms, 60), ceil_ms(time_ms, 60)) == (floor, ceil)


def test_late_samples_touch_windows_once() -> None:
    """Touched windows are sorted by series and start, for any order of the samples."""
    series, ts_ms = np.array([3, 1, 3, 3], np.uint32), np.array([61, -1, 119, 5])
    touched = windows_touched(series, ts_ms, 60)
    assert [column.tolist() for column in touched] == [[1, 3, 3], [-60, 0, 60]]


def test_a_cut_keeps_rows_and_their_sketches() -> None:
    """Every piece of a batch is a batch of its own."""
    whole = fold_raw([batch_of(rounds=40)], TIERS)[1]
    assert whole.sketch is not None
    for start, end in ((0, len(whole)), (1, 3), (len(whole), len(whole))):
        piece = cut_windows(whole, start, end)
        assert piece.sketch is not None
        assert len(piece) == len(piece.sketch) == end - start
        for cut, column in zip(columns_of(piece), columns_of(whole), strict=True):
            assert cut.tolist() == column[start:end].tolist()
        offsets = whole.sketch.offsets
        assert piece.sketch.data.tobytes() == whole.sketch.data[offsets[start] : offsets[end]].tobytes()
