"""Destinations of an import: a daemon's ingest port over HTTP, or an engine on a directory that no daemon has.

Both answer for one piece at a time, in order, so what was answered last is where an interrupted import goes on.
"""

import http.client
import queue
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import orjson
from cramjam import zstd

from nissa.cli.import_pieces import Fault, ImportPiece
from nissa.codec.exposition import CONTENT_TYPE, OPENMETRICS
from nissa.config.tree import Config
from nissa.model.context import Context
from nissa.model.errors import BadQuery, NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.sources.http.answers import IMPORTED_HEADER
from nissa.sources.http.negotiate import IMPORT_PROTOS, MEDIA_TYPE

PATH = "/api/v1/import"
TRIES_MAX = 60
RETRY_S = 1
TIMEOUT_S = 120
FOLD_TRIES_MAX = 3_600
ZSTD_LEVEL = 1
_TYPES = {codec: f"{MEDIA_TYPE}; proto={proto}" for proto, codec in IMPORT_PROTOS.items()} | {
    Codec.EXPOSITION: OPENMETRICS,
}
_WAITING = b"nissa_import_samples_waiting "


class Taken(msgspec.Struct):
    """Result of pieces: samples taken, samples and records refused by reason, and the first of them."""

    samples: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    faults: list[Fault] = msgspec.field(default_factory=list)


class ImportTarget(Protocol):
    """Destination of an import."""

    def send(self, piece: ImportPiece) -> Taken:
        """Hand over one piece; it is durable when this returns. Raises: NissaError."""

    def fold(self) -> None:
        """Wait until all that was sent is folded into the ladder, where that can be seen."""

    def close(self) -> None:
        """Let go."""


class DaemonImport:
    """A daemon's ingest port. While it does not answer, as over a restart, a piece is sent again."""

    def __init__(self, url: str) -> None:
        """url: http://HOST:PORT. Raises: BadQuery for another one."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BadQuery(f"expected http://HOST:PORT of a daemon's ingest port, got {url!r}")
        self._url, self._place = url, (parts.hostname, parts.port or 80)
        self._connection = http.client.HTTPConnection(*self._place, timeout=TIMEOUT_S)

    def send(self, piece: ImportPiece) -> Taken:
        """Post the piece until it is taken or refused for good. Raises: Unavailable, BadQuery."""
        body, failure = bytes(zstd.compress(piece.body, ZSTD_LEVEL)), ""
        headers = {"Content-Type": _TYPES[piece.codec], "Content-Encoding": "zstd"}
        for _ in range(TRIES_MAX):
            try:
                self._connection.request("POST", PATH, body, headers)
                response = self._connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                failure = f"no answer from {self._url}: {error}"
                self._connection.close()
                time.sleep(RETRY_S)
                continue
            if response.status not in (http.client.SERVICE_UNAVAILABLE, http.client.TOO_MANY_REQUESTS):
                return _taken(piece, response.status, response.headers.get(IMPORTED_HEADER), answer)
            failure = answer.decode("utf-8", "replace").strip()
            time.sleep(max(RETRY_S, int(response.headers.get("Retry-After") or 1)))
        raise Unavailable(f"{failure} ({TRIES_MAX} tries)", RETRY_S)

    def fold(self) -> None:
        """Wait until the daemon's metrics say that no imported sample waits."""
        for _ in range(FOLD_TRIES_MAX):
            try:
                self._connection.request("GET", "/metrics")
                text = self._connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                return
            line = next((line for line in text.splitlines() if line.startswith(_WAITING)), _WAITING + b"0")
            if not float(line.removeprefix(_WAITING)):
                return
            time.sleep(RETRY_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _taken(piece: ImportPiece, status: int, imported: str | None, answer: bytes) -> Taken:
    """An answer to a piece. Raises: BadQuery where nothing of it was taken."""
    if status == http.client.NO_CONTENT:
        return Taken(int(imported or 0))
    try:
        read: Any = orjson.loads(answer)
        lines = read["data"]
        faults = [Fault(one["line_number"] + piece.first_line - 1, one["error_message"]) for one in lines]
        return Taken(int(read["samples"]), dict(read["refused"]), faults)
    except (ValueError, KeyError, TypeError):
        text = answer[:300].decode("utf-8", "replace").strip()
        raise BadQuery(f"the daemon answers {status} to an import: {text}") from None


class DirectoryImport:
    """An engine on a directory."""

    def __init__(self, directory: Path, config: Config) -> None:
        """Raises as ``Engine``: DirectoryLocked where a daemon has it."""
        from nissa.ingest.engine import Engine
        from nissa.service.clock import steady, wall_ms
        from nissa.service.embedded import log_without_locals

        log_without_locals()
        self._now_ms = wall_ms
        self._engine = Engine(directory, config, wall_ms, steady)

    def send(self, piece: ImportPiece) -> Taken:
        """Give the piece to the engine, and wait until it is durable."""
        context = Context(parameters={CONTENT_TYPE: OPENMETRICS}).encode() if piece.codec == Codec.EXPOSITION else b""
        frame = Frame(piece.codec, Encoding.IDENTITY, Source.IMPORT, self._now_ms(), piece.body, context=context)
        answer: queue.SimpleQueue[Receipt | NissaError] = queue.SimpleQueue()
        failure = Unavailable("the engine does not take frames", RETRY_S)
        for _ in range(TRIES_MAX):
            self._engine.submit(frame, answer.put)
            outcome = answer.get()
            if isinstance(outcome, Receipt):
                faults = [Fault(one.line + piece.first_line - 1, one.words or one.reason) for one in outcome.lines]
                return Taken(outcome.samples, dict(outcome.refused), faults)
            if not isinstance(outcome, Unavailable):
                raise outcome
            failure = outcome
            time.sleep(RETRY_S)
        raise failure

    def fold(self) -> None:
        """Seal, and wait until nothing waits. Raises: Unavailable."""
        self._engine.flush()
        for _ in range(FOLD_TRIES_MAX):
            if not (self._engine.status().imports or {})["waiting"]:
                return
            time.sleep(RETRY_S)

    def close(self) -> None:
        """Give the directory back."""
        self._engine.close()
