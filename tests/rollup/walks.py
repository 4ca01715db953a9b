"""Samples for the tests of the ladder."""

import numpy as np

from nissa.model.columns import SampleBatch
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.rollup.windows import columns_of

TIERS = DEFAULT_TIERS


def batch_of(series: int = 3, rounds: int = 200, interval_ms: int = 20_000, seed: int = 7) -> SampleBatch:
    """Random walks, sorted; the first of them a counter."""
    chance = np.random.default_rng(seed)
    value = chance.normal(size=(series, rounds)).cumsum(axis=1)
    value[0] = np.abs(value[0]).cumsum()
    ts_ms = np.tile(np.arange(rounds, dtype=np.int64) * interval_ms, series)
    return SampleBatch(np.repeat(np.arange(series, dtype=np.uint32), rounds), ts_ms, value.reshape(-1))


def rows_between(batch: SampleBatch, start_ms: int, end_ms: int) -> SampleBatch:
    """The samples in [start_ms, end_ms)."""
    inside = (batch.ts_ms >= start_ms) & (batch.ts_ms < end_ms)
    return SampleBatch(batch.series[inside], batch.ts_ms[inside], batch.value[inside])


def image(windows: WindowBatch) -> list[bytes]:
    """Every bit of it."""
    kept = [column.tobytes() for column in columns_of(windows)]
    return kept if windows.sketch is None else [*kept, windows.sketch.offsets.tobytes(), windows.sketch.data.tobytes()]
