"""Drops series that no data mentions from the index: at once from lookups, later from memory.

    places    0  1  2  3  4  5         drop_series: marked, a new series may have the labels
    dropped         ×  ×     ×
                     │
    fresh     0  1  4                  a smaller index of the series that are on disk (``series_restore.pyx``), and
              └ restored ┘ 6 7 8       carry_over: those that came since, and what is known of the active ones

Ids are the same in the smaller index, so both may be read side by side: a reader of the old one still finds the labels
of dropped series.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from nissa._fast.publish cimport nissa_observe
from nissa._fast.series cimport Pair, SeriesIndex, drop
from nissa._fast.types cimport NO_MEMORY, OK, Fingerprint, Status

import numpy as np


# ---- Boundary --------------------------------------------------------------------------------------------------------

def idle_series(SeriesIndex index not None, size_t limit):
    """Ids below ``limit`` of series that are idle at this moment and were not dropped, ascending. Any thread.

    GIL: released. Cost: 2 ns per series.
    """
    cdef size_t end = min(index.place_of(limit), nissa_observe(&index.known_total)), count
    out = np.empty(end, np.uint32)
    cdef uint32_t[::1] view = out
    if end == 0:
        return out
    with nogil:
        count = list_idle(index, end, &view[0])
    return out[:count].copy()


def dropped_series(SeriesIndex index not None):
    """Ids of the series that were dropped and are in this index, ascending, as uint32. Any thread."""
    cdef size_t known = nissa_observe(&index.known_total)
    marks = np.asarray(<uint8_t[:known + 1]>index.dropped.start)[:known]
    return np.asarray(<uint32_t[:known + 1]><uint32_t*>index.ids.start)[:known][marks.astype(np.bool_)]


def drop_series(SeriesIndex index not None, const uint32_t[::1] series not None):
    """Drop these series, but for those that are not idle. For the thread that writes to the index.

    Returns: uint8 by series: 1 where it was dropped now. Raises: IndexError for one that is not there.
    """
    cdef Py_ssize_t at
    cdef uint32_t* seen = <uint32_t*>index.seen_minutes.start
    out = np.zeros(series.shape[0], np.uint8)
    cdef uint8_t[::1] view = out
    cdef size_t place
    for at in range(series.shape[0]):
        place = index.place_of(series[at])
        if place == index.known_total or (<uint32_t*>index.ids.start)[place] != series[at]:
            raise IndexError(f"no series {series[at]}")
        if seen[series[at]] == 0 and not index.dropped.start[place]:
            drop(index, series[at])
            view[at] = 1
    return out


def note_mentioned(uint8_t[::1] bits not None, const uint32_t[::1] series not None):
    """Set the bit of each of these series, in any order; those past the end of ``bits`` have none.

    bits: 8 series per byte. GIL: released. Cost: 1 ns per series.
    """
    cdef Py_ssize_t at, end = bits.shape[0]
    with nogil:
        for at in range(series.shape[0]):
            if series[at] >> 3 < end:
                bits[series[at] >> 3] |= <uint8_t>(1 << (series[at] & 7))


def unmentioned(const uint8_t[::1] bits not None, const uint32_t[::1] series not None):
    """The series whose bit is not set, in their order, as uint32. All series must have a bit.

    Raises: IndexError. GIL: released. Cost: 2 ns per series.
    """
    cdef Py_ssize_t at, count = 0
    out = np.empty(series.shape[0], np.uint32)
    cdef uint32_t[::1] view = out
    if series.shape[0] and np.max(series) >> 3 >= bits.shape[0]:
        raise IndexError(f"a series is past the {8 * bits.shape[0]} that have a bit")
    with nogil:
        for at in range(series.shape[0]):
            if not bits[series[at] >> 3] >> (series[at] & 7) & 1:
                view[count] = series[at]
                count += 1
    return out[:count].copy()


def carry_over(SeriesIndex fresh not None, SeriesIndex index not None):
    """Bring into ``fresh`` all that ``index`` has from ``fresh.series_count`` on, and which series are active.

    For the thread that writes to ``index``; ``fresh`` has no active series, and all the series that are active in
    ``index`` before. Raises: MemoryError. GIL: released. Cost: 400 ns per series that is brought over.
    """
    cdef Status status
    if fresh.active_count or memcmp(&fresh.secret, &index.secret, sizeof(index.secret)):
        raise ValueError("an index of the same directory without active series is expected")
    with nogil:
        status = carry_series(fresh, index)
        if status == OK:
            carry_active(fresh, index)
    if status != OK:
        raise MemoryError("series index")


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t list_idle(SeriesIndex index, size_t end, uint32_t* out) noexcept nogil:
    cdef uint32_t* ids = <uint32_t*>index.ids.start
    cdef uint32_t* seen = <uint32_t*>index.seen_minutes.start
    cdef size_t place, count = 0
    for place in range(end):
        if seen[ids[place]] == 0 and not index.dropped.start[place]:
            out[count] = ids[place]
            count += 1
    return count


cdef Status carry_series(SeriesIndex fresh, SeriesIndex index) noexcept nogil:
    cdef uint32_t* ids = <uint32_t*>index.ids.start
    cdef uint64_t* starts = <uint64_t*>index.pair_starts.start
    cdef Pair* pairs
    cdef Pair* source
    cdef size_t place
    cdef uint64_t label, count
    cdef uint32_t series
    for place in range(index.place_of(fresh.series_total), index.known_total):
        if index.dropped.start[place]:
            continue
        source = <Pair*>index.pairs.start + starts[place]
        count = starts[place + 1] - starts[place]
        pairs = fresh.room_for(<uint32_t>count)
        if pairs == NULL:
            return NO_MEMORY
        for label in range(count):
            if fresh.symbol_of(index.text_of_symbol(source[label].name), &pairs[label].name) != OK:
                return NO_MEMORY
            if fresh.symbol_of(index.text_of_symbol(source[label].value), &pairs[label].value) != OK:
                return NO_MEMORY
        fresh.series_total = ids[place]
        if fresh.enter(&(<Fingerprint*>index.fingerprints.start)[place], <uint32_t>count, 0, &series) != OK:
            return NO_MEMORY
    fresh.series_total = index.series_total
    return OK


cdef void carry_active(SeriesIndex fresh, SeriesIndex index) noexcept nogil:
    cdef uint32_t* active = <uint32_t*>index.active.start
    cdef uint32_t* seen = <uint32_t*>index.seen_minutes.start
    cdef int64_t* starts_ms = <int64_t*>index.starts_ms.start
    cdef size_t at
    for at in range(index.active_count):
        fresh.activate(active[at], seen[active[at]])
        if starts_ms[active[at]]:
            (<int64_t*>fresh.starts_ms.start)[active[at]] = starts_ms[active[at]]
    fresh.refused_total = index.refused_total
    memcpy(&fresh.offenders, &index.offenders, sizeof(index.offenders))
