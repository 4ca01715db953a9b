"""One connection over a real socket: order, cuts, smuggling, limits, time, back-pressure."""

import random
import shutil
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sources.http.edge_rig import V2_HEADERS, WRITE_HEADERS, Rig, chunked, get, post, until, write

from nissa.access import handshakes
from nissa.access.certificates import Certificates
from nissa.model.receipt import Receipt
from nissa.sources.http import connection, endpoint
from nissa.sources.http.connection import PIPELINED_MAX
from nissa.sources.http.head import HEADERS_MAX
from oracle.certificates import self_signed

SMUGGLED = get("/-/healthy")
POST_HEAD = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + WRITE_HEADERS.encode()


def test_keep_alive_and_close(rig: Rig) -> None:
    """A connection serves many requests; Connection: close and HTTP/1.0 end it, and the answer says so."""
    with rig.connect() as client:
        for _ in range(3):
            client.send(write())
            assert "connection" not in client.read().headers
        client.send(write(headers=WRITE_HEADERS + "Connection: close\r\n"))
        assert client.read().headers["connection"] == "close"
        assert client.read_to_end() == b""
    with rig.connect() as client:
        client.send(b"GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.read().headers["connection"] == "close"
        assert client.read_to_end() == b""


def test_pipelined_answers_keep_their_order(rig: Rig) -> None:
    """Answers leave in the order of their requests though their outcomes settle in reverse."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(b"".join(write(b"%d" % index, V2_HEADERS) for index in range(10)) + get("/-/healthy"))
        rig.intake.wait(10)
        for index in reversed(range(10)):
            rig.intake.complete(index, Receipt(samples=index + 1))
        assert [client.read().written[0] for _ in range(10)] == [str(index + 1) for index in range(10)]
        assert client.read().body == b"healthy\n"


def test_many_pipelined_requests(rig: Rig) -> None:
    """A sender that pipelines more than the maximum is read in turns, and gets every answer."""
    count = 5 * PIPELINED_MAX
    with rig.connect() as client:
        sender = threading.Thread(target=client.send, args=(write() * count,))
        sender.start()
        assert all(client.read().status == 204 for _ in range(count))
        sender.join()
    assert len(rig.intake.frames) == count


def test_requests_byte_by_byte(rig: Rig) -> None:
    """A request may arrive in any pieces."""
    raw = write(b"abc") + chunked(b"de", b"f") + get("/-/healthy")
    with rig.connect() as client:
        client.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(raw)):
            client.send(raw[position : position + 1])
        assert [client.read().status for _ in range(3)] == [204, 204, 200]
    assert [frame.body for frame in rig.intake.frames] == [b"abc", b"def"]


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_body_sizes(rig: Rig, size: int) -> None:
    """Bodies over many reads arrive whole, with a length or in chunks."""
    body = bytes(index % 251 for index in range(1_000)) * (size // 1_000 + 1)
    body = body[:size]
    pieces = [body[start : start + 4_096] for start in range(0, size, 4_096)]
    assert rig.exchange(write(body)).status == 204
    assert rig.exchange(chunked(*pieces)).status == 204
    assert [frame.body for frame in rig.intake.frames] == [body, body]
    assert rig.cells.buffered_bytes == 0


def test_chunk_extensions_and_trailers(rig: Rig) -> None:
    """Extensions and trailers are read past: a trailer never changes how a request is read."""
    raw = chunked(ending=b'3;a=b;c="d"\r\nabc\r\n0\r\nContent-Type: text/html\r\nX: y\r\n\r\n')
    with rig.connect() as client:
        client.send(raw + write())
        assert [client.read().status for _ in range(2)] == [204, 204]
    assert rig.intake.frames[0].body == b"abc"


def test_half_closed_sender_gets_its_answers(rig: Rig) -> None:
    """A sender that shuts its sending side down still reads the answers to what it sent."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write() + write()[:-1])
        client.link.shutdown(socket.SHUT_WR)
        rig.intake.wait(1)
        rig.intake.complete(0)
        assert client.read().headers["connection"] == "close"
        assert client.read_to_end() == b""
    assert len(rig.intake.frames) == 1


def test_a_sender_that_vanishes(rig: Rig) -> None:
    """The outcome of a frame whose sender is gone is dropped, and no other sender is affected."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write())
        rig.intake.wait(1)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
    until(lambda: rig.cells.connections == 0)
    rig.intake.complete(0)
    rig.intake.manual = False
    assert rig.exchange(write()).status == 204


def test_continue(rig: Rig) -> None:
    """A sender that expects 100 gets it, in its turn."""
    rig.intake.manual = True
    expecting = write(headers=WRITE_HEADERS + "Expect: 100-Continue\r\n")
    head, body = expecting[:-4], expecting[-4:]
    with rig.connect() as client:
        client.send(write() + head)
        rig.intake.wait(1)
        rig.intake.complete(0)
        assert [client.read().status for _ in range(2)] == [204, 100]
        client.send(body)
        rig.intake.wait(2)
        rig.intake.complete(1)
        assert client.read().status == 204


@pytest.mark.parametrize(
    ("path", "headers", "length", "status"),
    [
        ("/api/v1/write", WRITE_HEADERS + "Expect: magic\r\n", 4, 417),
        ("/api/v1/write", WRITE_HEADERS + "Expect: 100-continue\r\n", 10**9, 413),
        ("/api/v1/write", "Expect: 100-continue\r\n", 4, 415),
        ("/api/v1/nothing", "Expect: 100-continue\r\n", 4, 404),
        ("/api/v1/write", WRITE_HEADERS, 10**9, 413),
        ("/api/v1/nothing", "", 10**9, 404),
    ],
)
def test_refused_before_the_body(rig: Rig, path: str, headers: str, length: int, status: int) -> None:
    """A request refused by its head is answered before the body is sent, and ends the connection."""
    with rig.connect() as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n".encode())
        response = client.read()
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert client.read_to_end() == b""


def test_a_refused_sender_can_read_why(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that is refused in the middle of a large body reads its 413, not a reset."""
    monkeypatch.setattr(connection, "LINGER_S", 60.0)  # however slow the sender is here
    with rig.connect() as client:
        client.send(
            f"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n{WRITE_HEADERS}Content-Length: 99999999\r\n\r\n".encode()
        )
        for _ in range(100):
            client.send(bytes(64 * 1024))
        assert client.read().status == 413


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (POST_HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST_HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
        (POST_HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: 4, 4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: +4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: -4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: 0x4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length : 4\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nbody", 400),
        (POST_HEAD + b"Content-Length:\r\n\r\nbody", 400),
        (POST_HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (POST_HEAD + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501),
        (POST_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST_HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (POST_HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST_HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (POST_HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (chunked(ending=b"Z\r\n\r\n"), 400),
        (chunked(ending=b"-1\r\n\r\n"), 400),
        (chunked(ending=b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"3\nabc\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"3\r\nabcd\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"3;a\nabc\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"3 \r\nabc\r\n0\r\n\r\n"), 400),
        (chunked(ending=b"0\r\nContent-Length: 5\r\n\r\n"), 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\x00y\r\n\r\n", 400),
        (b"GET /-/heal\x00thy HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\n Host: x\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHo st: x\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\n: x\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /-/healthy HTTP/1.1\r\nA: b\r\n\r\n", 400),
        (b"GET /-/healthy\r\n\r\n", 505),
        (b"GET /-/healthy HTTP/0.9\r\n\r\n", 505),
        (b"GET /-/healthy HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /-/healthy HTTP/1.2\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"FETCH /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # a TLS hello
        (b"\x00" * 100, 400),
    ],
)
def test_nothing_is_smuggled(rig: Rig, raw: bytes, status: int) -> None:
    """Bytes that are not exactly one reading of HTTP/1.1 get one error, and what follows them is never a request."""
    with rig.connect() as client:
        client.send(raw + SMUGGLED)
        response = client.read()
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert client.read_to_end() == b""
    assert rig.intake.frames == []


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("raw", [write(), chunked(b"bo", b"dy"), get("/metrics"), get("/-/ready")])
def test_an_upgrade_is_not_taken_up(rig: Rig, raw: bytes, protocol: str) -> None:
    """A request that offers another protocol is answered as HTTP/1.1, and so is the next one on its connection."""
    offer = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    asked = raw.replace(b"Host: x\r\n", b"Host: x\r\n" + offer)
    with rig.connect() as client:
        client.send(asked + asked + get("/-/healthy"))
        plain = rig.exchange(raw).status
        assert [client.read().status for _ in range(3)] == [plain, plain, 200]
        client.send(asked)
        assert client.read().status == plain


def test_limits_hold_behind_an_upgrade(rig: Rig) -> None:
    """A faulty request is refused also if it offers an upgrade."""
    offer = "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert rig.exchange(post("/api/v1/write", offer + WRITE_HEADERS + "Expect: tea\r\n", b"x")).status == 417
    assert rig.exchange(post("/api/v1/write", offer, b"x")).status == 415
    assert rig.exchange(f"GET /metrics HTTP/1.1\r\n{offer}\r\n".encode()).status == 400  # no Host


def test_an_upgrade_cut_anywhere(rig: Rig) -> None:
    """Wherever the bytes of offering requests are cut, their bodies arrive whole."""
    asked = write().replace(b"Host: x\r\n", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n") * 2
    with rig.connect() as client:
        for cut in range(1, len(asked), 7):
            client.send(asked[:cut])
            client.send(asked[cut:])
            assert [client.read().status for _ in range(2)] == [204, 204]
    assert {frame.body for frame in rig.intake.frames} == {b"body"}


def test_an_error_waits_for_its_turn(rig: Rig) -> None:
    """A request before the bad one is answered first."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write() + b"nonsense\r\n\r\n" + SMUGGLED)
        rig.intake.wait(1)
        rig.intake.complete(0)
        assert [client.read().status for _ in range(2)] == [204, 400]
        assert client.read_to_end() == b""
    assert rig.cells.malformed == 1


def test_nothing_is_read_after_close(rig: Rig) -> None:
    """Requests behind a Connection: close are not served."""
    with rig.connect() as client:
        client.send(write(headers=WRITE_HEADERS + "Connection: close\r\n") + write())
        assert client.read().status == 204
        with suppress(ConnectionResetError):  # bytes that were never read
            assert client.read_to_end() == b""
    assert len(rig.intake.frames) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * HEADERS_MAX + b"\r\n",
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n" + b"a" * 10_000_000,
        chunked(ending=b"1\r\na\r\n0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n"),
    ],
)
def test_heads_are_bounded(rig: Rig, raw: bytes) -> None:
    """Headers, targets and trailers over the limit in bytes or count are 431, however they are cut."""
    with rig.connect() as client:
        with suppress(OSError):  # it may be refused before all is sent
            client.send(raw)
        assert client.read().status == 431


def test_endless_chunk_extension_is_refused() -> None:
    """Framing that never becomes a body is refused by its size."""
    with Rig(body_bytes_max=100_000) as rig, rig.connect() as client:
        with suppress(OSError):  # it may be refused before all is sent
            client.send(chunked(ending=b"1;") + b"a" * 5_000_000)
        assert client.read().status == 413


def test_slow_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that drips its headers is answered 503 though it never stops sending; others are served meanwhile."""
    monkeypatch.setattr(endpoint, "SWEEP_S_MAX", 0.05)
    with Rig() as rig, rig.connect() as client, rig.connect() as other:
        until(lambda: rig.cells.connections == 2)
        rig.endpoint.header_timeout_s = 0.2  # counts from the first byte on
        client.send(b"GET /-/healthy HTTP/1.1\r\n")
        dripping = threading.Event()

        def drip() -> None:
            while not dripping.wait(0.02):
                try:
                    client.send(b"A: b\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        other.send(write())
        assert other.read().status == 204
        assert client.read().status == 503
        dripping.set()
        thread.join()
        assert rig.cells.timeouts["header"] == 1


def test_slow_body() -> None:
    """A body that does not end in time is a 503 with Retry-After: senders drop a batch for good on any other 4xx."""
    with Rig(body_timeout_ms=200) as rig, rig.connect() as client:
        client.send(write()[:-1])
        response = client.read()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert client.read_to_end() == b""
        assert rig.cells.timeouts["body"] == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_requests_that_end_early_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, which has no half-closed connections, a refused sender can read why, and time runs out as often as
    senders are slow."""
    monkeypatch.setattr(handshakes, "SHUTDOWN_TIMEOUT_S", 60.0)
    certificates = Certificates(self_signed(tmp_path, "server"), "ingest.tls")
    with Rig(certificates, body_timeout_ms=200) as rig:
        with rig.connect() as client:
            client.send(post("/api/v1/nothing", "", bytes(4_000_000)))
            assert client.read().status == 404
        for _ in range(2):
            with rig.connect() as client:
                client.send(write()[:-1])
                assert client.read().status == 503
                assert client.read_to_end() == b""
        assert rig.cells.timeouts["body"] == 2


@pytest.mark.parametrize("before", [b"", b"\r\n", write()])
def test_idle(before: bytes) -> None:
    """A connection without a request, before the first or after the last, is closed in time."""
    with Rig(idle_timeout_ms=200, header_timeout_ms=200) as rig, rig.connect() as client:
        with suppress(ConnectionError):  # closed before it had sent
            client.send(before)
            client.read_to_end()
        until(lambda: sum(rig.cells.timeouts.values()) == 1)


def test_waiting_for_the_intake_is_not_idle(rig: Rig) -> None:
    """A sender whose frame is not settled yet waits as long as that takes."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write())
        rig.intake.wait(1)
        rig.overdue()
        rig.intake.complete(0)
        assert client.read().status == 204
    assert sum(rig.cells.timeouts.values()) == 0


def test_slow_reader() -> None:
    """A sender that does not read its answers is not read either, and is cut off in time."""
    with Rig(body_timeout_ms=300) as rig, rig.connect() as client:
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        ask = get("/metrics", f"Accept: {'a' * 10_000}\r\n")
        with pytest.raises(ConnectionError):  # behind some that it took, and a while in which it took none
            client.send(ask * 5_000)
        until(lambda: rig.cells.timeouts["write"] == 1)
        assert rig.exchange(write()).status == 204


def test_slow_reader_that_catches_up() -> None:
    """Answers held back for a slow reader all come once it reads, in order."""
    with Rig() as rig, rig.connect() as client:
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        asks = [get("/metrics", f"Accept: {index:010000}\r\n") for index in range(1_500)]
        sender = threading.Thread(target=client.send, args=(b"".join(asks),))
        sender.start()
        time.sleep(0.2)
        for index in range(1_500):
            assert client.read().body == f"{index:010000}|\n".encode()
        sender.join()


def test_mutated_requests_never_break_it(rig: Rig) -> None:
    """Requests with bytes changed, cut out and doubled are answered or closed; nothing breaks, others are served."""
    seed = 20
    print("seed", seed)
    draw = random.Random(seed)
    requests = [write(b"abc"), chunked(b"abc", b"de"), get("/metrics"), get("/-/ready", "Connection: close\r\n")]
    for _ in range(600):
        raw = bytearray(b"".join(draw.choices(requests, k=3)))
        for _ in range(draw.randrange(1, 6)):
            start = draw.randrange(len(raw))
            raw[start : start + draw.randrange(3)] = draw.choice([b"", b"\r\n", b"\0", b":", b" ", draw.randbytes(2)])
        with rig.connect() as client, suppress(OSError):
            client.send(bytes(raw))
            client.link.shutdown(socket.SHUT_WR)
            client.read_to_end()
    assert rig.cells.internal_errors == 0
    assert rig.exchange(write()).status == 204
    until(lambda: rig.cells.connections == 0)
    assert rig.cells.buffered_bytes == 0
