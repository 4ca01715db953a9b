"""Arrivals: the earliest time of the rows that became visible since a moment. Keeps cached answers honest.

    rows in order of arrival    …│ 12:00:07  12:00:07 │ 12:00:09  11:58:30 │ 12:00:10 …     times of samples
    marks                        4                    5                    6
    earliest since mark 4        11:58:30: an answer read at mark 4 holds for all steps before that

``mark`` and ``earliest_since`` first look at rows that have become visible since the last look, so their cost is that
of one pass over new rows, once for all queries. Of the marks only those are kept behind which something earlier came
than behind all later ones: their earliest times ascend, and are rounded down to seconds so that they stay few.

Rows leave memory for a block only after they were looked at (``note`` on the seal thread).
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from nissa.model.columns import SampleBatch
from nissa.model.units import SECOND_MS

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


class Arrivals:
    """Earliest times of rows by the order in which they became visible. Safe from any thread."""

    def __init__(self, in_memory: Callable[[], Iterable[RowsInMemory]]) -> None:
        """in_memory: gives the rows that are in no block yet."""
        self._in_memory = in_memory
        self._lock = threading.Lock()
        self._marks: list[int] = []  # ascending
        self._earliest: list[int] = []  # ascending: of the rows behind a mark and before the next one
        self._last = 0
        self._forgotten = 0  # up to here marks were dropped

    def mark(self) -> int:
        """The moment before which everything visible now came."""
        heads = tuple(self._in_memory())
        with self._lock:
            self._look(heads)
            return self._last

    def earliest_since(self, mark: int) -> int:
        """The time of the earliest row behind ``mark``, rounded down to seconds, in Unix milliseconds.

        ``NEVER_MS`` where none came.
        """
        heads = tuple(self._in_memory())
        with self._lock:
            self._look(heads)
            if mark < self._forgotten:
                return ALWAYS_MS
            at = bisect_right(self._marks, mark)
            return self._earliest[at] if at < len(self._earliest) else NEVER_MS

    def note(self, head: RowsInMemory) -> None:
        """Look at the rest of rows that are about to leave memory."""
        with self._lock:
            self._look((head,))

    def _look(self, heads: Iterable[RowsInMemory]) -> None:
        for head in heads:
            visible = head.visible
            if visible <= head.rows_noted:
                continue
            earliest_ms = min(int(part.ts_ms.min()) for part in head.rows_between(head.rows_noted, visible))
            head.rows_noted = visible
            self._push(earliest_ms // SECOND_MS * SECOND_MS)

    def _push(self, earliest_ms: int) -> None:
        self._last += 1
        while self._earliest and self._earliest[-1] >= earliest_ms:
            self._earliest.pop()
            self._marks.pop()
        self._earliest.append(earliest_ms)
        self._marks.append(self._last)
        if len(self._marks) > MARKS_MAX:
            half = MARKS_MAX // 2
            self._forgotten = self._marks[half - 1]
            del self._marks[:half], self._earliest[:half]
