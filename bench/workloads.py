"""Workloads: what the in-process benchmarks run, set up once and checked each time.

    profile   series      what it shows
    small     10,000      tables in the second-level cache
    large     200,000     tables in the last-level cache, or just outside
    million   1,000,000   every probe from memory

A Workload's ``run`` is what is timed; it checks what it did and returns how many samples (or series, rows) that was.
asv, ``bench.guarded`` and ``bench.limits`` run the same ones. Decoding is measured from the decompressed body to the
rows in the head.
"""

import itertools
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from bench.load import Shape, plain_bodies, samples_of
from nissa._fast.batch import Batch
from nissa._fast.columns import sort_resolve
from nissa._fast.row_index import index_rows, take_indexed
from nissa._fast.selection import select_rows
from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import fingerprints_of, restore_series
from nissa._fast.ttl import TtlMap
from nissa.codec import exposition, graphite, influx, leyline, otlp, packets, remote_write
from nissa.codec.statsd import StatsdAggregate, StatsdLimits
from nissa.config.tree import Config, Ttl
from nissa.ingest.decode import decode
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.model.context import Context
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import MINUTE_MS
from nissa.service.memory import tune_malloc

SECRET = bytes(range(32))
PROFILES = {"small": 1_000, "large": 20_000, "million": 100_000}  # hosts, of ten series each
MINUTE = 29_000_000
ANY_TIME = (-(2**62), 2**62)
NEW_MAX = 4_000_000
PUBLIC_SERIES = 10_000
SWEEP_SLICE = 10_000
MODULES: dict[Codec, ModuleType] = {
    codec: module
    for module in (exposition, graphite, influx, leyline, otlp, packets, remote_write)
    for codec in module.CODECS
}
CODECS = {
    "remote_write_1": Codec.REMOTE_WRITE_1,
    "remote_write_2": Codec.REMOTE_WRITE_2,
    "leyline": Codec.LEYLINE_PACKET,
    "packets": Codec.NISSA_PACKET,
    "events": Codec.LEYLINE_PACKET,
    "columns": Codec.NISSA_COLUMNS,
}
DELIMITED = ("leyline", "packets", "events")
PUBLIC_BODY = "remote-write-1.0-10k-series.bin"


@dataclass(frozen=True)
class Workload:
    """One thing to time. count: what ``run`` returns, every time."""

    name: str
    count: int
    run: Callable[[], int]


def cpu_s(run: Callable[[], int], repeats: int = 5) -> float:
    """Median CPU seconds of a run, after one to warm up."""
    run()
    took = []
    for _ in range(repeats):
        before = time.process_time()
        run()
        took.append(time.process_time() - before)
    return statistics.median(took)


def decode_into(frame: Frame, index: SeriesIndex, batch: Batch, admit_max: int) -> Decoded:
    """Decode one frame as the engine does, its content encoding undone before."""
    module = MODULES[frame.codec]
    return module.decode(frame, frame.body, index, batch, Window(MINUTE, admit_max, *ANY_TIME))


def frames_of(shape: Shape) -> list[Frame]:
    """The load as decompressed frames."""
    codec = CODECS[shape.kind]
    return [
        Frame(codec, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, body, shape.kind in DELIMITED)
        for body in plain_bodies(shape)
    ]


def new_index(active_max: int = NEW_MAX) -> SeriesIndex:
    """An empty index."""
    return SeriesIndex(SECRET, active_max=active_max)


def take(frames: list[Frame], index: SeriesIndex, batch: Batch, admit_max: int) -> int:
    """Decode every frame and append its rows to a new head; returns the rows."""
    head = Head()
    for number, frame in enumerate(frames):
        decode_into(frame, index, batch, admit_max)
        head.append(batch, "bench", number + 1, None, 0)
    return head.total


def registered(shape: Shape) -> SeriesIndex:
    """An index that knows every series of the load."""
    index = new_index()
    take(frames_of(shape), index, Batch(), NEW_MAX)
    return index


def known(shape: Shape, name: str) -> Workload:
    """Frames whose series are all known: decode, identity, append."""
    index, batch = new_index(), Batch()
    frames, count = frames_of(shape), samples_of(shape)
    take(frames, index, batch, NEW_MAX)

    def run() -> int:
        rows = take(frames, index, batch, 0)
        assert rows == count, (rows, count)
        return rows

    return Workload(name, count, run)


def first_seen(shape: Shape, name: str) -> Workload:
    """The same frames for an empty index: every series is new."""
    batch = Batch()
    frames, count = frames_of(shape), samples_of(shape)

    def run() -> int:
        index = new_index()
        rows = take(frames, index, batch, NEW_MAX)
        assert rows == count, (rows, count)
        assert index.series_count == shape.series
        return rows

    return Workload(name, count, run)


def remote_write_known(profile: str, version: int = 1) -> Workload:
    """One round of remote write of a profile's series."""
    shape = Shape(kind=f"remote_write_{version}", hosts=PROFILES[profile], rounds=1)
    return known(shape, f"remote_write_{version}_known_{profile}")


def remote_write_new(profile: str, version: int = 1) -> Workload:
    """One round of remote write that registers a profile's series."""
    shape = Shape(kind=f"remote_write_{version}", hosts=PROFILES[profile], rounds=1)
    return first_seen(shape, f"remote_write_{version}_new_{profile}")


def leyline_known(packets_per_request: int = 32) -> Workload:
    """Leyline packets of 64 metrics: 512 series."""
    shape = Shape(kind="leyline", hosts=50, packets_per_request=packets_per_request)
    return known(shape, f"leyline_known_{packets_per_request}_packets")


def events_filtered() -> Workload:
    """Leyline packets of one event each, about 250 bytes: decoded, told from repetitions, redacted, in the head.

    As in a daemon that has run for a while: freed memory is kept, and the map of packets is full.
    """
    tune_malloc()
    shape = Shape(kind="events", hosts=50, packets_per_request=1_000, end_ms=MINUTE * MINUTE_MS)
    frames, count = frames_of(shape), samples_of(shape)
    pipeline = Pipeline(Config(ttl=Ttl(entries_max=count // 2)), new_index(), {}, SECRET)
    lsns = itertools.count(1)

    def run() -> int:
        pipeline.head = Head()
        for frame in frames:
            pipeline.take(frame, lambda *_: next(lsns))
        events = sum(len(batch) for _, batch in pipeline.head.events)
        assert events == count, (events, count)
        return events

    return Workload("events_filtered", count, run)


def packets_known(packets_per_request: int = 32) -> Workload:
    """nissa.v2 packets of 64 points: 512 series."""
    shape = Shape(kind="packets", hosts=50, packets_per_request=packets_per_request)
    return known(shape, f"packets_known_{packets_per_request}_packets")


def influx_known(fields: int = 10) -> Workload:
    """InfluxDB lines of telegraf's shape, that many fields in each: 1,000 hosts."""
    rng = random.Random(1)
    index, batch = new_index(), Batch()
    frames = [_influx_frame(rng, fields, place) for place in range(10)]
    count = take(frames, index, batch, NEW_MAX)

    def run() -> int:
        rows = take(frames, index, batch, 0)
        assert rows == count, (rows, count)
        return rows

    return Workload(f"influx_known_{fields}_fields", count, run)


def _influx_frame(rng: random.Random, fields: int, place: int) -> Frame:
    """Half of the fields are integers, the others have up to 17 digits."""
    lines = []
    for host in range(1_000):
        kinds = (f"{rng.randrange(10**9)}i", f"{rng.random() * 100:.6f}", repr(rng.random()))
        pairs = ",".join(f"usage_{at}={rng.choice(kinds)}" for at in range(fields))
        lines.append(f"cpu,host=web-{host},cpu=cpu-total,region=eu-west {pairs} {MINUTE * MINUTE_MS + place}")
    precision = Context(parameters={"precision": "ms"}).encode()
    body = "\n".join(lines).encode()
    return Frame(Codec.INFLUX, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, body, context=precision)


def graphite_known() -> Workload:
    """Graphite lines of collectd's shape, 10,000 paths."""
    rng = random.Random(1)
    index, batch = new_index(), Batch()
    paths = [f"collectd.web-{at // 10}.cpu-{at % 10}.cpu-user" for at in range(10_000)]
    lines = "\n".join(f"{path} {rng.random() * 100:.6f} {MINUTE * 60}" for path in paths)
    frames = [Frame(Codec.GRAPHITE, Encoding.IDENTITY, Source.GRAPHITE, MINUTE * MINUTE_MS, lines.encode())]
    count = take(frames, index, batch, NEW_MAX)

    def run() -> int:
        rows = take(frames, index, batch, 0)
        assert rows == count, (rows, count)
        return rows

    return Workload("graphite_known", count, run)


def exposition_known(targets: int = 10) -> Workload:
    """Pages of that many node_exporters, in text 0.0.4, whose series are known."""
    index, batch = new_index(), Batch()
    page = (Path(__file__).resolve().parents[1] / "tests" / "goldens" / "node-exporter.txt").read_bytes()
    contexts = [Context(labels={"job": "node", "instance": f"web-{place}:9100"}) for place in range(targets)]
    frames = [
        Frame(Codec.EXPOSITION, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, page, context=context.encode())
        for context in contexts
    ]
    count = decoded(frames, index, batch)

    def run() -> int:
        rows = decoded(frames, index, batch)
        assert rows == count, (rows, count)
        return rows

    return Workload(f"exposition_known_{targets}_targets", count, run)


def decoded(frames: list[Frame], index: SeriesIndex, batch: Batch) -> int:
    """Decode frames with their contexts; returns how many rows they had."""
    window = Window(MINUTE, NEW_MAX, *ANY_TIME)
    rows = 0
    for frame in frames:
        decode(frame, frame.body, index, batch, window)
        rows += len(batch)
    return rows


def statsd_known(lines: int = 20) -> Workload:
    """Packets of that many StatsD lines of 5,000 known heads: counters, timers, gauges, each with two tags."""
    rng = random.Random(1)
    kinds = ("c", "ms", "c|@0.1", "g", "h")
    made = []
    for at in range(100_000):
        value = rng.choice((str(rng.randrange(1_000)), f"{rng.random() * 100:.3f}"))
        made.append(f"app.requests.{at % 1_000}:{value}|{kinds[at % 5]}|#route:/api/v1,dc:dc{at // 1_000 % 5}")
    rng.shuffle(made)
    aggregate = StatsdAggregate(bytes(range(32)), StatsdLimits(), (0.5, 0.99), 1 << 40, 0)
    # As the source reads them: packets with a line feed behind each, 64 KiB or so at a time.
    packets = ["\n".join(made[at : at + lines]) + "\n" for at in range(0, len(made), lines)]
    reads = ["".join(packets[at : at + 50]).encode() for at in range(0, len(packets), 50)]

    def run() -> int:
        for data in reads:
            aggregate.add(data)
        facts = aggregate.facts()
        assert facts["lines_refused"] == 0, facts
        return len(made)

    run()
    return Workload(f"statsd_known_{lines}_lines", len(made), run)


def columns_known(profile: str, rounds: int = 10) -> Workload:
    """SampleColumns of a profile's series, that many rounds in each message."""
    shape = Shape(
        kind="columns", hosts=PROFILES[profile], rounds=rounds, rounds_per_request=rounds, series_per_request=1_000
    )
    return known(shape, f"columns_known_{profile}_{rounds}_rounds")


def public_body() -> Workload | None:
    """The public 10,000-series body that other decoders are measured with; None without NISSA_CORPORA."""
    corpora = os.environ.get("NISSA_CORPORA")
    if not corpora:
        return None
    body = Path(corpora, PUBLIC_BODY).read_bytes()
    frames = [Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, body)]
    index, batch = new_index(), Batch()
    count = take(frames, index, batch, NEW_MAX)
    assert count >= PUBLIC_SERIES

    def run() -> int:
        rows = take(frames, index, batch, 0)
        assert rows == count
        return rows

    return Workload("public_body", count, run)


def restored(profile: str) -> Workload:
    """An index built again from what the series table keeps: identities and labels."""
    shape = Shape(hosts=PROFILES[profile], rounds=1)
    source = registered(shape)
    starts, pairs = source.pairs_of(0, shape.series)
    offsets, data = source.symbols_of(0, source.symbol_count)
    texts = np.frombuffer(data, np.uint8)
    columns = [np.ascontiguousarray(pairs[:, side]) for side in (0, 1)]
    ids = np.arange(shape.series, dtype=np.uint32)
    fingerprints = fingerprints_of(source, 0, shape.series)

    def run() -> int:
        index = new_index()
        names, values = columns
        restore_series(
            index, ids, fingerprints, starts.astype(np.int64), names, offsets, texts, values, offsets, texts, MINUTE
        )
        assert index.series_count == shape.series
        return shape.series

    return Workload(f"series_restore_{profile}", shape.series, run)


def filtered(profile: str) -> Workload:
    """A selection of series by two labels."""
    shape = Shape(hosts=PROFILES[profile], rounds=1)
    index = registered(shape)
    accept_name = accepted(index, "cpu_usage_user")
    accept_region = accepted(index, "us-east-1")
    conditions = [(index.symbol("__name__"), accept_name, False), (index.symbol("region"), accept_region, False)]
    first = index.labels(int(index.filter(conditions)[0]))
    assert {("region", "us-east-1"), ("__name__", "cpu_usage_user")} <= set(first)

    def run() -> int:
        found = index.filter(conditions)
        assert 0 < len(found) < shape.hosts
        return shape.series

    return Workload(f"series_filter_{profile}", shape.series, run)


def accepted(index: SeriesIndex, text: str) -> np.ndarray:
    """uint8 by symbol, 1 for one text."""
    out = np.zeros(index.symbol_count, np.uint8)
    out[index.symbol(text)] = 1
    return out


def swept(profile: str) -> Workload:
    """The idle sweep of a profile's series, none of them idle."""
    shape = Shape(hosts=PROFILES[profile], rounds=1)
    index = registered(shape)

    def run() -> int:
        assert index.sweep(MINUTE) == 0
        return shape.series

    return Workload(f"series_sweep_{profile}", shape.series, run)


def ttl_turnover(profile: str) -> Workload:
    """Packets remembered and, when they have expired, swept: per packet, in a map that is empty before and after."""
    count = PROFILES[profile]
    held, keys = TtlMap(count), np.random.default_rng(1).integers(0, 2**64, (count, 2), np.uint64)

    def run() -> int:
        held.dedup_all(keys, 1, 0, 1)
        removed, finished = 0, False
        while not finished:
            dropped, finished = held.sweep(1, SWEEP_SLICE)
            removed += dropped
        assert removed == count
        return removed

    return Workload(f"ttl_turnover_{profile}", count, run)


def head_rows(profile: str, rows: int = 4_000_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head as it is sealed: rounds of all series, in order of arrival."""
    series = PROFILES[profile] * 10
    rounds = max(rows // series, 2)
    ids = np.tile(np.arange(series, dtype=np.uint32), rounds)
    times = np.repeat(np.arange(rounds, dtype=np.int64) * 1_000, series)
    return ids, times, np.random.default_rng(1).random(len(ids))


def sorted_head(profile: str, order: str) -> Workload:
    """A head sorted and resolved. order: rounds (as it arrives), sorted, or shuffled."""
    series, ts_ms, value = head_rows(profile)
    places = {
        "rounds": np.arange(len(series)),
        "sorted": np.lexsort((ts_ms, series)),
        "shuffled": np.random.default_rng(2).permutation(len(series)),
    }[order]
    part = (series[places], ts_ms[places], value[places])

    def run() -> int:
        out_series, out_ts_ms, _, dropped, _ = sort_resolve([part])
        assert len(dropped) == 0
        assert len(out_series) == len(series)
        assert (out_series[0], out_ts_ms[-1]) == (0, ts_ms[-1])
        return len(series)

    return Workload(f"columns_sort_{order}_{profile}", len(series), run)


def selected(profile: str) -> Workload:
    """Rows of one series in a hundred, of half the time, out of a sorted block."""
    series, ts_ms, value, _, _ = sort_resolve([head_rows(profile)])
    wanted = np.zeros(int(series[-1]) + 1, np.uint8)
    wanted[::100] = 1
    middle = int(ts_ms[-1]) // 2
    expected = int(((series % 100 == 0) & (ts_ms <= middle)).sum())

    def run() -> int:
        got, _, _ = select_rows(series, ts_ms, value, wanted, 0, middle)
        assert len(got) == expected
        return len(series)

    return Workload(f"selection_select_{profile}", len(series), run)


def indexed(profile: str) -> Workload:
    """Rows in order of arrival indexed by series, and those of one series in a hundred taken."""
    series, ts_ms, value = head_rows(profile)
    wanted = np.unique(series)[::100].copy()
    expected = int((series % 100 == 0).sum())

    def run() -> int:
        got, _, _ = take_indexed(*index_rows(series), ts_ms, value, wanted, -(2**63), 2**63 - 1)
        assert len(got) == expected
        return len(series)

    return Workload(f"row_index_{profile}", len(series), run)


def appended(profile: str) -> Workload:
    """Rows of a decoded batch copied into a head, frames of 2,000."""
    shape = Shape(hosts=200, rounds=1)
    batch = Batch()
    decode_into(frames_of(shape)[0], new_index(), batch, NEW_MAX)
    frames = PROFILES[profile] * 10 // len(batch)

    def run() -> int:
        head = Head()
        for number in range(frames):
            head.append(batch, "bench", number + 1, None, 0)
        assert head.total == frames * len(batch)
        return head.total

    return Workload(f"batch_append_{profile}", frames * len(batch), run)
