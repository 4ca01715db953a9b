"""``_fast/sketch``: values counted, sketches merged, quantiles asked for.

profile      300 values of a sketch                      buckets in use
steady       a gauge around 50, deviation 1 %                   about 5
typical      a gauge around 50, deviation 10 %                 about 20
wide         latencies, lognormal over three decades          about 110
"""

import numpy as np
from benchmarks import timed

from bench.workloads import Workload
from nissa._fast.sketch import Sketch, quantiles_of

PROFILES = ("steady", "typical", "wide")
VALUES, SKETCHES = 300, 2_000
ASKED = np.array([0.5, 0.95, 0.99])


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


class Add(timed.Timed):
    """Counting values."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """Rows of values."""
        return added(profile)


class Merge(timed.Timed):
    """Merging sketches."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """Sketches of rows."""
        return merged(profile)


class Quantiles(timed.Timed):
    """Three quantiles of each."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """Sketches of rows."""
        return asked(profile)
