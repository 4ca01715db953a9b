# Where an id lies among ascending ones, looked for from a place before it.

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t


cdef inline size_t lower_bound(const uint32_t* ids, size_t low, size_t count, uint32_t one) noexcept nogil:
    """The first place behind ``low``, itself below one, that is not: by steps, each twice as long, then by halving."""
    cdef size_t step = 1, high, middle
    while low + step < count and ids[low + step] < one:
        low += step
        step *= 2
    high = min(low + step, count)
    low += 1
    while low < high:
        middle = low + (high - low) // 2
        if ids[middle] < one:
            low = middle + 1
        else:
            high = middle
    return low
