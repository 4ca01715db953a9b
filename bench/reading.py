"""Rows of chosen series: decoded row groups kept, and rows in memory indexed, beside doing without.

    python -m bench.reading [--series 10000] [--samples 240] [--rounds 9]

One block of an hour sampled every 15 s, whose series arrived host by host: those of one metric lie ``--series`` / 100
apart. Printed: milliseconds of CPU, the fastest and the median of so many rounds, each asked in turn of every kind:
plain (no cache), cold (an empty one) and warm. Then the same rows in memory, in order of arrival: plain (a look at
each) and indexed, with what the first questions take, which make the index. All answers must be the same.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from nissa.ingest.head import CHUNK_ROWS, Head, head_facts
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.units import DAY_MS, MIB
from nissa.store.blocks import GROUP_ROWS, BlockWriter
from nissa.store.read import Snapshot, read_samples
from nissa.store.row_groups import RowGroupCache

START_MS = 20_000 * DAY_MS
STEP_MS = 15_000
CACHE_BYTES = 64 * MIB
FIRST_QUESTIONS = 7

Ask = Callable[[], SampleBatch]


def rows_of(series: int, samples: int) -> SampleBatch:
    """Walks of counts, by series and time."""
    ts_ms = np.arange(samples, dtype=np.int64) * STEP_MS + START_MS
    value = np.random.default_rng(1).integers(0, 10, series * samples).cumsum().astype(np.float64)
    return SampleBatch(np.repeat(np.arange(series, dtype=np.uint32), samples), np.tile(ts_ms, series), value)


def write_block(directory: Path, rows: SampleBatch, metrics: int) -> Snapshot:
    """One block of these rows, of so many metrics."""
    (directory / "blocks").mkdir()
    writer = BlockWriter(directory, 1, level=0, created_ms=1, keys_of=lambda ids: ids % np.uint32(metrics))
    for first in range(0, len(rows), GROUP_ROWS):
        part = slice(first, first + GROUP_ROWS)
        writer.write(SampleBatch(rows.series[part], rows.ts_ms[part], rows.value[part]))
    return Snapshot(directory, (writer.finish(1, 1),))


def compare(title: str, ways: Mapping[str, Ask], rounds: int) -> None:
    """Ask in turn, check that all answers are the same, print the times."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    rows = -1
    for _ in range(rounds):
        answers = []
        for name, ask in ways.items():
            begun = time.process_time()
            answers.append(ask())
            times[name].append((time.process_time() - begun) * 1e3)
        first = answers[0]
        for other in answers[1:]:
            assert (first.series == other.series).all()
            assert (first.ts_ms == other.ts_ms).all()
            assert (first.value == other.value).all()
        rows = len(first)
    shown = "   ".join(f"{name} {min(took):7.2f} ({statistics.median(took):.2f})" for name, took in times.items())
    print(f"{title:<28}{rows:>10,} rows   {shown} ms")


def block_ways(snapshot: Snapshot, wanted: SeriesColumn, kept: RowGroupCache) -> dict[str, Ask]:
    """The same question without a cache, with an empty one, and with one that has been asked before."""
    always = (START_MS, START_MS + DAY_MS)

    def ask(cache: RowGroupCache | None) -> SampleBatch:
        return read_samples(msgspec.structs.replace(snapshot, row_groups=cache), wanted, *always)

    ask(kept)
    return {"plain": lambda: ask(None), "cold": lambda: ask(RowGroupCache(CACHE_BYTES)), "warm": lambda: ask(kept)}


def head_of(rows: SampleBatch, series: int) -> Head:
    """The same rows in memory, a round of all series after the other."""
    order = np.arange(len(rows)).reshape(series, -1).T.reshape(-1)
    head, chunks = Head(), []
    for first in range(0, len(order), CHUNK_ROWS):
        part = order[first : first + CHUNK_ROWS]
        chunks.append(SampleBatch(rows.series[part], rows.ts_ms[part], rows.value[part]))
    for chunk in chunks:
        head.copy_rows(chunk)
    head.publish(1, head.total)
    return head


def head_ways(head: Head, wanted: SeriesColumn) -> dict[str, Ask]:
    """The same question to the head without and with its index."""
    views = head.snapshot()
    plain = Snapshot(Path(), (), views)
    indexed = Snapshot(Path(), (), views, **head_facts([head], [views]))
    always = (START_MS, START_MS + DAY_MS)
    return {
        "plain": lambda: read_samples(plain, wanted, *always),
        "indexed": lambda: read_samples(indexed, wanted, *always),
    }


def main() -> None:
    """Write, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--series", 10_000), ("--samples", 240), ("--rounds", 9)):
        parser.add_argument(name, type=int, default=default)
    asked = parser.parse_args()
    ids = np.arange(asked.series, dtype=np.uint32)
    questions = {
        "one series": ids[7:8],
        "one metric, 100 series": np.ascontiguousarray(ids[7 :: max(asked.series // 100, 1)]),
        "a tenth, neighbours": ids[asked.series // 10 : asked.series // 5],
        "every other": np.ascontiguousarray(ids[::2]),
    }
    with tempfile.TemporaryDirectory() as place:
        rows = rows_of(asked.series, asked.samples)
        begun = time.process_time()
        snapshot, kept = write_block(Path(place), rows, max(asked.series // 100, 1)), RowGroupCache(CACHE_BYTES)
        took_ns = (time.process_time() - begun) / len(rows) * 1e9
        size = snapshot.blocks[0].bytes / len(rows)
        print(f"one block of {len(rows):,} rows, {size:.4f} bytes each, written at {took_ns:.1f} ns each")
        for title, wanted in questions.items():
            compare(title, block_ways(snapshot, wanted, kept), asked.rounds)
    print(f"the cache holds {kept.facts()}")
    head = head_of(rows, asked.series)
    first = []
    for _ in range(FIRST_QUESTIONS):
        begun = time.process_time()
        head_ways(head, questions["one series"])["indexed"]()
        first.append(f"{(time.process_time() - begun) * 1e3:.1f}")
    print(f"the same rows in memory; the first questions for one series: {' '.join(first)} ms")
    for title, wanted in questions.items():
        compare(title, head_ways(head, wanted), asked.rounds)


if __name__ == "__main__":
    main()
