"""Playing a capture: frames in recorded order, at recorded or full speed, into a daemon or a directory.

    capture ──► pace (recorded / n-fold / full) ──► target: a daemon's hot endpoint, or an engine on a directory

Into a directory, each frame is taken at the moment it was received: the capture's own times are the clock, so the same
capture gives the same content whenever it is played. Into a daemon, the daemon's clock decides, and samples older than
its ``acceptance.past`` are refused. Playing a capture twice stores nothing twice: equal samples are duplicates.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from nissa.config.tree import Config
from nissa.model.errors import BadQuery, NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.sources.http.negotiate import ENCODINGS, MEDIA_TYPE, TELEMETRY_PROTOS, WRITE_PROTOS

if TYPE_CHECKING:
    from nissa.ingest.engine import Engine

TRIES_MAX = 30
IN_FLIGHT_MAX = 64
TIMEOUT_S = 60
PRESSURE_WAIT_S = 0.01
_PATHS = {
    **dict.fromkeys((Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2), "/api/v1/write"),
    Codec.INFLUX: "/api/v2/write",
    Codec.OTLP_METRICS: "/v1/metrics",
    Codec.OTLP_METRICS_JSON: "/v1/metrics",
    Codec.OTLP_LOGS: "/v1/logs",
    Codec.OTLP_LOGS_JSON: "/v1/logs",
}
_HEADERS = {codec: f"{MEDIA_TYPE};proto={proto}" for proto, codec in {**WRITE_PROTOS, **TELEMETRY_PROTOS}.items()}
_HEADERS |= dict.fromkeys((Codec.OTLP_METRICS, Codec.OTLP_LOGS), MEDIA_TYPE)
_HEADERS |= dict.fromkeys((Codec.OTLP_METRICS_JSON, Codec.OTLP_LOGS_JSON), "application/json")
_ENCODING_NAMES = {encoding: name for name, encoding in ENCODINGS.items() if not name.startswith("x-")}
_WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class Played(msgspec.Struct):
    """Result of a replay. outcomes: refusal reasons, HTTP statuses or errors -> count.

    samples: as the receiver reported; over HTTP only answers to remote write 2.0 report them.
    """

    frames: int = 0
    bytes: int = 0
    samples: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)


class Target(Protocol):
    """Destination of replayed frames."""

    def play(self, frame: Frame) -> None:
        """Hand over one frame; it may still be on its way when this returns."""

    def close(self) -> None:
        """Wait for all frames, then let go."""


class DaemonTarget:
    """A daemon's hot endpoint over one connection. Unavailable answers are tried again as they ask."""

    def __init__(self, url: str, played: Played) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BadQuery(f"expected http://HOST:PORT of a daemon's ingest endpoint, got {url!r}")
        self._url = url
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_S)
        self._played = played

    def play(self, frame: Frame) -> None:
        """Post the frame and wait for the answer. Raises: Unavailable."""
        if frame.codec == Codec.TALLY:
            return  # a note of the recording daemon about itself, nothing that was sent
        if frame.context:
            self._played.outcomes["not sent: HTTP carries no context"] += 1
            return
        for _ in range(TRIES_MAX):
            try:
                status, wait_s = self._post(frame)
            except (OSError, http.client.HTTPException) as error:
                raise Unavailable(f"no answer from {self._url}: {error}") from error
            self._played.outcomes[f"status {status}"] += 1
            if wait_s is None:
                return
            time.sleep(wait_s)
        raise Unavailable(f"the daemon refused a frame {TRIES_MAX} times", 60)

    def _post(self, frame: Frame) -> tuple[int, int | None]:
        """Status of one try, and how long to wait before the next, or None where it is settled."""
        is_write = frame.codec in {Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2}
        headers = {
            "Content-Type": _HEADERS.get(frame.codec, "text/plain")
            + ("; encoding=delimited" if frame.delimited else "")
        }
        if is_write or frame.encoding != Encoding.IDENTITY:
            headers["Content-Encoding"] = _ENCODING_NAMES[frame.encoding]
        path = _PATHS.get(frame.codec, "/api/v1/telemetry")
        self._connection.request("POST", path, frame.body, headers)
        response = self._connection.getresponse()
        response.read()
        if response.status in {429, 503}:
            return response.status, max(1, int(response.headers.get("Retry-After") or 1))
        self._played.samples += int(response.headers.get(_WRITTEN.format("Samples")) or 0)
        return response.status, None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class DirectoryTarget:
    """An engine on a directory, whose clock is the capture's."""

    def __init__(self, directory: Path, config: Config, played: Played) -> None:
        """An engine on a directory, whose clock is that of the capture.

        directory: created if it does not exist. config: settings of the engine. played: counts of the replay.
        """
        self._now_ms = 0
        self._played = played
        self._room = threading.Semaphore(IN_FLIGHT_MAX)
        self._failure: NissaError | None = None
        self._directory = directory
        self._config = config
        self._engine: Engine | None = None

    def play(self, frame: Frame) -> None:
        """Give the frame to the engine, at most IN_FLIGHT_MAX ahead of its commits."""
        self._now_ms = max(self._now_ms, frame.received_ms)
        if self._engine is None:
            # Heavy, and playing into a daemon does without them.
            from nissa.ingest.engine import Engine
            from nissa.service.embedded import log_without_locals

            log_without_locals()
            self._engine = Engine(self._directory, self._config, lambda: self._now_ms)
        while self._engine.pressure:
            time.sleep(PRESSURE_WAIT_S)
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._engine.submit(msgspec.structs.replace(frame, source=Source.REPLAY), self._complete)

    def _complete(self, outcome: Receipt | NissaError) -> None:
        """Called by the engine's commit thread."""
        if isinstance(outcome, Receipt):
            self._played.samples += outcome.samples
            self._played.outcomes.update(outcome.refused)
        elif isinstance(outcome, Unavailable):
            self._failure = outcome
        else:
            self._played.outcomes[type(outcome).__name__] += 1
        self._room.release()

    def close(self) -> None:
        """Commit and seal everything, then release the directory. Raises: Unavailable if a frame was not stored."""
        if self._engine is not None:
            self._engine.close(seal=True)
        if self._failure is not None:  # of the last frames, behind which none was played
            raise self._failure


class Pace:
    """Schedules frames. speed: 1 as recorded, 10 ten times as fast, 0 at once. now_ms: a monotonic clock."""

    def __init__(self, speed: float, now_ms: Callable[[], int]) -> None:
        self._speed = speed
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._first_ms: int | None = None

    def wait_s(self, received_ms: int) -> float:
        """Milliseconds to wait before a frame received at ``received_ms``."""
        if self._speed <= 0:
            return 0.0
        if self._first_ms is None:
            self._first_ms = received_ms
        due_ms = self._started_ms + (received_ms - self._first_ms) / self._speed
        return max(0.0, (due_ms - self._now_ms()) / 1000)


def play_frames(
    frames: Iterable[Frame], target: Target, pace: Pace, played: Played, progress: Callable[[], None]
) -> None:
    """Replay frames at the speed that ``pace`` gives.

    frames: in order. target: where to send them. played: counts, updated. progress: called after each frame.
    """
    for frame in frames:
        wait_s = pace.wait_s(frame.received_ms)
        if wait_s > 0:
            time.sleep(wait_s)
        target.play(frame)
        played.frames += 1
        played.bytes += len(frame.body)
        progress()
