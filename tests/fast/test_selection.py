"""``_fast/selection`` against its slow twin."""

import numpy as np
import pytest
from fast.test_columns import ODD_BITS, SAMPLES, columns, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.selection import against_sorted, first_unsorted, raise_latest, rows_behind, select_rows
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


def test_rows_behind_and_latest() -> None:
    """A row is behind where its series has a block row as late; unknown series never are; raising is a maximum."""
    latest = np.array([20, 50, -(2**63)], np.int64)
    series, ts_ms = np.array([0, 1, 7, 2, 0], np.uint32), np.array([30, 50, 10, -(2**63) + 1, 20], np.int64)
    assert rows_behind(series, ts_ms, latest).tolist() == [1, 4]
    raise_latest(np.array([0, 1, 0], np.uint32), np.array([30, 49, 25], np.int64), latest)
    assert latest.tolist() == [30, 50, -(2**63)]
    with pytest.raises(ValueError, match="past 3 series"):
        raise_latest(series, ts_ms, latest)
    assert rows_behind(series, ts_ms, np.empty(0, np.int64)).tolist() == []


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
