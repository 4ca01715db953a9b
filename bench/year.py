"""A year of it: 1,000 series every 10 s for 365 days, brought in through the engine under a clock turned by hand.

    python -m bench.year [--days 365] [--series 1000] [--data DIR]

An hour of all series is one body of nissa.v2 columns; after each the head is sealed, the ladder is written and
retention drops expired blocks, as at that hour of a real year. The last six hours come and are sealed every two minutes
as a daemon has them. Beside heads of an hour before that, two things differ from a daemon: no scrubbing (it changes
nothing), and durability ``os``.

    40 %   gauges: walks of limited precision (tenths of a percent, pages of memory, hundredths of a degree, queues)
    40 %   counters, busy ones and quiet ones; each starts again at zero about every twenty days
    20 %   constants

It is harder than what a real Prometheus sent (bench/captures), whose samples take 0.51 bytes in a raw block.

Measured on what is left: the directory by what it holds, opening, the daemon's start, p99 of a year for one series, and
PromQL over 30 days of all series at a step of an hour.
"""

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

import nissa
from bench.load import columns_of, varint
from bench.servers import start_nissa
from bench.usage import bytes_under
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Config, Ingest, Storage
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.units import DAY_MS, HOUR_MS, MIB, MINUTE_MS, SECOND_MS
from nissa.query.export_form import read_form
from nissa.query.reader import Reader
from nissa.query.resolution import read_selected

STEP_MS = 10 * SECOND_MS
FINE_HOURS = 6  # at the end, sealed as a daemon seals
REPEATS = 9
QUERIES = 30
PROMQL = (  # each is of all series, or of the counters
    '{job="year"}',
    'avg_over_time({job="year"}[1h])',
    'max_over_time({job="year"}[1h])',
    'sum by (__name__) (rate({job="year",__name__=~".+_total"}[1h]))',
    'quantile_over_time(0.99, {job="year"}[1h])',
)
FLUSH_POLL_S = 0.002
VALUES_TAG = b"\x42"  # field 8, bytes
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Series of one sort.

    busy: how many of a hundred samples differ from the one before. spread: of one step, an integer; scale: what it is
    divided by. limit: where gauges turn round.
    """

    name: str
    share: float
    busy: int
    spread: int
    scale: float = 1
    limit: int = 0


GAUGES = (
    Kind("cpu_usage_percent", 0.10, 95, 5, 10, 1_000),
    Kind("memory_used_bytes", 0.10, 60, 50, 1 / 4096, 4_000_000),
    Kind("temperature_celsius", 0.05, 40, 3, 100, 9_000),
    Kind("queue_entries", 0.15, 5, 1, 1, 40),
)
COUNTERS = (
    Kind("requests_total", 0.10, 90, 40),
    Kind("network_receive_bytes_total", 0.05, 90, 200_000),
    Kind("cpu_seconds_total", 0.10, 80, 300, 100),
    Kind("errors_total", 0.15, 2, 3),
)
CONSTANT = "build_info"


class Year:
    """The values of every series, hour by hour."""

    def __init__(self, series: int, seed: int = 20) -> None:
        self._random = np.random.default_rng(seed)
        counts = [int(series * kind.share) for kind in (*GAUGES, *COUNTERS)]
        names = [kind.name for kind, count in zip((*GAUGES, *COUNTERS), counts, strict=True) for _ in range(count)]
        self.names = [*names, *[CONSTANT] * (series - len(names))]
        self._gauges = list(zip(GAUGES, self._starts(counts[: len(GAUGES)]), strict=True))
        self._counters = list(zip(COUNTERS, self._starts(counts[len(GAUGES) :]), strict=True))
        self._constants = series - len(names)

    def values(self, rounds: int) -> npt.NDArray[np.float64]:
        """The next rounds, shape (series, rounds)."""
        parts = [self._walk(kind, at, rounds) for kind, at in self._gauges]
        parts += [self._count(kind, at, rounds) for kind, at in self._counters]
        parts.append(np.ones((self._constants, rounds)))
        return np.concatenate(parts)

    def _starts(self, counts: list[int]) -> list[Rows]:
        return [self._random.integers(0, 2_000, count) for count in counts]

    def _busy(self, kind: Kind, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        return self._random.integers(0, 100, shape, dtype=np.uint8) < kind.busy

    def _walk(self, kind: Kind, at: Rows, rounds: int) -> npt.NDArray[np.float64]:
        steps = self._random.integers(-kind.spread, kind.spread + 1, (len(at), rounds), dtype=np.int16)
        steps *= self._busy(kind, steps.shape)
        walk = at[:, None] + np.cumsum(steps, axis=1, dtype=np.int64)
        at[:] = walk[:, -1]
        return np.abs(walk % (2 * kind.limit) - kind.limit) / kind.scale

    def _count(self, kind: Kind, at: Rows, rounds: int) -> npt.NDArray[np.float64]:
        steps = self._random.integers(0, kind.spread + 1, (len(at), rounds), dtype=np.int32)
        steps *= self._busy(kind, steps.shape)
        count = at[:, None] + np.cumsum(steps, axis=1, dtype=np.int64)
        at[:] = count[:, -1]
        at[self._random.random(len(at)) < 1 / (24 * 20)] = 0  # a restart every twenty days
        return count / kind.scale


class Bodies:
    """Bodies of nissa.v2 columns for the same series again and again."""

    def __init__(self, names: list[str]) -> None:
        self._part = [
            (name, [("instance", f"host-{at % 50:02d}:9100"), ("job", "year"), ("unit", str(at))])
            for at, name in enumerate(names)
        ]

    def body(self, start_ms: int, values: npt.NDArray[np.float64]) -> bytes:
        """One grid: every series at each of the rounds from start_ms on."""
        head = columns_of(self._part, start_ms, values.shape[1], STEP_MS).SerializeToString()
        data = values.tobytes()
        return b"".join([head, VALUES_TAG, varint(len(data)), data])


class Clock:
    """A clock that is turned by hand; both of its faces."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def wall(self) -> int:
        return self.now_ms

    def steady(self) -> tuple[str, int]:
        return "a simulated year", self.now_ms


def settings(directory: Path) -> Config:
    """Defaults, but for what a simulated clock makes senseless."""
    storage = Storage(
        data_dir=str(directory),
        durability="os",
        seal_interval_ms=DAY_MS,
        scrub_interval_ms=365 * DAY_MS,
    )
    return Config(storage=storage, ingest=Ingest(body_bytes_max=4 * MIB))


def live(directory: Path, days: int, series: int, end_ms: int) -> None:
    """Let the days pass in ``directory``."""
    fine_ms = end_ms - FINE_HOURS * HOUR_MS
    year = Year(series)
    pass_by(directory, year, (end_ms - days * DAY_MS, fine_ms), HOUR_MS)
    pass_by(directory, year, (fine_ms, end_ms), 2 * MINUTE_MS)


def pass_by(directory: Path, year: Year, span: tuple[int, int], step_ms: int) -> None:
    """Let a stretch of time pass, so much of it in a body and a head."""
    bodies = Bodies(year.names)
    clock = Clock(span[0])
    engine = Engine(directory, settings(directory), clock.wall, clock.steady)
    begun, samples = time.monotonic(), 0
    try:
        for start_ms in range(*span, step_ms):
            body = bodies.body(start_ms, year.values(step_ms // STEP_MS))
            if samples:  # while the body was made, the other threads went on
                at_rest(engine)
            clock.now_ms = start_ms + step_ms
            samples += engine.ingest(body, Codec.NISSA_COLUMNS).samples
            engine.flush()
            if start_ms % (10 * DAY_MS) < step_ms:
                print(f"{(start_ms - span[0]) // DAY_MS:4d} days {time.monotonic() - begun:7.0f} s", flush=True)
        at_rest(engine)
        assert engine.status().facts()["ladder"]["failures"] == 0, engine.status().facts()["ladder"]
        assert samples == len(year.names) * ((span[1] - span[0]) // STEP_MS)
    finally:
        engine.close(seal=True)


def at_rest(engine: Engine) -> None:
    """Wait until the maintenance thread has done all that follows a seal."""
    while True:
        status = engine.status().facts()
        if status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"]:
            return
        time.sleep(FLUSH_POLL_S)


def print_sizes(directory: Path) -> None:
    """Print blocks, rows and bytes of the directory."""
    catalogue = Catalogue.open(directory, readonly=True)
    blocks = catalogue.blocks()
    catalogue.close()
    print(f"{'':10s} {'blocks':>7s} {'rows':>10s} {'MB':>8s} {'B/row':>7s}")
    for kind in dict.fromkeys(block.kind for block in blocks):
        own = [block for block in blocks if block.kind == kind]
        rows, size = sum(block.rows for block in own), sum(block.bytes for block in own)
        print(f"{kind:10s} {len(own):7d} {rows:10d} {size / 1e6:8.2f} {size / rows:7.2f}")
    for name in ("blocks", "series", "journal"):
        print(f"{name:10s} {'':7s} {'':10s} {bytes_under(directory / name) / 1e6:8.2f}")
    print(f"{'everything':10s} {'':7s} {'':10s} {bytes_under(directory) / 1e6:8.2f}")


def print_times(directory: Path, end_ms: int) -> None:
    """Opening, and questions about a year of one series."""
    took = []
    for _ in range(REPEATS):
        begun = time.monotonic()
        nissa.open(directory)
        took.append(time.monotonic() - begun)
    print(f"nissa.open {statistics.median(took) * 1000:.0f} ms")
    reader = nissa.open(directory)
    form = read_form("jsonl").value
    for resolution, days in (("1d", 365), ("1h", 365), ("auto", 365), ("5m", 7)):
        wanted = read_selected(resolution, "", "0.99")
        took, cpu, lines = [], [], 0
        for number in range(QUERIES):
            sink = io.BytesIO()
            begun, cpu_begun = time.monotonic(), time.process_time()
            start_s, end_s = (end_ms - days * DAY_MS) / 1000, end_ms / 1000
            reader.export(sink, f'{{unit="{number * 31 % 1000}"}}', start_s, end_s, form, wanted=wanted)
            took.append(time.monotonic() - begun)
            cpu.append(time.process_time() - cpu_begun)
            lines += sink.getvalue().count(b"\n")
        most = f"most {max(took) * 1000:.0f}, first {took[0] * 1000:.0f}; of CPU {statistics.median(cpu) * 1000:.0f} ms"
        median_ms = statistics.median(took) * 1000
        print(f"p99, {days:3d} days at {resolution}: median {median_ms:.0f} ms, {most}; {lines} lines")
    print_promql(reader, end_ms)
    starts = []
    for _ in range(3):
        server = start_nissa(directory)
        starts.append(server.ready_s)
        server.stop()
    print(f"daemon ready {statistics.median(starts):.2f} s")


def print_promql(reader: Reader, end_ms: int) -> None:
    """CPU seconds of 30 days at a step of an hour, the fastest of a few."""
    for expression in PROMQL:
        for resolution in ("auto", "1h"):
            cpu = []
            for _ in range(REPEATS):
                begun = time.process_time()
                span = (end_ms - 30 * DAY_MS) / 1000, end_ms / 1000, "1h"
                answer = reader.answer_range(expression, *span, resolution=resolution)
                cpu.append(time.process_time() - begun)
            read = f"{answer.samples_read} rows of {', '.join(answer.resolutions)}"
            print(f"30 days of {expression} at {resolution}: {min(cpu):.3f} cpu-s, {read}")


def main() -> None:
    """Live through it, then measure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--data", type=Path, help="Keep the directory; one that is there is only measured.")
    arguments: Any = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = arguments.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-year-")))
        marker = directory / "catalogue.sqlite"
        end_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS if not marker.exists() else 0
        if not marker.exists():
            live(directory, arguments.days, arguments.series, end_ms)
        else:
            catalogue = Catalogue.open(directory, readonly=True)
            end_ms = -(-max(block.max_ms for block in catalogue.blocks()) // HOUR_MS) * HOUR_MS
            catalogue.close()
        print_sizes(directory)
        print_times(directory, end_ms)


if __name__ == "__main__":
    main()
