"""Arrivals: the earliest time of the rows that became visible since a moment. Keeps cached answers honest.

    rows in order of arrival    …│ 12:00:07  12:00:07 │ 12:00:09  11:58:30 │ 12:00:10 …     times of samples
    marks                        4                    5                    6
    earliest since mark 4        11:58:30: an answer read at mark 4 holds for all steps before that

Rows far behind the others, as of a sender that is always an hour late, count only for those who read their series.

``mark`` and ``earliest_since`` first look at rows that have become visible since the last look, so their cost is that
of one pass over new rows, once for all queries. Of the marks only those are kept behind which something earlier came
than behind all later ones: their earliest times ascend, and are rounded down to seconds so that they stay few.

Rows leave memory for a block only after they were looked at (``note`` on the seal thread).
"""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

import numpy as np

from nissa.model.columns import SampleBatch, SeriesColumn, TimeColumn
from nissa.model.units import SECOND_MS

LATE_MS: Final = 30 * SECOND_MS  # behind the median of the newest rows
LATE_ROWS: Final = 10_000  # of one look, or LATE_SHARE of it; of more the series are not noted
LATE_SHARE: Final = 0.1
LATE_SERIES_MAX: Final = 1_000_000  # noted in all; to answers of marks before, everything counts as changed
SAMPLED_ROWS: Final = 1_000
MARKS_MAX: Final = 10_000  # seconds with samples; to answers of marks before, everything counts as changed
NEVER_MS: Final = 2**63 - 1
ALWAYS_MS: Final = -(2**63)


class RowsInMemory(Protocol):
    """Rows in order of arrival (``ingest.head.Head``). rows_noted: rows that arrivals have looked at."""

    rows_noted: int

    @property
    def visible(self) -> int: ...

    def rows_between(self, first: int, last: int) -> Iterable[SampleBatch]:
        """Views of the rows [first, last)."""


class _Late(NamedTuple):
    """Late rows of one look. earliest_ms: rounded down to seconds. series: ids, ascending."""

    mark: int
    earliest_ms: int
    series: SeriesColumn


class Arrivals:
    """Earliest times of rows by the order in which they became visible. Safe from any thread."""

    def __init__(self, in_memory: Callable[[], Iterable[RowsInMemory]]) -> None:
        """in_memory: gives the rows that are in no block yet."""
        self._in_memory = in_memory
        self._lock = threading.Lock()
        self._marks: list[int] = []  # ascending
        self._earliest: list[int] = []  # ascending: of the rows behind a mark and before the next one
        self._late: deque[_Late] = deque()
        self._late_series = 0  # in all of these
        self._newest_ms: TimeColumn = np.empty(0, np.int64)  # times of some of the rows that came last
        self._last = 0
        self._forgotten = 0  # up to here marks were dropped

    def mark(self) -> int:
        """The moment before which everything visible now came."""
        heads = tuple(self._in_memory())
        with self._lock:
            self._look(heads)
            return self._last

    def earliest_since(self, mark: int, series: Callable[[], SeriesColumn]) -> int:
        """The time of the earliest row behind ``mark``, rounded down to seconds, in Unix milliseconds.

        ``NEVER_MS`` where none came. series: ids, ascending, asked for where there are late rows: of those, rows of
        other series do not count.
        """
        heads = tuple(self._in_memory())
        with self._lock:
            self._look(heads)
            if mark < self._forgotten:
                return ALWAYS_MS
            at = bisect_right(self._marks, mark)
            earliest_ms = self._earliest[at] if at < len(self._earliest) else NEVER_MS
            late = [one for one in self._late if one.mark > mark and one.earliest_ms < earliest_ms]
        own = series() if late else None
        return min((one.earliest_ms for one in late if _have_common(one.series, own)), default=earliest_ms)

    def note(self, head: RowsInMemory) -> None:
        """Look at the rest of rows that are about to leave memory."""
        with self._lock:
            self._look((head,))

    def _look(self, heads: Iterable[RowsInMemory]) -> None:
        for head in heads:
            visible = head.visible
            if visible > head.rows_noted:
                for part in head.rows_between(head.rows_noted, visible):
                    self._add(part)
                head.rows_noted = visible

    def _add(self, rows: SampleBatch) -> None:
        sampled = rows.ts_ms[:: len(rows) // SAMPLED_ROWS + 1]
        self._newest_ms = np.concatenate([self._newest_ms, sampled])[-SAMPLED_ROWS:]
        is_late = rows.ts_ms < int(np.median(self._newest_ms)) - LATE_MS
        count = int(np.count_nonzero(is_late))
        self._last += 1
        if not 0 < count <= max(LATE_ROWS, LATE_SHARE * len(rows)):
            self._push(_second_of(rows.ts_ms))
            return
        self._note_late(_Late(self._last, _second_of(rows.ts_ms[is_late]), np.unique(rows.series[is_late])))
        if count < len(rows):
            self._push(_second_of(rows.ts_ms[~is_late]))

    def _note_late(self, late: _Late) -> None:
        self._late.append(late)
        self._late_series += len(late.series)
        while self._late_series > LATE_SERIES_MAX:
            gone = self._late.popleft()
            self._late_series -= len(gone.series)
            self._forgotten = max(self._forgotten, gone.mark)

    def _push(self, earliest_ms: int) -> None:
        while self._earliest and self._earliest[-1] >= earliest_ms:
            self._earliest.pop()
            self._marks.pop()
        self._earliest.append(earliest_ms)
        self._marks.append(self._last)
        if len(self._marks) > MARKS_MAX:
            half = MARKS_MAX // 2
            self._forgotten = max(self._forgotten, self._marks[half - 1])
            del self._marks[:half], self._earliest[:half]


def _second_of(ts_ms: TimeColumn) -> int:
    return int(ts_ms.min()) // SECOND_MS * SECOND_MS


def _have_common(some: SeriesColumn, own: SeriesColumn | None) -> bool:
    """True where one of the ids, which ascend, is in both."""
    if own is None or not len(own):
        return False
    return bool((own[np.minimum(own.searchsorted(some), len(own) - 1)] == some).any())
