"""Totals of groups, against sums over lists."""

import math
import random
import statistics

import numpy as np
import pytest

from nissa._fast import groups as fast


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups, values and marks of 60 rows at 7 steps."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(60, 7)) * 10.0 ** chance.integers(-8, 8, (60, 7))
    return chance.integers(0, 5, 60).astype(np.uint32), values, (chance.random((60, 7)) < 0.6).astype(np.uint8)


def cells(rows: tuple[np.ndarray, np.ndarray, np.ndarray], group: int, step: int) -> list[float]:
    """The values of one group at one step."""
    groups, values, present = rows
    return values[(groups == group) & (present[:, step] != 0), step].tolist()


def test_totals_are_those_of_lists(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Sums, counts, means, variances and extremes of each group and step, from two slices of rows."""
    shape = (5, 7)
    sums, lost, counts = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.uint64)
    means = np.zeros((5, 7 * fast.MEAN_BYTES), np.uint8)
    spreads = np.zeros((5, 7 * fast.SPREAD_BYTES), np.uint8)
    largest, seen = np.zeros(shape), np.zeros(shape, np.uint8)
    for part in (slice(0, 25), slice(25, 60)):
        groups, values, present = (column[part] for column in rows)
        fast.add_sums(groups, values, present, sums, lost, counts)
        fast.add_means(groups, values, present, means)
        fast.add_spreads(groups, values, present, spreads)
        fast.add_extremes(groups, values, present, True, largest, seen)
    averages, there = fast.close_means(means)
    variances, _ = fast.close_spreads(spreads, False)
    for group in range(5):
        for step in range(7):
            own = cells(rows, group, step)
            assert counts[group, step] == len(own)
            assert bool(there[group, step]) is bool(own) is bool(seen[group, step])
            if own:
                assert math.isclose(sums[group, step] + lost[group, step], math.fsum(own), rel_tol=1e-12, abs_tol=1e-18)
                assert math.isclose(averages[group, step], math.fsum(own) / len(own), rel_tol=1e-12, abs_tol=1e-18)
                assert math.isclose(variances[group, step], statistics.pvariance(own), rel_tol=1e-9, abs_tol=1e-18)
                assert largest[group, step] == max(own)


def test_a_mean_survives_a_sum_past_the_largest_number() -> None:
    """Values whose sum overflows still have their mean; NaN gives way to numbers in extremes."""
    values, present = np.array([[1.7e308], [1.7e308], [1.7e308]]), np.ones((3, 1), np.uint8)
    means = np.zeros((1, fast.MEAN_BYTES), np.uint8)
    fast.add_means(np.zeros(3, np.uint32), values, present, means)
    assert math.isclose(fast.close_means(means)[0][0, 0], 1.7e308)
    extremes, seen = np.zeros((1, 1)), np.zeros((1, 1), np.uint8)
    fast.add_extremes(np.zeros(3, np.uint32), np.array([[math.nan], [3.0], [2.0]]), present, False, extremes, seen)
    assert extremes[0, 0] == 2.0


def test_wrong_shapes_are_refused() -> None:
    """Rows, groups and totals that do not fit together never reach the loops."""
    present, totals = np.ones((2, 3), np.uint8), np.zeros((1, 3), np.uint64)
    with pytest.raises(ValueError, match="past"):
        fast.add_counts(np.array([0, 1], np.uint32), present, totals)
    with pytest.raises(ValueError, match="steps"):
        fast.add_counts(np.zeros(2, np.uint32), present, np.zeros((1, 2), np.uint64))
    with pytest.raises(ValueError, match="rows"):
        fast.group_rows(np.zeros((1, 2), np.uint32), 3)
