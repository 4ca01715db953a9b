"""Samples of one series that a question has read, for when it comes to them again: a block is decoded once.

    windows not written yet            ├── blocks 7, 8, 9 ──►      folded from samples
    exact quantiles          ├─────── blocks 5, 6, 7, 8, 9 ──►     computed from samples

What is remembered of a block is all it holds of the series, whatever stretch was asked for, so that any other is cut
out of it. It is known by the block's id, which is never given twice, and lives as long as the question. What is asked
of many series at once is a stream, and is not remembered.
"""

from nissa.model.columns import SampleBatch
from nissa.store.blocks import SeriesChoice
from nissa.store.catalogue import BlockRow

ROWS_MAX = 1024 * 1024  # in all: 20 MB
GROUPS_MAX = 2  # of one block: what a series of the usual length lies in


class Remembered:
    """Rows by block and series. For one question, in one thread."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows: dict[tuple[int, int], SampleBatch] = {}
        self._left = rows_max

    def find(self, block: BlockRow, choice: SeriesChoice) -> SampleBatch | None:
        """All rows of the one chosen series in the block; None where it has to be read."""
        return self._rows.get((block.id, int(choice.ids[0])))

    def keep(self, block: BlockRow, choice: SeriesChoice, rows: SampleBatch) -> None:
        """Remember all rows of the one chosen series in the block, unless there is no room for them."""
        if len(rows) <= self._left:
            self._left -= len(rows)
            self._rows[block.id, int(choice.ids[0])] = rows


def within(rows: SampleBatch, start_ms: int, end_ms: int) -> SampleBatch:
    """The rows of one series in [start_ms, end_ms), as views. rows: sorted by time."""
    first, end = rows.ts_ms.searchsorted((start_ms, end_ms)).tolist()
    return SampleBatch(rows.series[first:end], rows.ts_ms[first:end], rows.value[first:end])
