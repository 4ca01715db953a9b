# One value of the samples in a window, and what it takes to make it: the steps of ``windows.pyx``.
#
#          range_ms           at_ms
#   ───────(─────────────────────]───▶ time       the samples in (at_ms - range_ms, at_ms], staleness markers left out
#              x   x   x   x
#
# Each function gets at least one sample and writes one value, or says that there is none (fewer than two samples where
# two are needed). Formulas and their order are Prometheus', so that answers agree to the last bit.

from libc.math cimport INFINITY, NAN, fabs, isinf, isnan, sqrt
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from nissa._fast.kahan cimport Mean, Total, add_finite, add_to, add_to_mean, begin_mean, mean_of, value_of
from nissa._fast.ranked cimport quantile_of

cdef struct Window:
    const int64_t* ts_ms
    const double* value
    size_t count
    int64_t at_ms               # the window ends here, inclusive
    int64_t range_ms
    double first                # parameters of the function, where it has some
    double second
    double* scratch             # room for ``count`` values
    bint fell                   # whether a sample in the window is below the one before it there

ctypedef bint (*OverTime)(Window* window, double* out) noexcept nogil


cdef inline bint count_over(Window* window, double* out) noexcept nogil:
    out[0] = <double>window.count
    return True


cdef inline bint present_over(Window* window, double* out) noexcept nogil:
    out[0] = 1.0
    return True


cdef inline bint first_over(Window* window, double* out) noexcept nogil:
    out[0] = window.value[0]
    return True


cdef inline bint last_over(Window* window, double* out) noexcept nogil:
    out[0] = window.value[window.count - 1]
    return True


cdef inline bint sum_over(Window* window, double* out) noexcept nogil:
    cdef Total total
    cdef size_t at
    total.sum, total.lost = 0.0, 0.0
    if not add_finite(&total, window.value, window.count):
        for at in range(window.count):
            add_to(&total, window.value[at])
    out[0] = value_of(&total)
    return True


cdef inline bint avg_over(Window* window, double* out) noexcept nogil:
    cdef Mean mean
    cdef size_t at
    begin_mean(&mean, window.value[0])
    if add_finite(&mean.total, window.value + 1, window.count - 1):
        mean.count = <double>window.count
    else:
        for at in range(1, window.count):
            add_to_mean(&mean, window.value[at])
    out[0] = mean_of(&mean)
    return True


cdef inline size_t first_number(const Window* window) noexcept nogil:
    """The first value that is no NaN, or the last value. Behind it a NaN is neither less nor more than what is held."""
    cdef size_t at = 0
    while at + 1 < window.count and isnan(window.value[at]):
        at += 1
    return at


cdef inline bint min_over(Window* window, double* out) noexcept nogil:
    cdef size_t at, first = first_number(window)
    cdef double least = window.value[first]
    for at in range(first + 1, window.count):
        least = window.value[at] if window.value[at] < least else least
    out[0] = least
    return True


cdef inline bint max_over(Window* window, double* out) noexcept nogil:
    cdef size_t at, first = first_number(window)
    cdef double most = window.value[first]
    for at in range(first + 1, window.count):
        most = window.value[at] if window.value[at] > most else most
    out[0] = most
    return True


cdef inline bint time_of_first(Window* window, double* out) noexcept nogil:
    out[0] = <double>window.ts_ms[0] / 1000.0
    return True


cdef inline bint time_of_last(Window* window, double* out) noexcept nogil:
    out[0] = <double>window.ts_ms[window.count - 1] / 1000.0
    return True


cdef inline bint time_of_min(Window* window, double* out) noexcept nogil:
    cdef size_t at, found = 0
    for at in range(1, window.count):
        if window.value[at] <= window.value[found] or isnan(window.value[found]):
            found = at
    out[0] = <double>window.ts_ms[found] / 1000.0
    return True


cdef inline bint time_of_max(Window* window, double* out) noexcept nogil:
    cdef size_t at, found = 0
    for at in range(1, window.count):
        if window.value[at] >= window.value[found] or isnan(window.value[found]):
            found = at
    out[0] = <double>window.ts_ms[found] / 1000.0
    return True


cdef inline bint variance_over(Window* window, double* out) noexcept nogil:
    """Welford's variance, its mean and its sum of squares compensated."""
    cdef Total mean, squares
    cdef double count = 0.0, delta
    cdef size_t at
    mean.sum, mean.lost, squares.sum, squares.lost = 0.0, 0.0, 0.0, 0.0
    for at in range(window.count):
        count += 1.0
        delta = window.value[at] - (mean.sum + mean.lost)
        add_to(&mean, delta / count)
        add_to(&squares, delta * (window.value[at] - (mean.sum + mean.lost)))
    out[0] = (squares.sum + squares.lost) / count
    return True


cdef inline bint deviation_over(Window* window, double* out) noexcept nogil:
    variance_over(window, out)
    out[0] = sqrt(out[0])
    return True


cdef inline bint quantile_over(Window* window, double* out) noexcept nogil:
    memcpy(window.scratch, window.value, window.count * sizeof(double))
    out[0] = quantile_of(window.scratch, window.count, window.first)
    return True


cdef inline bint median_deviation_over(Window* window, double* out) noexcept nogil:
    """The median of the distances from the median; NaN where a NaN is among the values."""
    cdef double median
    cdef size_t at
    for at in range(window.count):
        if isnan(window.value[at]):
            out[0] = NAN
            return True
    memcpy(window.scratch, window.value, window.count * sizeof(double))
    median = quantile_of(window.scratch, window.count, 0.5)
    for at in range(window.count):
        window.scratch[at] = fabs(window.value[at] - median)
    out[0] = quantile_of(window.scratch, window.count, 0.5)
    return True


cdef inline bint changes_over(Window* window, double* out) noexcept nogil:
    cdef size_t at, changes = 0
    cdef double before = window.value[0], after
    for at in range(1, window.count):
        after = window.value[at]
        changes += after != before and not (isnan(after) and isnan(before))
        before = after
    out[0] = <double>changes
    return True


cdef inline bint resets_over(Window* window, double* out) noexcept nogil:
    cdef size_t at, resets = 0
    if window.fell:
        for at in range(1, window.count):
            resets += window.value[at] < window.value[at - 1]
    out[0] = <double>resets
    return True
