"""Limits of connections to the API, over real sockets."""

import socket
import time
from contextlib import suppress

import httpx
import pytest

from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular

UP = [{"__name__": "up"}]
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
EXPORT = b"GET /api/v1/export?match[]=up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def address_of(client: httpx.Client) -> tuple[str, int]:
    """Address of the API. Closes the client, as its own connections would count too."""
    client.close()
    return client.base_url.host, client.base_url.port


def connect(address: tuple[str, int], receive_bytes: int = 0) -> socket.socket:
    """A connection; receive_bytes: of the kernel's buffer, where it is to be small."""
    raw = socket.socket()
    raw.settimeout(30)
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.connect(address)
    return raw


def read_to_end(raw: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    with raw:
        return b"".join(iter(lambda: raw.recv(65_536), b""))


@pytest.mark.parametrize(
    "part",
    [b"", b"GET /api/v1/la", b"POST /api/v1/labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nma", None],
)
def test_who_only_waits_keeps_nobody_out(serve, part):
    """Connections that are idle, or bring half a head or body, give way to new ones; the oldest goes first."""
    address = address_of(serve(BackendTwin(UP, regular(1, 1)), Api(connections_max=8, idle_timeout_ms=60_000)))
    standing = [connect(address) for _ in range(8)]
    for one in standing:
        if part is None:  # behind an answer
            one.sendall(HEALTHY.replace(b"close", b"keep-alive"))
            assert one.recv(1_000).startswith(b"HTTP/1.1 200")
        else:
            one.sendall(part)
    for _ in range(20):
        other = connect(address)
        other.sendall(HEALTHY)
        assert read_to_end(other).startswith(b"HTTP/1.1 200")
    for one in standing:
        one.close()


def test_beyond_the_limit_of_askers_a_connection_is_answered_and_closed(serve):
    """Whoever waits for an answer keeps its place; one more reads a 503 until one of them is done."""
    limits = Api(connections_max=2, query_timeout_ms=60_000)
    address = address_of(serve(BackendTwin(UP, regular(1, 2_000_000)), limits))
    asking = [connect(address, 4_096) for _ in range(2)]
    for one in asking:
        one.sendall(EXPORT)
        assert one.recv(10).startswith(b"HTTP/1.1 2")
    with suppress(ConnectionResetError):
        assert read_to_end(connect(address)).startswith(b"HTTP/1.1 503")
    for one in asking:
        one.close()
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200"):
        with suppress(ConnectionError):
            other = connect(address)
            other.sendall(HEALTHY)
            answer = read_to_end(other)


def test_connections_that_only_stand_there_go_after_a_while(serve):
    """A connection that sends nothing is closed."""
    address = address_of(serve(BackendTwin(UP, regular(1, 1)), Api(idle_timeout_ms=200)))
    assert read_to_end(connect(address)) == b""


def test_a_slow_reader_is_served_to_the_end(serve):
    """Progress counts by bytes: an export goes on for many times the timeout while its reader takes a little."""
    address = address_of(serve(BackendTwin(UP, regular(1, 600_000)), Api(query_timeout_ms=1_000)))
    raw = connect(address, 4_096)
    raw.sendall(EXPORT)
    taken = 0
    for _ in range(60):
        time.sleep(0.03)
        taken += len(raw.recv(16_384))
    rest = read_to_end(raw)
    assert taken < 1_000_000
    assert rest.endswith(b"0\r\n\r\n")


def test_a_reader_that_takes_nothing_is_cut_off(serve):
    """The place of its export is free again, and the answer it has is visibly incomplete."""
    client = serve(BackendTwin(UP, regular(1, 2_000_000)), Api(query_timeout_ms=2_000, concurrent_queries_max=1))
    with connect((client.base_url.host, client.base_url.port), 4_096) as raw:
        raw.sendall(EXPORT)
        assert raw.recv(10).startswith(b"HTTP/1.1 2")
        while client.get("/api/status").json()["queries"]["exports_running"] != 0:
            time.sleep(0.01)
        assert not read_to_end(raw).endswith(b"0\r\n\r\n")
