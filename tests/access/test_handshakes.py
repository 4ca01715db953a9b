"""Handshakes of a port: clients that only connect keep nobody out, and clients that come all at once are all served."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from nissa.access import handshakes
from nissa.access.certificates import Certificates
from nissa.access.handshakes import SecureListener
from oracle.certificates import self_signed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
PATIENCE_S = 60


class Greeting(asyncio.Protocol):
    """Says hello and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        cast(asyncio.Transport, transport).write(b"hello")
        cast(asyncio.Transport, transport).close()


def listener_of(folder: Path, handshakes_max: int, gave_way: Callable[[], None] = lambda: None) -> SecureListener:
    """A listener whose handshakes never end by their time."""
    certificates = Certificates(self_signed(folder, "server"), "api.tls")
    listening = socket.create_server(("127.0.0.1", 0))
    return SecureListener([listening], Greeting, certificates, handshakes_max, PATIENCE_S, gave_way)


async def greeted(address: tuple[str, int]) -> bytes:
    """Reads all bytes that one client receives."""
    reader, writer = await asyncio.open_connection(*address, ssl=ssl._create_unverified_context())
    try:
        return await reader.read()
    finally:
        writer.close()


def test_clients_that_only_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that say nothing, or not all, have a bounded number of places, and give way to others in time."""
    monkeypatch.setattr(handshakes, "GRACE_S", 0.05)

    async def scene() -> None:
        gone: list[None] = []
        listener = listener_of(tmp_path, 4, lambda: gone.append(None))
        address = listener.sockets[0].getsockname()
        with ExitStack() as ends:
            for number in range(20):
                idle = ends.enter_context(socket.create_connection(address, timeout=PATIENCE_S))
                idle.sendall(b"\x16\x03\x01\x02\x00\x01" * (number % 2))
            assert await asyncio.wait_for(greeted(address), PATIENCE_S) == b"hello"
            assert listener.handshakes <= 4
            assert len(gone) >= 17
            listener.close()
        listener.close()  # again, as nothing is left to do

    asyncio.run(scene())


def test_clients_that_come_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More clients than places wait for each other, and none gives way."""
    monkeypatch.setattr(handshakes, "GRACE_S", PATIENCE_S)

    async def scene() -> None:
        gone: list[None] = []
        listener = listener_of(tmp_path, 2, lambda: gone.append(None))
        address = listener.sockets[0].getsockname()
        found = await asyncio.gather(*(greeted(address) for _ in range(20)))
        assert found == [b"hello"] * 20
        with socket.create_connection(address, timeout=PATIENCE_S) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(plain, 1) == b""  # it is no handshake
        assert await greeted(address) == b"hello"
        assert gone == []
        listener.close()

    asyncio.run(scene())
