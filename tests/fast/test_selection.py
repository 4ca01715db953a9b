"""``_fast/selection`` against its slow twin."""

import numpy as np
import pytest
from fast.test_columns import ODD_BITS, SAMPLES, columns, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.selection import against_sorted, first_unsorted, select_rows
from oracle.columns import Sample, rank, resolve, select


@settings(max_examples=200, deadline=None)
@given(SAMPLES, st.sets(st.sampled_from([0, 1, 2, 7, 900, 1_000])), st.integers(-4, 4), st.integers(-4, 4))
def test_selects_like_the_twin(samples: list[Sample], wanted: set[int], start_ms: int, end_ms: int) -> None:
    """Wanted series inside the half-open interval, in their order, bit for bit."""
    mask = np.zeros(1_001, np.uint8)
    mask[list(wanted)] = 1
    got = select_rows(*columns(samples), mask, start_ms, end_ms)
    assert samples_of(*got) == select(samples, wanted, start_ms, end_ms)


@settings(max_examples=300, deadline=None)
@given(SAMPLES, st.lists(SAMPLES, max_size=3))
def test_stands_against_the_winner_of_all_blocks(samples: list[Sample], blocks: list[list[Sample]]) -> None:
    """Over several blocks, a row's standing is how it compares with the best value any of them holds."""
    head = resolve(samples)[0]
    standing = np.zeros(len(head), np.uint8)
    best: dict[tuple[int, int], int] = {}
    for block in blocks:
        rows = resolve(block)[0]
        against_sorted(*columns(head), *columns(rows), standing)
        for series, ts_ms, bits in rows:
            best[series, ts_ms] = max(best.get((series, ts_ms), bits), bits, key=rank)
    for (series, ts_ms, bits), got in zip(head, standing.tolist(), strict=True):
        held = best.get((series, ts_ms))
        want = 0 if held is None else 2 if held == bits else 1 if rank(bits) > rank(held) else 3
        assert got == want


def test_first_unsorted_row() -> None:
    """The first row that repeats a key or goes back is named."""
    assert first_unsorted(*columns([])[:2]) == -1
    assert first_unsorted(*columns([(1, 1, 0), (1, 2, 0), (2, 0, 0)])[:2]) == -1
    assert first_unsorted(*columns([(1, 1, 0), (1, 1, 0)])[:2]) == 1
    assert first_unsorted(*columns([(1, 1, 0), (2, 1, 0), (1, 9, 0)])[:2]) == 2


def test_lengths_are_checked() -> None:
    """Columns of unequal length are refused before anything is read."""
    series, ts_ms, value = columns([(1, 1, ODD_BITS[0])])
    with pytest.raises(ValueError, match="different lengths"):
        select_rows(series, ts_ms, value[:0], np.zeros(1, np.uint8), 0, 1)
    with pytest.raises(ValueError, match="standing has 0 rows"):
        against_sorted(series, ts_ms, value, series, ts_ms, value, np.zeros(0, np.uint8))
