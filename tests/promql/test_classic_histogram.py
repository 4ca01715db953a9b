"""Quantiles and fractions of classic histograms, against distributions that are known."""

import math
import random

import numpy as np
import pytest

from nissa._fast.classic_histogram import bucket_fractions, bucket_quantiles

BOUNDS = np.array([0.1, 1.0, 2.0, math.inf])


def histogram(*counts: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One histogram at one step; a count of -1 is a bucket that is not there."""
    values = np.array(counts, np.float64).reshape(-1, 1)
    return np.arange(4), np.array([0, 4]), BOUNDS, values, (values >= 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("counts", "quantile", "wanted", "lifted"),
    [
        ((10, 90, 100, 100), 0.5, 0.55, 0),
        ((10, 90, 100, 100), 0.0, 0.0, 0),
        ((0, 0, 0, 100), 0.5, 2.0, 0),
        ((10, 90, 100, -1), 0.5, math.nan, 0),
        ((0, 0, 0, 0), 0.5, math.nan, 0),
        ((10, 5, 20, 20), 0.5, 0.1, 1),
        ((10, 90, 100, 100), 1.5, math.inf, 0),
        ((10, 90, 100, 100), -1, -math.inf, 0),
        ((10, 90, 100, 100), math.nan, math.nan, 0),
        ((1e13, 1e13 - 1, 1e13, 1e13), 1.0, 0.1, 0),
        ((10, -1, 20, 20), 0.75, 1.05, 0),
    ],
)
def test_quantiles(counts: tuple[float, ...], quantile: float, wanted: float, lifted: int) -> None:
    """Interpolated within a bucket; falling counts are evened out, and reported if more than rounding."""
    values, present, forced = bucket_quantiles(*histogram(*counts), np.array([quantile], np.float64))
    assert np.isclose(values[0, 0], wanted, equal_nan=True)
    assert (present[0, 0], forced[0, 0]) == (1, lifted)


def test_a_fraction_undoes_a_quantile() -> None:
    """The share of observations below the q-quantile is q, whatever the counts."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        first, second, third = sorted(chance.random() * 100 for _ in range(3))
        one = histogram(first, second, third, third)
        quantile = np.array([chance.random()])
        value, _, _ = bucket_quantiles(*one, quantile)
        fraction, _ = bucket_fractions(*one, np.array([-math.inf]), value[0])
        assert np.isclose(fraction[0, 0], quantile[0], rtol=1e-9)


def test_wrong_shapes_are_refused() -> None:
    """Bounds, rows and steps that do not fit never reach the loops."""
    order, starts, bounds, values, present = histogram(1, 2, 3, 4)
    with pytest.raises(ValueError, match="steps"):
        bucket_quantiles(order, starts, bounds, values, present, np.zeros(2))
    with pytest.raises(ValueError, match="out of range"):
        bucket_quantiles(order + 1, starts, bounds, values, present, np.zeros(1))
    with pytest.raises(ValueError, match="end at"):
        bucket_quantiles(order, np.array([0, 3]), bounds, values, present, np.zeros(1))
