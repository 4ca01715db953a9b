"""Quantiles and fractions of classic histograms: cumulative counts by upper bound, step by step.

    bounds   0.1  1  +Inf         buckets are rows of a matrix, sorted by bound; equal bounds are added
    counts    3   7    9          at one step: those cells that are there

Counts must not fall with rising bounds. Tiny falls are rounding and are evened out; larger ones are lifted and
reported.
The formulas are Prometheus'. This file knows no labels, no expression and no files.
"""

from libc.math cimport INFINITY, NAN, fabs, isinf, isnan
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t

import numpy as np

# Rows of histograms, and the cells they have.
cdef struct Histograms:
    const int64_t* order        # rows by histogram, then by bound
    const int64_t* starts       # count + 1 of them
    const double* bounds        # by row
    const double* value         # rows × steps
    const uint8_t* present
    size_t count
    size_t steps

cdef struct Bucket:
    double bound
    double total                # observations up to the bound

cdef double TOLERANCE = 1e-12   # a relative fall below it is rounding


# ---- Boundary --------------------------------------------------------------------------------------------------------

def bucket_quantiles(const int64_t[::1] order not None, const int64_t[::1] starts not None,
                     const double[::1] bounds not None, values, present, const double[::1] quantiles not None):
    """The quantile of each histogram at each step.

    order: rows by histogram and ascending bound. starts: int64 (histograms + 1,). bounds: by row. quantiles: by step.
    Returns: values and present (histograms, steps), and marks where counts had to be lifted.
    GIL: released. Cost: 5 ns per bucket and step.
    """
    cdef Histograms histograms
    point_histograms(&histograms, order, starts, bounds, values, present, quantiles.shape[0])
    shape = (histograms.count, histograms.steps)
    out_values, out_present, forced = np.zeros(shape, np.float64), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    scratch = np.empty(max(len(order), 1) * sizeof(Bucket), np.uint8)
    cdef double[:, ::1] value_view = out_values
    cdef uint8_t[:, ::1] present_view = out_present
    cdef uint8_t[:, ::1] forced_view = forced
    cdef uint8_t[::1] scratch_view = scratch
    if histograms.count and histograms.steps:
        with nogil:
            find_quantiles(&histograms, &quantiles[0], <Bucket*>&scratch_view[0], &value_view[0, 0],
                           &present_view[0, 0], &forced_view[0, 0])
    return out_values, out_present, forced


def bucket_fractions(const int64_t[::1] order not None, const int64_t[::1] starts not None,
                     const double[::1] bounds not None, values, present, const double[::1] lower not None,
                     const double[::1] upper not None):
    """The share of observations between two numbers by step. Arguments as for ``bucket_quantiles``. GIL: released."""
    cdef Histograms histograms
    point_histograms(&histograms, order, starts, bounds, values, present, lower.shape[0])
    if lower.shape[0] != upper.shape[0]:
        raise ValueError(f"{lower.shape[0]} lower and {upper.shape[0]} upper numbers")
    shape = (histograms.count, histograms.steps)
    out_values, out_present = np.zeros(shape, np.float64), np.zeros(shape, np.uint8)
    scratch = np.empty(max(len(order), 1) * sizeof(Bucket), np.uint8)
    cdef double[:, ::1] value_view = out_values
    cdef uint8_t[:, ::1] present_view = out_present
    cdef uint8_t[::1] scratch_view = scratch
    if histograms.count and histograms.steps:
        with nogil:
            find_fractions(&histograms, &lower[0], &upper[0], <Bucket*>&scratch_view[0], &value_view[0, 0],
                           &present_view[0, 0])
    return out_values, out_present


cdef int point_histograms(Histograms* histograms, const int64_t[::1] order, const int64_t[::1] starts,
                          const double[::1] bounds, values, present, size_t steps) except -1:
    cdef const double[:, ::1] value_view = values
    cdef const uint8_t[:, ::1] present_view = present
    cdef size_t rows = value_view.shape[0]
    if <size_t>present_view.shape[0] != rows or present_view.shape[1] != value_view.shape[1]:
        raise ValueError(f"values of {np.shape(values)} beside marks of {np.shape(present)}")
    if <size_t>order.shape[0] != rows or <size_t>bounds.shape[0] != rows or <size_t>value_view.shape[1] != steps:
        raise ValueError(f"{len(order)} rows, {len(bounds)} bounds and {steps} steps for values of {np.shape(values)}")
    if starts.shape[0] < 1 or starts[0] != 0 or starts[starts.shape[0] - 1] != order.shape[0]:
        raise ValueError("histograms do not begin at 0 and end at the number of rows")
    if (np.diff(starts) < 0).any() or (rows and (np.min(order) < 0 or <size_t>np.max(order) >= rows)):
        raise ValueError("a row is out of range")
    histograms.count, histograms.steps = starts.shape[0] - 1, steps
    histograms.starts = &starts[0]
    histograms.order = &order[0] if rows else NULL
    histograms.bounds = &bounds[0] if rows else NULL
    histograms.value = &value_view[0, 0] if rows and steps else NULL
    histograms.present = &present_view[0, 0] if rows and steps else NULL
    return 0


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void find_quantiles(const Histograms* histograms, const double* quantiles, Bucket* buckets, double* values,
                         uint8_t* present, uint8_t* forced) noexcept nogil:
    cdef size_t histogram, step, count, cell = 0
    for histogram in range(histograms.count):
        for step in range(histograms.steps):
            count = gather(histograms, histogram, step, buckets)
            if count:
                present[cell] = True
                values[cell] = quantile_in(buckets, count, quantiles[step], &forced[cell])
            cell += 1


cdef void find_fractions(const Histograms* histograms, const double* lower, const double* upper, Bucket* buckets,
                         double* values, uint8_t* present) noexcept nogil:
    cdef size_t histogram, step, count, cell = 0
    for histogram in range(histograms.count):
        for step in range(histograms.steps):
            count = gather(histograms, histogram, step, buckets)
            if count:
                present[cell] = True
                values[cell] = fraction_in(buckets, count, lower[step], upper[step])
            cell += 1


cdef size_t gather(const Histograms* histograms, size_t histogram, size_t step, Bucket* buckets) noexcept nogil:
    """The buckets there are at a step; those of equal bounds are one."""
    cdef int64_t at
    cdef size_t count = 0, row, cell
    for at in range(histograms.starts[histogram], histograms.starts[histogram + 1]):
        row = histograms.order[at]
        cell = row * histograms.steps + step
        if not histograms.present[cell]:
            continue
        if count and buckets[count - 1].bound == histograms.bounds[row]:
            buckets[count - 1].total += histograms.value[cell]
        else:
            buckets[count].bound = histograms.bounds[row]
            buckets[count].total = histograms.value[cell]
            count += 1
    return count


cdef double quantile_in(Bucket* buckets, size_t count, double quantile, uint8_t* forced) noexcept nogil:
    cdef double rank, begin = 0.0, within
    cdef size_t at = 0
    cdef bint lifted
    if isnan(quantile):
        return NAN
    if quantile < 0.0 or quantile > 1.0:
        return -INFINITY if quantile < 0.0 else INFINITY
    if not (isinf(buckets[count - 1].bound) and buckets[count - 1].bound > 0.0):
        return NAN
    lifted = even_out(buckets, count)
    if count < 2 or buckets[count - 1].total == 0.0:
        return NAN
    forced[0] = lifted
    rank = quantile * buckets[count - 1].total
    while at < count - 1 and not (buckets[at].total >= rank):
        at += 1
    if at == count - 1:
        return buckets[count - 2].bound
    if at == 0 and buckets[0].bound <= 0.0:
        return buckets[0].bound
    within = buckets[at].total
    if at:
        begin = buckets[at - 1].bound
        within -= buckets[at - 1].total
        rank -= buckets[at - 1].total
    return begin + (buckets[at].bound - begin) * (rank / within)


cdef bint even_out(Bucket* buckets, size_t count) noexcept nogil:
    """Counts that never fall; True where more than rounding had to be lifted."""
    cdef size_t at
    cdef double before = buckets[0].total, difference
    cdef bint lifted = False
    for at in range(1, count):
        difference = fabs(buckets[at].total - before)
        if difference == 0.0:
            continue
        if difference / buckets[at].total <= TOLERANCE:
            buckets[at].total = before
        else:
            before = buckets[at].total
    before = buckets[0].total
    for at in range(1, count):
        if buckets[at].total > before:
            before = buckets[at].total
        elif buckets[at].total < before:
            buckets[at].total = before
            lifted = True
    return lifted


cdef double fraction_in(const Bucket* buckets, size_t count, double lower, double upper) noexcept nogil:
    cdef double total = buckets[count - 1].total, below_lower, below_upper
    if not (isinf(buckets[count - 1].bound) and buckets[count - 1].bound > 0.0):
        return NAN
    if total == 0.0 or isnan(lower) or isnan(upper):
        return NAN
    if lower >= upper:
        return 0.0
    below_lower, below_upper = rank_of(buckets, count, lower), rank_of(buckets, count, upper)
    return (below_upper - below_lower) / total


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline double rank_of(const Bucket* buckets, size_t count, double number) noexcept nogil:
    """Number of observations below a number, spread evenly over each bucket; at most all of them."""
    cdef double begin = 0.0 if buckets[0].bound > 0.0 else -INFINITY, below = 0.0, total = buckets[count - 1].total
    cdef size_t at
    for at in range(count):
        if begin >= number:
            return below if below <= total else total
        if begin < number < buckets[at].bound:
            if isinf(begin):  # a bucket without a lower end cannot be divided
                return buckets[at].total
            below += (buckets[at].total - below) * (number - begin) / (buckets[at].bound - begin)
            return below if below <= total else total
        below = buckets[at].total
        begin = buckets[at].bound
    return total
