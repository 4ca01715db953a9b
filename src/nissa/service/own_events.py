"""Stores events that Nissa reports about itself, through the same path as all frames.

An event waits here while the engine is under pressure or stores nothing (disk full), and is retried. At most
``WAITING_MAX`` wait; the oldest one is dropped and counted when there are more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from nissa.model.errors import JournalFailed, NissaError, Unavailable
from nissa.model.frame import Codec
from nissa.sources.inlet import Inlet

WAITING_MAX: Final = 1_000
POLL_S: Final = 0.2
RETRY_S: Final = 2.0

log = structlog.get_logger()


class OwnEvents:
    """Events not stored yet. Lives on the loop."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """now_ms: wall clock, Unix milliseconds."""
        self._now_ms = now_ms
        self._waiting: deque[tuple[int, str, str, Mapping[str, str]]] = deque()
        self.stored = self.dropped = 0

    def note(self, description: str, level: str, attributes: Mapping[str, str]) -> None:
        """Note an event that happens now. description: one token. level: one of ``model.level.LEVELS``."""
        log.info("event of Nissa itself", description=description, **attributes)
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((self._now_ms(), description, level, attributes))

    async def run(self, inlet: Inlet) -> None:
        """Store events until cancelled. inlet: of ``Source.SELF``."""
        while True:
            if not self._waiting:
                await asyncio.sleep(POLL_S)
                continue
            await self.store_first(inlet)

    async def store_first(self, inlet: Inlet) -> None:
        """Store the oldest event that waits; leave it there where the engine takes nothing now."""
        from nissa.selfmetrics.self_event import self_event  # loads Google's protobuf, which takes 30 ms

        first = self._waiting[0]
        try:
            await inlet.send(Codec.NISSA_EVENT, self_event(*first))
            self.stored += 1
        except (Unavailable, JournalFailed):
            await asyncio.sleep(RETRY_S)
            return
        except NissaError as error:
            log.warning("an event of Nissa itself is not stored", reason=str(error))
            self.dropped += 1
        if self._waiting and self._waiting[0] is first:
            self._waiting.popleft()

    def facts(self) -> dict[str, int]:
        """Counts for ``/api/status``."""
        return {"stored": self.stored, "waiting": len(self._waiting), "dropped": self.dropped}
