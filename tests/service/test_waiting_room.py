"""Answers while a directory is opened: how far it is, in text and JSON, and a bound on who asks."""

import asyncio
import json
import socket
from contextlib import closing

import pytest

from nissa.ingest.progress import Progress
from nissa.service import waiting_room as room
from nissa.service.waiting_room import answer, waiting_room


def halfway() -> Progress:
    """A recovery that has come to the half."""
    progress = Progress()
    progress.bytes_total, progress.bytes_done, progress.frames = 1_000, 510, 7
    return progress


@pytest.mark.parametrize(
    ("request_line", "status", "text"),
    [
        ("GET /-/healthy HTTP/1.1", 200, "Nissa is Healthy.\n"),
        ("HEAD /-/healthy HTTP/1.1", 200, ""),
        ("GET /-/ready?x=1 HTTP/1.1", 503, "recovering, 51 % of 1000 bytes of the journal"),
        ("HEAD /-/ready HTTP/1.1", 503, ""),
        ("POST /-/healthy HTTP/1.1", 503, "51 %"),
        ("GET /api/v1/query HTTP/1.1", 503, "51 %"),
        ("\xff", 503, "51 %"),
    ],
)
def test_what_is_answered(request_line: str, status: int, text: str) -> None:
    """Healthy is 200, all else 503 with how far it is and when to come again; HEAD has no body."""
    head, _, body = answer(request_line.encode("latin-1") + b"\r\n\r\n", halfway()).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Retry-After: 1" in head) == (status == 503)
    assert text in body.decode()
    assert bool(body) == bool(text)


def test_browsers_get_a_page() -> None:
    """Progress to read and to see, without a script, loaded again by itself; programs get text."""
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html,application/xhtml+xml\r\n\r\n"
    head, _, body = answer(asked, halfway()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"Content-Type: text/html" in head
    assert b"default-src 'none'" in head
    for expected in (b'http-equiv="refresh"', b'value="51"', b"51 % of 1000 bytes", b"<title>"):
        assert expected in body
    assert b"<script" not in body
    assert b"<progress" not in answer(asked, Progress())
    assert b"text/plain" in answer(b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", halfway())


def test_before_the_journal_is_looked_at() -> None:
    """There is nothing to say how far it is."""
    assert b"is being opened" in answer(b"GET /-/ready HTTP/1.1\r\n\r\n", Progress())


def test_status_says_how_far_it_is() -> None:
    """The status is JSON with the progress of recovery."""
    body = answer(b"GET /api/status HTTP/1.1\r\n\r\n", halfway()).partition(b"\r\n\r\n")[2]
    expected = {"bytes": 510, "bytes_total": 1_000, "frames": 7, "percent": 51}
    assert json.loads(body) == {"mode": "recovering", "recovery": expected}


async def ask(port: int, request: bytes) -> bytes:
    """All bytes that a server sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_the_socket_is_free_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections over the bound and heads over the limit are closed; then the daemon can serve the same socket."""
    monkeypatch.setattr(room, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(room, "HEAD_BYTES_MAX", 1_000)

    async def run() -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            async with waiting_room(listener, halfway()):
                assert b"51 %" in await ask(port, b"GET /-/ready HTTP/1.1\r\n\r\n")
                assert await ask(port, b"GET /-/ready HTTP/1.1\r\nx: " + b"x" * 5_000) == b""
                idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
                await asyncio.sleep(0.05)
                assert await ask(port, b"GET /-/ready HTTP/1.1\r\n\r\n") == b""
            for reader, writer in idle:
                assert await reader.read() == b""
                writer.close()
            async with waiting_room(listener, Progress()):
                assert b"being opened" in await ask(port, b"GET /-/ready HTTP/1.1\r\n\r\n")

    asyncio.run(run())
