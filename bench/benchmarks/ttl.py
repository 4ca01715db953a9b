"""``_fast/ttl``: packets told from their repetitions, at as many remembered as a profile says; what sweeping costs."""

from collections.abc import Callable

import numpy as np
from benchmarks import timed

from bench.workloads import PROFILES, Workload, ttl_turnover
from nissa._fast.ttl import TtlMap

KEYS = 10_000  # a run's
FOR_EVER_MS = 2**60
RNG = np.random.default_rng(1)


def hashes(count: int) -> np.ndarray:
    """Keys as a keyed hash gives them."""
    return RNG.integers(0, 2**64, (count, 2), np.uint64)


def full_map(profile: str) -> tuple[TtlMap, np.ndarray]:
    """A map at its limit, and the keys in it, shuffled."""
    entries = PROFILES[profile] * 10
    held, keys = TtlMap(entries), hashes(entries)
    for start in range(0, entries, 1_000):
        held.dedup_all(keys[start : start + 1_000], 1, 0, FOR_EVER_MS)
    RNG.shuffle(keys)
    return held, keys


class Known(timed.Timed):
    """Packets that came before."""

    def make(self, profile: str) -> Workload:
        """Look-ups in random order, each found."""
        held, keys = full_map(profile)
        return Workload("ttl_known", KEYS, told_from(held, keys, known=True))


class First(timed.Timed):
    """Packets that did not: looked up, remembered, and the oldest forgotten in their place."""

    def make(self, profile: str) -> Workload:
        """New keys with every run."""
        held, _ = full_map(profile)
        return Workload("ttl_first", KEYS, told_from(held, hashes(100 * KEYS), known=False))


class Turnover(timed.Timed):
    """Packets remembered and, when they have expired, swept."""

    def make(self, profile: str) -> Workload:
        """A map that is empty before and after."""
        return ttl_turnover(profile)


def told_from(held: TtlMap, keys: np.ndarray, known: bool) -> Callable[[], int]:
    """A run over the next KEYS keys, beginning anew behind the last."""
    start = 0

    def run() -> int:
        nonlocal start
        part = keys[start : start + KEYS]
        start = (start + KEYS) % len(keys)
        found = held.dedup_all(part, 2, 0, FOR_EVER_MS)
        assert bool(found.all()) is known
        return len(part)

    return run
