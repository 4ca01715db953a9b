"""The latest sealed time of each series, for any number of ids of which few are in use.

    page     ids 0 … 8191        8192 … 16383        16384 … 24575
    floor    1200                900                 —                 stands for ids whose own time is not kept
    times    — — 1900 — …        let go: no memory   2000 2010 …       kept while something of the page is sealed

A time may be later than the true one but never earlier: a reader then looks into a block that has no such row.
Times are kept as unsigned numbers in the same order, with 0 for none, so memory that was never touched says none.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

from nissa._fast.region cimport Region, release, reserve

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void* start, size_t size, int advice)
    int MADV_DONTNEED

cdef extern from *:
    """
    #define NISSA_IDS_MAX (1ULL << 31)
    #define NISSA_SIGN (1ULL << 63)
    """
    const uint64_t IDS_MAX "NISSA_IDS_MAX"
    const uint64_t SIGN "NISSA_SIGN"

cdef enum:
    PAGE_BITS = 13
    PAGE_IDS = 1 << PAGE_BITS       # 64 KiB of times


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class LatestTimes:
    """Latest times by series id. For one thread at a time.

    known: ids below it have ``latest_ms`` until they are raised; others have no time.
    """

    cdef Region times       # uint64 by id, as ``ordered``
    cdef Region floors      # uint64 by page
    cdef Region tops        # uint64 by page: the latest of its times
    cdef size_t pages       # that were ever written to
    cdef size_t known
    cdef uint64_t first

    def __cinit__(self, int64_t latest_ms, size_t known):
        reserve(&self.times, <size_t>IDS_MAX * 8)
        reserve(&self.floors, (<size_t>IDS_MAX >> PAGE_BITS) * 8)
        reserve(&self.tops, (<size_t>IDS_MAX >> PAGE_BITS) * 8)
        self.known = known
        self.first = ordered(latest_ms)

    def __dealloc__(self):
        release(&self.times)
        release(&self.floors)
        release(&self.tops)

    @property
    def memory_bytes(self):
        """Bytes of the times that are kept."""
        cdef size_t page, kept = 0
        for page in range(self.pages):
            if (<uint64_t*>self.tops.start)[page]:
                kept += PAGE_IDS * 8
        return kept

    def rows_behind(self, const uint32_t[::1] series, const int64_t[::1] ts_ms):
        """Row numbers (uint32) with a time no later than the latest of their series: they may stand in a block already.

        GIL: released. Cost: 1 ns per row. Raises: ValueError where the columns differ in length.
        """
        cdef size_t rows = checked(series, ts_ms), behind = 0
        out = np.empty(rows, np.uint32)
        cdef uint32_t[::1] view = out
        if rows:
            with nogil:
                behind = find_behind(self, &series[0], &ts_ms[0], rows, &view[0])
        return out[:behind].copy()

    def raise_times(self, const uint32_t[::1] series, const int64_t[::1] ts_ms):
        """Raise the time of each series to the latest of its rows. GIL: released. Cost: 1 ns per row.

        Raises: ValueError where the columns differ in length, or a series is past the last id there can be.
        """
        cdef size_t rows = checked(series, ts_ms)
        cdef bint inside = True
        if rows:
            with nogil:
                inside = raise_each(self, &series[0], &ts_ms[0], rows)
        if not inside:
            raise ValueError("a series id is past the last one")

    def let_go(self, int64_t older_ms):
        """Keep one time for each page of ids of which none is as late as ``older_ms``, and give its memory back."""
        with nogil:
            let_go_pages(self, ordered(older_ms))


cdef size_t checked(const uint32_t[::1] series, const int64_t[::1] ts_ms) except? 0:
    if series.shape[0] != ts_ms.shape[0]:
        raise ValueError(f"columns of different lengths: {series.shape[0]} series, {ts_ms.shape[0]} times")
    return series.shape[0]


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t find_behind(LatestTimes all, const uint32_t* series, const int64_t* ts_ms, size_t rows,
                        uint32_t* out) noexcept nogil:
    cdef size_t row, behind = 0
    cdef uint64_t latest
    for row in range(rows):
        if series[row] >= IDS_MAX:
            continue
        latest = (<uint64_t*>all.times.start)[series[row]]
        if latest == 0:
            latest = (<uint64_t*>all.floors.start)[series[row] >> PAGE_BITS]
            if series[row] < all.known and latest < all.first:
                latest = all.first
        if latest and ordered(ts_ms[row]) <= latest:
            out[behind] = <uint32_t>row
            behind += 1
    return behind


cdef bint raise_each(LatestTimes all, const uint32_t* series, const int64_t* ts_ms, size_t rows) noexcept nogil:
    cdef uint64_t* times = <uint64_t*>all.times.start
    cdef uint64_t* tops = <uint64_t*>all.tops.start
    cdef uint64_t time
    cdef size_t row, page
    for row in range(rows):
        if series[row] >= IDS_MAX:
            return False
        page = series[row] >> PAGE_BITS
        time = ordered(ts_ms[row])
        if times[series[row]] == 0:         # what stood for it until now does not any more
            time = max(time, (<uint64_t*>all.floors.start)[page])
            if series[row] < all.known:
                time = max(time, all.first)
        if time > times[series[row]]:
            times[series[row]] = time
        if time > tops[page]:
            tops[page] = time
            all.pages = max(all.pages, page + 1)
    return True


cdef void let_go_pages(LatestTimes all, uint64_t older) noexcept nogil:
    cdef uint64_t* floors = <uint64_t*>all.floors.start
    cdef uint64_t* tops = <uint64_t*>all.tops.start
    cdef size_t page
    for page in range(all.pages):
        if tops[page] and tops[page] < older:
            floors[page] = max(floors[page], tops[page])
            tops[page] = 0
            madvise(all.times.start + page * PAGE_IDS * 8, PAGE_IDS * 8, MADV_DONTNEED)


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline uint64_t ordered(int64_t ms) noexcept nogil:
    """The same order, without a sign; the earliest time there is becomes 0, which is none."""
    return <uint64_t>ms ^ SIGN
