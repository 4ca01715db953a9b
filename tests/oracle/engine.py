"""An engine on a directory beside a dictionary that says what must be in it, and disks that fail on demand."""

import errno
import os
import queue
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nissa.config.tree import Acceptance, Config, Ingest, Series, Storage, Ttl
from nissa.ingest.engine import Engine
from nissa.model.counters import Counters
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from nissa.store.read import Snapshot, read_samples
from oracle.bodies import field, label
from oracle.columns import rank

NOW_MS = 1_758_000_000_000
ALWAYS = (-(2**63), 2**63 - 1)
ONE = 0x3FF << 52
Sample = tuple[str, int, int]  # metric name, ts_ms, bits
Rows = dict[tuple[str, int], int]


def config_of(**changes: Any) -> Config:
    """Small segments; heads are sealed when a test says so. ``storage=dict(…)`` and the like change single settings."""
    parts = {
        "storage": Storage(
            segment_bytes=64 * KIB,
            free_bytes_min=0,
            free_percent_min=0,
            seal_interval_ms=HOUR_MS,
            journal_bytes_max=2**30,
        ),
        "series": Series(idle_ttl_ms=5 * MINUTE_MS),
        "acceptance": Acceptance(),
        "ingest": Ingest(decompressed_bytes_max=2**20),
        "ttl": Ttl(),
    }
    return Config(**{name: msgspec.structs.replace(part, **changes.get(name, {})) for name, part in parts.items()})


def body_of(samples: Iterable[Sample]) -> bytes:
    """A remote write 1.0 body, one series per sample, the values bit for bit."""
    return b"".join(
        field(1, label("__name__", name) + field(2, b"\x09" + struct.pack("<Q", bits) + field(2, ts_ms)))
        for name, ts_ms, bits in samples
    )


def rows_in(snapshot: Snapshot, index: Any) -> Rows:
    """(metric name, ts_ms) -> bits of everything in a snapshot. Raises where one stands there twice."""
    batch = read_samples(snapshot, None, *ALWAYS)
    names = [dict(index.labels(series))["__name__"] for series in range(index.series_count)]
    keys = [(names[series], ts_ms) for series, ts_ms in zip(batch.series.tolist(), batch.ts_ms.tolist(), strict=True)]
    rows = dict(zip(keys, batch.value.view("u8").tolist(), strict=True))
    if len(rows) != len(batch):
        raise AssertionError(f"{Counter(keys).most_common(3)} stand there more than once")
    return rows


class Rig:
    """An engine, what it must hold, and what must be in its counters."""

    def __init__(self, path: Path, config: Config | None = None) -> None:
        self.path = path
        self.config = config or config_of()
        self.now_ms = NOW_MS
        self.rows: Rows = {}
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self._crashes = 0
        self.engine = self._open()

    def _open(self) -> Engine:
        return Engine(self.path, self.config, lambda: self.now_ms)

    # ---- in ----

    def submit(self, samples: Iterable[Sample], source: Source = Source.HTTP) -> "queue.SimpleQueue[Outcome]":
        """Hand a frame in; its outcome will be in the queue."""
        return self.submit_frame(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, source, self.now_ms, body_of(samples)))

    def submit_frame(self, frame: Frame) -> "queue.SimpleQueue[Outcome]":
        """Hand any frame in."""
        completed: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.engine.submit(frame, completed.put)
        return completed

    def send(self, samples: Iterable[Sample], source: Source = Source.HTTP) -> Outcome:
        """Hand a frame in and wait."""
        return self.submit(samples, source).get(timeout=60)

    def keep(self, samples: list[Sample]) -> Receipt:
        """Hand a frame in that must be kept whole."""
        outcome = self.send(samples)
        assert isinstance(outcome, Receipt), outcome
        assert outcome.samples == len(samples), outcome
        self.note(samples)
        return outcome

    def note(self, samples: Iterable[Sample]) -> None:
        """The dictionary's turn: these were accepted."""
        for name, ts_ms, bits in samples:
            self.accepted += 1
            known = self.rows.get((name, ts_ms))
            if known is None or rank(bits) > rank(known):
                self.rows[name, ts_ms] = bits

    # ---- life ----

    def restart(self) -> None:
        """Close, and open again."""
        self.engine.close()
        self.engine = self._open()

    def crash(self) -> None:
        """Copy the directory as a kill would leave it now, open the copy, and go on there."""
        self._crashes += 1
        copy = self.path.with_name(f"{self.path.name.split('~')[0]}~{self._crashes}")
        wait_until(lambda: copied_at_once(self.path, copy))
        left, self.path = self.path, copy
        try:
            self.engine.close()
        finally:
            shutil.rmtree(left)
            self.engine = self._open()

    # ---- out ----

    def read(self) -> Rows:
        """Everything visible."""
        return rows_in(self.engine.snapshot(), self.engine.index)

    def total(self) -> Counters:
        """The balance over all sources; each must be even."""
        total = Counters()
        for source, counters in self.engine.accounting().items():
            assert counters.unaccounted == 0, (source, counters)
            assert min(counters.stored, counters.duplicate, counters.in_flight, counters.conflicts) >= 0, (
                source,
                counters,
            )
            for name in ("frames", "malformed", "received", "stored", "duplicate", "conflicts", "in_flight"):
                setattr(total, name, getattr(total, name) + getattr(counters, name))
            for reason, count in counters.refused.items():
                total.refuse(reason, count)
        return total

    def check_rows(self) -> None:
        """Rows are those of the dictionary."""
        assert self.read() == self.rows

    def check(self) -> None:
        """Rows and counters are those of the dictionary."""
        self.check_rows()
        total = self.total()
        assert (total.stored, total.duplicate) == (len(self.rows), self.accepted - len(self.rows)), total
        assert (total.in_flight, total.refused) == (0, dict(self.refused)), total
        assert total.received == self.accepted + self.refused.total(), total


class BadDisk:
    """Makes a system call fail while ``failing`` is set. calls: number of calls while failing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int = errno.EIO) -> None:
        self._real: Callable[..., Any] = getattr(os, name)
        self._number = number
        self._good_calls = 0
        self.failing = False
        self.calls = 0
        monkeypatch.setattr(os, name, self._call)

    def fail_after(self, good_calls: int) -> None:
        """Fail, but for the first ``good_calls``."""
        self._good_calls, self.failing = good_calls, True

    def _call(self, *arguments: Any) -> Any:
        if not self.failing or self._good_calls > 0:
            self._good_calls -= 1
            return self._real(*arguments)
        self.calls += 1
        raise OSError(self._number, os.strerror(self._number))


def copied_at_once(path: Path, copy: Path) -> bool:
    """Copy a directory; False where it changed meanwhile, for then no moment looked like the copy."""
    try:
        before = stamps(path)
        shutil.copytree(path, copy)
        if before == stamps(path):
            return True
    except (shutil.Error, FileNotFoundError):
        pass
    shutil.rmtree(copy, ignore_errors=True)
    return False


def stamps(path: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of every file but SQLite's shared memory, which is no part of what stays."""
    files = [one for one in path.rglob("*") if one.is_file() and not one.name.endswith("-shm")]
    return {one: (one.stat().st_size, one.stat().st_mtime_ns) for one in files}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return once ``condition`` holds; AssertionError where it does not come."""
    pause = queue.SimpleQueue[None]()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        try:
            pause.get(timeout=0.01)
        except queue.Empty:
            continue
    raise AssertionError("it did not come to that")
