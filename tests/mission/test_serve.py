"""Serving on a given socket: signals, stopping, and bounds on what clients send."""

import asyncio
import signal
import socket
from contextlib import suppress

import httpx
import pytest

from nissa.config.tree import Api
from nissa.mission.serve import serve_api
from oracle.backend_twin import BackendTwin, regular

UP = [{"__name__": "up"}]
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_it_serves_in_the_loop_that_runs_and_leaves_signals_alone():
    """The socket is the caller's, handlers of signals stay as they were, and stopping returns."""

    async def scene() -> bytes:
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        listening = socket.create_server(("127.0.0.1", 0))
        stopping = asyncio.Event()
        serving = asyncio.create_task(serve_api(BackendTwin(UP, regular(1, 1)), Api(), listening, stopping, {}))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(HEALTHY)
        answer = await reader.read()
        writer.close()
        assert {one: signal.getsignal(one) for one in before} == before
        stopping.set()
        await serving
        return answer

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 400_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/9.9\r\n\r\n",
        b"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_broken_requests_are_answered_or_dropped(serve, request_bytes):
    """Bytes that are no request, and heads without end, end that connection only."""
    client = serve(BackendTwin(UP, regular(1, 1)))
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as raw:
        try:
            raw.sendall(request_bytes)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(65_536)
        except OSError:  # refused before it was all sent: a reset, met at whichever call comes next
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert client.get("/-/healthy").status_code == 200


def test_beyond_the_limit_a_connection_is_answered_and_closed(serve):
    """It reads a 503; those inside are served on."""
    address = address_of(serve(BackendTwin(UP, regular(1, 1)), Api(connections_max=3, idle_timeout_ms=60_000)))
    inside = [socket.create_connection(address, timeout=20) for _ in range(3)]
    for _ in range(5):
        assert read_to_end(socket.create_connection(address, timeout=20)).startswith(b"HTTP/1.1 503")
    for one in inside:
        one.sendall(HEALTHY)
        assert read_to_end(one).startswith(b"HTTP/1.1 200")


def test_connections_that_only_stand_there_go_after_a_while(serve):
    """One that sends nothing is closed, and gives its place to another."""
    address = address_of(serve(BackendTwin(UP, regular(1, 1)), Api(connections_max=1, idle_timeout_ms=200)))
    assert read_to_end(socket.create_connection(address, timeout=20)) == b""
    answer = b""
    while not answer:  # closed before it had sent anything
        other = socket.create_connection(address, timeout=20)
        with suppress(ConnectionError):
            other.sendall(HEALTHY)
            answer = read_to_end(other)
        other.close()
    assert answer.startswith(b"HTTP/1.1 200")


def address_of(client: httpx.Client) -> tuple[str, int]:
    """Where the API listens; the client's own connections would count too."""
    client.close()
    return client.base_url.host, client.base_url.port


def read_to_end(raw: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    with raw:
        return b"".join(iter(lambda: raw.recv(65_536), b""))


def drip_until_closed(raw: socket.socket) -> None:
    """Send a byte now and then for as long as the other side takes it."""
    raw.settimeout(0.05)
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            with suppress(TimeoutError):
                assert raw.recv(65_536) == b""
                return
            raw.sendall(b"x")


@pytest.mark.parametrize(
    "part", [b"GET /-/healthy HT", b"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nma"]
)
def test_a_request_that_does_not_end_is_given_up(serve, part):
    """A connection with half a head or half a body is closed, though bytes come; whole requests before do not count."""
    client = serve(BackendTwin(UP, regular(1, 1)), Api(request_timeout_ms=300))
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as raw:
        for _ in range(3):
            raw.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n") or not answer:
                answer += raw.recv(1)
            body = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while body:
                body -= len(raw.recv(body))
        raw.sendall(part)
        drip_until_closed(raw)
    assert client.get("/-/healthy").status_code == 200
