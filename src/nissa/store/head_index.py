"""An index of rows in memory, to find those of a few series without scanning the head.

    rows      [ page 0: 131,072 ][ page 1 ][ page 2 ][ the last ones … ]     in order of arrival
    index       by series          by series                                 pages 2 and behind are looked through

Full pages are indexed by queries for few series, at most ``PAGES_PER_QUESTION`` per query, so that no single query pays
for a long head. Only durable rows are indexed, which never change. For many series of a page its rows are scanned,
which is faster then.

Memory: 4 bytes per row, and 8 per series of each page.
"""

import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.row_index import index_rows, take_indexed
from nissa._fast.selection import select_rows
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.store.blocks import SeriesChoice

PAGE_ROWS = 128 * 1024
PAGES_PER_QUESTION = 4  # about 4 ms each
SERIES_MAX = 4_096  # a question that wants more indexes nothing
SHARE_MAX = 0.25  # and one that wants more of a page's series looks through its rows


class Page(msgspec.Struct, frozen=True):
    """One page by series (``_fast.row_index.index_rows``), and its earliest and latest time."""

    ids: SeriesColumn
    starts: npt.NDArray[np.uint32]
    order: npt.NDArray[np.uint32]
    min_ms: int
    max_ms: int

    def rows(self, rows: SampleBatch, choice: SeriesChoice, start_ms: int, end_ms: int) -> SampleBatch | None:
        """Return the selected rows of the page, sorted by series, or None if the index shows that there are none.

        rows: all rows of the page. choice: series. start_ms, end_ms: half-open interval, Unix milliseconds.
        """
        if self.max_ms < start_ms or self.min_ms >= end_ms:
            return None
        if len(choice.ids) > SHARE_MAX * len(self.ids):
            return looked_through(rows, choice, start_ms, end_ms)
        found = take_indexed(self.ids, self.starts, self.order, rows.ts_ms, rows.value, choice.ids, start_ms, end_ms)
        return SampleBatch(*found)


class HeadIndex:
    """The index of one chunk of the head, which grows with it. Safe from any thread."""

    def __init__(self) -> None:
        self._pages: tuple[Page, ...] = ()
        self._lock = threading.Lock()

    def grow(self, chunk: SampleBatch, pages_max: int) -> int:
        """Index full pages that are not indexed yet, up to so many; returns how many. chunk: its durable rows.

        Where another thread is at it this one does not wait.
        """
        first, full = len(self._pages), len(chunk) // PAGE_ROWS
        if first >= full or pages_max <= 0 or not self._lock.acquire(blocking=False):
            return 0
        try:
            for number in range(len(self._pages), min(first + pages_max, full)):
                self._pages += (_page(_cut(chunk, number * PAGE_ROWS, (number + 1) * PAGE_ROWS)),)
            return len(self._pages) - first
        finally:
            self._lock.release()

    def rows(self, chunk: SampleBatch, choice: SeriesChoice, start_ms: int, end_ms: int) -> Iterator[SampleBatch]:
        """Yield the selected rows, page by page; those of one series in order of arrival.

        chunk: its durable rows. choice: series. start_ms, end_ms: half-open interval, Unix milliseconds.
        """
        first = 0
        for page in self._pages[: len(chunk) // PAGE_ROWS]:  # there may be later ones than the question's rows
            found = page.rows(_cut(chunk, first, first + PAGE_ROWS), choice, start_ms, end_ms)
            first += PAGE_ROWS
            if found is not None and len(found):
                yield found
        if first < len(chunk):
            yield looked_through(_cut(chunk, first, len(chunk)), choice, start_ms, end_ms)


def looked_through(rows: SampleBatch, choice: SeriesChoice, start_ms: int, end_ms: int) -> SampleBatch:
    """Return the selected rows, in order of arrival, by a scan.

    rows: to scan. choice: series. start_ms, end_ms: half-open interval, Unix milliseconds.
    """
    return SampleBatch(*select_rows(rows.series, rows.ts_ms, rows.value, choice.mask, start_ms, end_ms))


def _page(rows: SampleBatch) -> Page:
    return Page(*index_rows(rows.series), int(rows.ts_ms.min()), int(rows.ts_ms.max()))


def _cut(rows: SampleBatch, first: int, end: int) -> SampleBatch:
    return SampleBatch(rows.series[first:end], rows.ts_ms[first:end], rows.value[first:end])
