"""Totals of counters that are sent as differences (delta temporality), so that they are stored as they add up.

    series 7   +3 @10   +2 @20   +4 @30        total 3 @10   5 @20   9 @30

A table of open addressing by series id, at most half full. A total to which nothing was added for ``ttl_minutes`` has
expired: its series begins anew. The table holds at most ``series_max`` totals. Where more are needed, expired ones go;
where that is not enough all go, and every series begins anew, as counters do that were reset. Whoever writes rows puts
a 0 in front of a total that begins, so no increase is lost or invented by that.

The state depends on the differences and the minutes in which they were received alone, so a replay repeats it. This
file knows no protocol and no rows.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cimport cython

import numpy as np

from nissa._fast.types cimport SERIES_NONE

cdef enum: SLOTS_LEAST = 64


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class DeltaTotals:
    """Totals of one decoder. Not thread-safe: it belongs to one thread.

    series_max: number of totals held at most, 24 bytes in up to four slots each. ttl_minutes: how long one is held
    without a difference. resets: how often all were forgotten because more than series_max were needed.
    """

    def __cinit__(self, size_t series_max=200_000, uint32_t ttl_minutes=60):
        self.series_max, self.ttl_minutes = max(series_max, 1), ttl_minutes
        self.slots = <Total*>calloc(SLOTS_LEAST, sizeof(Total))
        if self.slots == NULL:
            raise MemoryError("totals of deltas")
        self.mask = SLOTS_LEAST - 1
        self.forget_all()

    def __dealloc__(self):
        free(self.slots)

    def __len__(self):
        return self.used

    def forget(self):
        """Begin all totals anew: frames whose differences were added may not be stored."""
        self.forget_all()

    def columns(self):
        """Every total: (series uint32, seen_minute uint32, last_ms int64, total float64), by series."""
        series = np.empty(self.used, np.uint32)
        minutes = np.empty(self.used, np.uint32)
        last_ms = np.empty(self.used, np.int64)
        totals = np.empty(self.used, np.float64)
        cdef uint32_t[::1] series_view = series, minute_view = minutes
        cdef int64_t[::1] last_view = last_ms
        cdef double[::1] total_view = totals
        cdef size_t place, at = 0
        for place in range(self.mask + 1):
            if self.slots[place].series != SERIES_NONE:
                series_view[at], minute_view[at] = self.slots[place].series, self.slots[place].seen_minute
                last_view[at], total_view[at] = self.slots[place].last_ms, self.slots[place].total
                at += 1
        order = np.argsort(series)
        return series[order], minutes[order], last_ms[order], totals[order]

    def restore(self, uint32_t[::1] series not None, uint32_t[::1] minutes not None, int64_t[::1] last_ms not None,
                double[::1] totals not None):
        """Hold these totals and no others. The arguments are what ``columns`` returns; no series stands twice.

        Raises: ValueError for columns of different lengths.
        """
        cdef size_t place, count = series.shape[0]
        cdef Total* total
        if not series.shape[0] == minutes.shape[0] == last_ms.shape[0] == totals.shape[0]:
            raise ValueError("columns of different lengths")
        self.forget_all()
        if not self.rebuild(count, 0):
            raise MemoryError("totals of deltas")
        for place in range(count):
            total = self.take(series[place])
            total.seen_minute, total.last_ms, total.total = minutes[place], last_ms[place], totals[place]

    # ---- Loops -------------------------------------------------------------------------------------------------------

    cdef Total* find(self, uint32_t series, uint32_t minute) noexcept nogil:
        """The total of a series; NULL where it has none, or one that has expired by this minute."""
        cdef Total* total = &self.slots[self.place_of(series)]
        if total.series != series or <uint64_t>total.seen_minute + self.ttl_minutes < minute:
            return NULL
        return total

    cdef bint make_room(self, size_t more, uint32_t minute) noexcept nogil:
        """Room for so many more totals, which no ``take`` exceeds. False where there is no memory for them."""
        if self.used + more > self.series_max:
            if not self.rebuild(more, minute - min(minute, self.ttl_minutes)):
                return False
            if self.used and self.used + more > self.series_max:
                self.forget_all()
                self.resets += 1
        return 2 * (self.used + more) <= self.mask + 1 or self.rebuild(more, 0)

    cdef Total* take(self, uint32_t series) noexcept nogil:
        """The slot of a series, new where it has none. There is room."""
        cdef Total* total = &self.slots[self.place_of(series)]
        if total.series != series:
            total.series, total.seen_minute, total.last_ms, total.total = series, 0, 0, 0.0
            self.used += 1
        return total

    cdef void forget_all(self) noexcept nogil:
        cdef size_t place
        for place in range(self.mask + 1):
            self.slots[place].series = SERIES_NONE
        self.used = 0

    cdef bint rebuild(self, size_t more, uint32_t oldest_minute) noexcept nogil:
        """A table of the totals seen since ``oldest_minute``, with room for more. False where there is no memory."""
        cdef Total* before = self.slots
        cdef size_t count = self.mask + 1, size = count, place
        cdef Total* slots
        while size < 2 * (self.used + more):
            size *= 2
        slots = <Total*>calloc(size, sizeof(Total))
        if slots == NULL:
            return False
        self.slots, self.mask, self.used = slots, size - 1, 0
        for place in range(size):
            slots[place].series = SERIES_NONE
        for place in range(count):
            if before[place].series != SERIES_NONE and before[place].seen_minute >= oldest_minute:
                slots[self.place_of(before[place].series)] = before[place]
                self.used += 1
        free(before)
        return True

    # ---- Steps -------------------------------------------------------------------------------------------------------

    cdef size_t place_of(self, uint32_t series) noexcept nogil:
        """The slot of a series, or the free one where it would be. Ids are dense: their bits are mixed."""
        cdef size_t place = mixed(series) & self.mask
        while self.slots[place].series != series and self.slots[place].series != SERIES_NONE:
            place = (place + 1) & self.mask
        return place


@cython.overflowcheck(False)
cdef size_t mixed(uint32_t series) noexcept nogil:
    return <size_t>((<uint64_t>series * <uint64_t>0x9E3779B97F4A7C15) >> 32)
