"""Finds the strings of a text column that may hold a text, one of some bytes, or a run of a kind of bytes.

    offsets  0          13               25                     data  |seed 7 grafted|mail to a@b|4111 1111 1111 1111|
                                                                 "@"                      ▲
                                                                 a run of 15 of 0-9, blank, hyphen  └───────────────┘

A text and bytes are looked for in the whole column at once, a run in every string that is long enough: its last byte
is looked at first, so most bytes of a column are not looked at. This file knows no patterns.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp

cdef enum:
    BYTES_MAX = 4
    FEW = 64        # strings whose numbers stand on the stack


# ---- Boundary --------------------------------------------------------------------------------------------------------

def strings_with_text(const int32_t[::1] offsets not None, bytes data not None, bytes text not None, size_t rarest=0):
    """Numbers of the strings that hold ``text``, ascending. text: at least a byte.

    rarest: which byte of the text is looked for first. GIL: released. Cost: some hundredths of a ns per byte of the
    column, and 5 ns each time that byte is met.
    """
    cdef size_t count = strings_in(offsets, data)
    if rarest >= <size_t>len(text):
        raise ValueError("an empty text is everywhere, and the rarest byte is one of the text")
    cdef int64_t[FEW] few
    cdef int64_t* found = room_for(count, &few[0])
    cdef const uint8_t* at = data
    cdef const uint8_t* needle = text
    cdef size_t needle_size = len(text), hits = 0
    if count:
        with nogil:
            hits = find_text(&offsets[0], count, at, needle, needle_size, rarest, found)
    return taken(found, hits, found != &few[0])


def strings_with_any(const int32_t[::1] offsets not None, bytes data not None, bytes wanted not None):
    """Numbers of the strings that hold one of 1 to 4 bytes, ascending.

    GIL: released. Cost: some hundredths of a ns per byte of the column and byte wanted, 10 ns per string found.
    """
    cdef size_t count = strings_in(offsets, data)
    if not 1 <= len(wanted) <= BYTES_MAX:
        raise ValueError(f"expected 1 to {BYTES_MAX} bytes to look for, got {len(wanted)}")
    cdef int64_t[FEW] few
    cdef int64_t* found = room_for(count, &few[0])
    cdef const uint8_t* at = data
    cdef const uint8_t* looked_for = wanted
    cdef size_t wanted_count = len(wanted), hits = 0
    if count:
        with nogil:
            hits = find_any(&offsets[0], count, at, looked_for, wanted_count, found)
    return taken(found, hits, found != &few[0])


def strings_with_run(const int32_t[::1] offsets not None, bytes data not None, bytes kind not None, size_t run_min):
    """Numbers of the strings that hold ``run_min`` bytes of a kind behind one another, ascending.

    kind: 256 bytes, not 0 for a byte of the kind. run_min: at least 1. GIL: released. Cost: 1 ns per string and
    1 / run_min ns per byte where there is none.
    """
    cdef size_t count = strings_in(offsets, data)
    if len(kind) != 256 or run_min < 1:
        raise ValueError("expected a kind of 256 bytes and runs of at least one")
    cdef int64_t[FEW] few
    cdef int64_t* found = room_for(count, &few[0])
    cdef const uint8_t* at = data
    cdef const uint8_t* table = kind
    cdef size_t hits = 0
    if count:
        with nogil:
            hits = find_runs(&offsets[0], count, at, table, run_min, found)
    return taken(found, hits, found != &few[0])


cdef int64_t* room_for(size_t count, int64_t* few) except NULL:
    """``few`` where it is enough, else memory that ``taken`` gives back."""
    if count <= FEW:
        return few
    cdef int64_t* room = <int64_t*>malloc(count * sizeof(int64_t))
    if room == NULL:
        raise MemoryError("looking through a text column")
    return room


cdef list taken(int64_t* found, size_t hits, bint owned):
    cdef size_t index
    try:
        return [found[index] for index in range(hits)]
    finally:
        if owned:
            free(found)


cdef size_t strings_in(const int32_t[::1] offsets, bytes data) except? 0xFFFFFFFF:
    """Number of strings. Raises ValueError where offsets do not ascend within the data."""
    cdef size_t count = max(offsets.shape[0], 1) - 1
    if count and not ascend(&offsets[0], count, len(data)):
        raise ValueError("offsets do not ascend within their data")
    return count


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef bint ascend(const int32_t* offsets, size_t count, size_t size) noexcept nogil:
    cdef size_t index
    cdef bint fine = offsets[0] >= 0
    for index in range(count):
        fine &= offsets[index] <= offsets[index + 1]
    return fine and <size_t>offsets[count] <= size


cdef size_t find_text(const int32_t* offsets, size_t count, const uint8_t* data, const uint8_t* needle,
                      size_t needle_size, size_t rarest, int64_t* found) noexcept nogil:
    cdef size_t hits = 0, string = 0, at = offsets[0], end = offsets[count], begin
    while at + needle_size <= end:
        begin = next_byte(data, at + rarest, end, needle[rarest]) - rarest      # at least ``at``
        if begin + needle_size > end:
            break
        at = begin + 1
        if memcmp(data + begin, needle, needle_size) == 0:
            string = string_at(offsets, count, string, begin)
            if begin + needle_size <= <size_t>offsets[string + 1]:      # not across a border
                found[hits] = string
                hits += 1
                at = offsets[string + 1]
    return hits


cdef size_t find_any(const int32_t* offsets, size_t count, const uint8_t* data, const uint8_t* wanted,
                     size_t wanted_count, int64_t* found) noexcept nogil:
    cdef size_t[BYTES_MAX] following
    cdef size_t hits = 0, string = 0, at = offsets[0], end = offsets[count], which, nearest
    for which in range(wanted_count):
        following[which] = next_byte(data, at, end, wanted[which])
    while True:
        nearest = end
        for which in range(wanted_count):
            if following[which] < at:
                following[which] = next_byte(data, at, end, wanted[which])
            nearest = min(nearest, following[which])
        if nearest >= end:
            break
        string = string_at(offsets, count, string, nearest)
        found[hits] = string
        hits += 1
        at = offsets[string + 1]
    return hits


cdef size_t find_runs(const int32_t* offsets, size_t count, const uint8_t* data, const uint8_t* kind, size_t run_min,
                      int64_t* found) noexcept nogil:
    cdef size_t hits = 0, index
    for index in range(count):
        if <size_t>(offsets[index + 1] - offsets[index]) >= run_min:
            if has_run(data, offsets[index], offsets[index + 1], kind, run_min):
                found[hits] = index
                hits += 1
    return hits


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline size_t next_byte(const uint8_t* data, size_t at, size_t end, uint8_t wanted) noexcept nogil:
    """Position of the next ``wanted``; ``end`` where there is none."""
    cdef const uint8_t* hit = <const uint8_t*>memchr(data + at, wanted, end - at) if at < end else NULL
    return end if hit == NULL else <size_t>hit - <size_t>data


cdef inline size_t string_at(const int32_t* offsets, size_t count, size_t first, size_t at) noexcept nogil:
    """The string from ``first`` on that holds the byte at ``at``: steps that double, then halves."""
    cdef size_t low = first, step = 1, high, middle
    while low + step < count and <size_t>offsets[low + step] <= at:
        low += step
        step *= 2
    high = min(low + step, count)
    while high - low > 1:
        middle = (low + high) // 2
        if <size_t>offsets[middle] <= at:
            low = middle
        else:
            high = middle
    return low


cdef inline bint has_run(const uint8_t* data, size_t first, size_t end, const uint8_t* kind,
                         size_t run_min) noexcept nogil:
    """True if [first, end) holds a run. ``first`` is where the next one could begin."""
    cdef size_t last, begin
    while end - first >= run_min:
        last = first + run_min - 1
        begin = last + 1
        while begin > first and kind[data[begin - 1]]:
            begin -= 1
        if begin == first:
            return True
        first = begin
    return False
