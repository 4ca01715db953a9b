"""Windows over columns, against a slow obvious twin: every window cut out and looked at by itself."""

import math
import random
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from nissa._fast.windows import from_matrix, look_back, over_windows, without_stale
from oracle.promqltest import STALE

RANGE_MS = 70_000
STALE_BITS = np.float64(STALE).view(np.uint64)


def generated(chance: random.Random, series: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns with gaps, resets, NaN and infinities."""
    offsets, ts_ms, value = [0], [], []
    for _ in range(series):
        at = chance.randrange(-50_000, 50_000)
        for _ in range(chance.randrange(60)):
            at += chance.choice([1, 5_000, 15_000, 90_000])
            ts_ms.append(at)
            value.append(chance.choice([chance.random() * 100, chance.randrange(5), math.nan, math.inf, -0.0, 1e308]))
        offsets.append(len(ts_ms))
    return np.array(offsets, np.int64), np.array(ts_ms, np.int64), np.array(value, np.float64)


def ranked(values: list[float], quantile: float) -> float:
    """Interpolated between neighbours; NaN is the smallest."""
    ranks = [value for value in values if math.isnan(value)] + sorted(v for v in values if not math.isnan(v))
    rank = quantile * (len(ranks) - 1)
    low = math.floor(rank)
    return ranks[low] * (1 - rank + low) + ranks[min(low + 1, len(ranks) - 1)] * (rank - low)


def extreme(values: list[float], choose: Callable[[list[float]], float]) -> float:
    """The extreme of the numbers; NaN if there are none."""
    numbers = [value for value in values if not math.isnan(value)]
    return choose(numbers) if numbers else math.nan


# By name: what a window of (times, values) that ends at a time gives; and those that the definition gives for finite
# values alone.
ANY: dict[str, Callable[[list[int], list[float]], float]] = {
    "count": lambda ts, values: len(values),
    "present": lambda ts, values: 1.0,
    "first": lambda ts, values: values[0],
    "last": lambda ts, values: values[-1],
    "min": lambda ts, values: extreme(values, min),
    "max": lambda ts, values: extreme(values, max),
    "ts_of_first": lambda ts, values: ts[0] / 1000,
    "ts_of_last": lambda ts, values: ts[-1] / 1000,
    "quantile": lambda ts, values: ranked(values, 0.3),
    "changes": lambda ts, values: sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairwise(values)),
    "resets": lambda ts, values: sum(b < a for a, b in pairwise(values)),
}
FINITE: dict[str, Callable[[list[int], list[float]], float]] = {
    "sum": lambda ts, values: math.fsum(values),
    "avg": lambda ts, values: math.fsum(values) / len(values),
    "stdvar": lambda ts, values: statistics.pvariance(values),
    "stddev": lambda ts, values: statistics.pstdev(values),
}
SLOPES = ("rate", "increase", "delta", "idelta")


def is_finite(values: list[float]) -> bool:
    """True if all values are finite, and less than 1e300, so that no sum overflows."""
    return all(map(math.isfinite, values)) and max(map(abs, values)) < 1e300


def twin(name: str, ts: list[int], values: list[float], at_ms: int) -> float | None:
    """One window's value by the definition of the function; None where there is none."""
    if name in ANY:
        return ANY[name](ts, values)
    if name in FINITE:
        return FINITE[name](ts, values)
    if len(values) < 2:
        return None
    return values[-1] - values[-2] if name == "idelta" else extrapolated(name, ts, values, at_ms)


def extrapolated(name: str, ts: list[int], values: list[float], at_ms: int) -> float:
    """rate, increase and delta as the documentation of Prometheus describes them."""
    rise = values[-1] - values[0]
    if name != "delta":
        rise += sum(a for a, b in pairwise(values) if b < a)
    sampled, start, end = ts[-1] - ts[0], ts[0] - (at_ms - RANGE_MS), at_ms - ts[-1]
    mean = sampled / (len(ts) - 1)
    start = start if start < mean * 1.1 else mean / 2
    if name != "delta" and rise > 0 and values[0] >= 0:
        start = min(start, sampled * values[0] / rise)
    end = end if end < mean * 1.1 else mean / 2
    result = rise * (sampled + start + end) / sampled
    return result / (RANGE_MS / 1000) if name == "rate" else result


@pytest.mark.parametrize("name", [*ANY, *FINITE, *SLOPES])
def test_windows_are_what_they_are_by_themselves(name: str) -> None:
    """Each cell is the function of the samples in (at - range, at], and absent where there are none."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    offsets, ts_ms, value = generated(chance)
    at_ms = np.sort(np.array([chance.randrange(-100_000, 2_000_000) for _ in range(40)], np.int64))
    first = np.full(len(at_ms), 0.3)
    values, present = over_windows(name, (offsets, ts_ms, value), at_ms, RANGE_MS, first, first)
    for row in range(len(offsets) - 1):
        own = slice(offsets[row], offsets[row + 1])
        for step, at in enumerate(at_ms.tolist()):
            inside = [
                (t, v) for t, v in zip(ts_ms[own].tolist(), value[own].tolist(), strict=True) if at - RANGE_MS < t <= at
            ]
            if not inside:
                assert not present[row, step]
                continue
            times, numbers = [time for time, _ in inside], [number for _, number in inside]
            if name not in ANY and not is_finite(numbers):
                continue
            wanted = twin(name, times, numbers, at)
            assert bool(present[row, step]) is (wanted is not None)
            if wanted is not None:
                assert np.isclose(values[row, step], wanted, rtol=1e-9, atol=1e-9, equal_nan=True), inside


def test_quantiles_do_not_depend_on_how_many_steps_are_asked() -> None:
    """Values kept in order from step to step give what selecting them at one step gives, bit for bit but for NaN."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    columns = generated(chance)
    at_ms = np.arange(-60_000, 1_500_000, 7_000, dtype=np.int64)
    quantiles = np.array([chance.choice([0.0, 0.5, 0.99, 1.0, -1.0, 2.0, math.nan]) for _ in at_ms])
    values, present = over_windows("quantile", columns, at_ms, 900_000, quantiles)
    assert (present.sum(axis=1) > 100).any()
    for step in range(len(at_ms)):
        one = slice(step, step + 1)
        alone, there = over_windows("quantile", columns, at_ms[one], 900_000, quantiles[one])
        assert np.array_equal(there, present[:, one])
        assert np.array_equal(alone, values[:, one], equal_nan=True)


def test_looking_back_finds_the_last_sample() -> None:
    """The last sample in reach, unless it marks the end of the series; its time where that is asked."""
    offsets, ts_ms = np.array([0, 3, 3], np.int64), np.array([10, 20, 30], np.int64)
    value = np.array([1.0, 2.0, 3.0])
    value.view(np.uint64)[1] = STALE_BITS
    at_ms = np.array([9, 10, 19, 20, 29, 30, 129, 130], np.int64)
    values, present = look_back((offsets, ts_ms, value), at_ms, 100)
    assert present.tolist() == [[0, 1, 1, 0, 0, 1, 1, 0], [0] * 8]
    assert values[0, [1, 2, 5, 6]].tolist() == [1.0, 1.0, 3.0, 3.0]
    times, _ = look_back((offsets, ts_ms, value), at_ms, 100, True)
    assert times[0, [1, 2, 5, 6]].tolist() == [0.01, 0.01, 0.03, 0.03]


def test_markers_are_left_out() -> None:
    """Staleness markers leave the columns, other NaN stay; columns without markers are not copied."""
    offsets, ts_ms = np.array([0, 2, 4], np.int64), np.arange(4, dtype=np.int64)
    value = np.array([math.nan, 1.0, 2.0, math.nan])
    assert without_stale((offsets, ts_ms, value))[1] is ts_ms
    value.view(np.uint64)[[1, 2]] = STALE_BITS
    kept = without_stale((offsets, ts_ms, value))
    assert (kept[0].tolist(), kept[1].tolist()) == ([0, 1, 2], [0, 3])


def test_a_matrix_becomes_columns() -> None:
    """The cells that are there become samples at the steps' times."""
    values, present = np.array([[1.0, 2.0], [3.0, math.nan]]), np.array([[0, 1], [1, 1]], np.uint8)
    offsets, ts_ms, value = from_matrix(values, present, np.array([5, 6], np.int64))
    assert (offsets.tolist(), ts_ms.tolist()) == ([0, 1, 3], [6, 5, 6])
    assert np.array_equal(value, [2.0, 3.0, math.nan], equal_nan=True)


def test_columns_that_do_not_fit_are_refused() -> None:
    """Offsets, columns and parameters of wrong lengths, and unknown names, never reach the loops."""
    good = np.array([0, 1], np.int64), np.zeros(1, np.int64), np.zeros(1)
    at_ms = np.zeros(2, np.int64)
    for columns in [
        (np.array([0, 2], np.int64), *good[1:]),
        (np.array([1, 1], np.int64), *good[1:]),
        (good[0], good[1], np.zeros(2)),
    ]:
        with pytest.raises(ValueError, match=r"fit|ascend"):
            over_windows("sum", columns, at_ms, 1)
    with pytest.raises(ValueError, match="parameter"):
        over_windows("quantile", good, at_ms, 1, np.zeros(1))
    with pytest.raises(ValueError, match="parameter"):
        over_windows("quantile", good, at_ms, 1)
    with pytest.raises(KeyError):
        over_windows("nothing", good, at_ms, 1)
