"""Merges runs of windows: sorted by series, then start, one row per series and window.

    run 0   block 3       |0 0 0 1 1 | 1 2 2 …      where two runs hold the same series and start,
    run 1   block 9       |1 2 |                     the later run of the list is right
    run 2   computed now  |0 1 2 | …
                             ▲
    whole up to here: no run can bring rows of series 0 any more

A batch that comes out holds whole series. Memory: of every run one batch, and all rows of one series.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from nissa.model.ladder import WindowBatch
from nissa.rollup.windows import cut_windows, join_windows, take_windows

SERIES_MAX = 2**32 - 1

Run = Iterator[WindowBatch]


def merge_windows(runs: Sequence[Run]) -> Iterator[WindowBatch]:
    """Sorted runs as one, whole series in every batch. All runs are begun before the first batch comes out."""
    cursors = [_Cursor(run) for run in runs]
    while True:
        for cursor in cursors:
            cursor.fill()
        cursors = [cursor for cursor in cursors if cursor.batch is not None]
        if not cursors:
            return
        end = min((cursor.last_series for cursor in cursors if not cursor.ended), default=SERIES_MAX + 1)
        parts = [part for cursor in cursors if (part := cursor.take(end)) is not None]
        yield _resolve(parts)


class _Cursor:
    """One run and what of it is in memory; ``batch`` is None behind its end, and never empty."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.batch: WindowBatch | None = None
        self.ended = False

    @property
    def last_series(self) -> int:
        """The series that may go on in the next batch."""
        return SERIES_MAX + 1 if self.batch is None else int(self.batch.series[-1])

    def fill(self) -> None:
        """Have rows of two series in memory, or the end of the run."""
        parts = [] if self.batch is None else [self.batch]
        while not self.ended and (not parts or parts[0].series[0] == parts[-1].series[-1]):
            more = next(self._run, None)
            if more is None:
                self.ended = True
            elif len(more):
                parts.append(more)
        self.batch = join_windows(parts) if parts else None

    def take(self, end: int) -> WindowBatch | None:
        """Give away rows of series before ``end``."""
        batch = self.batch
        if batch is None:
            return None
        count = len(batch) if end > SERIES_MAX else int(np.searchsorted(batch.series, np.uint32(end), "left"))
        self.batch = cut_windows(batch, count, len(batch)) if count < len(batch) else None
        return cut_windows(batch, 0, count) if count else None


def _resolve(parts: Sequence[WindowBatch]) -> WindowBatch:
    """Sorted batches as one; of equal series and start the row of the last."""
    windows = join_windows(parts)
    if len(parts) == 1:
        return windows
    order = np.lexsort((windows.start_ms, windows.series))  # stable: the last of equals is the last part's
    series, starts = windows.series[order], windows.start_ms[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (series[1:] != series[:-1]) | (starts[1:] != starts[:-1])
    return take_windows(windows, order[last])
