"""Positions of streams: the last entry before which all is durable, and their place in the state store."""

import asyncio
from collections.abc import Mapping

from nissa.sources.oona_entries import id_before, id_key
from nissa.sources.positions import ROOM, Positions, StreamPosition, StreamProgress


def test_the_position_waits_for_the_first_frame() -> None:
    """Frames may end in any order: the position stands before the first that has not."""
    progress = StreamProgress("", id_key, id_before)
    assert progress.durable == ""
    first, second, third = progress.begin("1-0", "1-9"), progress.begin("2-0", "2-9"), progress.begin("3-0", "3-9")
    progress.end(second)
    assert progress.durable == id_before("1-0")
    progress.end(first)
    assert progress.durable == "2-9"
    old = progress.begin("0-5", "0-7")  # taken over from another consumer
    assert progress.durable == "0-4"
    progress.forget(old)
    progress.end(third)
    assert progress.durable == "3-9"
    progress.end(progress.begin("2-3", "2-3"))
    assert progress.durable == "3-9"


class Store:
    """A state store in memory that counts commits."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {"other/x": b"{}", "oona/broken": b"?"}
        self.commits = 0

    def read(self, room: str) -> dict[str, bytes]:
        """As the real one."""
        assert room == ROOM
        return dict(self.values)

    def commit(self, room: str, changes: Mapping[str, bytes | None]) -> None:
        """As the real one."""
        assert room == ROOM
        self.commits += 1
        self.values |= {key: value for key, value in changes.items() if value is not None}


def test_positions_are_written_when_they_change() -> None:
    """Written positions are read again; unchanged ones are not written; unreadable ones are left out."""

    async def scenario() -> None:
        positions = Positions(store, "oona")
        assert await positions.read() == {}
        await positions.write({"a": StreamPosition("1-0", 2)})
        await positions.write({"a": StreamPosition("1-0", 2)})
        assert store.commits == 1
        assert await Positions(store, "oona").read() == {"a": StreamPosition("1-0", 2)}

    store = Store()
    asyncio.run(scenario())
