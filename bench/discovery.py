"""Cost of finding the series that have samples in a range: by blocks, compared with reading the rows.

    python -m bench.discovery [--series 10000] [--hours 6] [--churn 300]

One raw block an hour of walks sampled every 10 s; each hour ``--churn`` series end and as many begin. The range begins
in the middle of a block, so that some rows have to be read. Printed: CPU milliseconds of each way, cold (nothing known
of the blocks) and warm; both answers must be the same.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.query.presence import present_series
from nissa.store.block_footer import read_footer
from nissa.store.blocks import BlockWriter
from nissa.store.read import Snapshot, stream_samples

START_MS = 20_000 * DAY_MS
STEP_MS = 10_000
SERIES_PER_WRITE = 500


def write_hours(directory: Path, series: int, hours: int, churn: int) -> tuple[BlockRow, ...]:
    """One block an hour."""
    (directory / "blocks").mkdir()
    chance = np.random.default_rng(1)
    ts_ms = np.arange(HOUR_MS // STEP_MS, dtype=np.int64) * STEP_MS + START_MS
    blocks = []
    for hour in range(hours):
        writer = BlockWriter(directory, hour + 1, level=1, created_ms=1)
        for first in range(0, series, SERIES_PER_WRITE):
            ids = np.arange(first, min(first + SERIES_PER_WRITE, series), dtype=np.uint32) + np.uint32(hour * churn)
            values = np.round(chance.normal(size=(len(ids), len(ts_ms))).cumsum(axis=1), 2)
            times = np.tile(ts_ms + hour * HOUR_MS, len(ids))
            writer.write(SampleBatch(np.repeat(ids, len(ts_ms)), times, values.reshape(-1)))
        blocks.append(writer.finish(1, 1))
    return tuple(blocks)


def timed(name: str, ask: Callable[[], SeriesColumn]) -> SeriesColumn:
    """An answer, and its time printed."""
    begun = time.process_time()
    found = ask()
    print(f"{name:<16}{(time.process_time() - begun) * 1e3:10.1f} ms   {len(found):,} series")
    return found


def main() -> None:
    """Write, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--series", 10_000), ("--hours", 6), ("--churn", 300)):
        parser.add_argument(name, type=int, default=default)
    shape = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nissa-bench-") as held:
        blocks = write_hours(Path(held), shape.series, shape.hours, shape.churn)
        snapshot = Snapshot(Path(held), blocks, tiers=tuple(map(TierRow, DEFAULT_TIERS)))
        wanted = np.arange(shape.series + shape.hours * shape.churn, dtype=np.uint32)
        span = (START_MS + shape.hours * HOUR_MS // 2 - HOUR_MS // 2, START_MS + shape.hours * HOUR_MS)

        def by_blocks() -> SeriesColumn:
            return present_series(snapshot, wanted, span, len(wanted) * 10_000, lambda: None, print)

        def by_rows() -> SeriesColumn:
            parts = [np.unique(batch.series) for batch in stream_samples(snapshot, wanted, *span, 131_072)]
            return np.unique(np.concatenate(parts))

        read_footer.cache_clear()
        found = [timed(name, by_blocks) for name in ("blocks, cold", "blocks, warm")]
        found.append(timed("rows", by_rows))
        if not all(np.array_equal(one, found[0]) for one in found):
            raise SystemExit("the answers differ")


if __name__ == "__main__":
    main()
