# Totals of counters that senders report as differences: by series, what has been added up so far.

from libc.stdint cimport int64_t, uint32_t

cdef struct Total:
    uint32_t series         # SERIES_NONE: a free slot
    uint32_t seen_minute    # when the last difference was received, minutes since 1970
    int64_t last_ms         # time of the last difference
    double total

cdef class DeltaTotals:
    cdef Total* slots
    cdef size_t mask
    cdef size_t used
    cdef readonly size_t series_max
    cdef readonly uint32_t ttl_minutes
    cdef readonly size_t resets

    # phases: find (each series of a point) → make_room (for those without a total) → take (each)
    cdef Total* find(self, uint32_t series, uint32_t minute) noexcept nogil
    cdef bint make_room(self, size_t more, uint32_t minute) noexcept nogil
    cdef Total* take(self, uint32_t series) noexcept nogil
    cdef void forget_all(self) noexcept nogil
    cdef bint rebuild(self, size_t count, uint32_t oldest_minute) noexcept nogil
    cdef size_t place_of(self, uint32_t series) noexcept nogil
