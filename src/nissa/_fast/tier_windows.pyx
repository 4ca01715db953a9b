"""PromQL's functions over the windows of a tier, in place of samples.

    offsets   0              4       6       series i owns rows [offsets[i], offsets[i + 1]), sorted by start
    start_ms  0  60 120 300  0  60           rows are windows [start, start + interval) that hold something

    end_ms            e0      e1             ends of windows, ascending: a step is answered by the rows that start in
          [───────────)       │              [end - range, end), a multiple of the interval
                 [────────────)

An increase also has the step into its first row from the row before, as far as samples are apart anyway; so the
increases of ranges side by side add up, and nothing is extrapolated. This file knows no labels, no tier and no files.
"""

from libc.math cimport NAN, fabs, isfinite, isinf, sqrt
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from nissa._fast.kahan cimport Total, add_to, value_of

import numpy as np

cdef struct Rows:
    const int64_t* offsets      # series + 1 of them
    const int64_t* start_ms
    const uint32_t* count       # numbers
    const uint32_t* nans
    const double* sum           # of these NULL what the function does not need
    const double* carry
    const double* min
    const double* max
    const double* first
    const double* last
    const double* m2
    const double* resets
    size_t series
    int64_t interval_ms

cdef struct View:               # the rows of one step
    const Rows* rows
    size_t begin                # of the series
    size_t low
    size_t high
    int64_t range_ms

ctypedef bint (*OverRows)(const View* view, double* out) noexcept nogil

cdef double CARRY_SCALE = 4294967296.0  # of the total that stands in ``carry`` where ``sum`` is beyond the float64
cdef int64_t BEFORE_MS = 3600000
BEFORE_MS_MAX = BEFORE_MS       # how far apart samples may be for a step into a range, beside a window
NAMES = ("count", "present", "first", "last", "sum", "avg", "min", "max", "stdvar", "stddev", "rate", "increase",
         "delta", "irate", "ts_of_first", "ts_of_last")
NUMBERS = ("sum", "carry", "min", "max", "first", "last", "m2", "resets")
NEEDED = {"first": ("first",), "last": ("last",), "sum": ("sum", "carry"), "avg": ("sum", "carry"), "min": ("min",),
          "max": ("max",), "stdvar": ("sum", "carry", "min", "max", "m2"), "delta": ("first", "last"),
          "stddev": ("sum", "carry", "min", "max", "m2"), **dict.fromkeys(("rate", "increase", "irate"),
                                                                         ("first", "last", "resets"))}
cdef OverRows[16] FUNCTIONS
FUNCTIONS[:] = [count_of, present_of, first_of, last_of, sum_of, avg_of, min_of, max_of, variance_of, deviation_of,
                rate_of, increase_of, delta_of, irate_of, time_of_first, time_of_last]


# ---- Boundary --------------------------------------------------------------------------------------------------------

def over_tier(str name not None, keys, dict numbers not None, const int64_t[::1] end_ms not None, int64_t range_ms,
              int64_t interval_ms):
    """Applies the function ``name`` to the rows that start in [end - range_ms, end) of each series and step.

    name: one of NAMES. keys: (offsets int64 (series + 1,), start_ms int64 (n,), count uint32 (n,), nans uint32 (n,)).
    numbers: by name the columns float64 (n,) that ``NEEDED`` names. end_ms: ascending. range_ms: whole intervals.
    Returns: values float64 (series, steps), present uint8 of the same shape. Raises: KeyError, ValueError.
    GIL: released. Cost: 3 ns per cell and 1 to 4 ns per row in its range.
    """
    cdef Rows rows
    cdef OverRows function = FUNCTIONS[<int>NAMES.index(name)] if name in NAMES else NULL
    if function == NULL:
        raise KeyError(name)
    if interval_ms < 1 or range_ms < interval_ms or range_ms % interval_ms:
        raise ValueError(f"a range of {range_ms} ms is no multiple of windows of {interval_ms} ms")
    held = point_rows(&rows, keys, numbers, NEEDED.get(name, ()))
    rows.interval_ms = interval_ms
    cdef size_t steps = end_ms.shape[0]
    values, present = np.zeros((rows.series, steps), np.float64), np.zeros((rows.series, steps), np.uint8)
    cdef double[:, ::1] value_view = values
    cdef uint8_t[:, ::1] present_view = present
    if rows.series and steps:
        with nogil:
            slide(function, &rows, &end_ms[0], steps, range_ms, &value_view[0, 0], &present_view[0, 0])
    del held
    return values, present


cdef list point_rows(Rows* rows, keys, dict numbers, tuple needed):
    """Point at the columns; the list keeps them alive."""
    cdef const int64_t[::1] offsets = keys[0]
    cdef const int64_t[::1] start_ms = keys[1]
    cdef const uint32_t[::1] count = keys[2]
    cdef const uint32_t[::1] nans = keys[3]
    cdef const double[::1] column
    cdef const double* pointers[8]
    cdef Py_ssize_t length = start_ms.shape[0]
    lengths = np.diff(keys[0])
    descends = len(lengths) > 0 and lengths.min() < 0
    if offsets.shape[0] < 1 or offsets[0] != 0 or descends or offsets[len(lengths)] != length:
        raise ValueError("offsets do not ascend from 0 to the count of rows")
    if count.shape[0] != length or nans.shape[0] != length:
        raise ValueError(f"columns do not fit: {length} starts, {len(count)} counts, {len(nans)} counts of NaN")
    held = [offsets, start_ms, count, nans]
    for place, name in enumerate(NUMBERS):
        pointers[place] = NULL
        if name in needed:
            column = numbers[name]
            if column.shape[0] != length:
                raise ValueError(f"columns do not fit: {length} starts, {len(column)} numbers of {name}")
            held.append(column)
            pointers[place] = &column[0] if length else NULL
    rows.series = offsets.shape[0] - 1
    rows.offsets = &offsets[0]
    rows.start_ms = &start_ms[0] if length else NULL
    rows.count = &count[0] if length else NULL
    rows.nans = &nans[0] if length else NULL
    rows.sum, rows.carry, rows.min, rows.max = pointers[0], pointers[1], pointers[2], pointers[3]
    rows.first, rows.last, rows.m2, rows.resets = pointers[4], pointers[5], pointers[6], pointers[7]
    return held


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void slide(OverRows function, const Rows* rows, const int64_t* end_ms, size_t steps, int64_t range_ms,
                double* value, uint8_t* present) noexcept nogil:
    cdef View view
    cdef size_t series, step, end, cell = 0
    view.rows, view.range_ms = rows, range_ms
    for series in range(rows.series):
        view.begin = view.low = view.high = rows.offsets[series]
        end = rows.offsets[series + 1]
        for step in range(steps):
            while view.high < end and rows.start_ms[view.high] < end_ms[step]:
                view.high += 1
            while view.low < view.high and rows.start_ms[view.low] < end_ms[step] - range_ms:
                view.low += 1
            if view.low < view.high:
                present[cell] = function(&view, &value[cell])
            cell += 1


cdef bint has_nans(const View* view) noexcept nogil:
    cdef size_t at
    for at in range(view.low, view.high):
        if view.rows.nans[at]:
            return True
    return False


cdef bint count_of(const View* view, double* out) noexcept nogil:
    cdef double count = 0.0
    cdef size_t at
    for at in range(view.low, view.high):
        count += <double>view.rows.count[at] + <double>view.rows.nans[at]
    out[0] = count
    return True


cdef bint sum_of(const View* view, double* out) noexcept nogil:
    """The compensated total; NaN where a sample is, as of samples."""
    cdef Total total
    add_up(view, &total)
    out[0] = NAN if has_nans(view) else value_of(&total)
    return True


cdef bint avg_of(const View* view, double* out) noexcept nogil:
    """The total by its count; where that is beyond the float64, the mean of the means."""
    cdef Total total
    cdef double count = 0.0, mean = 0.0, share
    cdef size_t at
    add_up(view, &total)
    for at in range(view.low, view.high):
        if view.rows.count[at]:
            count += <double>view.rows.count[at]
            share = <double>view.rows.count[at] / count
            mean = mean * (1.0 - share) + mean_of_row(view.rows, at) * share if count > view.rows.count[at] else \
                mean_of_row(view.rows, at)
    if has_nans(view):
        out[0] = NAN
    elif isfinite(total.sum):
        out[0] = total.sum / count + total.lost / count
    else:
        out[0] = mean
    return True


cdef void add_up(const View* view, Total* total) noexcept nogil:
    cdef size_t at
    total.sum, total.lost = 0.0, 0.0
    for at in range(view.low, view.high):
        add_to(total, view.rows.sum[at])
        if isfinite(view.rows.sum[at]) and isfinite(view.rows.carry[at]):
            add_to(total, view.rows.carry[at])


cdef bint min_of(const View* view, double* out) noexcept nogil:
    cdef double least = NAN
    cdef size_t at
    for at in range(view.low, view.high):
        if view.rows.count[at] and not view.rows.min[at] >= least:
            least = view.rows.min[at]
    out[0] = least
    return True


cdef bint max_of(const View* view, double* out) noexcept nogil:
    cdef double most = NAN
    cdef size_t at
    for at in range(view.low, view.high):
        if view.rows.count[at] and not view.rows.max[at] <= most:
            most = view.rows.max[at]
    out[0] = most
    return True


cdef bint variance_of(const View* view, double* out) noexcept nogil:
    """Chan's merge, means within the bounds of their rows, so that equal values have none."""
    cdef double count = 0.0, mean = 0.0, squares = 0.0, more, apart
    cdef size_t at
    for at in range(view.low, view.high):
        if view.rows.count[at]:
            more = <double>view.rows.count[at]
            apart = bounded(mean_of_row(view.rows, at), view.rows.min[at], view.rows.max[at])
            if count == 0.0:
                mean, apart = apart, 0.0
            apart -= mean if count > 0.0 else 0.0
            squares += view.rows.m2[at] + apart * apart * (count * more / (count + more))
            mean += apart * (more / (count + more))
            count += more
    out[0] = NAN if has_nans(view) else squares / count
    return True


cdef bint rise_of(const View* view, bint counter, double* out) noexcept nogil:
    """Last number less first, resets added in their order, and the step into the first from the row before.

    Between samples that are apart as those of the range are on average there is always a step.
    """
    cdef const Rows* rows = view.rows
    cdef double fallen = 0.0, begun = 0.0, last = 0.0, count = 0.0, step = 0.0
    cdef size_t at, first = view.high
    cdef bint stepped
    for at in range(view.low, view.high):
        if rows.count[at]:
            if count == 0.0:
                begun, first = rows.first[at], at
            elif counter and rows.first[at] < last:
                fallen += last
            if counter:
                fallen += rows.resets[at]
            last = rows.last[at]
            count += <double>rows.count[at]
    if count == 0.0:
        return False
    stepped = step_into(view, first, apart_ms(view, count), counter, &step)
    out[0] = last - begun + fallen + step
    return stepped or count >= 2.0


cdef bint step_into(const View* view, size_t first, int64_t apart, bint counter, double* step) noexcept nogil:
    """The step into a row from the one before with numbers, where that is near enough."""
    cdef size_t before = first
    while before > view.begin:
        before -= 1
        if view.rows.start_ms[first] - view.rows.start_ms[before] > apart:
            return False
        if view.rows.count[before]:
            step[0] = view.rows.first[first] - view.rows.last[before]
            if counter and view.rows.first[first] < view.rows.last[before]:
                step[0] = view.rows.first[first]
            return True
    return False


cdef bint irate_of(const View* view, double* out) noexcept nogil:
    """The rate from the row before the last one to the last one."""
    cdef const Rows* rows = view.rows
    cdef size_t at = view.high, before
    cdef double step = 0.0
    while at > view.low and not rows.count[at - 1]:
        at -= 1
    if at == view.low or not step_into(view, at - 1, apart_ms(view, 1.0), True, &step):
        return False
    at -= 1
    before = at - 1
    while not rows.count[before]:
        before -= 1
    step += rows.last[at] - rows.first[at] + rows.resets[at]
    out[0] = step / (<double>(rows.start_ms[at] - rows.start_ms[before]) / 1000.0)
    return True


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline int64_t apart_ms(const View* view, double count) noexcept nogil:
    """Largest distance between the starts of neighbouring rows: the mean distance of samples, and a window."""
    cdef int64_t mean = <int64_t>(<double>view.range_ms / (count - 1.0)) if count > 2.0 else view.range_ms
    return view.rows.interval_ms + (mean if mean < BEFORE_MS else BEFORE_MS)


cdef inline double mean_of_row(const Rows* rows, size_t at) noexcept nogil:
    if isinf(rows.sum[at]) and fabs(rows.carry[at]) > 0.0:
        return rows.carry[at] / <double>rows.count[at] * CARRY_SCALE
    return rows.sum[at] / <double>rows.count[at]


cdef inline double bounded(double value, double low, double high) noexcept nogil:
    return low if value < low else (high if value > high else value)


cdef inline bint present_of(const View* view, double* out) noexcept nogil:
    out[0] = 1.0
    return True


cdef inline bint first_of(const View* view, double* out) noexcept nogil:
    out[0] = view.rows.first[view.low] if view.rows.count[view.low] else NAN
    return True


cdef inline bint last_of(const View* view, double* out) noexcept nogil:
    out[0] = view.rows.last[view.high - 1] if view.rows.count[view.high - 1] else NAN
    return True


cdef inline bint deviation_of(const View* view, double* out) noexcept nogil:
    variance_of(view, out)
    out[0] = sqrt(out[0])
    return True


cdef inline bint rate_of(const View* view, double* out) noexcept nogil:
    cdef bint there = rise_of(view, True, out)
    out[0] /= <double>view.range_ms / 1000.0
    return there


cdef inline bint increase_of(const View* view, double* out) noexcept nogil:
    return rise_of(view, True, out)


cdef inline bint delta_of(const View* view, double* out) noexcept nogil:
    return rise_of(view, False, out)


cdef inline bint time_of_first(const View* view, double* out) noexcept nogil:
    out[0] = <double>view.rows.start_ms[view.low] / 1000.0
    return True


cdef inline bint time_of_last(const View* view, double* out) noexcept nogil:
    out[0] = <double>(view.rows.start_ms[view.high - 1] + view.rows.interval_ms) / 1000.0
    return True
