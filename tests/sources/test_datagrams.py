"""Datagrams over a real socket: of every size, many at once, dropped by the kernel."""

import asyncio
import socket

import pytest

from nissa.config.listen import Listen
from nissa.model.errors import SourceFailed
from nissa.sources.datagrams import Datagrams


class Taken:
    """A receiver and what it took."""

    def __init__(self, receive_buffer_bytes: int = 1 << 20) -> None:
        self.data = b""
        self.datagrams = Datagrams(self._take, receive_buffer_bytes)

    def _take(self, data: memoryview) -> None:
        self.data += bytes(data)


def test_datagrams_are_lines_of_their_own() -> None:
    """A datagram that ends within a line does not run into the next; the greatest arrives whole; an empty one too."""

    async def scenario() -> None:
        taken = Taken()
        address = taken.datagrams.open(Listen("127.0.0.1", 0), "sources.statsd.listen")
        packets = [b"a:1|c\nb:2", b"|g", b"x" * 65_507, b"", b"\0\xff"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for packet in packets:
                sender.sendto(packet, (address.host, address.port))
        wanted = b"".join(packet + b"\n" for packet in packets)
        for _ in range(6_000):
            if len(taken.data) == len(wanted):
                break
            await asyncio.sleep(0.01)
        assert taken.data == wanted
        assert taken.datagrams.facts() == {"datagrams": 5, "datagrams_dropped": 0}
        taken.datagrams.close()

    asyncio.run(scenario())


def test_what_the_kernel_drops_is_counted() -> None:
    """More than the socket's memory holds is dropped by the kernel; received and dropped are all of it."""

    async def scenario() -> None:
        taken = Taken(receive_buffer_bytes=65_536)
        address = taken.datagrams.open(Listen("127.0.0.1", 0), "sources.statsd.listen")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(100):
                sender.sendto(b"x" * 60_000, (address.host, address.port))  # the receiver does not read meanwhile
        taken.datagrams.close()
        facts = taken.datagrams.facts()
        assert facts["datagrams_dropped"] > 0
        assert sum(facts.values()) == 100

    asyncio.run(scenario())


def test_an_address_in_use_is_named() -> None:
    """The error says the address and the setting."""

    async def scenario() -> None:
        first = Taken().datagrams
        address = first.open(Listen("127.0.0.1", 0), "sources.statsd.listen")
        with pytest.raises(SourceFailed, match=rf"{address.port} \(sources\.statsd\.listen\)"):
            Taken().datagrams.open(address, "sources.statsd.listen")
        first.close()

    asyncio.run(scenario())
