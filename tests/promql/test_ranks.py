"""Quantiles of groups and chosen rows, against sorted lists."""

import random

import numpy as np
import pytest

from nissa._fast.ranks import choose_ranked, group_quantiles


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows by group, where groups begin, values and marks: 4 groups of 80 rows at 5 steps, every value another."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    groups = chance.integers(0, 4, 80)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(5))
    values = chance.permutation(400).reshape(80, 5).astype(np.float64)
    return order, starts, values, (chance.random((80, 5)) < 0.7).astype(np.uint8)


def test_quantiles_are_those_of_numpy(rows: tuple[np.ndarray, ...]) -> None:
    """Linear interpolation between neighbours, for each group and step."""
    order, starts, values, present = rows
    quantiles = np.array([0.0, 0.25, 0.5, 0.99, 1.0])
    found, there = group_quantiles(order, starts, values, present, quantiles)
    for group in range(4):
        own = order[starts[group] : starts[group + 1]]
        for step in range(5):
            cells = values[own, step][present[own, step] != 0]
            assert bool(there[group, step]) is bool(len(cells))
            if len(cells):
                assert np.isclose(found[group, step], np.quantile(cells, quantiles[step]), rtol=1e-12)


@pytest.mark.parametrize("largest", [True, False])
def test_chosen_are_the_first_of_a_sorted_list(rows: tuple[np.ndarray, ...], largest: bool) -> None:
    """The k largest or smallest cells of each group and step, k by step, none where k is 0."""
    order, starts, values, present = rows
    counts = np.array([0, 1, 3, 1000, 7], np.int64)
    chosen = choose_ranked(order, starts, values, present, counts, largest)
    for group in range(4):
        own = order[starts[group] : starts[group + 1]]
        for step, count in enumerate(counts.tolist()):
            there = [row for row in own.tolist() if present[row, step]]
            wanted = sorted(there, key=lambda row: values[row, step], reverse=largest)[:count]
            assert {row for row in own.tolist() if chosen[row, step]} == set(wanted)


def test_numbers_are_chosen_before_nan() -> None:
    """NaN is taken only where numbers do not suffice."""
    values, present = np.array([[np.nan], [1.0], [np.nan], [2.0]]), np.ones((4, 1), np.uint8)
    whole = np.arange(4), np.array([0, 4])
    assert choose_ranked(*whole, values, present, np.array([2]), True)[:, 0].tolist() == [0, 1, 0, 1]
    assert choose_ranked(*whole, values, present, np.array([3]), False)[:, 0].sum() == 3


def test_rows_out_of_range_are_refused() -> None:
    """Orders and starts that do not fit never reach the loops."""
    values, present = np.zeros((2, 1)), np.ones((2, 1), np.uint8)
    for order, starts in [([0, 2], [0, 2]), ([0, 1], [0, 1]), ([0, -1], [0, 2]), ([0, 1], [0, 3, 2])]:
        with pytest.raises(ValueError, match=r"row|group"):
            group_quantiles(np.array(order), np.array(starts), values, present, np.zeros(1))
