"""Derived columns of windows, computed for answers. Stored rows are not changed.

mean      sum / count, between min and max  stddev    sqrt(m2 / count), of the population as PromQL has it
increase  inside the window, and the step from the row before it, unless the series was idle between them
"""

from collections.abc import Sequence

import numpy as np

from nissa._fast.sketch import quantiles_of
from nissa.model.columns import ValueColumn
from nissa.model.errors import BadQuery
from nissa.model.ladder import WindowBatch

CARRY_SCALE = 2.0**32  # of the total that stands in ``carry`` where ``sum`` is beyond the float64


def mean_of(windows: WindowBatch) -> ValueColumn:
    """The mean of each window, never outside of its values; NaN where it has no numbers."""
    total, count, carry = windows.sum, windows.count, windows.carry
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = total / count
        beyond = np.isinf(total) & (np.abs(carry) > 0)  # the total is; each value is finite
        if beyond.any():
            mean = np.where(beyond, carry / count * CARRY_SCALE, mean)
        inside = np.fmin(np.fmax(mean, windows.min), windows.max)  # NaN where a tier does not keep them: no bounds
        return one_nan(np.where(np.isnan(mean), mean, inside))


def stddev_of(windows: WindowBatch) -> ValueColumn:
    """The standard deviation of each window; NaN where it has no numbers, or infinite ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return one_nan(np.sqrt(windows.m2 / windows.count))


def increase_of(windows: WindowBatch, interval_ms: int, idle_ttl_ms: int) -> ValueColumn:
    """The increase of each window with the step from the row before; NaN where it has no numbers.

    windows: sorted; the row before the first that is asked for stands in front, where there is one.
    idle_ttl_ms: a row has no step where its window starts so long after the end of the row before, or later. Samples
        less than this apart always have their step, at every interval.
    """
    out = np.full(len(windows), np.nan)
    rows = np.flatnonzero(windows.count)
    with np.errstate(invalid="ignore"):  # between two infinities there is no step
        out[rows] = windows.last[rows] - windows.first[rows] + windows.resets[rows]
    before, after = rows[:-1], rows[1:]
    apart_ms = windows.start_ms[after] - windows.start_ms[before]
    near = (windows.series[before] == windows.series[after]) & (apart_ms - interval_ms < idle_ttl_ms)
    before, after = before[near], after[near]
    last, first = windows.last[before], windows.first[after]
    with np.errstate(invalid="ignore"):  # between two infinities there is no step
        out[after] += first - np.where(first >= last, last, 0.0)
    return one_nan(out)


def one_nan(values: ValueColumn) -> ValueColumn:
    """The same values, in place, every NaN that of stored rows: processors make NaN of either sign."""
    values[np.isnan(values)] = np.nan
    return values


def quantiles_in(windows: WindowBatch, probabilities: Sequence[float]) -> ValueColumn:
    """Quantiles of each window, shape (rows, probabilities); NaN where it has no numbers.

    Raises: BadQuery for a probability outside of 0 to 1, or for a tier without sketches; Malformed for a damaged one.
    """
    asked = check_quantiles(probabilities)
    if windows.sketch is None:
        raise BadQuery("this tier has no quantiles")
    return quantiles_of(windows.sketch.offsets, windows.sketch.data, asked, windows.min, windows.max)


def check_quantiles(probabilities: Sequence[float]) -> ValueColumn:
    """Probabilities as a column. Raises: BadQuery."""
    for one in probabilities:
        if not 0.0 <= one <= 1.0:
            raise BadQuery(f"invalid parameter 'quantiles': {one} is not between 0 and 1")
    return np.array(probabilities, np.float64)
