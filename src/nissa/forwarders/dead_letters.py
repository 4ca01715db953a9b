"""Dead letters: samples and events that a sink refuses, in one file per sink, until somebody replays or drops them.

    dead-letters/long_term.jsonl     {"id":7,"first_seen_ms":…,"attempts":1,"reason":"…","labels":{…},"samples":[[…]]}
    dead-letters/search.jsonl        {"id":8,"first_seen_ms":…,"attempts":1,"reason":"…","key":"…","event":{…}}

One line is one series of one refused request, or one event. A value is text as in Prometheus' API; a NaN is followed
by its bits. The file is synced before the cursor of the sink moves past what is in it. It is bounded: beyond
``bytes_max`` the oldest letters are dropped, and any letter when it is older than ``age_ms_max``; both are counted.
From any thread.
"""

import math
import os
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from nissa.files.checked_file import sync_directory
from nissa.files.names import UNFINISHED
from nissa.model.columns import TimeColumn, ValueColumn
from nissa.model.errors import Unavailable
from nissa.model.units import MINUTE_MS

REASON_CHARACTERS_MAX: Final = 500
REWRITE_PART: Final = 4  # the file is written again once a quarter of it is over the limit, so not for every letter
EXPIRE_INTERVAL_MS: Final = MINUTE_MS
RETRY_S: Final = 5

log = structlog.get_logger()


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Samples of one series, or an event. attempts: requests that had them alone.

    samples: (Unix milliseconds, value as text). event: as the sink was sent it. key: its id there.
    """

    id: int
    first_seen_ms: int
    attempts: int
    reason: str
    labels: dict[str, str] = {}
    samples: list[tuple[int, str]] = []
    key: str = ""
    event: dict[str, Any] | None = None

    @property
    def records(self) -> int:
        """Number of samples or events."""
        return len(self.samples) if self.event is None else 1


class RefusedSamples(msgspec.Struct, frozen=True):
    """Samples of one series, and why a sink refuses them."""

    labels: Mapping[str, str]
    ts_ms: TimeColumn
    value: ValueColumn
    reason: str
    attempts: int = 1


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event, its id at the sink, and why the sink refuses it."""

    key: str
    event: dict[str, Any]
    reason: str
    attempts: int = 1


Refused = RefusedSamples | RefusedEvent


OnAdd = Callable[[Sequence[DeadLetter]], None]


class DeadLetters:
    """The file of one sink. Counts are since start."""

    def __init__(self, path: Path, bytes_max: int, age_ms_max: int, on_add: OnAdd | None = None) -> None:
        """path: of the file, which need not be there. on_add: called with new letters once they are on disk.

        Raises: Unavailable where it cannot be read.
        """
        self._on_add = on_add
        self._path, self._bytes_max, self._age_ms_max = path, bytes_max, age_ms_max
        self._lock = threading.Lock()
        self._expired_ms = 0
        self.damaged_lines = 0
        letters = self._read()
        self.letters = len(letters)
        self.bytes = path.stat().st_size if path.exists() else 0
        self.dropped_samples = 0  # or events, given up because of a limit
        self._next_id = max((one.id for one in letters), default=0) + 1

    def add(self, refused: Sequence[Refused], now_ms: int) -> None:
        """Set samples or events aside; on disk when it returns. now_ms: Unix milliseconds. Raises: Unavailable."""
        with self._lock:
            letters = [self._letter(one, now_ms, place) for place, one in enumerate(refused)]
            lines = [msgspec.json.encode(one) for one in letters]
            content = b"".join(line + b"\n" for line in lines)
            try:
                self._append(content)
            except OSError as error:
                raise Unavailable(f"{self._path}: dead letters cannot be written: {error}", RETRY_S) from None
            self._next_id += len(lines)
            self.letters += len(lines)
            self.bytes += len(content)
            if self._on_add is not None:
                self._on_add(letters)
            if self.bytes > self._bytes_max + self._bytes_max // REWRITE_PART:
                self._bound()

    def _letter(self, one: Refused, now_ms: int, place: int) -> DeadLetter:
        if isinstance(one, RefusedEvent):
            reason = one.reason[:REASON_CHARACTERS_MAX]
            return DeadLetter(self._next_id + place, now_ms, one.attempts, reason, key=one.key, event=one.event)
        samples = [(at, value_text(value)) for at, value in zip(one.ts_ms.tolist(), one.value.tolist(), strict=True)]
        reason = one.reason[:REASON_CHARACTERS_MAX]
        return DeadLetter(self._next_id + place, now_ms, one.attempts, reason, dict(one.labels), samples)

    def current(self, now_ms: int, limit: int | None = None) -> list[DeadLetter]:
        """All that there are, or the first ones, the oldest first. No more than these are read. Raises: Unavailable."""
        with self._lock:
            self._expire(now_ms, due=True)
            return self._read(limit)

    def drop(self, ids: Collection[int] | None = None) -> int:
        """Forget these letters, or all; returns how many there were. Raises: Unavailable."""
        with self._lock:
            letters = self._read()
            left = [] if ids is None else [one for one in letters if one.id not in ids]
            self._write(left)
            return len(letters) - len(left)

    def settle(self, delivered: Collection[int], refused: Collection[int]) -> None:
        """Forget letters that were delivered, and count an attempt of those refused again. Raises: Unavailable."""
        delivered, refused = frozenset(delivered), frozenset(refused)
        with self._lock:
            self._write(
                [
                    msgspec.structs.replace(one, attempts=one.attempts + (one.id in refused))
                    for one in self._read()
                    if one.id not in delivered
                ]
            )

    def expire(self, now_ms: int) -> None:
        """Drop letters that are too old, now and then. Raises: Unavailable."""
        with self._lock:
            self._expire(now_ms)

    def _expire(self, now_ms: int, *, due: bool = False) -> None:
        if not self.letters or not (due or now_ms - self._expired_ms >= EXPIRE_INTERVAL_MS):
            return
        self._expired_ms = now_ms
        if all(now_ms - one.first_seen_ms <= self._age_ms_max for one in self._read(1)):
            return
        letters = self._read()
        left = [one for one in letters if now_ms - one.first_seen_ms <= self._age_ms_max]
        if len(left) < len(letters):
            self._give_up(letters[: len(letters) - len(left)], "age")
            self._write(left)

    def _bound(self) -> None:
        """Drop the oldest until the rest fits."""
        letters = self._read()
        sizes = [len(msgspec.json.encode(one)) + 1 for one in letters]
        size, gone = sum(sizes), 0
        while gone < len(letters) and size > self._bytes_max:
            size -= sizes[gone]
            gone += 1
        self._give_up(letters[:gone], "size")
        self._write(letters[gone:])

    def _give_up(self, letters: Sequence[DeadLetter], bound: str) -> None:
        records = sum(one.records for one in letters)
        self.dropped_samples += records
        log.error("dead letters dropped", file=str(self._path), letters=len(letters), records=records, bound=bound)

    def _read(self, limit: int | None = None) -> list[DeadLetter]:
        """All letters, or the first ones. The damaged lines are counted where all are read."""
        found: list[DeadLetter] = []
        damaged = 0
        try:
            with self._path.open("rb") as file:
                for line in file:
                    try:
                        found.append(msgspec.json.decode(line, type=DeadLetter))
                    except msgspec.MsgspecError:  # the end of a line that a crash left, or a hand that edited it
                        damaged += 1
                    if len(found) == limit:
                        return found
        except (FileNotFoundError, NotADirectoryError):  # what is in its way is reported by a write
            pass
        except OSError as error:
            raise Unavailable(f"{self._path}: dead letters cannot be read: {error}", RETRY_S) from None
        self.damaged_lines = damaged
        return found

    def _append(self, line: bytes) -> None:
        fresh = not self._path.exists()
        if fresh:
            self._path.parent.mkdir(mode=0o750, exist_ok=True)
        size = 0 if fresh else self._path.stat().st_size
        try:
            with self._path.open("ab") as file:
                if not fresh and not _ends_a_line(self._path):
                    file.write(b"\n")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk may have taken some lines, whose numbers are given again
            with suppress(OSError):
                os.truncate(self._path, size)
            raise
        if fresh:
            sync_directory(self._path.parent)
            sync_directory(self._path.parent.parent)

    def _write(self, letters: Sequence[DeadLetter]) -> None:
        """Replace the file by one with these letters."""
        unfinished = self._path.with_name(self._path.name + UNFINISHED)
        content = b"".join(msgspec.json.encode(one) + b"\n" for one in letters)
        try:
            if not letters:
                self._path.unlink(missing_ok=True)
            else:
                with unfinished.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(self._path)
            if self._path.parent.exists():
                sync_directory(self._path.parent)
        except OSError as error:
            raise Unavailable(f"{self._path}: dead letters cannot be written: {error}", RETRY_S) from None
        self.letters, self.bytes = len(letters), len(content)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def value_text(value: float) -> str:
    """A value as text that ``value_of`` reads back bit for bit."""
    return f"NaN:{struct.unpack('<Q', struct.pack('<d', value))[0]:016x}" if math.isnan(value) else repr(value)


def value_of(text: str) -> float:
    """The value behind a text. Raises: ValueError."""
    if text.startswith("NaN:"):
        found: float = struct.unpack("<d", struct.pack("<Q", int(text[4:], 16)))[0]
        return found
    return float(text)
