# Quantiles of a few numbers by selection in place: no sort, two neighbours at most.
#
#   values   7 NaN 2 5        order of ranks: NaN first, then ascending           q = 0.5: rank 1.5
#   ranks    NaN 2 5 7                                                            2 * (1 - 0.5) + 5 * 0.5 = 3.5
#
# NaN counts as the smallest number, as Prometheus sorts it.

from libc.math cimport INFINITY, NAN, floor, isnan
from libc.stddef cimport size_t


cdef inline bint ranks_before(double left, double right) noexcept nogil:
    return left < right or (isnan(left) and not isnan(right))


cdef inline void swap(double* values, size_t left, size_t right) noexcept nogil:
    cdef double held = values[left]
    values[left] = values[right]
    values[right] = held


cdef inline void order_few(double* values, size_t low, size_t high) noexcept nogil:
    """Insertion sort of values[low:high + 1]."""
    cdef size_t at, back
    cdef double held
    for at in range(low + 1, high + 1):
        held = values[at]
        back = at
        while back > low and ranks_before(held, values[back - 1]):
            values[back] = values[back - 1]
            back -= 1
        values[back] = held


cdef inline void select_rank(double* values, size_t count, size_t rank) noexcept nogil:
    """Put the value of ``rank`` in its place: nothing before it ranks after it, nothing behind it before it."""
    cdef size_t low = 0, high = count - 1, left, right, middle
    cdef double pivot
    while high > low + 12:
        middle = low + (high - low) // 2
        if ranks_before(values[middle], values[low]):
            swap(values, middle, low)
        if ranks_before(values[high], values[low]):
            swap(values, high, low)
        if ranks_before(values[high], values[middle]):
            swap(values, high, middle)
        pivot = values[middle]
        left, right = low, high
        while left <= right:
            while ranks_before(values[left], pivot):
                left += 1
            while ranks_before(pivot, values[right]):
                right -= 1
            if left <= right:
                swap(values, left, right)
                left += 1
                right -= 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            return
    order_few(values, low, high)


cdef inline double quantile_of(double* values, size_t count, double q) noexcept nogil:
    """The q-quantile with linear interpolation between neighbours; the order of ``values`` changes."""
    cdef double rank, weight, lower, upper
    cdef size_t low, at
    if count == 0 or isnan(q):
        return NAN
    if q < 0.0:
        return -INFINITY
    if q > 1.0:
        return INFINITY
    rank = q * <double>(count - 1)
    low = <size_t>floor(rank)
    weight = rank - floor(rank)
    select_rank(values, count, low)
    lower = values[low]
    upper = lower
    if low + 1 < count:  # the next rank is the first of those behind
        upper = values[low + 1]
        for at in range(low + 2, count):
            if ranks_before(values[at], upper):
                upper = values[at]
    return lower * (1.0 - weight) + upper * weight
