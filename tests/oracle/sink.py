"""A sink that takes remote write 2.0 and 1.0, stores the samples, and fails as a test sets it."""

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cramjam
import msgspec

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa._proto.remote_write_v2_pb2 import Request

PREFIX = "X-Prometheus-Remote-Write-"
Key = tuple[tuple[tuple[str, str], ...], int]  # labels, ts_ms


class SinkReply(msgspec.Struct):
    """An answer out of turn. stored: whether the sink stores the samples all the same."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    stored: bool = False


class StubSink:
    """Samples a server received. samples: bits by series and time. order_faults: samples older than one before them."""

    def __init__(self) -> None:
        self.samples: dict[Key, int] = {}
        self.latest_ms: dict[tuple[tuple[str, str], ...], int] = {}
        self.order_faults = 0
        self.metadata: dict[str, tuple[int, str, str]] = {}
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.versions: list[str] = []
        self.speaks_2 = True
        self.url = ""
        self.reply: Callable[[], SinkReply | None] = lambda: None  # asked before a request is looked at
        self.refuses: Callable[[dict[str, str]], bool] = lambda _: False  # a series it answers 400 for
        self.lock = threading.Lock()

    def take(self, headers: dict[str, str], body: bytes) -> SinkReply:
        """The answer to one request, as the published rules have it."""
        with self.lock:
            self.requests.append(headers)
            planned = self.reply()
            if planned is not None and not planned.stored:
                return planned
            version_2 = "io.prometheus.write.v2.Request" in headers["Content-Type"]
            self.versions.append("2.0" if version_2 else "1.0")
            if version_2 and not self.speaks_2:
                return SinkReply(415)
            plain = bytes(cramjam.snappy.decompress_raw(body))
            rows = self._read_2(plain) if version_2 else self._read_1(plain)
            if any(self.refuses(labels) for labels, _, _ in rows):
                return SinkReply(400, {f"{PREFIX}Samples-Written": "0"} if version_2 else {}, b"out of order sample")
            for labels, ts_ms, bits in rows:
                self._store(labels, ts_ms, bits)
            return planned or SinkReply(204, {f"{PREFIX}Samples-Written": str(len(rows))} if version_2 else {})

    def _store(self, labels: dict[str, str], ts_ms: int, bits: int) -> None:
        series = tuple(labels.items())
        self.order_faults += ts_ms < self.latest_ms.get(series, ts_ms) and (series, ts_ms) not in self.samples
        self.latest_ms[series] = max(ts_ms, self.latest_ms.get(series, ts_ms))
        self.samples[series, ts_ms] = bits

    def _read_1(self, plain: bytes) -> list[tuple[dict[str, str], int, int]]:
        request, rows = WriteRequest.FromString(plain), []
        for one in request.metadata:
            self.metadata[one.metric_family_name] = (one.type, one.help, one.unit)
        for series in request.timeseries:
            pairs = [(label.name, label.value) for label in series.labels]
            if pairs != sorted(pairs):
                raise AssertionError(f"labels are not sorted: {pairs}")
            rows += [(dict(pairs), one.timestamp, bits_of(one.value)) for one in series.samples]
        return rows

    def _read_2(self, plain: bytes) -> list[tuple[dict[str, str], int, int]]:
        request, rows = Request.FromString(plain), []
        for series in request.timeseries:
            words = [request.symbols[ref] for ref in series.labels_refs]
            labels = dict(zip(words[::2], words[1::2], strict=True))
            if series.HasField("metadata"):
                about = series.metadata
                found = (about.type, request.symbols[about.help_ref], request.symbols[about.unit_ref])
                self.metadata[labels["__name__"]] = found
            rows += [(labels, one.timestamp, bits_of(one.value)) for one in series.samples]
        return rows

    def values(self) -> dict[tuple[str, int], int]:
        """(metric name, ts_ms) -> bits."""
        with self.lock:
            return {(dict(series)["__name__"], ts_ms): bits for (series, ts_ms), bits in self.samples.items()}


def bits_of(value: float) -> int:
    """The bits of a double."""
    found: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return found


@contextmanager
def stub_sink() -> Iterator[StubSink]:
    """A sink on a free port."""
    sink = StubSink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.paths.append(self.path)
            answer = sink.take(dict(self.headers.items()), body)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sink.url = f"http://127.0.0.1:{server.server_port}/api/v1/write"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
