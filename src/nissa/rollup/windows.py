"""Window arithmetic: half-open intervals on a grid of multiples of the interval, before 1970 too.

interval 60 s      … [-60, 0) [0, 60) [60, 120) …      a time lies in exactly one window
"""

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


def closed_until_ms(now_ms: int, interval_ms: int, grace_ms: int) -> int:
    """Windows that start before this are closed: their end and the grace behind it are over."""
    return floor_ms(now_ms - grace_ms, interval_ms)


def windows_touched(series: SeriesColumn, ts_ms: TimeColumn, interval_ms: int) -> tuple[SeriesColumn, TimeColumn]:
    """The distinct windows that samples lie in, by (series, start), in order: what late samples make dirty."""
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
    return (w.series, w.start_ms, w.count, w.nans, w.sum, w.min, w.max, w.first, w.last, w.m2, w.increase)
