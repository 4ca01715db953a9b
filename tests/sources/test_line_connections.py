"""Connections of lines over real sockets: cut anywhere, too long, too many, silent, paused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nissa.config.listen import Listen
from nissa.model.errors import SourceFailed
from nissa.sources.line_connections import LineConnections


class Listening:
    """Connections with what they have taken."""

    def __init__(self, line_bytes_max: int = 50, connections_max: int = 10, idle_timeout_s: float = 60.0) -> None:
        self.taken = b""
        self.connections = LineConnections(
            self._take,
            connections_max=connections_max,
            line_bytes_max=line_bytes_max,
            idle_timeout_s=idle_timeout_s,
        )

    def _take(self, lines: bytes) -> None:
        assert lines.endswith(b"\n")
        self.taken += lines

    async def connect(self) -> asyncio.StreamWriter:
        """A connection to it."""
        host, _, port = self.connections.address.rpartition(":")
        return (await asyncio.open_connection(host, int(port)))[1]

    async def until(self, taken: bytes) -> None:
        """Wait until exactly these bytes are taken."""
        for _ in range(6_000):
            if self.taken == taken:
                return
            await asyncio.sleep(0.01)
        assert self.taken == taken


@asynccontextmanager
async def listening(**limits: float) -> AsyncIterator[Listening]:
    found = Listening(**limits)  # type: ignore[arg-type]  # ints and one float by keyword
    await found.connections.open(Listen("127.0.0.1", 0), "sources.graphite.listen")
    try:
        yield found
    finally:
        found.connections.close()


async def send(writer: asyncio.StreamWriter, *parts: bytes) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.02)


def test_lines_are_whole_wherever_they_are_cut() -> None:
    """Parts of lines wait for their line feed; the last line may have none."""

    async def scenario() -> None:
        async with listening() as found:
            writer = await found.connect()
            await send(writer, b"a 1\nb", b" 2", b"\nc 3")
            await found.until(b"a 1\nb 2\n")
            writer.close()
            await found.until(b"a 1\nb 2\nc 3\n")

    asyncio.run(scenario())


def test_a_line_without_end_is_skipped() -> None:
    """A line that grows beyond the bound is counted and left out up to its line feed; the next one is read."""

    async def scenario() -> None:
        async with listening() as found:
            writer = await found.connect()
            await send(writer, b"a 1\n" + b"x" * 60, b"x" * 600, b"xx\nb 2\n")
            await found.until(b"a 1\nb 2\n")
            assert found.connections.facts()["long_lines"] == 1
            await send(writer, b"y" * 51, b"z")
            writer.close()
            for _ in range(6_000):
                if found.connections.facts()["long_lines"] == 2:
                    break
                await asyncio.sleep(0.01)
            assert found.connections.facts()["long_lines"] == 2
            assert found.taken == b"a 1\nb 2\n"

    asyncio.run(scenario())


def test_connections_are_bounded() -> None:
    """One too many is closed and counted; a silent one is closed and makes room."""

    async def scenario() -> None:
        async with listening(connections_max=1, idle_timeout_s=0.3) as found:
            await found.connect()
            host, _, port = found.connections.address.rpartition(":")
            reader, _ = await asyncio.open_connection(host, int(port))
            assert await reader.read() == b""
            assert found.connections.facts()["connections_refused"] == 1
            for _ in range(6_000):
                if not found.connections.facts()["connections"]:
                    break
                await asyncio.sleep(0.01)
            await send(await found.connect(), b"a 1\n")
            await found.until(b"a 1\n")

    asyncio.run(scenario())


def test_paused_connections_are_not_read() -> None:
    """While paused nothing is taken, of new connections neither; then all of it."""

    async def scenario() -> None:
        async with listening() as found:
            first = await found.connect()
            await send(first, b"a 1\n")
            await found.until(b"a 1\n")
            found.connections.pause(True)
            second = await found.connect()
            await send(first, b"b 2\n")
            await send(second, b"c 3\n")
            await asyncio.sleep(0.1)
            assert found.taken == b"a 1\n"
            found.connections.pause(False)
            for _ in range(6_000):
                if len(found.taken) == 12:
                    break
                await asyncio.sleep(0.01)
            assert sorted(found.taken.splitlines()) == [b"a 1", b"b 2", b"c 3"]

    asyncio.run(scenario())


def test_an_address_in_use_is_named() -> None:
    """The error says the address and the setting."""

    async def scenario() -> None:
        async with listening() as found:
            host, _, port = found.connections.address.rpartition(":")
            with pytest.raises(SourceFailed, match=rf"{port} \(sources\.graphite\.listen\)"):
                await Listening().connections.open(Listen(host, int(port)), "sources.graphite.listen")

    asyncio.run(scenario())
