"""Functions over windows of a tier instead of samples.

    step at t, range r, windows of w        answered as t' = floor(t, w) with r' = ceil(r, w), half-open: [t' - r', t')

    count sum avg min max stddev stdvar present first last    exactly of the samples in those windows
    increase rate delta                                       and the step from the sample before them, in the place
                                                              of an extrapolation
    quantile                                                  from sketches
    instant selectors                                         the last sample in the windows of the lookback

The formulas are compiled (``_fast/tier_windows.pyx``). ``docs/promql.md`` has their differences from samples.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec
import numpy as np

from nissa._fast.tier_windows import BEFORE_MS_MAX, NEEDED, over_tier
from nissa.model.ladder import INTERVAL_MS_MAX, Aggregate, Tier, WindowBatch
from nissa.promql.source import RowColumn, TierColumns
from nissa.promql.values import Present, TimeColumn, Values
from nissa.rollup.derived_columns import quantiles_in
from nissa.rollup.fold import fold_tier
from nissa.rollup.windows import take_windows

COUNTED = ("rate", "increase", "delta", "irate")  # they look at the row before their range
# Kernel -> the aggregates a tier must keep to answer it. Others need samples.
NEEDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("count", "present", "ts_of_first", "ts_of_last"), frozenset[str]()),
    **{one: frozenset({one}) for one in ("first", "last", "sum", "min", "max")},
    "avg": frozenset({Aggregate.SUM.value}),
    **dict.fromkeys(("stddev", "stdvar"), frozenset({Aggregate.STDDEV.value})),
    **dict.fromkeys(("rate", "increase", "irate"), frozenset({Aggregate.INCREASE.value})),
    "delta": frozenset({Aggregate.FIRST.value, Aggregate.LAST.value}),
    "quantile": frozenset({Aggregate.QUANTILES.value}),
}
SHARED = frozenset({"count", "sum", "increase", "delta"})  # twice the range, twice the value
CELL_WINDOWS_MAX = 200_000  # merged at a time for quantiles
_ONE = Tier(INTERVAL_MS_MAX, INTERVAL_MS_MAX)  # what all windows of a step are folded into


class Older(msgspec.Struct, frozen=True):
    """Steps [first, last) of some rows that a tier answers.

    rows: None for all. range_ms: as written. columns: of the windows, where the function is not made of sketches;
    sketches: reads them, series numbered from 0 as the rows are.
    """

    rows: RowColumn | None
    first: int
    last: int
    at_ms: TimeColumn
    range_ms: int
    interval_ms: int
    columns: TierColumns | None = None
    sketches: Callable[[], Iterator[WindowBatch]] | None = None

    def put(self, function: str, values: Values, present: Present, parameter: Values | None = None) -> None:
        """Write what the function makes of the windows into a matrix. parameter: by step of the matrix."""
        end_ms, wide_ms = borders(self.at_ms, self.interval_ms), widened(self.range_ms, self.interval_ms)
        if self.sketches is not None and parameter is not None:
            asked = parameter[self.first : self.last]
            found, there = _quantiles(self.sketches(), self._row_count(values), end_ms, wide_ms, asked)
        elif self.columns is not None:
            keys = self.columns.keys
            found, there = over_tier(function, keys, self.columns.numbers, end_ms, wide_ms, self.interval_ms)
            if function in SHARED and wide_ms != self.range_ms:
                found *= self.range_ms / wide_ms
        else:
            return
        steps = slice(self.first, self.last)
        if self.rows is None:
            values[:, steps], present[:, steps] = found, there
        else:
            values[self.rows, steps], present[self.rows, steps] = found, there

    def _row_count(self, values: Values) -> int:
        return len(values) if self.rows is None else len(self.rows)


def borders(at_ms: TimeColumn, interval_ms: int) -> TimeColumn:
    """The last border of windows at or before each time."""
    return np.floor_divide(at_ms, interval_ms) * interval_ms


def widened(range_ms: int, interval_ms: int) -> int:
    """A range made of whole windows."""
    return -(-range_ms // interval_ms) * interval_ms


def span_of(function: str, at_ms: TimeColumn, range_ms: int, interval_ms: int) -> tuple[int, int]:
    """Return the half-open range of window starts that a function reads for all steps, with the one before the range.

    function: its name. at_ms: steps, Unix milliseconds, ascending. range_ms: length of the range. interval_ms: length
    of a window.
    """
    wide_ms = widened(range_ms, interval_ms)
    before_ms = interval_ms + widened(min(wide_ms, BEFORE_MS_MAX), interval_ms) if function in COUNTED else 0
    first_ms, last_ms = borders(at_ms[[0, -1]], interval_ms).tolist()
    return first_ms - wide_ms - before_ms, last_ms


def numbers_for(function: str) -> tuple[str, ...]:
    """The columns of windows that a function needs."""
    return NEEDED.get(function, ())


def _quantiles(
    batches: Iterable[WindowBatch], rows: int, end_ms: TimeColumn, range_ms: int, asked: Values
) -> tuple[Values, Present]:
    """Quantiles of the windows that start in [end - range, end), from their sketches together. asked: by step."""
    values, present = np.zeros((rows, len(end_ms))), np.zeros((rows, len(end_ms)), np.uint8)
    wanted = np.unique(asked[(asked >= 0) & (asked <= 1)])
    for batch in batches:
        for cells, windows in _folded_cells(batch, end_ms, range_ms):
            row, step = np.divmod(cells, len(end_ms))
            probabilities = asked[step]
            found = np.where(probabilities < 0, -np.inf, np.where(probabilities > 1, np.inf, np.nan))
            inside = np.flatnonzero((probabilities >= 0) & (probabilities <= 1))
            if len(inside):
                all_found = quantiles_in(windows, wanted.tolist())
                found[inside] = all_found[inside, np.searchsorted(wanted, probabilities[inside])]
            values[row, step], present[row, step] = found, 1
    return values, present


def _folded_cells(batch: WindowBatch, end_ms: TimeColumn, range_ms: int) -> Iterator[tuple[RowColumn, WindowBatch]]:
    """Numbers of cells (series times steps, and step) that have windows, and one window for each."""
    steps = len(end_ms)
    series, firsts = np.unique(batch.series, return_index=True)
    ends = np.append(firsts[1:], len(batch))
    low, high = np.empty((len(series), steps), np.int64), np.empty((len(series), steps), np.int64)
    for at, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        starts = batch.start_ms[first:end]
        low[at] = first + np.searchsorted(starts, end_ms - range_ms)
        high[at] = first + np.searchsorted(starts, end_ms)
    cells = (series.astype(np.int64)[:, None] * steps + np.arange(steps)).ravel()
    counts = (high - low).ravel()
    filled = np.flatnonzero(counts)
    cells, begins, counts = cells[filled], low.ravel()[filled], counts[filled]
    totals = np.cumsum(counts)
    begin = 0
    while begin < len(cells):
        done = int(totals[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(totals, done + CELL_WINDOWS_MAX, "right")), begin + 1)
        yield cells[begin:end], _one_each(batch, begins[begin:end], counts[begin:end])
        begin = end


def _one_each(batch: WindowBatch, low: RowColumn, counts: RowColumn) -> WindowBatch:
    """Rows [low, low + count) of each cell as one window."""
    places = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = take_windows(batch, np.repeat(low, counts) + places)
    if (counts == 1).all():
        return taken
    numbers = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    return fold_tier(msgspec.structs.replace(taken, series=numbers, start_ms=places), _ONE)
