"""Windows that slide over sorted columns: PromQL's range functions and selectors over samples.

    offsets  0           4        6          series i owns samples [offsets[i], offsets[i + 1]), sorted by time
    ts_ms    1 2 3 4     2 4
    value    · · · ·     · ·

    at_ms        a0      a1      a2          steps, ascending; one row of the result per series, one column per step
                 │       │       │
    ──(──────────]       │       │           the window of a step is (at - range, at]; its two ends only move forward,
          (──────────────]       │           so a series is walked once
                  (──────────────]

    values   float64 (series, steps)         present uint8 (series, steps): 1 where there is a value, NaN or not

The formulas stand in ``over_time.pxd`` and ``slope.pxd``. This file knows no labels, no expression and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from nissa._fast.over_time cimport (OverTime, Window, avg_over, changes_over, count_over, deviation_over, first_over,
                                    last_over, max_over, median_deviation_over, min_over, present_over, quantile_over,
                                    resets_over, sum_over, time_of_first, time_of_last, time_of_max, time_of_min,
                                    variance_over)
from nissa._fast.ordered cimport insert_key, key_of, quantile_of_keys, remove_key, replace_key
from nissa._fast.sample cimport STALE_BITS
from nissa._fast.slope cimport (delta_over, deriv_over, idelta_over, increase_over, irate_over, predict_over, rate_over,
                                smooth_over)

import numpy as np

# Samples per step up to which a window's values are kept in order from step to step.
cdef enum: SLIDING_SAMPLES_MAX = 8

cdef struct Samples:
    const int64_t* offsets      # series + 1 of them
    const int64_t* ts_ms
    const uint64_t* bits
    size_t series
    size_t longest              # samples of the longest series

cdef struct Steps:
    const int64_t* at_ms
    const double* first         # parameters of the function by step, or NULL
    const double* second
    size_t count
    int64_t range_ms

cdef struct Matrix:
    double* value
    uint8_t* present

NAMES = ("count", "present", "first", "last", "sum", "avg", "min", "max", "ts_of_first", "ts_of_last", "ts_of_min",
         "ts_of_max", "stdvar", "stddev", "quantile", "mad", "changes", "resets", "rate", "increase", "delta", "irate",
         "idelta", "deriv", "predict_linear", "double_exponential_smoothing")
NUMBERS = {name: number for number, name in enumerate(NAMES)}
cdef OverTime[26] FUNCTIONS
FUNCTIONS[:] = [count_over, present_over, first_over, last_over, sum_over, avg_over, min_over, max_over, time_of_first,
                time_of_last, time_of_min, time_of_max, variance_over, deviation_over, quantile_over,
                median_deviation_over, changes_over, resets_over, rate_over, increase_over, delta_over, irate_over,
                idelta_over, deriv_over, predict_over, smooth_over]


# ---- Boundary --------------------------------------------------------------------------------------------------------

def over_windows(str name not None, columns, const int64_t[::1] at_ms not None, int64_t range_ms, first=None,
                 second=None):
    """Applies the function ``name`` to the samples in (at - range_ms, at] of each series and step.

    name: one of NAMES. columns: (offsets int64 (series + 1,), ts_ms int64 (n,), value float64 (n,)), without staleness
    markers. at_ms: ascending. first, second: parameters, float64 by step.
    Returns: values float64 (series, steps), present uint8 of the same shape. Raises: KeyError, ValueError.
    GIL: released. Cost: 3 to 6 ns per cell and 1 to 4 ns per sample in its window. Rates of counters that do not fall
    8 ns per cell. Quantiles 30 to 50 ns per cell where few samples come and go with a step, else 10 ns per sample.
    """
    cdef Samples samples
    cdef Steps steps
    cdef Matrix out
    cdef OverTime function = FUNCTIONS[<int>NUMBERS[name]]
    point_samples(&samples, columns)
    point_steps(&steps, at_ms, range_ms, first, second)
    if function == quantile_over and first is None:
        raise ValueError("a quantile needs its parameter")
    values, present = new_matrix(&out, samples.series, steps.count)
    scratch = np.empty(samples.longest, np.float64)
    cdef double[::1] scratch_view = scratch
    cdef double* scratch_at = &scratch_view[0] if samples.longest else NULL
    if samples.series and steps.count:
        with nogil:
            slide(function, &samples, &steps, scratch_at, &out)
    return values, present


def look_back(columns, const int64_t[::1] at_ms not None, int64_t lookback_ms, bint times=False):
    """The last sample in (at - lookback_ms, at] of each series and step, unless it is a staleness marker.

    columns, at_ms: as for ``over_windows``, staleness markers included. times: the sample's time in seconds instead.
    Returns: values and present. GIL: released. Cost: 2 ns per cell and 1 ns per sample.
    """
    cdef Samples samples
    cdef Steps steps
    cdef Matrix out
    point_samples(&samples, columns)
    point_steps(&steps, at_ms, lookback_ms, None, None)
    values, present = new_matrix(&out, samples.series, steps.count)
    if samples.series and steps.count:
        with nogil:
            find_last(&samples, &steps, times, &out)
    return values, present


def without_stale(columns):
    """The columns without staleness markers; the same where there are none. GIL: released. Cost: 1 ns per sample."""
    cdef Samples samples
    cdef size_t stale = 0
    offsets, ts_ms, value = columns
    point_samples(&samples, columns)
    cdef size_t rows = len(ts_ms)
    with nogil:
        stale = count_stale(samples.bits, rows)
    if not stale:
        return columns
    out_offsets = np.empty(samples.series + 1, np.int64)
    out_ts, out_bits = np.empty(rows - stale, np.int64), np.empty(rows - stale, np.uint64)
    cdef int64_t[::1] offsets_view = out_offsets
    cdef int64_t[::1] ts_view = out_ts
    cdef uint64_t[::1] bits_view = out_bits
    cdef int64_t* ts_at = &ts_view[0] if rows > stale else NULL
    cdef uint64_t* bits_at = &bits_view[0] if rows > stale else NULL
    with nogil:
        drop_stale(&samples, &offsets_view[0], ts_at, bits_at)
    return out_offsets, out_ts, out_bits.view(np.float64)


def from_matrix(values, const uint8_t[:, ::1] present not None, const int64_t[::1] at_ms not None):
    """The present cells of a matrix as columns, as ``over_windows`` takes them. GIL: released. Cost: 2 ns per cell."""
    cdef const double[:, ::1] cells = values
    cdef size_t series = present.shape[0], steps = present.shape[1]
    if cells.shape[0] != present.shape[0] or cells.shape[1] != present.shape[1] or at_ms.shape[0] != present.shape[1]:
        raise ValueError(f"a matrix of {values.shape} beside {np.shape(present)} marks and {len(at_ms)} steps")
    offsets = np.zeros(series + 1, np.int64)
    np.cumsum(np.count_nonzero(present, axis=1), out=offsets[1:])
    out_ts, out_value = np.empty(offsets[series], np.int64), np.empty(offsets[series], np.float64)
    cdef int64_t[::1] ts_view = out_ts
    cdef double[::1] value_view = out_value
    if offsets[series]:
        with nogil:
            collect(&cells[0, 0], &present[0, 0], &at_ms[0], series, steps, &ts_view[0], &value_view[0])
    return offsets, out_ts, out_value


cdef int point_samples(Samples* samples, columns) except -1:
    """Point at three columns; whoever calls keeps them alive."""
    cdef const int64_t[::1] offsets = columns[0]
    cdef const int64_t[::1] ts_ms = columns[1]
    cdef const uint64_t[::1] bits = columns[2].view(np.uint64)
    if offsets.shape[0] < 1 or ts_ms.shape[0] != bits.shape[0] or offsets[offsets.shape[0] - 1] != ts_ms.shape[0]:
        lengths = f"{len(columns[0])} offsets, {len(columns[1])} times, {len(columns[2])} values"
        raise ValueError(f"columns do not fit: {lengths}")
    samples.series = offsets.shape[0] - 1
    samples.offsets = &offsets[0]
    samples.ts_ms = &ts_ms[0] if ts_ms.shape[0] else NULL
    samples.bits = &bits[0] if bits.shape[0] else NULL
    lengths = np.diff(columns[0])
    if offsets[0] != 0 or (len(lengths) and lengths.min() < 0):
        raise ValueError("offsets do not ascend from 0")
    samples.longest = lengths.max() if len(lengths) else 0
    return 0


cdef int point_steps(Steps* steps, const int64_t[::1] at_ms, int64_t range_ms, first, second) except -1:
    cdef const double[::1] first_view
    cdef const double[::1] second_view
    steps.count = at_ms.shape[0]
    steps.at_ms = &at_ms[0] if at_ms.shape[0] else NULL
    steps.range_ms = range_ms
    steps.first = steps.second = NULL
    for parameter in (first, second):
        if parameter is not None and len(parameter) != at_ms.shape[0]:
            raise ValueError(f"a parameter for {len(parameter)} steps of {at_ms.shape[0]}")
    if first is not None and steps.count:
        first_view = first
        steps.first = &first_view[0]
    if second is not None and steps.count:
        second_view = second
        steps.second = &second_view[0]
    return 0


cdef tuple new_matrix(Matrix* out, size_t series, size_t steps):
    values, present = np.zeros((series, steps), np.float64), np.zeros((series, steps), np.uint8)
    cdef double[:, ::1] value_view = values
    cdef uint8_t[:, ::1] present_view = present
    out.value, out.present = NULL, NULL
    if series and steps:
        out.value, out.present = &value_view[0, 0], &present_view[0, 0]
    return values, present


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void slide(OverTime function, const Samples* samples, const Steps* steps, double* scratch,
                Matrix* out) noexcept nogil:
    cdef size_t series, rows
    for series in range(samples.series):
        rows = samples.offsets[series + 1] - samples.offsets[series]
        if function == quantile_over and rows <= SLIDING_SAMPLES_MAX * steps.count:
            slide_quantiles(samples, steps, series, <int64_t*>scratch, out)
        else:
            slide_series(function, samples, steps, series, scratch, out)


cdef void slide_series(OverTime function, const Samples* samples, const Steps* steps, size_t series, double* scratch,
                       Matrix* out) noexcept nogil:
    cdef Window window
    cdef size_t step, cell = series * steps.count
    cdef int64_t low = samples.offsets[series], high = low, fell = low, end = samples.offsets[series + 1]
    cdef const double* value = <const double*>samples.bits
    window.range_ms, window.scratch = steps.range_ms, scratch
    window.first = window.second = 0.0
    for step in range(steps.count):
        window.at_ms = steps.at_ms[step]
        while high < end and samples.ts_ms[high] <= window.at_ms:
            if high > low and value[high] < value[high - 1]:
                fell = high
            high += 1
        while low < high and samples.ts_ms[low] <= window.at_ms - steps.range_ms:
            low += 1
        if low < high:
            window.ts_ms, window.value = samples.ts_ms + low, value + low
            window.count, window.fell = high - low, fell > low
            if steps.first != NULL:
                window.first = steps.first[step]
            if steps.second != NULL:
                window.second = steps.second[step]
            out.present[cell] = function(&window, &out.value[cell])
        cell += 1


cdef void slide_quantiles(const Samples* samples, const Steps* steps, size_t series, int64_t* keys,
                          Matrix* out) noexcept nogil:
    """Quantiles of windows that share most of their samples: the values of the window are kept in order."""
    cdef const double* value = <const double*>samples.bits
    cdef size_t step, cell = series * steps.count
    cdef int64_t low = samples.offsets[series], high = low, end = samples.offsets[series + 1], after_ms
    for step in range(steps.count):
        after_ms = steps.at_ms[step] - steps.range_ms
        while high < end and samples.ts_ms[high] <= steps.at_ms[step]:
            if low < high and samples.ts_ms[low] <= after_ms:
                replace_key(keys, high - low, key_of(value[low]), key_of(value[high]))
                low += 1
            else:
                insert_key(keys, high - low, key_of(value[high]))
            high += 1
        while low < high and samples.ts_ms[low] <= after_ms:
            remove_key(keys, high - low, key_of(value[low]))
            low += 1
        if low < high:
            out.value[cell] = quantile_of_keys(keys, high - low, steps.first[step])
            out.present[cell] = True
        cell += 1


cdef void find_last(const Samples* samples, const Steps* steps, bint times, Matrix* out) noexcept nogil:
    cdef size_t series, step, cell = 0
    cdef int64_t high, end, start
    for series in range(samples.series):
        start = high = samples.offsets[series]
        end = samples.offsets[series + 1]
        for step in range(steps.count):
            while high < end and samples.ts_ms[high] <= steps.at_ms[step]:
                high += 1
            if high > start and is_fresh(samples, high - 1, steps.at_ms[step] - steps.range_ms):
                out.present[cell] = True
                if times:
                    out.value[cell] = <double>samples.ts_ms[high - 1] / 1000.0
                else:
                    (<uint64_t*>out.value)[cell] = samples.bits[high - 1]
            cell += 1


cdef size_t count_stale(const uint64_t* bits, size_t rows) noexcept nogil:
    cdef size_t row, stale = 0
    for row in range(rows):
        stale += bits[row] == STALE_BITS
    return stale


cdef void drop_stale(const Samples* samples, int64_t* offsets, int64_t* ts_ms, uint64_t* bits) noexcept nogil:
    cdef size_t series
    cdef int64_t row, kept = 0
    offsets[0] = 0
    for series in range(samples.series):
        for row in range(samples.offsets[series], samples.offsets[series + 1]):
            if samples.bits[row] != STALE_BITS:
                ts_ms[kept] = samples.ts_ms[row]
                bits[kept] = samples.bits[row]
                kept += 1
        offsets[series + 1] = kept


cdef void collect(const double* values, const uint8_t* present, const int64_t* at_ms, size_t series, size_t steps,
                  int64_t* ts_ms, double* value) noexcept nogil:
    cdef size_t row, step, cell = 0, kept = 0
    for row in range(series):
        for step in range(steps):
            if present[cell]:
                ts_ms[kept] = at_ms[step]
                value[kept] = values[cell]
                kept += 1
            cell += 1


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint is_fresh(const Samples* samples, int64_t row, int64_t after_ms) noexcept nogil:
    return samples.ts_ms[row] > after_ms and samples.bits[row] != STALE_BITS
