"""Figures of windows: what an answer says of rows. Rows are as stored; nothing here changes them.

mean      sum / count                       stddev    sqrt(m2 / count), of the population as PromQL has it
increase  inside the window, and the step from the row before it, unless the series was silent for long between
"""

from collections.abc import Sequence

import numpy as np

from nissa._fast.sketch import quantiles_of
from nissa.model.columns import ValueColumn
from nissa.model.errors import BadQuery
from nissa.model.ladder import WindowBatch

SILENT_WINDOWS_MAX = 12  # a series silent for more windows than this begins anew: its next row has no step before it


def mean_of(windows: WindowBatch) -> ValueColumn:
    """The mean of each window; NaN where it has no numbers."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return one_nan(windows.sum / windows.count)


def stddev_of(windows: WindowBatch) -> ValueColumn:
    """The standard deviation of each window; NaN where it has no numbers, or infinite ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return one_nan(np.sqrt(windows.m2 / windows.count))


def increase_of(windows: WindowBatch, interval_ms: int) -> ValueColumn:
    """The increase of each window with the step from the row before; NaN where it has no numbers.

    windows: sorted; the row before the first that is asked for stands in front, where there is one.
    """
    out = np.full(len(windows), np.nan)
    rows = np.flatnonzero(windows.count)
    with np.errstate(invalid="ignore"):  # between two infinities there is no step
        out[rows] = windows.last[rows] - windows.first[rows] + windows.resets[rows]
    before, after = rows[:-1], rows[1:]
    apart_ms = windows.start_ms[after] - windows.start_ms[before]
    near = (windows.series[before] == windows.series[after]) & (apart_ms <= (SILENT_WINDOWS_MAX + 1) * interval_ms)
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
        raise BadQuery("this resolution keeps no quantiles")
    return quantiles_of(windows.sketch.offsets, windows.sketch.data, asked, windows.min, windows.max)


def check_quantiles(probabilities: Sequence[float]) -> ValueColumn:
    """Probabilities as a column. Raises: BadQuery."""
    for one in probabilities:
        if not 0.0 <= one <= 1.0:
            raise BadQuery(f"invalid parameter 'quantiles': {one} is not between 0 and 1")
    return np.array(probabilities, np.float64)
