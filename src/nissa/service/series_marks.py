"""Notes from time to time how many series ids have been given out, so that series added since a moment can be named.

    state.sqlite   room series_marks   key marks   [[1732190000000, 0], [1732190600000, 5210], …]   time, number of ids

A mark is written every ``INTERVAL_MS`` and at each start, and kept for ``KEPT_MS``. Marks that the clock or a restored
directory contradict, later than now or with more ids than there are, are dropped.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from nissa.catalogue.state import State
from nissa.model.errors import NissaError
from nissa.model.units import DAY_MS, MINUTE_MS, SECOND_MS

ROOM: Final = "series_marks"
KEY: Final = "marks"
INTERVAL_MS: Final = 10 * MINUTE_MS
KEPT_MS: Final = 8 * DAY_MS

Mark = tuple[int, int]  # Unix milliseconds, number of ids given out

log = structlog.get_logger()


class SeriesMarks:
    """Numbers of series ids by time. ``mark`` and ``run`` are for one thread at a time, ``since`` for any."""

    def __init__(self, state: State, series_count: Callable[[], int], now_ms: Callable[[], int]) -> None:
        """series_count: ids given out so far. now_ms: wall clock, Unix milliseconds. Raises: Damaged, Unavailable.

        Where no mark was kept, the first one is the number at this moment.
        """
        self._state, self._series_count, self._now_ms = state, series_count, now_ms
        content = state.read(ROOM).get(KEY)
        self._marks: list[Mark] = [(now_ms(), series_count())]
        if content:
            self._marks = msgspec.json.decode(content, type=list[Mark])

    def since(self, start_ms: int) -> Mark:
        """The last mark before ``start_ms``, or the first one there is."""
        marks = self._marks
        return marks[max(bisect_right(marks, start_ms, key=lambda mark: mark[0]) - 1, 0)]

    def between(self, start_ms: int) -> list[Mark]:
        """All marks from ``since(start_ms)`` on."""
        first_ms = self.since(start_ms)[0]
        return [mark for mark in self._marks if mark[0] >= first_ms]

    def mark(self) -> None:
        """Note the number as it is now. Raises: Damaged, Unavailable."""
        now_ms, count = self._now_ms(), self._series_count()
        kept = [mark for mark in self._marks if now_ms - KEPT_MS <= mark[0] < now_ms and mark[1] <= count]
        self._marks = [*kept, (now_ms, count)]
        self._state.commit(ROOM, {KEY: msgspec.json.encode(self._marks)})

    async def run(self) -> None:
        """Mark until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.mark)
            except NissaError as error:
                log.warning("the number of series was not noted", reason=str(error))
            await asyncio.sleep(INTERVAL_MS / SECOND_MS)
