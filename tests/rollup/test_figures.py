"""Figures of windows against numpy on the samples themselves."""

import math

import numpy as np
import pytest
from rollup.walks import TIERS, batch_of

from nissa.model.columns import SampleBatch
from nissa.model.errors import BadQuery
from nissa.model.units import MINUTE_MS
from nissa.rollup.figures import SILENT_WINDOWS_MAX, increase_of, mean_of, quantiles_in, stddev_of
from nissa.rollup.fold import fold_raw, fold_tier


def counter(points: list[tuple[int, float]]) -> SampleBatch:
    """Samples of one series: (minutes, value)."""
    ts_ms = np.array([int(minute * MINUTE_MS) for minute, _ in points], np.int64)
    return SampleBatch(np.zeros(len(points), np.uint32), ts_ms, np.array([value for _, value in points]))


def test_mean_and_deviation_are_those_of_the_samples() -> None:
    """At every tier, within rounding."""
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


def test_increase_counts_the_step_from_the_window_before() -> None:
    """So the windows of a counter add up to all it went up, resets included."""
    points = [(0, 3.0), (0.5, 5.0), (1, 9.0), (1.5, 2.0), (2, 4.0), (3, 1.0)]
    windows = fold_raw([counter(points)], TIERS)[0]
    assert increase_of(windows, MINUTE_MS).tolist() == [2.0, 6.0, 2.0, 1.0]


@pytest.mark.parametrize("silent", [0, SILENT_WINDOWS_MAX, SILENT_WINDOWS_MAX + 1])
def test_a_series_silent_for_long_begins_anew(silent: int) -> None:
    """Up to the limit its growth is counted where it is seen again."""
    windows = fold_raw([counter([(0, 1.0), (silent + 1, 7.0)])], TIERS)[0]
    assert increase_of(windows, MINUTE_MS).tolist() == [0.0, 6.0 if silent <= SILENT_WINDOWS_MAX else 0.0]


def test_windows_without_numbers_have_no_figures() -> None:
    """NaN everywhere, and the step goes past them."""
    windows = fold_raw([counter([(0, 1.0), (1, math.nan), (2, 4.0)])], TIERS)[0]
    assert np.isnan(mean_of(windows)).tolist() == [False, True, False]
    assert np.isnan(stddev_of(windows)).tolist() == [False, True, False]
    assert str(increase_of(windows, MINUTE_MS).tolist()) == "[0.0, nan, 3.0]"
    for told in (mean_of(windows), stddev_of(windows), increase_of(windows, MINUTE_MS)):
        assert int(told.view(np.uint64)[1]) == 0x7FF8000000000000  # of either sign it would be told as another one


def test_another_series_begins_at_its_own_first_row() -> None:
    """Rows of two series stand behind one another."""
    batch = SampleBatch(np.array([0, 1], np.uint32), np.array([0, MINUTE_MS]), np.array([1.0, 5.0]))
    assert increase_of(fold_raw([batch], TIERS)[0], MINUTE_MS).tolist() == [0.0, 0.0]


def test_quantiles_come_from_sketches_and_are_refused_elsewhere() -> None:
    """Within 1.1 % of those of the samples."""
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
