"""Moves the parts of the index that never change again to a file, and maps its pages in their place.

    before   | memory: fingerprints, pairs, texts, probe tables of all series |
    after    | pages of the file: those of series up to here | memory: of later ones |

Ids, labels and answers do not change, and readers on other threads see the same bytes all along. Pages that are not
read are not resident. A lookup of an idle series costs at most one read of the file.

The file is scratch: only this index reads it, and the next start builds the index from the series table.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from nissa._fast.probe cimport freeze
from nissa._fast.region cimport SPILL_BYTES, Region, spill
from nissa._fast.series cimport Pair, SeriesIndex
from nissa._fast.types cimport Fingerprint

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void* start, size_t size, int advice)
    int MADV_DONTNEED

cdef enum:
    BYTES_MIN = 0x2000000       # 32 MiB in memory before it is worth a file
    BYTES_MAX = 0x8000000       # 128 MiB: that many wait at most, or an eighth of what is spilled
    BYTES_PER_SERIES = 154      # of a usual one


# ---- Boundary --------------------------------------------------------------------------------------------------------

def spill_series(SeriesIndex index not None, int fd, size_t bytes_min=BYTES_MIN):
    """Spill the index to a file of its own, if most series are idle and enough of it is in memory.

    For the thread that writes to the index. fd: a file of this index alone, open for reading and writing; empty at the
    first call, the same at every other. bytes_min: what must be in memory before it is done.
    Returns: whether it was done; False too where the file takes no more: then the rest stays in memory. GIL: released.
    Cost: one write of what is spilled.
    """
    cdef size_t fresh = (index.known_total - index.spilled_places) * BYTES_PER_SERIES
    cdef size_t wanted = max(bytes_min, min(<size_t>index.spill_end // 8, <size_t>BYTES_MAX))
    cdef bint done
    if fresh < wanted or index.known_total < 2 * index.active_count:
        return False
    with nogil:
        done = spill_all(index, fd)
    return done


def let_go(SeriesIndex index not None):
    """Ask the kernel to take away the pages of the file that were looked at. Any thread. GIL: released."""
    with nogil:
        drop_pages(&index.ids)
        drop_pages(&index.fingerprints)
        drop_pages(&index.pair_starts)
        drop_pages(&index.pairs)
        drop_pages(&index.symbol_starts)
        drop_pages(&index.texts)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef bint spill_all(SeriesIndex index, int fd) noexcept nogil:
    """Regions first: a table that cannot be frozen only stays in memory."""
    cdef size_t known = index.known_total, symbols = index.symbol_total
    cdef uint64_t pairs = (<uint64_t*>index.pair_starts.start)[known]
    cdef uint64_t text = (<uint64_t*>index.symbol_starts.start)[symbols]
    cdef int64_t* end = &index.spill_end
    cdef bint done = (spill(&index.ids, known * 4, fd, end)
                      and spill(&index.fingerprints, known * sizeof(Fingerprint), fd, end)
                      and spill(&index.pair_starts, known * 8, fd, end)
                      and spill(&index.pairs, pairs * sizeof(Pair), fd, end)
                      and spill(&index.symbol_starts, symbols * 8, fd, end)
                      and spill(&index.texts, text, fd, end))
    if not done:
        return False
    freeze(&index.identities, &index.identities_frozen, fd, end)
    freeze(&index.symbol_table, &index.symbols_frozen, fd, end)
    drop_zeros(&index.seen_minutes, <size_t>index.series_total * 4)
    index.spilled_places = known
    return True


cdef void drop_zeros(Region* region, size_t filled) noexcept nogil:
    """Give pages of nothing but zeros back: read again they are zeros still."""
    cdef size_t at = 0
    cdef uint8_t* place
    while at + SPILL_BYTES <= filled:
        place = region.start + at
        if place[0] == 0 and memcmp(place, place + 1, SPILL_BYTES - 1) == 0:
            madvise(place, SPILL_BYTES, MADV_DONTNEED)
        at += SPILL_BYTES


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline void drop_pages(Region* region) noexcept nogil:
    if region.spilled:
        madvise(region.start, region.spilled, MADV_DONTNEED)
