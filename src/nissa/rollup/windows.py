"""Window arithmetic: half-open intervals on a grid of multiples of the interval, before 1970 too.

interval 60 s      … [-60, 0) [0, 60) [60, 120) …      a time lies in exactly one window
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.ladder import SketchColumn, WindowBatch


def floor_ms(time_ms: int, interval_ms: int) -> int:
    """The start of the window a time lies in."""
    return time_ms // interval_ms * interval_ms


def ceil_ms(time_ms: int, interval_ms: int) -> int:
    """The first start of a window that is not before a time."""
    return -(-time_ms // interval_ms) * interval_ms


def windows_touched(series: SeriesColumn, ts_ms: TimeColumn, interval_ms: int) -> tuple[SeriesColumn, TimeColumn]:
    """Return the distinct windows that samples lie in, as columns of series and start, sorted.

    series, ts_ms: of the samples, Unix milliseconds, of equal length. interval_ms: length of a window.
    """
    starts = np.floor_divide(ts_ms, interval_ms) * interval_ms
    order = np.lexsort((starts, series))
    series, starts = series[order], starts[order]
    fresh = np.ones(len(series), bool)
    fresh[1:] = (series[1:] != series[:-1]) | (starts[1:] != starts[:-1])
    return series[fresh], starts[fresh]


def cut_windows(windows: WindowBatch, start: int, end: int) -> WindowBatch:
    """Rows [start, end)."""
    sketch = windows.sketch
    if sketch is not None:
        offsets = sketch.offsets[start : end + 1]
        sketch = SketchColumn(offsets - offsets[0], sketch.data[offsets[0] : offsets[-1]])
    columns: list[Any] = [*(column[start:end] for column in columns_of(windows)), sketch]
    return WindowBatch(*columns)


def columns_of(windows: WindowBatch) -> tuple[npt.NDArray[Any], ...]:
    """The columns but for the sketch, in the order of the compiled folds."""
    w = windows
    return (w.series, w.start_ms, w.count, w.nans, w.sum, w.min, w.max, w.first, w.last, w.m2, w.resets, w.carry)


def take_windows(windows: WindowBatch, rows: npt.NDArray[np.intp]) -> WindowBatch:
    """The rows of these numbers, in their order."""
    sketch = windows.sketch
    if sketch is not None:
        lengths = np.diff(sketch.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(sketch.offsets[rows] - offsets[:-1], lengths)
        sketch = SketchColumn(offsets.astype(np.int32), sketch.data[places])
    columns: list[Any] = [*(column[rows] for column in columns_of(windows)), sketch]
    return WindowBatch(*columns)


def join_windows(parts: Sequence[WindowBatch]) -> WindowBatch:
    """Batches one behind the other; at least one, all with sketches or none."""
    if len(parts) == 1:
        return parts[0]
    sketches = [part.sketch for part in parts if part.sketch is not None]
    sketch = _join_sketches(sketches) if len(sketches) == len(parts) else None
    columns: list[Any] = [np.concatenate(column) for column in zip(*map(columns_of, parts), strict=True)]
    return WindowBatch(*[*columns, sketch])


def _join_sketches(parts: Sequence[SketchColumn]) -> SketchColumn:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return SketchColumn(offsets, np.concatenate([part.data for part in parts]))
