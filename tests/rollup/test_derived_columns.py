"""Figures of windows against numpy on the samples themselves."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollup.walks import TIERS, batch_of

from nissa.model.columns import SampleBatch
from nissa.model.errors import BadQuery
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup.derived_columns import increase_of, mean_of, quantiles_in, stddev_of
from nissa.rollup.fold import fold_raw, fold_tier

IDLE_MS = 2 * HOUR_MS


def counter(points: list[tuple[int, float]]) -> SampleBatch:
    """Samples of one series: (minutes, value)."""
    ts_ms = np.array([int(minute * MINUTE_MS) for minute, _ in points], np.int64)
    return SampleBatch(np.zeros(len(points), np.uint32), ts_ms, np.array([value for _, value in points]))


def test_mean_and_deviation_are_those_of_the_samples() -> None:
    """Mean and deviation equal those of the samples at every tier, within rounding."""
    batch = batch_of(series=2)
    tiers = fold_raw([batch], TIERS)
    tiers += [fold_tier(tiers[1], TIERS[2])]
    for windows, tier in zip(tiers, TIERS, strict=False):
        for row in range(len(windows)):
            start_ms = windows.start_ms[row]
            inside = (batch.series == windows.series[row]) & (batch.ts_ms >= start_ms)
            value = batch.value[inside & (batch.ts_ms < start_ms + tier.interval_ms)]
            assert mean_of(windows)[row] == pytest.approx(value.mean(), abs=1e-12)
            assert stddev_of(windows)[row] == pytest.approx(value.std(), rel=2**-24, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([1e16, 1.0, -1e16], 1.0, 1 / 3),
        ([0.1] * 10, 1.0, 0.1),
        ([0.1] * 3, 0.30000000000000004, 0.1),
        ([1.7e308, 1.7e308], math.inf, 1.7e308),
        ([-1.7e308] * 5, -math.inf, -1.7e308),
        ([1.7e308, 1.7e308, -1.7e308, 0.0], 1.7e308, 4.25e307),
        ([math.inf, 1.7e308, 1.7e308], math.inf, math.inf),
        ([math.inf, -math.inf], math.nan, math.nan),
    ],
)
@pytest.mark.parametrize("step_min", [0.1, 1, 5.5])
def test_sums_and_means_are_right_at_every_tier(
    values: list[float], total: float, mean: float, step_min: float
) -> None:
    """Sums that cancel, are rounded or overflow are right, with the samples in one window or in many."""
    tiers = fold_raw([counter([(at * step_min, value) for at, value in enumerate(values)])], TIERS)
    for upper in TIERS[2:]:
        tiers.append(fold_tier(tiers[-1], upper))
    for windows in tiers[:2]:
        means = mean_of(windows)
        inside = (means >= windows.min) & (means <= windows.max)
        assert (inside | np.isnan(means)).all()
    for windows in tiers[2:]:
        assert windows.sum.tolist() == pytest.approx([total], rel=0, abs=0, nan_ok=True)
        assert mean_of(windows).tolist() == pytest.approx([mean], rel=2**-52, abs=0, nan_ok=True)


def test_increase_counts_the_step_from_the_window_before() -> None:
    """So the windows of a counter add up to all it went up, resets included."""
    points = [(0, 3.0), (0.5, 5.0), (1, 9.0), (1.5, 2.0), (2, 4.0), (3, 1.0)]
    windows = fold_raw([counter(points)], TIERS)[0]
    assert increase_of(windows, MINUTE_MS, IDLE_MS).tolist() == [2.0, 6.0, 2.0, 1.0]


@pytest.mark.parametrize(("tier", "interval_ms"), [(0, MINUTE_MS), (1, 5 * MINUTE_MS)])
@pytest.mark.parametrize(("idle_min", "expected"), [(115, [0.0, 6.0]), (120, [0.0, 6.0]), (200, [0.0, 0.0])])
def test_a_series_begins_anew_after_the_idle_time(
    tier: int, interval_ms: int, idle_min: int, expected: list[float]
) -> None:
    """Growth over a shorter gap counts in the window where the series is seen again, at any interval."""
    windows = fold_raw([counter([(0, 1.0), (idle_min, 7.0)])], TIERS)[tier]
    assert increase_of(windows, interval_ms, IDLE_MS).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, IDLE_MS - 1), st.integers(0, 50)), max_size=60), st.integers(0, 10**9))
def test_increases_of_every_tier_add_up_whatever_the_gaps(steps: list[tuple[int, int]], start_ms: int) -> None:
    """Each is what the counter did, resets included, where no gap is as long as the idle time."""
    ts_ms = start_ms + np.cumsum([0, *(gap_ms for gap_ms, _ in steps)], dtype=np.int64)
    values = [10, *(value for _, value in steps)]
    batch = SampleBatch(np.zeros(len(values), np.uint32), ts_ms, np.array(values, np.float64))
    went_up = sum(after - before if after >= before else after for before, after in pairwise(values))
    tiers = fold_raw([batch], TIERS)
    for upper in TIERS[2:]:
        tiers.append(fold_tier(tiers[-1], upper))
    for windows, tier in zip(tiers, TIERS, strict=True):
        assert increase_of(windows, tier.interval_ms, IDLE_MS).sum() == went_up, tier.name


def test_windows_without_numbers_have_no_figures() -> None:
    """NaN everywhere, and the step goes past them."""
    windows = fold_raw([counter([(0, 1.0), (1, math.nan), (2, 4.0)])], TIERS)[0]
    assert np.isnan(mean_of(windows)).tolist() == [False, True, False]
    assert np.isnan(stddev_of(windows)).tolist() == [False, True, False]
    assert str(increase_of(windows, MINUTE_MS, IDLE_MS).tolist()) == "[0.0, nan, 3.0]"
    for told in (mean_of(windows), stddev_of(windows), increase_of(windows, MINUTE_MS, IDLE_MS)):
        assert int(told.view(np.uint64)[1]) == 0x7FF8000000000000  # another sign would be another NaN in texts


def test_another_series_begins_at_its_own_first_row() -> None:
    """Rows of two series stand behind one another."""
    batch = SampleBatch(np.array([0, 1], np.uint32), np.array([0, MINUTE_MS]), np.array([1.0, 5.0]))
    assert increase_of(fold_raw([batch], TIERS)[0], MINUTE_MS, IDLE_MS).tolist() == [0.0, 0.0]


def test_quantiles_come_from_sketches_and_are_refused_elsewhere() -> None:
    """Quantiles from sketches are within 1.1 % of those of the samples; tiers without sketches refuse them."""
    batch = batch_of(series=1)
    minutes, windows = fold_raw([batch], TIERS)
    got = quantiles_in(fold_tier(windows, TIERS[2]), [0.5, 0.99])
    first_hour = batch.value[batch.ts_ms < 60 * MINUTE_MS]
    assert got[0] == pytest.approx(np.quantile(first_hour, [0.5, 0.99]), rel=0.011)
    with pytest.raises(BadQuery, match="no quantiles"):
        quantiles_in(minutes, [0.5])
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(BadQuery, match="between 0 and 1"):
            quantiles_in(windows, [0.5, wrong])
