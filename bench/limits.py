"""The rows of the performance table that are about Nissa alone, each measured and set beside its target.

    python -m bench.limits [ROW …]

In-process rates are CPU time of one thread, median of several runs; what runs in the daemon is measured from outside.
Rows that need the public corpora are left out without NISSA_CORPORA. Targets are for one core of a server CPU; on a
shared or slower machine look at the ratios of ``bench.peers``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import workloads
from bench.load import Shape, encoded_bodies, samples_of
from bench.peers import CAPTURE, answer_of
from bench.send import Sent, send
from bench.servers import Server, running, start_nissa
from bench.usage import bytes_under
from bench.workloads import Workload, cpu_s, first_seen, registered
from nissa._fast.series import SeriesIndex
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Acceptance, Config, Series
from nissa.files.names import RAW_KIND
from nissa.ingest.engine import Engine
from nissa.ingest.frozen_head import FrozenHead
from nissa.ingest.pipeline import Pipeline
from nissa.journal.capture import read_capture
from nissa.model.columns import DedupKeyColumns
from nissa.model.frame import Codec, Encoding
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS
from nissa.store.compaction import merge_blocks

MILLION_HOSTS = 100_000
ALWAYS_MS = 100 * 365 * DAY_MS
STARTS = 5
PACKETS = 1_000_000
OFFERED = 1_000_000.0  # samples per second
OFFERED_S = 10
NEVER_SEALED = {"storage.seal_samples": "20000000", "storage.seal_interval": "3600000ms"}


@dataclass(frozen=True)
class Limit:
    """One row: what is measured, its bound, and how. at_least: whether more is better."""

    what: str
    target: float
    unit: str
    at_least: bool
    measure: Callable[[], float | None]


def rate_of(make: Callable[[], Workload | None]) -> Callable[[], float | None]:
    """Millions per second of CPU of a workload; None where it cannot be had."""

    def measure() -> float | None:
        workload = make()
        return None if workload is None else workload.count / cpu_s(workload.run) / 1e6

    return measure


def public_body_ms() -> float | None:
    """CPU milliseconds for the public 10,000-series body, lookup and append included."""
    workload = workloads.public_body()
    return None if workload is None else cpu_s(workload.run, 30) * 1000


def index_bytes_each() -> float:
    """Bytes per series of the index at one million series."""
    index = registered(Shape(hosts=MILLION_HOSTS, rounds=1))
    assert index.series_count == MILLION_HOSTS * 10
    return index.memory_bytes / index.series_count


def rss_of_million_mb() -> float:
    """Resident memory of the daemon with one million active series, sealed once."""
    shape = Shape(hosts=MILLION_HOSTS, rounds=1)
    with running("nissa", settings={"series.active_max": "1100000", "storage.seal_interval": "2000ms"}) as server:
        sent = send_to(server, shape, settle_s=8.0)
        assert answer_of(f"{server.api_url}/api/status")["series"]["active"] >= shape.series
        return sent.after.rss_bytes / 1e6


def disk_bytes_each() -> float:
    """Bytes of the raw block per sample: the recorded traffic of a real Prometheus, merged into one block."""
    config = Config(acceptance=Acceptance(past_ms=ALWAYS_MS), series=Series(active_max=10_000_000))
    with tempfile.TemporaryDirectory(prefix="bench-limits-") as name:
        directory = Path(name)
        engine = Engine(directory, config, lambda: int(time.time() * 1000))
        samples = 0
        for number, frame in enumerate(read_capture(CAPTURE)):
            samples += engine.ingest(frame.body, Codec.REMOTE_WRITE_1, Encoding.SNAPPY).samples
            if number % 300 == 299:
                engine.flush()
        engine.close(seal=True)
        catalogue = Catalogue.open(directory)
        block = run_whole(merge_blocks(directory, catalogue, catalogue.blocks(RAW_KIND), 0))
        catalogue.close()
        assert block.rows == samples
        return block.bytes / block.rows


def ack_p99_ms() -> float:
    """99th percentile of acknowledgement while a million samples a second are offered, fsync, sealing going on."""
    shape = Shape(hosts=1_000, rounds=int(OFFERED * OFFERED_S) // 10_000)
    with running("nissa", settings={"storage.seal_samples": "4000000"}) as server:
        server.completed()
        return send_to(server, shape, rate=OFFERED, connections=5).latency_ms(0.99)


def events_per_s() -> float:
    """Millions of events a second, acknowledged after fsync while blocks of them are written: wall time."""
    shape = Shape(kind="events", hosts=3_000, packets_per_request=1_000)
    with running("nissa", settings={"storage.seal_samples": "1000000"}) as server:
        server.completed()
        sent = send_to(server, shape, connections=4)
        assert answer_of(f"{server.api_url}/api/status")["seal"]["count"] > 0
        return sent.samples / sent.wall_s / 1e6


def recovery_mb_per_s() -> float:
    """Megabytes of journal per second of CPU that a start replays, after a kill."""
    shape = Shape(hosts=1_000, rounds=400)
    with tempfile.TemporaryDirectory(prefix="bench-limits-") as name:
        data = Path(name) / "data"
        server = start_nissa(data, NEVER_SEALED)
        send_to(server, shape)
        server.kill()
        journal_bytes = bytes_under(data / "journal")
        cpu = time.process_time()
        engine = Engine(data, Config(), lambda: int(time.time() * 1000))
        cpu = time.process_time() - cpu
        replayed = int(engine.status().facts()["recovery"]["bytes"])
        assert engine.tallies()["http/remote_write_1"].stored == samples_of(shape)
        engine.close()
        assert 0 < replayed <= journal_bytes
        return replayed / cpu / 1e6


def seal_pause_ms() -> float:
    """Most milliseconds of the engine thread to freeze a head, a million packets waiting to be written with it."""
    took = []
    for seed in range(STARTS):
        pipeline = Pipeline(Config(), SeriesIndex(bytes(32)), {}, bytes(32))
        keys = np.random.default_rng(seed).integers(0, 2**64, (PACKETS, 2), np.uint64)
        dedup_keys = DedupKeyColumns(keys, np.arange(1, PACKETS + 1, dtype=np.uint64), np.zeros(PACKETS, np.int64))
        pipeline.remembered.restore({"metric": dedup_keys}, 0)
        start = time.perf_counter()
        frozen_head = FrozenHead(pipeline, PACKETS)
        took.append(time.perf_counter() - start)
        assert np.array_equal(frozen_head.remembered.columns()["metric"].keys, keys)
    return max(took) * 1000


def start_of_million_s() -> float:
    """CPU seconds to open a directory with a million series on disk, in a process that has Arrow loaded."""
    shape = Shape(hosts=MILLION_HOSTS, rounds=1)
    config = Config(series=Series(active_max=shape.series))
    with tempfile.TemporaryDirectory(prefix="bench-limits-") as name:
        engine = Engine(Path(name), config, lambda: int(time.time() * 1000))
        for body in encoded_bodies(shape):
            engine.ingest(body, Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
        engine.close(seal=True)
        took = []
        for _ in range(3):
            cpu = time.process_time()
            engine = Engine(Path(name), config, lambda: int(time.time() * 1000))
            took.append(time.process_time() - cpu)
            assert engine.index.series_count == shape.series
            engine.close()
        return statistics.median(took)


def start_s() -> float:
    """Seconds from the command to the ready line on an empty directory, median."""
    took = []
    for _ in range(STARTS):
        with running("nissa") as server:
            took.append(server.ready_s)
            server.stop()
    return statistics.median(took)


def send_to(server: Server, shape: Shape, *, rate: float = 0.0, connections: int = 2, settle_s: float = 0.0) -> Sent:
    """Send a load; every body must be acknowledged."""
    sent = send(
        encoded_bodies(shape),
        url=server.write_url if shape.kind.startswith("remote_write") else server.telemetry_url,
        kind=shape.kind,
        samples=samples_of(shape),
        pid=server.process.pid,
        per_round=shape.requests_per_round,
        connections=connections,
        rate=rate,
        settle_s=settle_s,
    )
    sent.accepted()
    return sent


def new_series_ns() -> float:
    """CPU nanoseconds to register one series of 11 labels and take its first sample."""
    workload = first_seen(Shape(hosts=20_000, rounds=1), "new")
    return cpu_s(workload.run, 3) / workload.count * 1e9


LIMITS = {
    "rw1-10k": Limit(
        "remote write 1.0, 10 K known series", 5, "M/s", True, rate_of(lambda: workloads.remote_write_known("small"))
    ),
    "rw1-200k": Limit(
        "remote write 1.0, 200 K known series", 3, "M/s", True, rate_of(lambda: workloads.remote_write_known("large"))
    ),
    "rw1-1m": Limit(
        "remote write 1.0, 1 M known series", 2, "M/s", True, rate_of(lambda: workloads.remote_write_known("million"))
    ),
    "public": Limit("the public 10,000-series body", 1.5, "ms", False, public_body_ms),
    "rw2-10k": Limit(
        "remote write 2.0, 10 K known series", 6, "M/s", True, rate_of(lambda: workloads.remote_write_known("small", 2))
    ),
    "leyline": Limit("Leyline TelemetryPacket, 64 metrics", 8, "M/s", True, rate_of(workloads.leyline_known)),
    "events": Limit(
        "events, Leyline about 250 B, delimited, redacted", 1.5, "M/s", True, rate_of(workloads.events_filtered)
    ),
    "events-durable": Limit("the same end to end, durable", 0.5, "M/s", True, events_per_s),
    "columns": Limit(
        "nissa.v2 columns, known, 10 rounds", 15, "M/s", True, rate_of(lambda: workloads.columns_known("small", 10))
    ),
    "columns-1": Limit(
        "nissa.v2 columns, known, 1 round", 8, "M/s", True, rate_of(lambda: workloads.columns_known("small", 1))
    ),
    "new": Limit("a first-seen series", 1_500, "ns", False, new_series_ns),
    "index": Limit("index, 1 M series", 400, "B per series", False, index_bytes_each),
    "rss": Limit("daemon RSS, 1 M active series", 1_000, "MB", False, rss_of_million_mb),
    "disk": Limit("disk, the real capture, compacted", 0.6, "B per sample", False, disk_bytes_each),
    "ack": Limit("acknowledge p99, 1 M samples/s offered", 25, "ms", False, ack_p99_ms),
    "recovery": Limit("recovery", 200, "MB/s of journal", True, recovery_mb_per_s),
    "pause": Limit("freezing a head, 1 M new packets", 1, "ms", False, seal_pause_ms),
    "start-1m": Limit("opening a directory of 1 M series", 1.5, "s of CPU", False, start_of_million_s),
    "start": Limit("start on an empty directory to ready", 1.2, "s", False, start_s),
}


def main() -> None:
    """Measure the rows asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(LIMITS))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.rows if name not in LIMITS]
    if unknown:
        parser.error(f"no such rows: {', '.join(unknown)}; there are {', '.join(LIMITS)}")
    print("| row | what | target | measured | |\n|---|---|---|---|---|")
    for name in arguments.rows or LIMITS:
        limit = LIMITS[name]
        measured = limit.measure()
        if measured is None:
            print(f"| {name} | {limit.what} | | left out: NISSA_CORPORA is not set | |", flush=True)
            continue
        met = measured >= limit.target if limit.at_least else measured <= limit.target
        sign = "≥" if limit.at_least else "≤"
        target = f"{sign} {limit.target:g} {limit.unit}"
        print(
            f"| {name} | {limit.what} | {target} | {measured:.4g} {limit.unit} | {'met' if met else 'MISSED'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
