"""A real server on a loop in a thread, an intake that settles from other threads, and raw sockets to it."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pytest
import uvloop

from nissa.access.certificates import Certificates
from nissa.config.tree import Ingest
from nissa.model.frame import Frame
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.entrance import Entrance
from nissa.sources.http.endpoint import Endpoint
from nissa.sources.http.server import HttpServer, serve_http

WRITE_HEADERS = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
V2_HEADERS = WRITE_HEADERS.replace("protobuf", "protobuf;proto=io.prometheus.write.v2.Request")
NOW_MS = 1_700_000_000_000
PATIENCE_S = 60  # with what never comes


class ThreadIntake:
    """An intake that keeps its frames and settles them from a thread of its own, in a given order."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.settles: list[Settle] = []
        self.outcome: Any = Receipt(lsn=1, samples=2, histograms=1, exemplars=3)
        self.pressure = False
        self.durability = "fsync"
        self.ready = True
        self.manual = False
        self.arrived = threading.Condition()

    def submit(self, frame: Frame, complete: Settle) -> None:
        with self.arrived:
            self.frames.append(frame)
            self.settles.append(complete)
            self.arrived.notify_all()
        if not self.manual:
            threading.Thread(target=complete, args=(self.outcome,)).start()

    def wait(self, count: int) -> None:
        """Until ``count`` frames have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.frames) >= count, PATIENCE_S)

    def complete(self, index: int, outcome: Any = None) -> None:
        thread = threading.Thread(target=self.settles[index], args=(outcome or self.outcome,))
        thread.start()
        thread.join()


def expose(accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]:
    """A page of metrics that contains the headers of the request."""
    return {"Content-Type": "text/plain; version=0.0.4"}, f"{accept}|{accept_encoding}\n".encode()


class Rig:
    """A server on a loop in a thread, and sockets to it."""

    def __init__(self, certificates: Certificates | None = None, **settings: Any) -> None:
        """certificates: of TLS; None: without it."""
        self._entrance = Entrance(certificates)
        self.intake = ThreadIntake()
        self.cells = HttpCells()
        self._config = Ingest(listen="127.0.0.1:0", **settings)
        self._started: Future[tuple[asyncio.AbstractEventLoop, HttpServer]] = Future()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=uvloop.run, args=(self._serve(),))

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await serve_http(
            self._config,
            self.intake,
            lambda: NOW_MS,
            self.cells,
            expose,
            otlp=("127.0.0.1:0", "localhost:0"),
            entrance=self._entrance,
        )
        self._started.set_result((asyncio.get_running_loop(), server))
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread.start()
        self.loop, self.server = self._started.result(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that the connections share."""
        return self.server._endpoint

    def overdue(self) -> None:
        """The time of every connection is up, and has been looked at when this returns."""

        def look() -> None:
            for connection in self.endpoint._connections:
                connection.deadline_s = 0.0
            self.endpoint._sweep_timer.cancel()
            self.endpoint._sweep()
            looked_at.set()

        looked_at = threading.Event()
        self.loop.call_soon_threadsafe(look)
        assert looked_at.wait(PATIENCE_S)

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def on_loop() -> Any:
            return await call()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop)

    @contextmanager
    def connect(self, address: tuple[str, int] | None = None) -> Iterator["Client"]:
        with ExitStack() as ends:
            link = ends.enter_context(socket.create_connection(address or self.server.address, timeout=PATIENCE_S))
            if self._entrance.certificates is not None:
                link = ends.enter_context(ssl._create_unverified_context().wrap_socket(link))
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
    return post(
        "/api/v1/telemetry", f"Content-Type: application/x-protobuf; proto={proto}{parameters}\r\n{headers}", b"b"
    )


def chunked(*chunks: bytes, ending: bytes = b"0\r\n\r\n", headers: str = WRITE_HEADERS) -> bytes:
    """A remote write request in chunks."""
    head = f"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + ending


def until(condition: Callable[[], bool]) -> None:
    """Wait for something the loop will do."""
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail(f"it did not happen in {PATIENCE_S} s")
