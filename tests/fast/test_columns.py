"""``_fast/columns`` against its slow twin."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.columns import SortedRows, sort_resolve
from oracle.columns import STALE_BITS, Sample, resolve

ODD_BITS = [
    STALE_BITS,
    0x7FF8000000000001,  # a quiet NaN
    0xFFF8000000000000,  # a NaN with its sign set
    0x7FF0000000000001,  # a signalling NaN
    0x8000000000000000,  # -0.0
    0x0000000000000000,
    0x0000000000000001,  # the smallest denormal
    0x7FF0000000000000,  # +Inf
    0xFFF0000000000000,  # -Inf
    0x3FF0000000000000,  # 1.0
    0xBFF0000000000000,  # -1.0
]
SAMPLES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 7, 900, 2**32 - 1]), st.integers(-3, 3), st.sampled_from(ODD_BITS)), max_size=60
)


def columns(samples: list[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples as three arrays."""
    series = np.array([sample[0] for sample in samples], np.uint32)
    ts_ms = np.array([sample[1] for sample in samples], np.int64)
    return series, ts_ms, np.array([sample[2] for sample in samples], np.uint64).view(np.float64)


def samples_of(series: np.ndarray, ts_ms: np.ndarray, value: np.ndarray) -> list[Sample]:
    """Three arrays as samples."""
    return list(zip(series.tolist(), ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True))


def agree(samples: list[Sample], cuts: list[int], rows_aim: int) -> None:
    """The compiled module and the twin keep and drop the same rows."""
    series, ts_ms, value = columns(samples)
    edges = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    parts = [(series[first:last], ts_ms[first:last], value[first:last]) for first, last in pairwise(edges)]
    kept, dropped = resolve(samples)
    rows, got, origins = SortedRows(parts), [], []
    while len(chunk := rows.next_rows(rows_aim)[0:4]) and len(chunk[0]):
        got += samples_of(*chunk[:3])
        origins += chunk[3].tolist()
    assert got == kept
    assert [samples[row] for row in origins] == kept
    got_dropped, differs = rows.dropped_rows()
    assert dict(zip(got_dropped.tolist(), differs.astype(bool).tolist(), strict=True)) == dropped
    assert sorted(origins + got_dropped.tolist()) == list(range(len(samples)))
    assert samples_of(*sort_resolve(parts)[:3]) == kept


@settings(max_examples=400, deadline=None)
@given(SAMPLES, st.lists(st.integers(0, 60), max_size=3), st.integers(1, 70))
def test_sorts_and_resolves_like_the_twin(samples: list[Sample], cuts: list[int], rows_aim: int) -> None:
    """Any rows, cut into any parts and handed out in any chunks, come out as the twin says."""
    agree(samples, cuts, rows_aim)


@settings(max_examples=200, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False))
def test_every_order_of_arrival_gives_the_same_state(samples: list[Sample], chance: random.Random) -> None:
    """Permuting and repeating rows never changes the rows kept."""
    again = samples + chance.sample(samples, len(samples) // 2)
    chance.shuffle(again)
    once, twice = sort_resolve([columns(samples)]), sort_resolve([columns(again)])
    assert samples_of(*once[:3]) == samples_of(*twice[:3])


@pytest.mark.parametrize(
    ("series_count", "order"),
    [
        *((1, "rounds"), (1, "shuffled"), (9, "shuffled"), (3_000, "backwards"), (3_000, "sorted")),
        *((200_000, "rounds"), (200_000, "shuffled"), (2**32, "sorted"), (2**32, "backwards")),
    ],
)
def test_large_heads_over_many_buckets(series_count: int, order: str) -> None:
    """Dense, sparse, one-series and out-of-order heads of many buckets agree with a stable sort of numpy."""
    chance = np.random.default_rng(7)
    rows = 60_000
    series = chance.integers(0, series_count, rows).astype(np.uint32)
    ts_ms = np.arange(rows, dtype=np.int64) // 3
    if order == "shuffled":
        chance.shuffle(ts_ms)
    elif order == "sorted":
        series.sort()
    elif order == "backwards":
        ts_ms = ts_ms[::-1].copy()
    value = chance.integers(0, 4, rows).astype(np.float64)
    samples = samples_of(series, ts_ms, value)
    agree(samples, [1_000, 1_000, 44_444], 10_000)


def test_parts_may_be_empty_and_columns_must_be_equally_long() -> None:
    """No parts and empty parts give no rows; unequal columns are refused."""
    nothing = columns([])
    assert [len(column) for column in sort_resolve([])] == [0] * 5
    assert [len(column) for column in sort_resolve([nothing, nothing])] == [0] * 5
    with pytest.raises(ValueError, match="different lengths"):
        sort_resolve([(np.zeros(2, np.uint32), np.zeros(1, np.int64), np.zeros(2))])
