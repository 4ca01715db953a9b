"""``_fast/row_index`` against its slow twin."""

import numpy as np
import pytest
from fast.test_columns import ODD_BITS, SAMPLES, columns, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.row_index import index_rows, take_indexed
from oracle.columns import Sample, select

WANTED = st.sets(st.sampled_from([0, 1, 2, 5, 7, 900, 2**32 - 1]))


def wanted_ids(wanted: set[int]) -> np.ndarray:
    """Ids as a question gives them."""
    return np.array(sorted(wanted), np.uint32)


@settings(max_examples=200, deadline=None)
@given(SAMPLES, WANTED, st.integers(-4, 4), st.integers(-4, 4))
def test_takes_like_the_twin(samples: list[Sample], wanted: set[int], start_ms: int, end_ms: int) -> None:
    """Wanted series inside the half-open interval, by series and then in order of arrival, bit for bit."""
    series, ts_ms, value = columns(samples)
    index = index_rows(series)
    want = sorted(select(samples, wanted, start_ms, end_ms), key=lambda one: one[0])
    assert samples_of(*take_indexed(*index, ts_ms, value, wanted_ids(wanted), start_ms, end_ms)) == want


@pytest.mark.parametrize("seed", range(6))
def test_many_rows_of_many_series(seed: int) -> None:
    """Ids of every number of digits, few or many wanted: the same rows as a look at each of them finds."""
    chance = np.random.default_rng(seed)
    highest = [3, 2**11, 2**11 + 1, 2**22, 2**22 + 1, 2**32 - 1][seed]
    series = chance.integers(0, highest, 20_000, np.uint32, endpoint=True)
    ts_ms = chance.integers(0, 1_000, len(series))
    value = chance.choice(np.array(ODD_BITS, np.uint64), len(series)).view(np.float64)
    ids, starts, order = index_rows(series)
    assert (ids == np.unique(series)).all()
    assert (order == np.argsort(series, kind="stable")).all()
    assert (series[order] == np.repeat(ids, np.diff(starts))).all()
    for wanted in (ids, ids[::97].copy(), ids[5:6], np.unique(chance.integers(0, highest, 50, np.uint32))):
        found = take_indexed(ids, starts, order, ts_ms, value, wanted, 100, 900)
        rows = order[np.isin(series[order], wanted) & (ts_ms[order] >= 100) & (ts_ms[order] < 900)]
        assert samples_of(*found) == samples_of(series[rows], ts_ms[rows], value[rows])


def test_rows_behind_the_index_are_not_looked_at() -> None:
    """An index of the first rows takes none of those that came later."""
    series, ts_ms, value = columns([(1, 5, 0), (2, 5, 0), (1, 6, 0)])
    index = index_rows(series[:2])
    assert samples_of(*take_indexed(*index, ts_ms, value, wanted_ids({1}), 0, 10)) == [(1, 5, 0)]


def test_an_index_of_other_rows_is_refused() -> None:
    """Columns that do not fit together raise instead of reading beyond them."""
    series, ts_ms, value = columns([(1, 5, 0), (2, 5, 0), (1, 6, 0)])
    ids, starts, order = index_rows(series)
    for args in ((ids, starts[:-1], order, ts_ms), (ids, starts, order, ts_ms[:2]), (ids, starts, order[:2], ts_ms)):
        with pytest.raises(ValueError, match="does not fit"):
            take_indexed(*args, value, ids, 0, 10)
