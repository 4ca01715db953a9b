"""``_fast/rollup`` against its slow twin, bit for bit."""

import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.rollup import explicit_extrema, fold_samples, fold_windows
from nissa.model.errors import Malformed
from oracle.columns import STALE_BITS, Sample, bits_of, resolve
from oracle.ladder import NUMBERS, Windows, bucket_of, same_bits, sketch_bytes, sketches_of, wider, windows_of

FINE_MS, WIDE_MS, HOUR_MS = 60_000, 300_000, 3_600_000
NAMES = ("series", "start_ms", "count", "nans", *NUMBERS)
ODD = [STALE_BITS, 0x7FF8000000000001, 0xFFF8000000000000, *map(bits_of, (math.inf, -math.inf, 0.0, -0.0, 5e-324))]
BITS = st.one_of(
    st.sampled_from(ODD),
    st.integers(-5, 5).map(lambda number: bits_of(float(number))),
    st.floats(allow_nan=False, allow_infinity=False).map(bits_of),
)
TIMES = st.one_of(st.integers(-400_000, 400_000), st.integers(-10, 10).map(lambda window: window * FINE_MS))
SAMPLES = st.lists(st.tuples(st.sampled_from([0, 1, 7, 2**32 - 1]), TIMES, BITS), max_size=80)


def part_of(samples: list[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples, sorted and resolved, as a part."""
    kept = resolve(samples)[0]
    series = np.array([sample[0] for sample in kept], np.uint32)
    ts_ms = np.array([sample[1] for sample in kept], np.int64)
    return series, ts_ms, np.array([sample[2] for sample in kept], np.uint64).view(np.float64)


def rows_of(columns: tuple[np.ndarray, ...]) -> list[dict[str, float]]:
    """Columns as rows."""
    lists = [column.tolist() for column in columns]
    return [dict(zip(NAMES, row, strict=True)) for row in zip(*lists, strict=True)]


def agree(columns: tuple[np.ndarray, ...], expected: Windows) -> None:
    """The same rows in the same order, to the last bit."""
    rows = rows_of(columns)
    assert [(row["series"], row["start_ms"]) for row in rows] == sorted(expected)
    for row in rows:
        twin = expected[int(row["series"]), int(row["start_ms"])]
        assert (row["count"], row["nans"]) == (twin["count"], twin["nans"])
        for name in NUMBERS:
            # Of zeros of both signs the twin's min() and max() keep the first as well.
            assert same_bits(row[name], twin[name]), (name, row, twin)


def pieces(sketches: tuple[np.ndarray, np.ndarray]) -> list[bytes]:
    """A column of sketches as bytes."""
    offsets, data = sketches
    return [data[start:end].tobytes() for start, end in pairwise(offsets.tolist())]


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(SAMPLES, st.integers(1, 4), st.randoms(use_true_random=False))
def test_windows_are_those_of_the_twin(samples: list[Sample], count: int, chance: random.Random) -> None:
    """Windows equal the twin's, however samples are spread over parts, in any order, repeated or not."""
    spread: list[list[Sample]] = [[] for _ in range(count)]
    for sample in samples:
        for part in chance.sample(spread, chance.randint(1, count)):
            part.append(sample)
    narrow, wide, sketches = fold_samples([part_of(part) for part in spread], FINE_MS, WIDE_MS)
    twin = windows_of(samples, FINE_MS)
    agree(narrow, twin)
    assert wide is not None
    assert sketches is not None
    agree(wide, wider(twin, WIDE_MS))
    held = sketches_of(samples, WIDE_MS)
    keys = [(int(row["series"]), int(row["start_ms"])) for row in rows_of(wide)]
    assert pieces(sketches) == [sketch_bytes(held[key]) for key in keys]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("buckets", [1, 2, 63, 64, 65, 128, 129, 255, 256, 257, 3_000])
def test_a_window_is_counted_alike_however_wide_its_values_lie(buckets: int, sign: int) -> None:
    """From the same bucket to further apart than the counters of one window reach."""
    chance = np.random.default_rng(buckets)
    exponents = np.concatenate([[0, buckets - 1], chance.integers(0, buckets, 298)])
    values = sign * np.exp2((exponents - 0.5) / 32 - 2)
    ts_ms = WIDE_MS + np.arange(300, dtype=np.int64) * 1_000
    _, _, sketches = fold_samples([(np.zeros(300, np.uint32), ts_ms, values)], FINE_MS, WIDE_MS)
    assert sketches is not None
    assert pieces(sketches) == [sketch_bytes(Counter(bucket_of(value) for value in values.tolist()))]


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_wide_windows_are_the_narrow_ones_folded(samples: list[Sample]) -> None:
    """One pass over samples and a fold of its own rows are the same, bit for bit."""
    narrow, wide, _ = fold_samples([part_of(samples)], FINE_MS, WIDE_MS)
    again, none = fold_windows(narrow, None, WIDE_MS)
    assert none is None
    assert wide is not None
    for left, right in zip(wide, again, strict=True):
        assert left.tobytes() == right.tobytes()


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_sketches_merge_exactly_up_the_ladder(samples: list[Sample]) -> None:
    """An hour's sketch out of five-minute ones is that of its samples."""
    _, wide, sketches = fold_samples([part_of(samples)], FINE_MS, WIDE_MS)
    assert wide is not None
    hours, merged = fold_windows(wide, sketches, HOUR_MS)
    assert merged is not None
    agree(hours, wider(wider(windows_of(samples, FINE_MS), WIDE_MS), HOUR_MS))
    held = sketches_of(samples, HOUR_MS)
    keys = [(int(row["series"]), int(row["start_ms"])) for row in rows_of(hours)]
    assert pieces(merged) == [sketch_bytes(held[key]) for key in keys]


@settings(max_examples=200, deadline=None)
@given(SAMPLES, st.integers(-8, 8))
def test_a_window_does_not_depend_on_what_is_around_it(samples: list[Sample], cut: int) -> None:
    """Folding before and after a border of windows apart gives the rows of folding all at once."""
    border = cut * WIDE_MS
    before = [sample for sample in samples if sample[1] < border]
    after = [sample for sample in samples if sample[1] >= border]
    whole = rows_of(fold_samples([part_of(samples)], FINE_MS)[0])
    halves = [rows_of(fold_samples([part_of(half)], FINE_MS)[0]) for half in (before, after)]
    apart = sorted(halves[0] + halves[1], key=lambda row: (row["series"], row["start_ms"]))
    assert repr(apart) == repr(whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200), st.integers(1, 60))
def test_figures_are_those_of_numpy(values: list[float], step_s: int) -> None:
    """Sum, mean and deviation up two tiers are what numpy says of the samples, but for rounding."""
    ts_ms = np.arange(len(values), dtype=np.int64) * step_s * 1_000
    part = (np.zeros(len(values), np.uint32), ts_ms, np.array(values))
    _, wide, sketches = fold_samples([part], FINE_MS, WIDE_MS)
    assert wide is not None
    hours, _ = fold_windows(wide, sketches, HOUR_MS)
    for row in rows_of(hours):
        inside = part[2][(ts_ms >= row["start_ms"]) & (ts_ms < row["start_ms"] + HOUR_MS)]
        assert row["count"] == len(inside)
        scale = np.abs(inside).max() + 1e-300
        assert row["sum"] == pytest.approx(inside.sum(), abs=1e-9 * scale * len(inside))
        assert math.sqrt(row["m2"] / len(inside)) == pytest.approx(inside.std(), rel=2**-23, abs=1e-9 * scale)
        assert (row["min"], row["max"]) == (inside.min(), inside.max())


HUGE = [1e16, -1e16, 1.0, 3.7, 1.7e308, -1.7e308, 1e300, -1e300, 5e-324, math.inf, -math.inf]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HUGE), st.floats(-1e3, 1e3)), min_size=1, max_size=40), st.integers(1, 60))
def test_sums_beside_what_cancels_and_what_overflows(values: list[float], step_s: int) -> None:
    """Bit for bit those of the twin, at every tier."""
    samples = one_series(values, step_s * 1_000)
    narrow, wide, sketches = fold_samples([part_of(samples)], FINE_MS, WIDE_MS)
    twin = windows_of(samples, FINE_MS)
    agree(narrow, twin)
    assert wide is not None
    agree(wide, wider(twin, WIDE_MS))
    agree(fold_windows(wide, sketches, HOUR_MS)[0], wider(wider(twin, WIDE_MS), HOUR_MS))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e18, 1e18), min_size=1, max_size=300))
def test_a_sum_is_the_exact_one_but_for_its_last_bit(values: list[float]) -> None:
    """The error is one last bit, plus a loss by cancellation far below the last bit of the largest value."""
    narrow, _, _ = fold_samples([part_of(one_series(values, 1))], FINE_MS, WIDE_MS)
    exact = math.fsum(values)
    (row,) = rows_of(narrow)
    lost = 2.0**-95 * len(values) ** 2 * max(map(abs, values))
    assert abs(row["sum"] - exact) <= math.ulp(exact) + lost


@pytest.mark.parametrize("step_ms", [1_000, 60_000, 300_000])
def test_what_cancels_leaves_what_is_left(step_ms: int) -> None:
    """[1e16, 1, -1e16] comes to 1 in one window, in windows of their own, and at every tier above."""
    narrow, wide, sketches = fold_samples([part_of(one_series([1e16, 1.0, -1e16], step_ms))], FINE_MS, WIDE_MS)
    assert wide is not None
    hours, _ = fold_windows(wide, sketches, HOUR_MS)
    days, _ = fold_windows(hours, None, 24 * HOUR_MS)
    for rows in (rows_of(narrow), rows_of(wide), rows_of(hours), rows_of(days)):
        if len(rows) == 1:
            assert (rows[0]["sum"], rows[0]["carry"]) == (1.0, 0.0)
    assert len(rows_of(hours)) == 1


def test_a_block_without_carry_is_folded_as_if_nothing_were_missing() -> None:
    """Rows of earlier builds have NaN there."""
    narrow, _, _ = fold_samples([part_of(one_series([0.1] * 40))], FINE_MS, WIDE_MS)
    before = (*narrow[:11], np.full(len(narrow[0]), np.nan))
    (row,) = rows_of(fold_windows(before, None, HOUR_MS)[0])
    assert row["sum"] == pytest.approx(4.0, rel=1e-15)
    assert abs(row["carry"]) < 1e-15


def one_series(values: list[float], interval_ms: int = 10_000, start_ms: int = 0) -> list[Sample]:
    """Samples of one series at an interval."""
    return [(0, start_ms + index * interval_ms, bits_of(value)) for index, value in enumerate(values)]


def test_resets_count_what_the_counter_has_come_to_since() -> None:
    """0 5 9 | reset 2 3: 9 up, then 3, in one window or across a border."""
    narrow, wide, _ = fold_samples([part_of(one_series([0, 5, 9, 2, 3], 20_000))], FINE_MS, WIDE_MS)
    assert wide is not None
    assert [row["last"] - row["first"] + row["resets"] for row in rows_of(narrow)] == [9.0, 1.0]
    assert [row["last"] - row["first"] + row["resets"] for row in rows_of(wide)] == [12.0]
    assert [row["resets"] for row in (*rows_of(narrow), *rows_of(wide))] == [0.0, 0.0, 9.0]


def test_a_staleness_marker_is_no_value_and_no_reset() -> None:
    """A staleness marker changes no column; a window of markers alone has no row."""
    samples = [*one_series([1, 2, 4]), (0, 30_000, STALE_BITS), (0, 70_000, STALE_BITS), *one_series([6], 1, 130_000)]
    narrow, wide, _ = fold_samples([part_of(samples)], FINE_MS, WIDE_MS)
    assert wide is not None
    assert [(row["start_ms"], row["count"]) for row in rows_of(narrow)] == [(0, 3), (120_000, 1)]
    assert [(row["count"], row["last"], row["resets"]) for row in rows_of(wide)] == [(4, 6.0, 0.0)]


def test_a_nan_is_counted_apart() -> None:
    """A NaN changes no other column; a window of NaN alone has a row without numbers."""
    samples = one_series([1, math.nan, 3, *[math.nan] * 6, 5])
    rows = rows_of(fold_samples([part_of(samples)], FINE_MS)[0])
    assert [(row["count"], row["nans"], row["sum"]) for row in rows] == [(2, 4, 4.0), (1, 3, 5.0)]
    alone = rows_of(fold_samples([part_of(one_series([math.nan]))], FINE_MS)[0])[0]
    assert (alone["count"], alone["nans"], alone["sum"]) == (0, 1, 0.0)
    assert all(math.isnan(alone[name]) for name in ("min", "max", "first", "last"))


def test_equal_values_have_no_deviation() -> None:
    """Whatever their mean was rounded to."""
    narrow, wide, _ = fold_samples([part_of(one_series([0.1] * 90))], FINE_MS, WIDE_MS)
    assert wide is not None
    assert {row["m2"] for row in [*rows_of(narrow), *rows_of(wide)]} == {0.0}


def test_time_before_1970_has_windows_too() -> None:
    """Half-open ones, whose starts are multiples of the interval."""
    samples = [(3, ts_ms, bits_of(1.0)) for ts_ms in (-60_001, -60_000, -1, 0)]
    rows = rows_of(fold_samples([part_of(samples)], FINE_MS)[0])
    assert [(row["start_ms"], row["count"]) for row in rows] == [(-120_000, 1), (-60_000, 2), (0, 1)]


def test_nothing_folds_to_nothing() -> None:
    """No parts, and parts without rows, give no windows."""
    for parts in ([], [part_of([])], [part_of([]), part_of([])]):
        narrow, wide, sketches = fold_samples(parts, FINE_MS, WIDE_MS)
        assert wide is not None
        assert sketches is not None
        assert (len(narrow[0]), len(wide[0]), sketches[0].tolist()) == (0, 0, [0])
        assert len(fold_windows(wide, sketches, HOUR_MS)[0][0]) == 0


@pytest.mark.parametrize(
    ("series", "ts_ms"), [([1, 0], [0, 0]), ([0, 0], [5, 5]), ([0, 0], [70_000, 5]), ([0, 0, 0], [0, 9, 3])]
)
def test_rows_out_of_order_are_refused(series: list[int], ts_ms: list[int]) -> None:
    """A part, and the windows of a tier, must be strictly ascending."""
    part = (np.array(series, np.uint32), np.array(ts_ms, np.int64), np.zeros(len(series)))
    with pytest.raises(ValueError, match="strictly ascending"):
        fold_samples([part], FINE_MS, WIDE_MS)
    zeros = np.zeros(len(series), np.uint32)
    columns = (part[0], part[1], zeros, zeros, *[part[2]] * 8)
    with pytest.raises(ValueError, match="strictly ascending"):
        fold_windows(columns, None, WIDE_MS)


def test_what_does_not_fit_is_refused() -> None:
    """Times where window arithmetic could overflow, uneven columns, intervals that do not divide."""
    far = (np.zeros(1, np.uint32), np.array([2**62], np.int64), np.zeros(1))
    with pytest.raises(ValueError, match=r"2\^62"):
        fold_samples([far], FINE_MS)
    with pytest.raises(ValueError, match="different lengths"):
        fold_samples([(far[0], far[1], np.zeros(2))], FINE_MS)
    for interval_ms, wide_ms in ((0, 0), (-1, 0), (60_000, 90_000), (60_000, -60_000)):
        with pytest.raises(ValueError, match="divide"):
            fold_samples([], interval_ms, wide_ms)
    full = np.full(2, 2**32 - 1, np.uint32)
    columns = (np.zeros(2, np.uint32), np.array([0, 60_000]), full, full, *[np.zeros(2)] * 8)
    with pytest.raises(ValueError, match="2\\^32 - 1 values"):
        fold_windows(columns, None, WIDE_MS)


def test_a_damaged_sketch_is_told_with_its_place() -> None:
    """Folding stops there."""
    _, wide, sketches = fold_samples([part_of(one_series([1.0, 2.0, 3.0], 300_000))], FINE_MS, WIDE_MS)
    assert wide is not None
    assert sketches is not None
    offsets, data = sketches
    data[offsets[1]] = 0x1F
    with pytest.raises(Malformed, match=f"at byte {offsets[1]}"):
        fold_windows(wide, (offsets, data), HOUR_MS)
    with pytest.raises(ValueError, match="offsets"):
        fold_windows(wide, (offsets + 1, data), HOUR_MS)
    with pytest.raises(ValueError, match="offsets"):
        fold_windows(wide, (offsets[1:], data), HOUR_MS)


def test_samples_outside_of_a_range_are_passed_over() -> None:
    """Only what lies in [start_ms, end_ms) is folded, of one part and of several."""
    samples = [(series, ts_ms, bits_of(float(ts_ms))) for series in range(3) for ts_ms in range(0, 900_000, 7_000)]
    within = [sample for sample in samples if 300_000 <= sample[1] < 600_000]
    halves = [part_of(samples[::2]), part_of(samples[1::2])]
    for parts in ([part_of(samples)], halves):
        got = fold_samples(parts, FINE_MS, WIDE_MS, 300_000, 600_000)
        expected = fold_samples([part_of(within)], FINE_MS, WIDE_MS)
        for one, other in zip(got, expected, strict=True):
            assert one is not None
            assert other is not None
            assert [column.tobytes() for column in one] == [column.tobytes() for column in other]


@pytest.mark.parametrize("interval_ms", [1, 7, FINE_MS])
def test_there_is_room_for_the_most_windows_there_can_be(interval_ms: int) -> None:
    """Samples at the very end of one window and the very beginning of a later one, as far apart as times may be."""
    for apart in (1, 2, 5, 50):
        times = [-1, *(window * interval_ms for window in range(apart))]
        samples = [(series, ts_ms, bits_of(1.0)) for series in (0, 3) for ts_ms in times]
        for parts in ([samples], [samples[::2], samples[1::2]], [samples, samples]):
            narrow, wide, _ = fold_samples([part_of(part) for part in parts], interval_ms, 5 * interval_ms)
            agree(narrow, windows_of(samples, interval_ms))
            assert wide is not None
            agree(wide, wider(windows_of(samples, interval_ms), 5 * interval_ms))
    ends = (np.zeros(2, np.uint32), np.array([-(2**62), 2**62 - 1], np.int64), np.ones(2))
    narrow, _, _ = fold_samples([ends], interval_ms)
    assert narrow[2].tolist() == [1, 1]


def test_edges_that_have_to_be_told() -> None:
    """Bits mark edges that are not the smaller or larger of first and last; zeros of both signs are distinguished."""
    first = np.array([1.0, 2.0, 0.0, -0.0, np.nan, 5.0, 1.0, 1.0, 4.0])
    last = np.array([3.0, 1.0, -0.0, 0.0, np.nan, 5.0, 2.0, 2.0, 3.0])
    edge = np.array([1.0, 1.0, 0.0, 0.0, np.nan, 4.0, 1.0, 0.5, 3.0])
    bits, told = explicit_extrema(edge, first, last, False)
    assert np.unpackbits(bits, bitorder="little").tolist() == [0, 0, 0, 1, 0, 1, 0, 1] + [0] * 8
    assert told == 3
    bits, told = explicit_extrema(np.maximum(first, last), first, last, True)
    assert told <= 2
    assert np.unpackbits(bits, bitorder="little")[[0, 1, 4, 5, 6, 7, 8]].sum() == 0
    with pytest.raises(ValueError, match="different lengths"):
        explicit_extrema(edge, first[1:], last, False)


@pytest.mark.parametrize("rows", range(18))
def test_edges_of_any_number_of_rows(rows: int) -> None:
    """The last bits of the last byte stand for no row."""
    zeros, edge = np.zeros(rows), np.arange(rows) % 3 * 1.0
    bits, told = explicit_extrema(edge, zeros, zeros, True)
    assert np.unpackbits(bits, bitorder="little").tolist() == [*(edge != 0), *[False] * (-rows % 8)]
    assert told == np.count_nonzero(edge)
