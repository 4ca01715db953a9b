"""``_fast/rollup``: an hour of samples into windows of 1 m and 5 m with sketches, and those into windows of 1 h.

profile      series     samples    what they are
1s           1,000      3.6 M      one a second: 60 in a narrow window
10s          10,000     3.6 M      one in ten seconds: 6 in a narrow window
10s parts    10,000     3.6 M      the same, out of four blocks of a quarter of an hour each
"""

import numpy as np
from benchmarks import timed

from bench.workloads import Workload
from nissa._fast.rollup import fold_samples, fold_windows

PROFILES = {"1s": (1_000, 1, 1), "10s": (10_000, 10, 1), "10s parts": (10_000, 10, 4)}
HOUR_S = 3_600
FINE_MS, WIDE_MS, HOUR_MS = 60_000, 300_000, 3_600_000
START_MS = 1_700_000_400_000 // HOUR_MS * HOUR_MS

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
    parts = hour_of(*PROFILES[profile])
    count = sum(len(part[0]) for part in parts)
    windows = PROFILES[profile][0] * 60

    def run() -> int:
        narrow, wide, _ = fold_samples(parts, FINE_MS, wide_ms)
        assert len(narrow[0]) == windows
        assert int(narrow[2].sum()) == count
        assert wide is None or int(wide[2].sum()) == count
        return count

    return Workload(f"rollup_samples_{profile.replace(' ', '_')}", count, run)


def folded_windows(profile: str) -> Workload:
    """Windows of 5 m with sketches into windows of 1 h, per window read."""
    _, wide, sketches = fold_samples(hour_of(*PROFILES[profile]), FINE_MS, WIDE_MS)
    assert wide is not None
    count = len(wide[0])

    def run() -> int:
        hours, _ = fold_windows(wide, sketches, HOUR_MS)
        assert len(hours[0]) == count // 12
        return count

    return Workload(f"rollup_windows_{profile.replace(' ', '_')}", count, run)


class Samples(timed.Timed):
    """Both intervals and the sketches in one walk."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """An hour of samples."""
        return folded_samples(profile)


class SamplesWithoutSketches(timed.Timed):
    """The narrow windows alone."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """An hour of samples."""
        return folded_samples(profile, 0)


class Windows(timed.Timed):
    """Up one tier."""

    params = list(PROFILES)

    def make(self, profile: str) -> Workload:
        """An hour of windows."""
        return folded_windows(profile)
