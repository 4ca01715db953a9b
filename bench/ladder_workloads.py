"""Workloads of the ladder: samples folded into windows, windows into wider ones, sketches counted, merged and asked.

hour      series     samples    what they are
1s        1,000      3.6 M      one a second: 60 in a narrow window
10s       10,000     3.6 M      one in ten seconds: 6 in a narrow window
10s parts 10,000     3.6 M      the same, out of four blocks of a quarter of an hour each

spread    300 values of a sketch                      buckets in use
steady    a gauge around 50, deviation 1 %                   about 5
typical   a gauge around 50, deviation 10 %                 about 20
wide      latencies, lognormal over three decades          about 110
"""

import numpy as np

from bench.workloads import Workload
from nissa._fast.rollup import fold_samples, fold_windows
from nissa._fast.sketch import Sketch, quantiles_of

HOURS = {"1s": (1_000, 1, 1), "10s": (10_000, 10, 1), "10s parts": (10_000, 10, 4)}
HOUR_S = 3_600
FINE_MS, WIDE_MS, HOUR_MS = 60_000, 300_000, 3_600_000
START_MS = 1_700_000_400_000 // HOUR_MS * HOUR_MS
SPREADS = ("steady", "typical", "wide")
VALUES, SKETCHES = 300, 2_000
ASKED = np.array([0.5, 0.95, 0.99])

Part = tuple[np.ndarray, np.ndarray, np.ndarray]


def hour_of(series: int, interval_s: int, parts: int) -> list[Part]:
    """An hour of samples: half of the series gauges around 50, half of them counters, all with cents."""
    rounds = HOUR_S // interval_s
    chance = np.random.default_rng(5)
    steps = chance.normal(0, 0.5, (series, rounds)).cumsum(axis=1) + 50
    steps[series // 2 :] = np.abs(np.diff(steps[series // 2 :], prepend=0)).cumsum(axis=1)
    value = np.round(steps, 2)
    ts_ms = START_MS + np.arange(rounds, dtype=np.int64) * interval_s * 1_000
    cuts = np.array_split(np.arange(rounds), parts)
    ids = np.arange(series, dtype=np.uint32)
    return [
        (np.repeat(ids, len(cut)), np.tile(ts_ms[cut], series), np.ascontiguousarray(value[:, cut]).reshape(-1))
        for cut in cuts
    ]


def folded_samples(profile: str, wide_ms: int = WIDE_MS) -> Workload:
    """Samples into windows, per sample."""
    parts = hour_of(*HOURS[profile])
    count = sum(len(part[0]) for part in parts)
    windows = HOURS[profile][0] * 60

    def run() -> int:
        narrow, wide, _ = fold_samples(parts, FINE_MS, wide_ms)
        assert len(narrow[0]) == windows
        assert int(narrow[2].sum()) == count
        assert wide is None or int(wide[2].sum()) == count
        return count

    return Workload(f"rollup_samples_{profile.replace(' ', '_')}", count, run)


def folded_windows(profile: str) -> Workload:
    """Windows of 5 m with sketches into windows of 1 h, per window read."""
    _, wide, sketches = fold_samples(hour_of(*HOURS[profile]), FINE_MS, WIDE_MS)
    assert wide is not None
    count = len(wide[0])

    def run() -> int:
        hours, _ = fold_windows(wide, sketches, HOUR_MS)
        assert len(hours[0]) == count // 12
        return count

    return Workload(f"rollup_windows_{profile.replace(' ', '_')}", count, run)


def values_of(profile: str) -> np.ndarray:
    """SKETCHES rows of VALUES values."""
    chance = np.random.default_rng(9)
    if profile == "wide":
        return chance.lognormal(0, 1, (SKETCHES, VALUES))
    return chance.normal(50, {"steady": 0.5, "typical": 5.0}[profile], (SKETCHES, VALUES))


def column_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sketch of each row, as offsets and data."""
    sketch, pieces = Sketch(), []
    for row in values:
        sketch.add(row)
        pieces.append(sketch.to_bytes())
        sketch.clear()
    return np.cumsum([0, *map(len, pieces)]).astype(np.int32), np.frombuffer(b"".join(pieces), np.uint8)


def added(profile: str) -> Workload:
    """Values counted, a window of 5 m at a time, per value."""
    values = values_of(profile)
    sketch = Sketch()

    def run() -> int:
        for row in values:
            sketch.clear()
            sketch.add(row)
        assert sketch.count == VALUES
        return values.size

    return Workload(f"sketch_add_{profile}", values.size, run)


def merged(profile: str) -> Workload:
    """Sketches merged into one, per sketch; each is checked before any is added."""
    offsets, data = column_of(values_of(profile))
    sketch = Sketch()

    def run() -> int:
        sketch.clear()
        sketch.merge(offsets, data)
        assert sketch.count == SKETCHES * VALUES
        return SKETCHES

    return Workload(f"sketch_merge_{profile}", SKETCHES, run)


def asked(profile: str) -> Workload:
    """p50, p95 and p99 of every sketch, per sketch."""
    values = values_of(profile)
    offsets, data = column_of(values)
    smallest, largest = values.min(axis=1), values.max(axis=1)
    exact = np.quantile(values, ASKED, axis=1).T

    def run() -> int:
        got = quantiles_of(offsets, data, ASKED, smallest, largest)
        assert (np.abs(got - exact) <= 0.011 * np.abs(exact)).all()
        return SKETCHES

    return Workload(f"sketch_quantiles_{profile}", SKETCHES, run)
