# How fast the samples in a window rise: the other steps of ``windows.pyx``.
#
#   rate, increase, delta   first to last sample, extrapolated towards the borders of the window:
#
#        (····x─────x─────x─────x···]      each dotted end is closed where it is shorter than 1.1 mean distances between
#        ▲    first            last ▲      samples, else extended by half a distance; a counter never below zero
#
#   irate, idelta           the last two samples
#   deriv, predict_linear   least squares
#
# The formulas and their order are Prometheus', so that answers agree to the last bit.

from libc.math cimport NAN, isinf
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from nissa._fast.kahan cimport Total, add_to
from nissa._fast.over_time cimport Window


cdef inline double rise(Window* window, bint counter) noexcept nogil:
    """Last value less first; of a counter, the values before each reset are added in their order."""
    cdef const double* value = window.value
    cdef double risen = value[window.count - 1] - value[0]
    cdef size_t at
    if counter and window.fell:
        for at in range(1, window.count):
            if value[at] < value[at - 1]:
                risen += value[at - 1]
    return risen


cdef inline bint extrapolate(Window* window, bint counter, bint per_second, double* out) noexcept nogil:
    cdef double risen, to_start, to_end, sampled, mean, threshold, to_zero, factor
    cdef size_t last = window.count - 1
    if window.count < 2:
        return False
    risen = rise(window, counter)
    to_start = <double>(window.ts_ms[0] - (window.at_ms - window.range_ms)) / 1000.0
    to_end = <double>(window.at_ms - window.ts_ms[last]) / 1000.0
    sampled = <double>(window.ts_ms[last] - window.ts_ms[0]) / 1000.0
    mean = sampled / <double>last
    threshold = mean * 1.1
    if to_start >= threshold:
        to_start = mean / 2.0
    if counter:
        to_zero = to_start
        if risen > 0.0 and window.value[0] >= 0.0:
            to_zero = sampled * (window.value[0] / risen)
        if to_zero < to_start:
            to_start = to_zero
    if to_end >= threshold:
        to_end = mean / 2.0
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= <double>window.range_ms / 1000.0
    out[0] = risen * factor
    return True


cdef inline bint rate_over(Window* window, double* out) noexcept nogil:
    return extrapolate(window, True, True, out)


cdef inline bint increase_over(Window* window, double* out) noexcept nogil:
    return extrapolate(window, True, False, out)


cdef inline bint delta_over(Window* window, double* out) noexcept nogil:
    return extrapolate(window, False, False, out)


cdef inline bint irate_over(Window* window, double* out) noexcept nogil:
    cdef size_t last = window.count - 1
    cdef double after, before
    if window.count < 2 or window.ts_ms[last] == window.ts_ms[last - 1]:
        return False
    after, before = window.value[last], window.value[last - 1]
    out[0] = after if after < before else after - before
    out[0] /= <double>(window.ts_ms[last] - window.ts_ms[last - 1]) / 1000.0
    return True


cdef inline bint idelta_over(Window* window, double* out) noexcept nogil:
    cdef size_t last = window.count - 1
    if window.count < 2 or window.ts_ms[last] == window.ts_ms[last - 1]:
        return False
    out[0] = window.value[last] - window.value[last - 1]
    return True


cdef inline void fit_line(Window* window, int64_t origin_ms, double* slope, double* intercept) noexcept nogil:
    """Least squares through the samples; the intercept is at ``origin_ms``."""
    cdef Total x_total, y_total, xy_total, xx_total
    cdef double x, y, count = <double>window.count
    cdef bint level = True
    cdef size_t at
    x_total.sum = x_total.lost = y_total.sum = y_total.lost = 0.0
    xy_total.sum = xy_total.lost = xx_total.sum = xx_total.lost = 0.0
    for at in range(window.count):
        y = window.value[at]
        if y != window.value[0]:
            level = level and at == 0
        x = <double>(window.ts_ms[at] - origin_ms) / 1e3
        add_to(&x_total, x)
        add_to(&y_total, y)
        add_to(&xy_total, x * y)
        add_to(&xx_total, x * x)
    if level:
        slope[0] = NAN if isinf(window.value[0]) else 0.0
        intercept[0] = NAN if isinf(window.value[0]) else window.value[0]
        return
    x_total.sum += x_total.lost
    y_total.sum += y_total.lost
    xy_total.sum += xy_total.lost
    xx_total.sum += xx_total.lost
    slope[0] = (xy_total.sum - x_total.sum * y_total.sum / count) / (xx_total.sum - x_total.sum * x_total.sum / count)
    intercept[0] = y_total.sum / count - slope[0] * x_total.sum / count


cdef inline bint deriv_over(Window* window, double* out) noexcept nogil:
    cdef double intercept = 0.0
    if window.count < 2:
        return False
    fit_line(window, window.ts_ms[0], out, &intercept)
    return True


cdef inline bint predict_over(Window* window, double* out) noexcept nogil:
    """``second`` is the time of evaluation: an offset moves the window, not what is predicted from."""
    cdef double slope = 0.0, intercept = 0.0
    if window.count < 2:
        return False
    fit_line(window, <int64_t>window.second, &slope, &intercept)
    out[0] = slope * window.first + intercept
    return True


cdef inline bint smooth_over(Window* window, double* out) noexcept nogil:
    """Double exponential smoothing; ``first`` is the smoothing factor, ``second`` that of the trend."""
    cdef double before = 0.0, smoothed = window.value[0], trend, scaled
    cdef size_t at
    if window.count < 2:
        return False
    trend = window.value[1] - window.value[0]
    for at in range(1, window.count):
        scaled = window.first * window.value[at]
        if at > 1:
            trend = window.second * (smoothed - before) + (1.0 - window.second) * trend
        before = smoothed
        smoothed = scaled + (1.0 - window.first) * (smoothed + trend)
    out[0] = smoothed
    return True
