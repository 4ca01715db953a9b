"""Positions in the streams of a bus: the last entry of each before which everything is durable.

entries   1 2 3 4 5 6 7 8 9
frames    └─ done ─┘ └─ under way ─┘          durable = 4: where a group that vanished is made again
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

ROOM = "sources"


class StateStore(Protocol):
    """Small state that is durable (``catalogue.state.State``)."""

    def read(self, room: str) -> dict[str, bytes]:
        """All values of a room by key."""

    def commit(self, room: str, changes: Mapping[str, bytes | None]) -> None:
        """Put values under their keys; durable when it returns."""


class StreamPosition(msgspec.Struct):
    """durable: id of the last entry before which all is durable. lost: entries that a trim took before they were read,
    as counted when it was written."""

    durable: str = ""
    lost: int = 0


class StreamProgress:
    """Frames of one stream that are under way, each by the ids of its first and last entry."""

    def __init__(self, durable: str, key: Callable[[str], Any], before: Callable[[str], str]) -> None:
        """durable: the position to begin with, empty for none. key: what ids are ordered by. before: the greatest id
        below one."""
        self._key = key
        self._before = before
        self._frames: dict[int, tuple[str, str]] = {}
        self._next = 0
        self._done = durable

    def begin(self, first: str, last: str) -> int:
        """A frame is under way; returns its number."""
        self._next += 1
        self._frames[self._next] = (first, last)
        return self._next

    def end(self, number: int) -> None:
        """Frame ``number`` is durable."""
        _, last = self._frames.pop(number)
        if not self._done or self._key(last) > self._key(self._done):
            self._done = last

    def forget(self, number: int) -> None:
        """Frame ``number`` failed: its entries will be redelivered."""
        self._frames.pop(number, None)

    @property
    def durable(self) -> str:
        """The position; empty where nothing has been read yet."""
        if not self._frames:
            return self._done
        first = self._before(min((first for first, _ in self._frames.values()), key=self._key))
        return min(first, self._done or first, key=self._key)


class Positions:
    """Positions of the streams of one source in the state store, under ``<source>/<stream>``."""

    def __init__(self, store: StateStore, source: str) -> None:
        self._store = store
        self._source = source
        self._written: dict[str, StreamPosition] = {}

    async def read(self) -> dict[str, StreamPosition]:
        """All positions by stream; what cannot be read is left out. Raises: Damaged, Unavailable."""
        prefix = f"{self._source}/"
        found = {}
        for key, value in (await asyncio.to_thread(self._store.read, ROOM)).items():
            if not key.startswith(prefix):
                continue
            try:
                found[key.removeprefix(prefix)] = msgspec.json.decode(value, type=StreamPosition)
            except msgspec.MsgspecError:
                continue
        self._written = dict(found)
        return found

    async def write(self, positions: Mapping[str, StreamPosition]) -> None:
        """Write those that have changed. Raises: Damaged, Unavailable."""
        changed = {stream: at for stream, at in positions.items() if self._written.get(stream) != at}
        if changed:
            changes = {f"{self._source}/{stream}": msgspec.json.encode(at) for stream, at in changed.items()}
            await asyncio.to_thread(self._store.commit, ROOM, changes)
            self._written.update(changed)
