# Text as Arrow lays it out, data[offsets[i] : offsets[i + 1]], read one string at a time.

from libc.stdint cimport int64_t, uint8_t, uint32_t

from nissa._fast.types cimport Text


cdef inline int check_range(size_t first, size_t count, size_t total) except -1:
    if count > total or first > total - count:
        raise IndexError(f"expected a range within [0, {total}), got {count} from {first}")
    return 0


cdef inline bint offsets_ascend(int64_t[::1] offsets, size_t count_min, Py_ssize_t end) noexcept:
    """True if offsets are as Arrow has them: enough of them, ascending, from 0 or above to at most ``end``."""
    cdef Py_ssize_t index
    cdef int64_t last = 0
    for index in range(offsets.shape[0]):
        if offsets[index] < last:
            return False
        last = offsets[index]
    return <size_t>offsets.shape[0] >= count_min and last <= end


cdef inline Text text_at(int64_t[::1] offsets, const uint8_t[::1] data, size_t index) noexcept nogil:
    cdef Text text
    text.size = <uint32_t>(offsets[index + 1] - offsets[index])
    text.at = &data[offsets[index]] if text.size else NULL
    return text
