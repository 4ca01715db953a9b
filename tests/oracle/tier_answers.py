"""The slow twin of ``_fast/tier_windows.pyx``: what a tier says of a range, from the samples of one series."""

import math
from itertools import pairwise

Samples = list[tuple[int, float]]  # ts_ms, value; no staleness markers
BEFORE_MS = 3_600_000


def risen(values: list[float], *, counter: bool) -> float:
    """Last less first, and of a counter what it fell from, added up."""
    fallen = sum(before for before, after in pairwise(values) if after < before) if counter else 0.0
    return values[-1] - values[0] + fallen


def rise(samples: Samples, end_ms: int, range_ms: int, interval_ms: int, *, counter: bool = True) -> float | None:
    """The increase, or delta, over [end - range, end) with the step from the sample before."""
    numbers = [(ts_ms, value) for ts_ms, value in sorted(samples) if not math.isnan(value)]
    inside = [(ts_ms, value) for ts_ms, value in numbers if end_ms - range_ms <= ts_ms < end_ms]
    before = [(ts_ms, value) for ts_ms, value in numbers if ts_ms < end_ms - range_ms]
    if not inside:
        return None
    found = risen([value for _, value in inside], counter=counter)
    mean_ms = int(range_ms / max(len(inside) - 1, 1))
    if before:
        apart_ms = inside[0][0] // interval_ms * interval_ms - before[-1][0] // interval_ms * interval_ms
        if apart_ms <= interval_ms + min(mean_ms, BEFORE_MS):
            last, first = before[-1][1], inside[0][1]
            return found + (first if counter and first < last else first - last)
    return found if len(inside) >= 2 else None
