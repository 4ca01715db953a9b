"""The hot endpoint over real sockets: paths, negotiation, answers, order, limits, time, pressure, drain."""

import asyncio
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from nissa.config.tree import Ingest
from nissa.model.errors import ConfigInvalid, InvariantBroken, Malformed, TooLarge, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.connection import PIPELINED_MAX
from nissa.sources.head import HEADERS_MAX
from nissa.sources.http import HttpServer, parse_listen, serve_http

WRITE_HEADERS = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
V2_HEADERS = WRITE_HEADERS.replace("protobuf", "protobuf;proto=io.prometheus.write.v2.Request")
NOW_MS = 1_700_000_000_000


class ThreadIntake:
    """An intake that keeps its frames and settles them from a thread of its own, in the order it is told to."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.settles: list[Settle] = []
        self.outcome: Any = Receipt(lsn=1, samples=2, histograms=1, exemplars=3)
        self.pressure = False
        self.durability = "fsync"
        self.ready = True
        self.manual = False
        self.arrived = threading.Condition()

    def submit(self, frame: Frame, settle: Settle) -> None:
        with self.arrived:
            self.frames.append(frame)
            self.settles.append(settle)
            self.arrived.notify_all()
        if not self.manual:
            threading.Thread(target=settle, args=(self.outcome,)).start()

    def wait(self, count: int) -> None:
        """Until ``count`` frames have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.frames) >= count, 10)

    def settle(self, index: int, outcome: Any = None) -> None:
        thread = threading.Thread(target=self.settles[index], args=(outcome or self.outcome,))
        thread.start()
        thread.join()


def expose(accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]:
    """A page of metrics that tells what was asked for."""
    return {"Content-Type": "text/plain; version=0.0.4"}, f"{accept}|{accept_encoding}\n".encode()


class Rig:
    """A server on a loop in a thread, and sockets to it."""

    def __init__(self, **settings: Any) -> None:
        self.intake = ThreadIntake()
        self.cells = HttpCells()
        self._config = Ingest(listen="127.0.0.1:0", **settings)
        self._started: Future[tuple[asyncio.AbstractEventLoop, HttpServer]] = Future()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=uvloop.run, args=(self._serve(),))

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await serve_http(self._config, self.intake, lambda: NOW_MS, self.cells, expose)
        self._started.set_result((asyncio.get_running_loop(), server))
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0)

    def __enter__(self) -> "Rig":
        self._thread.start()
        self.loop, self.server = self._started.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def on_loop() -> Any:
            return await call()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop)

    @contextmanager
    def connect(self) -> Iterator["Client"]:
        with socket.create_connection(self.server.address, timeout=10) as link:
            yield Client(link)

    def exchange(self, raw: bytes) -> "Response":
        """One request on a connection of its own."""
        with self.connect() as client:
            client.send(raw)
            return client.read(head_only=raw.startswith(b"HEAD"))


class Response:
    """A parsed answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def written(self) -> list[str | None]:
        prefix = "x-prometheus-remote-write-"
        return [self.headers.get(f"{prefix}{kind}-written") for kind in ("samples", "histograms", "exemplars")]


class Client:
    """Raw bytes out, answers in."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._rest = b""

    def send(self, raw: bytes) -> None:
        self.link.sendall(raw)

    def read(self, head_only: bool = False) -> Response:
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if head_only else int(headers.get("content-length", 0))
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return Response(int(status_line.split()[1]), headers, body)

    def read_to_end(self) -> bytes:
        while True:
            piece = self.link.recv(65_536)
            if not piece:
                return self._rest
            self._rest += piece

    def _more(self) -> None:
        piece = self.link.recv(65_536)
        assert piece, f"closed after {self._rest!r}"
        self._rest += piece


def post(path: str, headers: str, body: bytes) -> bytes:
    """A POST with a Content-Length."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def write(body: bytes = b"body", headers: str = WRITE_HEADERS) -> bytes:
    """A remote write request."""
    return post("/api/v1/write", headers, body)


def get(path: str, headers: str = "", method: str = "GET") -> bytes:
    """A GET."""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


def telemetry(proto: str, headers: str = "", parameters: str = "") -> bytes:
    """A telemetry request."""
    return post("/api/v1/telemetry", f"Content-Type: application/x-protobuf; proto={proto}{parameters}\r\n{headers}", b"b")


def chunked(*chunks: bytes, ending: bytes = b"0\r\n\r\n", headers: str = WRITE_HEADERS) -> bytes:
    """A remote write request in chunks."""
    head = f"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + ending


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig() as running:
        yield running


# What a request becomes.


@pytest.mark.parametrize(
    ("headers", "codec"), [(WRITE_HEADERS, Codec.REMOTE_WRITE_1), (V2_HEADERS, Codec.REMOTE_WRITE_2)]
)
def test_remote_write(rig: Rig, headers: str, codec: Codec) -> None:
    """A remote write body reaches the intake verbatim; the answer is 204 with what was written and the durability."""
    response = rig.exchange(write(b"\x00body\xff", headers))
    assert (response.status, response.body) == (204, b"")
    assert "content-length" not in response.headers
    assert response.written == ["2", "1", "3"]
    assert response.headers["x-nissa-durability"] == "fsync"
    assert rig.intake.frames == [Frame(codec, Encoding.SNAPPY, Source.HTTP, NOW_MS, b"\x00body\xff")]


@pytest.mark.parametrize(
    ("proto", "codec"),
    [
        ("esper.leyline.v1.BusEnvelope", Codec.LEYLINE_BUS),
        ("esper.leyline.v1.EventEnvelope", Codec.LEYLINE_EVENT),
        ("esper.leyline.v1.TelemetryPacket", Codec.LEYLINE_PACKET),
        ("nissa.v2.TelemetryPacket", Codec.NISSA_PACKET),
        ("nissa.v2.SampleColumns", Codec.NISSA_COLUMNS),
        ("nissa.v2.MetricPoint", Codec.NISSA_POINT),
        ("nissa.v2.TelemetryEvent", Codec.NISSA_EVENT),
        ("nissa.v2.AlertNotification", Codec.NISSA_ALERT),
        ("nissa.v2.ControlCommand", Codec.NISSA_COMMAND),
    ],
)
def test_telemetry(rig: Rig, proto: str, codec: Codec) -> None:
    """Each telemetry message has its codec, framing and encoding read from its headers."""
    assert rig.exchange(telemetry(proto)).status == 204
    assert rig.exchange(telemetry(proto, "Content-Encoding: ZSTD\r\n", ' ; Encoding="delimited"')).status == 204
    plain, delimited = rig.intake.frames
    assert (plain.codec, plain.encoding, plain.delimited) == (codec, Encoding.IDENTITY, False)
    assert (delimited.codec, delimited.encoding, delimited.delimited) == (codec, Encoding.ZSTD, True)


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf\r\n",
        "Content-Type: application/json\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf;proto=nissa.v2.MetricPoint\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf;proto=a;proto=b\r\nContent-Encoding: snappy\r\n",
        WRITE_HEADERS.replace("snappy", "snappy, gzip"),
        WRITE_HEADERS.replace("snappy", "gzip"),
        WRITE_HEADERS.replace("snappy", "identity"),
        V2_HEADERS.replace("snappy", "zstd"),
    ],
)
def test_write_media_are_strict(rig: Rig, headers: str) -> None:
    """Anything but protobuf in a snappy block is 415 for both versions, and the connection lives on."""
    with rig.connect() as client:
        client.send(write(b"x", headers))
        assert client.read().status == 415
        client.send(write())
        assert client.read().status == 204
    assert len(rig.intake.frames) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        telemetry("prometheus.WriteRequest"),
        telemetry(""),
        telemetry("nissa.v2.MetricPoint", "Content-Encoding: br\r\n"),
        telemetry("nissa.v2.MetricPoint", parameters="; encoding=text"),
        post("/api/v1/telemetry", "Content-Type: application/x-protobuf\r\n", b""),
    ],
)
def test_telemetry_media_are_strict(rig: Rig, request_bytes: bytes) -> None:
    """Unknown messages, framings and encodings are 415."""
    assert rig.exchange(request_bytes).status == 415


@pytest.mark.parametrize("header", ["Content-Type: application/x-protobuf\r\n", "Content-Encoding: snappy\r\n"])
def test_repeated_media_headers(rig: Rig, header: str) -> None:
    """A media header that stands twice is 400, even where both say the same."""
    assert rig.exchange(write(b"x", WRITE_HEADERS + header)).status == 400
    assert rig.intake.frames == []


# What outcomes become.


def test_refused_samples_are_named(rig: Rig) -> None:
    """Refusals are 400 with counts per reason, the setting to change, and what was written all the same."""
    rig.intake.outcome = Receipt(lsn=1, samples=5, refused={"too_old": 2, "series_limit": 1, "name_missing": 4})
    response = rig.exchange(write(headers=V2_HEADERS))
    assert response.status == 400
    assert response.written == ["5", "0", "0"]
    assert response.body.decode().splitlines() == [
        "refused 7, kept 5 samples, 0 histograms, 0 exemplars",
        "name_missing: 4",
        "series_limit: 1 (setting: series.active_max)",
        "too_old: 2 (setting: acceptance.past_ms)",
    ]


@pytest.mark.parametrize(("samples", "status"), [(3, 200), (0, 400)])
def test_refused_telemetry_is_json(rig: Rig, samples: int, status: int) -> None:
    """Telemetry that was kept in part is 200 with the counts; 400 where nothing was kept."""
    rig.intake.outcome = Receipt(samples=samples, refused={"too_new": 1})
    response = rig.exchange(telemetry("nissa.v2.SampleColumns"))
    assert response.status == status
    told = json.loads(response.body)
    assert (told["samples"], told["refused"]) == (samples, {"too_new": 1})
    assert told["settings"] == {"too_new": "acceptance.future_ms"}


@pytest.mark.parametrize(
    ("outcome", "status", "text"),
    [
        (Malformed("varint of 11 bytes", 17), 400, "varint of 11 bytes at byte 17"),
        (TooLarge("snappy body", got=9, limit=8, setting="ingest.x"), 413, "9 is over the limit of 8 (ingest.x)"),
        (Unavailable("disk full", 7), 503, "disk full"),
        (InvariantBroken("lost count"), 500, "lost count"),
    ],
)
def test_errors(rig: Rig, outcome: Exception, status: int, text: str) -> None:
    """Errors say who is to blame in their status, what happened in their text, and that nothing was written."""
    rig.intake.outcome = outcome
    response = rig.exchange(write(headers=V2_HEADERS))
    assert (response.status, response.written) == (status, ["0", "0", "0"])
    assert text in response.body.decode()
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)
    assert response.headers["x-nissa-durability"] == "fsync"


def test_a_refusal_raised_by_the_intake(rig: Rig) -> None:
    """An intake that raises instead of settling is answered the same way."""

    def submit(frame: Frame, settle: Settle) -> None:
        raise Unavailable("queue full")

    rig.intake.submit = submit  # type: ignore[method-assign]
    assert rig.exchange(write()).status == 503


def test_the_durability_told_is_the_one_in_force(rig: Rig) -> None:
    """A change of the mode shows in the next answer."""
    rig.exchange(write())
    rig.intake.durability = "interval:100"
    assert rig.exchange(write()).headers["x-nissa-durability"] == "interval:100"


# The other paths.


def test_metrics(rig: Rig) -> None:
    """GET /metrics negotiates by Accept and Accept-Encoding; HEAD has the same headers and no body."""
    headers = "Accept: a/b\r\nAccept: c/d;q=0.5\r\nAccept-Encoding: gzip\r\n"
    response = rig.exchange(get("/metrics?x=1", headers))
    assert (response.status, response.body) == (200, b"a/b, c/d;q=0.5|gzip\n")
    assert response.headers["content-type"] == "text/plain; version=0.0.4"
    with rig.connect() as client:
        client.send(get("/metrics", headers, method="HEAD") + get("/metrics", headers))
        head, whole = client.read(head_only=True), client.read()
        assert head.headers == whole.headers == response.headers
        assert whole.body == response.body


def test_health(rig: Rig) -> None:
    """Healthy as long as it serves; ready as long as the intake is."""
    assert rig.exchange(get("/-/healthy")).status == 200
    assert rig.exchange(get("/-/ready")).status == 200
    rig.intake.ready = False
    response = rig.exchange(get("/-/ready"))
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert rig.exchange(get("/-/healthy", method="HEAD")).status == 200


@pytest.mark.parametrize(
    ("raw", "status", "allow"),
    [
        (get("/api/v1/write"), 405, "POST"),
        (get("/api/v1/telemetry", method="HEAD"), 405, "POST"),
        (post("/metrics", "", b"x"), 405, "GET, HEAD"),
        (get("/-/ready", method="DELETE"), 405, "GET, HEAD"),
        (get("/"), 404, None),
        (get("/metrics/"), 404, None),
        (get("/api/v1/../../metrics"), 404, None),
        (get("*", method="OPTIONS"), 404, None),
        (get("http://other/metrics"), 200, None),
        (get("HTTP://other:80/metrics?x#y"), 200, None),
        (get("http://other"), 404, None),
        (get("ftp://other/metrics"), 404, None),
    ],
)
def test_paths_and_methods(rig: Rig, raw: bytes, status: int, allow: str | None) -> None:
    """Unknown paths are 404; wrong methods 405 with Allow; a target in absolute form is read by its path."""
    response = rig.exchange(raw)
    assert (response.status, response.headers.get("allow")) == (status, allow)


def test_requests_are_counted_in_bounded_labels(rig: Rig) -> None:
    """However many paths are asked for, they count as one."""
    for index in range(20):
        rig.exchange(get(f"/{index}"))
    rig.exchange(write())
    assert dict(rig.cells.requests) == {("other", 404): 20, ("/api/v1/write", 204): 1}
    assert sum(rig.cells.latency.counts) == 1
    assert rig.cells.body_bytes == 4


# Connections.


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
        client.send(b"".join(write(b"%d" % index) for index in range(10)) + get("/-/healthy"))
        rig.intake.wait(10)
        for index in reversed(range(10)):
            rig.intake.settle(index, Receipt(samples=index + 1))
        assert [client.read().written[0] for _ in range(10)] == [str(index + 1) for index in range(10)]
        assert client.read().body == b"healthy\n"


def test_a_second_outcome_changes_nothing(rig: Rig) -> None:
    """Only the first outcome of a frame is answered."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write())
        rig.intake.wait(1)
        rig.intake.settle(0, Receipt(samples=1))
        rig.intake.settle(0, Malformed("no"))
        assert client.read().status == 204
        client.send(get("/-/healthy"))
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
    """Where the network cuts a request makes no difference."""
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
        rig.intake.settle(0)
        assert client.read().headers["connection"] == "close"
        assert client.read_to_end() == b""
    assert len(rig.intake.frames) == 1


def test_a_sender_that_vanishes(rig: Rig) -> None:
    """The outcome of a frame whose sender is gone goes nowhere, and harms nobody."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write())
        rig.intake.wait(1)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
    _until(lambda: rig.cells.connections == 0)
    rig.intake.settle(0)
    rig.intake.manual = False
    assert rig.exchange(write()).status == 204


# Expect.


def test_continue(rig: Rig) -> None:
    """A sender that asks is told to go on, in its turn."""
    rig.intake.manual = True
    expecting = write(headers=WRITE_HEADERS + "Expect: 100-Continue\r\n")
    head, body = expecting[:-4], expecting[-4:]
    with rig.connect() as client:
        client.send(write() + head)
        rig.intake.wait(1)
        rig.intake.settle(0)
        assert [client.read().status for _ in range(2)] == [204, 100]
        client.send(body)
        rig.intake.wait(2)
        rig.intake.settle(1)
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
    """What the head alone condemns is answered before the body is sent, and ends the connection."""
    with rig.connect() as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n".encode())
        response = client.read()
        assert (response.status, response.headers["connection"]) == (status, "close")
        assert client.read_to_end() == b""


def test_a_refused_sender_can_read_why(rig: Rig) -> None:
    """A sender that is refused in the middle of a large body reads its 413, not a reset."""
    with rig.connect() as client:
        client.send(f"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n{WRITE_HEADERS}Content-Length: 99999999\r\n\r\n".encode())
        for _ in range(100):
            client.send(bytes(64 * 1024))
        assert client.read().status == 413


# Bytes that are not HTTP, or try to be two things at once.

SMUGGLED = get("/-/healthy")
POST_HEAD = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + WRITE_HEADERS.encode()


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
        (b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
        (POST_HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody", 400),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
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


def test_an_error_waits_for_its_turn(rig: Rig) -> None:
    """A request before the bad one is answered first."""
    rig.intake.manual = True
    with rig.connect() as client:
        client.send(write() + b"nonsense\r\n\r\n" + SMUGGLED)
        rig.intake.wait(1)
        rig.intake.settle(0)
        assert [client.read().status for _ in range(2)] == [204, 400]
        assert client.read_to_end() == b""
    assert rig.cells.malformed == 1


def test_nothing_is_read_after_close(rig: Rig) -> None:
    """Requests behind a Connection: close are not served."""
    with rig.connect() as client:
        client.send(write(headers=WRITE_HEADERS + "Connection: close\r\n") + write())
        assert client.read().status == 204
        try:
            assert client.read_to_end() == b""
        except ConnectionResetError:
            pass  # bytes that were never read
    assert len(rig.intake.frames) == 1


# Limits.


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
        try:
            client.send(raw)
        except OSError:
            pass  # told off before it was done
        assert client.read().status == 431


@pytest.mark.parametrize("body_bytes", [1_000, 1_001])
def test_body_limit(body_bytes: int) -> None:
    """A body of the limit passes, with a length or in chunks; a byte more is 413."""
    with Rig(body_bytes_max=1_000) as rig:
        body = bytes(body_bytes)
        expected = 204 if body_bytes == 1_000 else 413
        assert rig.exchange(write(body)).status == expected
        assert rig.exchange(chunked(body[:600], body[600:])).status == expected


def test_tiny_chunks_are_refused(rig: Rig) -> None:
    """A body cut into chunks of a byte is refused once that is plain."""
    response = rig.exchange(chunked(*[b"a"] * 5_000))
    assert (response.status, rig.intake.frames) == (400, [])


def test_endless_chunk_extension_is_refused() -> None:
    """Framing that never becomes a body is refused by its size."""
    with Rig(body_bytes_max=100_000) as rig, rig.connect() as client:
        try:
            client.send(chunked(ending=b"1;") + b"a" * 5_000_000)
        except OSError:
            pass  # told off before it was done
        assert client.read().status == 413


def test_unfinished_bodies_share_a_budget() -> None:
    """Many unfinished bodies together are held to ingest.queue_bytes_max; what they held is given back."""
    with Rig(queue_bytes_max=1_000_000, body_bytes_max=900_000) as rig:
        with rig.connect() as first, rig.connect() as second:
            unfinished = write(bytes(800_000))[:-1]
            first.send(unfinished)
            _until(lambda: rig.cells.buffered_bytes > 700_000)
            second.send(unfinished)
            assert second.read().status == 503
            first.send(b"\0")
            assert first.read().status == 204
        _until(lambda: rig.cells.connections == 0)
        assert rig.cells.buffered_bytes == 0


def test_connections_max() -> None:
    """A connection too many is told so and closed; the others are served."""
    with Rig(connections_max=2) as rig, rig.connect() as one, rig.connect() as two:
        for client in (one, two):
            client.send(write())
            assert client.read().status == 204
        with rig.connect() as third:
            assert third.read().status == 503
        one.send(write())
        assert one.read().status == 204
        assert rig.cells.connections_refused == 1


# Time.


def test_slow_headers() -> None:
    """A sender that drips its headers is answered 408 though it never stops sending; others are served meanwhile."""
    with Rig(header_timeout_ms=200) as rig, rig.connect() as client:
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
        assert rig.exchange(write()).status == 204
        assert client.read().status == 408
        dripping.set()
        thread.join()
        assert rig.cells.timeouts["header"] == 1


def test_slow_body() -> None:
    """A body that does not end in time is 408."""
    with Rig(body_timeout_ms=200) as rig, rig.connect() as client:
        client.send(write()[:-1])
        assert client.read().status == 408
        assert client.read_to_end() == b""
        assert rig.cells.timeouts["body"] == 1


@pytest.mark.parametrize("before", [b"", b"\r\n", write()])
def test_idle(before: bytes) -> None:
    """A connection without a request, before the first or after the last, is closed in time."""
    with Rig(idle_timeout_ms=200, header_timeout_ms=200) as rig, rig.connect() as client:
        client.send(before)
        client.read_to_end()
        assert sum(rig.cells.timeouts.values()) == 1


def test_waiting_for_the_intake_is_not_idle() -> None:
    """A sender whose frame is not settled yet waits as long as that takes."""
    with Rig(idle_timeout_ms=50, header_timeout_ms=50, body_timeout_ms=50) as rig, rig.connect() as client:
        rig.intake.manual = True
        client.send(write())
        rig.intake.wait(1)
        time.sleep(0.3)
        rig.intake.settle(0)
        assert client.read().status == 204


def test_slow_reader() -> None:
    """A sender that does not read its answers is not read either, and is cut off in time."""
    with Rig(body_timeout_ms=300) as rig, rig.connect() as client:
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.link.settimeout(0.2)
        ask = get("/metrics", f"Accept: {'a' * 10_000}\r\n")
        try:
            for _ in range(10_000):
                client.send(ask)
            pytest.fail("ten thousand unread answers did not stop it reading")
        except OSError:
            pass
        _until(lambda: rig.cells.timeouts["write"] == 1)
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


# Pressure and drain.


def test_pressure_stops_reading() -> None:
    """Under pressure a sender is not read: no frame of it arrives until the pressure is gone, and then all do."""
    with Rig(idle_timeout_ms=100, header_timeout_ms=100, body_timeout_ms=100) as rig, rig.connect() as client:
        rig.intake.pressure = True
        client.send(write())
        assert client.read().status == 204
        client.send(write())
        time.sleep(0.5)
        assert len(rig.intake.frames) == 1
        rig.intake.pressure = False
        assert client.read().status == 204
        assert rig.cells.pauses == 1


def test_drain_answers_what_is_under_way(rig: Rig) -> None:
    """Draining finishes the request that is arriving and those that wait, tells senders to go, and takes no new one."""
    rig.intake.manual = True
    with rig.connect() as idle, rig.connect() as waiting, rig.connect() as arriving:
        idle.send(get("/-/healthy"))
        assert idle.read().status == 200
        waiting.send(write() + write())
        arriving.send(write()[:-1])
        rig.intake.wait(2)
        _until(lambda: rig.cells.connections == 3)
        drained = rig.run(rig.server.drain)
        assert idle.read_to_end() == b""
        arriving.send(write()[-1:])
        rig.intake.wait(3)
        assert not drained.done()
        for index in range(3):
            rig.intake.settle(index)
        answers = [waiting.read(), waiting.read(), arriving.read()]
        assert [answer.status for answer in answers] == [204, 204, 204]
        assert [answer.headers.get("connection") for answer in answers] == [None, "close", "close"]
        assert waiting.read_to_end() == arriving.read_to_end() == b""
        assert drained.result(10) == 0
        with pytest.raises(OSError), rig.connect():
            pass


def test_drain_has_an_end() -> None:
    """A sender that never finishes is cut off when the drain's time is over, and counted."""
    with Rig(drain_timeout_ms=200) as rig, rig.connect() as client:
        client.send(write()[:-1])
        _until(lambda: rig.cells.buffered_bytes > 0)
        assert rig.run(rig.server.drain).result(10) == 1


@pytest.mark.parametrize("listen", ["", "9470", "host:", ":1", "host:x", "host:70000", "host:-1"])
def test_unreadable_addresses(listen: str) -> None:
    """An address that is not host:port is refused by its setting's name."""
    with pytest.raises(ConfigInvalid, match=r"ingest\.listen"):
        parse_listen(listen)


def test_readable_addresses() -> None:
    """Names, IPv4 and bracketed IPv6 are read."""
    assert parse_listen("localhost:0") == ("localhost", 0)
    assert parse_listen("[::1]:9470") == ("::1", 9470)


def test_gzip_bodies_pass_through(rig: Rig) -> None:
    """The edge never decompresses: a frame keeps its body as received."""
    body = gzip.compress(b"b" * 1_000)
    headers = "Content-Type: application/x-protobuf; proto=nissa.v2.TelemetryPacket\r\nContent-Encoding: gzip\r\n"
    assert rig.exchange(post("/api/v1/telemetry", headers, body)).status == 204
    assert (rig.intake.frames[0].encoding, rig.intake.frames[0].body) == (Encoding.GZIP, body)


def _until(condition: Callable[[], bool]) -> None:
    """Wait for something the loop will do."""
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen in 10 s")
