"""Trials: decides whether a message that was delivered many times ends the process that stores it.

A message is delivered again whenever the process is killed before its acknowledgement, so the number of its deliveries
alone proves nothing. Beyond ``deliveries_max`` it is stored under a record, no other such message beside it:

    write record (message → trials + 1) ──► store the message ──► delete the record
                                              └─ the process ends: the record stays

A message whose record counts ``TRIALS_MAX`` trials becomes a dead letter.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nissa.sources.positions import StateStore

RECORDS_MAX: Final = 1_000
ROOM: Final = "source_trials"
TRIALS_MAX: Final = 3


class Trials:
    """Trials of one source, in the state store under ``<source>/<stream>/<message>``. For one event loop."""

    def __init__(self, store: StateStore, source: str) -> None:
        """store: of the data directory. source: its name there."""
        self._store = store
        self._prefix = f"{source}/"
        self._lock = asyncio.Lock()
        self._counts: dict[str, int] | None = None

    @asynccontextmanager
    async def trial(self, stream: str, message: str) -> AsyncIterator[bool]:
        """The only trial of this source while it lasts; True if the message may be stored, False if it had all of its
        trials.

        A trial that raises does not count: the process has not ended. Raises: Damaged, Unavailable.
        """
        key = f"{self._prefix}{stream}/{message}"
        async with self._lock:
            counts = await self._read()
            before = counts.get(key, 0)
            if before >= TRIALS_MAX:
                yield False
                await self._write(key, 0)
                return
            await self._write(key, before + 1)
            after = before
            try:
                yield True
                after = 0
            finally:
                await self._write(key, after)

    async def _read(self) -> dict[str, int]:
        if self._counts is None:
            found = await asyncio.to_thread(self._store.read, ROOM)
            mine = {key: value for key, value in found.items() if key.startswith(self._prefix)}
            self._counts = {key: int(value) for key, value in mine.items() if value.isdigit()}
        return self._counts

    async def _write(self, key: str, count: int) -> None:
        counts = await self._read()
        changes: dict[str, bytes | None] = {key: b"%d" % count if count else None}
        if count and key not in counts and len(counts) >= RECORDS_MAX:  # of messages that never came again
            changes |= dict.fromkeys(counts)
            counts.clear()
        await asyncio.to_thread(self._store.commit, ROOM, changes)
        if count:
            counts[key] = count
        else:
            counts.pop(key, None)
