"""The compiled functions over windows: borders, the row before a range, totals beyond the float64, bad columns."""

import math

import numpy as np
import pytest

from nissa._fast.tier_windows import NAMES, NEEDED, NUMBERS, over_tier
from nissa.model.units import HOUR_MS

M = 60_000
Row = tuple[int, dict[str, float]]


def columns_of(*series: list[Row]) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
    """Rows of (minute, changes) as columns; without changes a row is one sample of the value 1."""
    usual = {"count": 1, "nans": 0, "carry": 0.0, "m2": 0.0, "resets": 0.0}
    usual |= dict.fromkeys(("sum", "min", "max", "first", "last"), 1.0)
    rows = [(minute, usual | changes) for one in series for minute, changes in one]
    offsets = np.cumsum([0, *map(len, series)])
    starts = np.array([minute * M for minute, _ in rows], np.int64)
    counts = [np.array([row[name] for _, row in rows], np.uint32) for name in ("count", "nans")]
    return (offsets, starts, *counts), {name: np.array([row[name] for _, row in rows], np.float64) for name in NUMBERS}


def over(name: str, columns: object, ends: list[int], minutes: int, interval_ms: int = M) -> list[list[float | None]]:
    """Values by series and step, None where there is none."""
    keys, numbers = columns  # type: ignore[misc]
    values, present = over_tier(name, keys, numbers, np.array(ends, np.int64) * M, minutes * M, interval_ms)
    return [
        [value if there else None for value, there in zip(*pair, strict=True)]
        for pair in zip(values.tolist(), present.tolist(), strict=True)
    ]


def test_ranges_are_half_open_and_series_apart() -> None:
    """Rows that start in [end - range, end); a series without rows in it has no value."""
    columns = columns_of([(0, {}), (1, {"count": 5}), (4, {"nans": 2})], [], [(2, {})])
    assert over("count", columns, [0, 1, 2, 3, 4, 5], 2) == [
        [None, 1, 6, 5, None, 3],
        [None] * 6,
        [None, None, None, 1, 1, None],
    ]
    assert over("ts_of_first", columns, [3], 3)[0] == [0]
    assert over("ts_of_last", columns, [3], 3)[0] == [120]
    assert over("present", columns, [3], 1) == [[None], [None], [1]]


def test_the_row_before_counts_where_it_is_near() -> None:
    """As near as the samples of the range are to one another, a window more; NaN rows are passed over."""
    rows = [
        (0, {"first": 1.0, "last": 4.0}),
        (3, {"first": 9.0, "last": 9.0}),
        (4, {"first": 9.5, "last": 12.0, "count": 2}),
    ]
    assert over("increase", columns_of(rows), [5], 2) == [
        [3.0]
    ]  # three samples in two minutes, and one 3 minutes before
    assert over("increase", columns_of(rows), [4], 1) == [[None]]
    assert over("increase", columns_of(rows), [4], 2) == [[5.0]]
    assert over("increase", columns_of(rows), [5], 1) == [[3.0]]
    assert over("rate", columns_of(rows), [5], 1) == [[3.0 / 60]]
    with_nan = [rows[0], (2, {"count": 0, "nans": 1, "first": math.nan, "last": math.nan}), *rows[1:]]
    assert over("increase", columns_of(with_nan), [4], 2) == [[5.0]]
    assert over("increase", columns_of(with_nan), [3], 1) == [[None]]
    far = [(0, {"last": 1.0}), (200, {"first": 5.0, "last": 5.0})]
    assert over("increase", columns_of(far), [240], 60, HOUR_MS) == [[None]]


def test_resets_between_rows_and_into_the_range() -> None:
    """The value before a fall of a counter counts once, and it rises from zero after it; a gauge just falls."""
    rows = [
        (0, {"first": 1.0, "last": 10.0}),
        (1, {"first": 3.0, "last": 5.0, "resets": 7.0, "count": 3}),
        (2, {"first": 2.0, "last": 8.0, "count": 2}),
    ]
    assert over("increase", columns_of(rows), [3], 2) == [[3 + (5 - 3 + 7) + (2 + 6)]]
    assert over("delta", columns_of(rows), [3], 2) == [[8 - 10]]
    assert over("irate", columns_of(rows), [3], 2) == [[8 / 60]]
    assert over("irate", columns_of(rows), [2], 2) == [[(3 + 9) / 60]]


def test_totals_beyond_the_float64_have_means() -> None:
    """Their sum is infinite, as that of samples; their mean comes from carry."""
    huge = {"count": 4, "sum": math.inf, "carry": 1e308 / 2**32 * 4, "min": 1e308, "max": 1e308}
    columns = columns_of([(0, huge), (1, {"count": 4, "sum": 4.0})])
    assert over("sum", columns, [2], 2) == [[math.inf]]
    assert over("avg", columns, [1], 1) == [[pytest.approx(1e308)]]
    assert over("avg", columns, [2], 2) == [[pytest.approx(5e307)]]
    lacking = columns_of([(0, {"sum": 1e16, "carry": 1.0, "count": 2}), (1, {"sum": -1e16, "carry": math.nan})])
    assert over("sum", lacking, [2], 2) == [[1.0]]


def test_equal_values_have_no_deviation() -> None:
    """Though their means are rounded."""
    columns = columns_of([(at, {"count": 3, "sum": 0.1 * 3, "min": 0.1, "max": 0.1}) for at in range(5)])
    assert over("stddev", columns, [5], 5) == [[0.0]]
    apart = columns_of([(0, {"count": 1, "sum": 1.0}), (1, {"count": 1, "sum": 3.0, "min": 3.0, "max": 3.0})])
    assert over("stdvar", apart, [2], 2) == [[1.0]]


def test_columns_that_do_not_fit_are_refused() -> None:
    """Columns of different lengths are refused before any row is read."""
    (offsets, starts, count, nans), numbers = columns_of([(0, {}), (1, {})])
    ends = np.array([M], np.int64)
    with pytest.raises(KeyError, match="changes"):
        over_tier("changes", (offsets, starts, count, nans), numbers, ends, M, M)
    for range_ms, interval_ms in ((M + 1, M), (0, M), (M, 0), (M, 2 * M)):
        with pytest.raises(ValueError, match="no multiple"):
            over_tier("count", (offsets, starts, count, nans), numbers, ends, range_ms, interval_ms)
    for wrong in (offsets + 1, offsets[::-1].copy(), np.array([0, 3]), np.empty(0, np.int64)):
        with pytest.raises(ValueError, match="offsets"):
            over_tier("count", (wrong, starts, count, nans), numbers, ends, M, M)
    with pytest.raises(ValueError, match="columns do not fit"):
        over_tier("count", (offsets, starts, count[:1].copy(), nans), numbers, ends, M, M)
    with pytest.raises(ValueError, match="numbers of last"):
        over_tier("last", (offsets, starts, count, nans), {"last": numbers["last"][:1].copy()}, ends, M, M)
    with pytest.raises(KeyError):
        over_tier("last", (offsets, starts, count, nans), {}, ends, M, M)
    assert set(NEEDED) < set(NAMES)
