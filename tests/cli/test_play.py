"""Playing: pace, targets, retries."""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import nissa
from nissa.cli.play import DaemonTarget, DirectoryTarget, Pace, Played, play_frames
from nissa.model.context import Context
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.engine import NOW_MS, ONE, BadDisk, body_of, config_of, wait_until


def frame(received_ms: int, codec: Codec = Codec.REMOTE_WRITE_1, encoding: Encoding = Encoding.SNAPPY) -> Frame:
    """A frame as a capture holds it."""
    return Frame(codec, encoding, Source.HTTP, received_ms, b"body")


def test_recorded_speed_keeps_the_gaps() -> None:
    """A frame received 500 ms after the first is due 500 ms after the start; ten-fold speed makes it 50."""
    now_ms = 1_000
    for speed, due_s in ((1.0, 0.5), (10.0, 0.05)):
        pace = Pace(speed, lambda: now_ms)
        assert pace.wait_s(7_000) == 0
        assert pace.wait_s(7_500) == pytest.approx(due_s)


def test_a_late_frame_is_due_at_once() -> None:
    """A replay that is slower than the recording does not wait."""
    clock = iter([0, 0, 900])
    pace = Pace(1.0, lambda: next(clock))
    pace.wait_s(0)
    assert pace.wait_s(500) == 0


def test_full_speed_never_waits() -> None:
    """Speed 0 is full speed."""
    pace = Pace(0, lambda: 0)
    assert [pace.wait_s(at) for at in (0, 10**9)] == [0, 0]


class Endpoint(BaseHTTPRequestHandler):
    """Answers 503 to the first request and 204 to the others, and keeps what it got."""

    protocol_version = "HTTP/1.1"
    got: list[tuple[str, str, str | None, bytes]]

    def do_POST(self) -> None:
        """Take one frame."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        got = type(self).got
        got.append((self.path, self.headers["Content-Type"], self.headers.get("Content-Encoding"), body))
        self.send_response(503 if len(got) == 1 else 204)
        self.send_header("Retry-After", "0")
        self.send_header("X-Prometheus-Remote-Write-Samples-Written", "3")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture
def endpoint() -> Iterator[tuple[str, type[Endpoint]]]:
    """A server and the list it fills."""
    handler = type("Fresh", (Endpoint,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_daemon_gets_frames_as_they_were_and_again_when_it_says_so(endpoint: tuple[str, type[Endpoint]]) -> None:
    """Path, content type and encoding follow the codec; 503 is tried again after Retry-After."""
    url, handler = endpoint
    played = Played()
    target = DaemonTarget(url, played)
    frames = [frame(1), frame(2, Codec.LEYLINE_PACKET, Encoding.IDENTITY), frame(3, Codec.TALLY)]
    steps: list[int] = []
    play_frames(frames, target, Pace(0, lambda: 0), played, lambda: steps.append(1))
    target.close()
    write = ("/api/v1/write", "application/x-protobuf;proto=prometheus.WriteRequest", "snappy", b"body")
    packet = ("/api/v1/telemetry", "application/x-protobuf;proto=esper.leyline.v1.TelemetryPacket", None, b"body")
    assert handler.got == [write, write, packet]
    assert (played.frames, played.samples, len(steps)) == (3, 6, 3)
    assert played.outcomes == Counter({"status 503": 1, "status 204": 2})


def test_a_context_is_not_lost_on_the_way(endpoint: tuple[str, type[Endpoint]], tmp_path: Path) -> None:
    """HTTP carries no context: such a frame is not sent without its labels, and counted. A directory takes it whole."""
    url, handler = endpoint
    body = body_of([("a", NOW_MS, ONE)])
    context = Context(labels={"job": "target"}).encode()
    given = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, context=context)
    played = Played()
    for target in (DaemonTarget(url, played), DirectoryTarget(tmp_path / "data", config_of(), played)):
        play_frames([given], target, Pace(0, lambda: 0), played, lambda: None)
        target.close()
    assert handler.got == []
    assert played.outcomes == Counter({"not sent: HTTP carries no context": 1})
    with nissa.open(tmp_path / "data") as data:
        assert data.series("a") == [{"__name__": "a", "job": "target"}]


def test_a_daemon_that_is_not_there_is_named() -> None:
    """Without a listener the error names the address that was tried."""
    target = DaemonTarget("http://127.0.0.1:1", Played())
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1: "):
        target.play(frame(1))


@pytest.mark.parametrize("url", ["https://h:1", "http://", "ftp://h", "http://:80"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    """Only plain HTTP addresses are daemons."""
    with pytest.raises(BadQuery):
        DaemonTarget(url, Played())


def test_a_last_frame_that_was_not_kept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fails under the last frames of a capture, closing the directory raises."""
    disk = BadDisk(monkeypatch, "fdatasync")
    target = DirectoryTarget(tmp_path / "data", config_of(), Played())
    target.play(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of([("a", NOW_MS, ONE)])))
    wait_until(lambda: target._played.samples == 1)
    disk.failing = True
    target.play(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of([("b", NOW_MS, ONE)])))
    with pytest.raises(Unavailable):
        target.close()
