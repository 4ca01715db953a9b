# The values of a window in order, kept so while samples come and go: quantiles of windows that slide.
#
#   window   7 2 [5 NaN 9 3] 8        keys   NaN 3 5 9        8 comes, 5 goes:   NaN 3 8 9
#
# A key is the float64 as an integer of the same order; every NaN is the least, as Prometheus sorts it. Where one value
# goes as another comes, only the keys between their places move: in walks that is a few.

from libc.math cimport INFINITY, NAN, floor, isnan
from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.string cimport memcpy, memmove


cdef inline int64_t key_of(double value) noexcept nogil:
    cdef int64_t bits
    memcpy(&bits, &value, sizeof(bits))
    return INT64_MIN if isnan(value) else bits ^ (bits >> 63 & INT64_MAX)


cdef inline double value_of_key(int64_t key) noexcept nogil:
    cdef int64_t bits = key ^ (key >> 63 & INT64_MAX)
    cdef double value
    if key == INT64_MIN:
        return NAN
    memcpy(&value, &bits, sizeof(value))
    return value


cdef inline size_t place_of(const int64_t* keys, size_t count, int64_t key) noexcept nogil:
    """The number of keys that are less. Without branches, which values would take at random."""
    cdef size_t half, at = 0
    if count == 0:
        return 0
    while count > 1:
        half = count >> 1
        at += half if keys[at + half - 1] < key else 0
        count -= half
    return at + (keys[at] < key)


cdef inline void insert_key(int64_t* keys, size_t count, int64_t key) noexcept nogil:
    """Into ``count`` keys; there is room."""
    cdef size_t place = place_of(keys, count, key)
    memmove(keys + place + 1, keys + place, (count - place) * sizeof(int64_t))
    keys[place] = key


cdef inline void remove_key(int64_t* keys, size_t count, int64_t key) noexcept nogil:
    """Out of ``count`` keys, of which it is one."""
    cdef size_t place = place_of(keys, count, key)
    memmove(keys + place, keys + place + 1, (count - place - 1) * sizeof(int64_t))


cdef inline void replace_key(int64_t* keys, size_t count, int64_t gone, int64_t key) noexcept nogil:
    """One of ``count`` keys by another."""
    cdef size_t place = place_of(keys, count, gone)
    while place + 1 < count and keys[place + 1] < key:
        keys[place] = keys[place + 1]
        place += 1
    while place > 0 and keys[place - 1] > key:
        keys[place] = keys[place - 1]
        place -= 1
    keys[place] = key


cdef inline double quantile_of_keys(const int64_t* keys, size_t count, double q) noexcept nogil:
    """As ``quantile_of`` in ``ranked.pxd``, of keys in order; one at least."""
    cdef double rank, weight, lower
    cdef size_t low
    if isnan(q):
        return NAN
    if q < 0.0:
        return -INFINITY
    if q > 1.0:
        return INFINITY
    rank = q * <double>(count - 1)
    low = <size_t>floor(rank)
    weight = rank - floor(rank)
    lower = value_of_key(keys[low])
    return lower * (1.0 - weight) + value_of_key(keys[low + 1 if low + 1 < count else low]) * weight
