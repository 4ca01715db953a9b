"""Serving on a given socket: signals, stopping, and bounds on what clients send."""

import asyncio
import shutil
import signal
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from nissa.api.facts import Facts
from nissa.api.serve import serve_api
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular
from oracle.certificates import self_signed

UP = [{"__name__": "up"}]
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_it_serves_in_the_loop_that_runs_and_leaves_signals_alone():
    """The socket is the caller's, handlers of signals stay as they were, and stopping returns."""

    async def scene() -> bytes:
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        listening = socket.create_server(("127.0.0.1", 0))
        stopping = asyncio.Event()
        backend, facts = BackendTwin(UP, regular(1, 1)), Facts(lambda: 0)
        serving = asyncio.create_task(serve_api(backend, Api(), listening, stopping, facts))
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
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=60) as raw:
        try:
            raw.sendall(request_bytes)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(65_536)
        except OSError:  # refused before it was all sent: a reset, met at whichever call comes next
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert client.get("/-/healthy").status_code == 200


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
    "part",
    [b"GET /-/healthy HT", b"POST /api/v1/labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nma"],
)
def test_a_request_that_does_not_end_is_given_up(serve, part):
    """A connection with half a head or half a body is closed, though bytes come; whole requests before do not count."""
    client = serve(BackendTwin(UP, regular(1, 1)), Api(request_timeout_ms=300))
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=60) as raw:
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


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_changes(serve, tmp_path):
    """Requests go over TLS; another certificate counts for new connections, a wrong one leaves the last in use."""
    tls = self_signed(tmp_path, "first")
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(tls=tls))
    address = client.base_url.host, client.base_url.port or 0
    first = ssl.get_server_certificate(address)
    assert first == Path(tls.certificate_file).read_text()
    self_signed(tmp_path, "second")
    while ssl.get_server_certificate(address) == first:
        pass
    second = ssl.get_server_certificate(address)
    assert second == Path(tls.certificate_file).read_text()
