"""Finds windows of one batch in another by series and start, and compares them bit by bit.

left   3@0  3@60  7@0          rows_of(right, left)        0  -1  1
right  3@0  7@0                rows_alike(left, right)     by bits, a window that is not there is not alike
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.ladder import SketchColumn, WindowBatch
from nissa.rollup.windows import join_windows, take_windows
from nissa.store.tier_blocks import SKETCH

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

PLACES_MAX = 1 << 32  # windows between the first and the last of one comparison


def no_windows() -> WindowBatch:
    """A batch without rows."""
    count, number = np.empty(0, np.uint32), np.empty(0, np.float64)
    columns: list[Any] = [count, np.empty(0, np.int64), count, count, *[number] * 8]
    return WindowBatch(*columns)


def window_keys(series: SeriesColumn, starts: TimeColumn, first_ms: int, interval_ms: int) -> Keys:
    """Numbers in the order of (series, start), one for each window.

    first_ms: a start that none is before; none is PLACES_MAX windows behind it.
    """
    places = ((starts - first_ms) // interval_ms).astype(np.uint64)
    return (series.astype(np.uint64) << np.uint64(32)) | places


def rows_of(windows: WindowBatch, series: SeriesColumn, starts: TimeColumn, interval_ms: int) -> Rows:
    """The row of each (series, start) in sorted windows, -1 if there is none. Starts are multiples of the interval.

    Cost: a binary search each.
    """
    if not len(windows) or not len(series):
        return np.full(len(series), -1, np.intp)
    first_ms = min(int(windows.start_ms.min()), int(starts.min()))
    own = window_keys(windows.series, windows.start_ms, first_ms, interval_ms)
    wanted = window_keys(series, starts, first_ms, interval_ms)
    at = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
    return np.where(own[at] == wanted, at, -1)


def only_windows(
    batches: Iterable[WindowBatch], series: SeriesColumn, starts: TimeColumn, interval_ms: int
) -> WindowBatch:
    """The windows of sorted batches with one of these (series, start), also sorted, as one batch."""
    parts = []
    for windows in batches:
        if not len(windows):
            continue
        first = int(np.searchsorted(series, windows.series[0], "left"))
        end = int(np.searchsorted(series, windows.series[-1], "right"))
        at = rows_of(windows, series[first:end], starts[first:end], interval_ms)
        rows = at[at >= 0]
        if len(rows):
            parts.append(take_windows(windows, rows))
    return join_windows(parts) if parts else no_windows()


def rows_alike(left: WindowBatch, right: WindowBatch, names: Sequence[str], interval_ms: int) -> Flags:
    """True for each window of ``left`` that ``right``, sorted, has with the same bits.

    names: the columns to compare; others may differ.
    """
    alike = np.zeros(len(left), np.bool_)
    at = rows_of(right, left.series, left.start_ms, interval_ms)
    rows = np.flatnonzero(at >= 0)
    other = at[rows]
    same = np.ones(len(rows), np.bool_)
    for name in names:
        if name == SKETCH:
            same &= _sketches_alike(left.sketch, right.sketch, rows, other)
        else:
            same &= _bits(getattr(left, name)[rows]) == _bits(getattr(right, name)[other])
    alike[rows[same]] = True
    return alike


def _bits(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(column).view(np.uint64) if column.dtype == np.float64 else column


def _sketches_alike(left: SketchColumn | None, right: SketchColumn | None, at: Rows, other: Rows) -> Flags:
    if left is None or right is None or not len(at):
        return np.full(len(at), left is right or not len(at), np.bool_)
    sizes, sizes_right = np.diff(left.offsets)[at], np.diff(right.offsets)[other]
    same: Flags = sizes == sizes_right
    rows = np.flatnonzero(same)
    lengths = sizes[rows].astype(np.int64)
    ends = np.cumsum(lengths)
    within = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
    one = left.data[np.repeat(left.offsets[at[rows]], lengths) + within]
    two = right.data[np.repeat(right.offsets[other[rows]], lengths) + within]
    differs = np.zeros(len(rows), np.bool_)
    apart = np.flatnonzero(one != two)
    differs[np.searchsorted(ends, apart, "right")] = True
    same[rows[differs]] = False
    return same
