# A probe table: from 96 bits of a fingerprint to a number, open addressing with linear probing, at most 5/8 full.
#
#   place = low & mask        | low  high  7 | empty | low  high  12 | low  high  3 | empty | …        16 bytes a slot
#
# One cache line holds four slots, so a look-up costs one miss; whoever has many prefetches them. The bits come from a
# keyed hash, so nobody can aim for a crowded place.

#
# A table can be frozen: written to a file whose pages then stand for it. An entry is looked for in the table that
# grows, then in the frozen ones, the latest first: what was put last counts.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from nissa._fast.region cimport MAP_FAILED, MAP_SHARED, PROT_READ, SPILL_BYTES, mmap, munmap, write_whole
from nissa._fast.types cimport SERIES_NONE

# One entry of a probe table: 96 bits of a fingerprint and what it stands for. Empty where series is SERIES_NONE.
cdef struct Slot:
    uint64_t low
    uint32_t high
    uint32_t series

cdef struct Table:
    Slot* slots
    size_t mask             # size - 1; the size is a power of two
    size_t used

cdef enum: FROZEN_MAX = 256

cdef struct FrozenTables:
    size_t count
    Table table[FROZEN_MAX]


cdef inline uint32_t find(const Table* table, uint64_t low, uint32_t high) noexcept nogil:
    cdef size_t place = low & table.mask
    cdef const Slot* slot = &table.slots[place]
    while slot.series != SERIES_NONE:
        if slot.low == low and slot.high == high:
            return slot.series
        place = (place + 1) & table.mask
        slot = &table.slots[place]
    return SERIES_NONE


cdef inline bint open_table(Table* table, size_t size) noexcept nogil:
    table.slots = <Slot*>malloc(size * sizeof(Slot))
    table.mask = size - 1
    table.used = 0
    if table.slots == NULL:
        return False
    memset(table.slots, 0xFF, size * sizeof(Slot))
    return True


cdef inline void clear_table(Table* table) noexcept nogil:
    memset(table.slots, 0xFF, (table.mask + 1) * sizeof(Slot))
    table.used = 0


cdef inline void place_slot(Table* table, Slot slot) noexcept nogil:
    cdef size_t place = slot.low & table.mask
    while table.slots[place].series != SERIES_NONE:
        place = (place + 1) & table.mask
    table.slots[place] = slot


cdef inline void keep_seen(Table* table, const uint32_t* seen) noexcept nogil:
    """Drop the entries of series whose ``seen`` is 0; all of them where memory is short. Cost: about 10 ns per slot."""
    cdef Table kept
    cdef size_t index
    if not open_table(&kept, table.mask + 1):
        clear_table(table)
        return
    for index in range(table.mask + 1):
        if table.slots[index].series != SERIES_NONE and seen[table.slots[index].series] != 0:
            place_slot(&kept, table.slots[index])
            kept.used += 1
    free(table.slots)
    table[0] = kept


cdef inline bint insert(Table* table, uint64_t low, uint32_t high, uint32_t series) noexcept nogil:
    """Add an entry that is not there; the table is kept at most 5/8 full."""
    cdef Table grown
    cdef size_t index
    cdef Slot slot
    if (table.used + 1) * 8 > (table.mask + 1) * 5:
        if not open_table(&grown, (table.mask + 1) * 2):
            return False
        for index in range(table.mask + 1):
            if table.slots[index].series != SERIES_NONE:
                place_slot(&grown, table.slots[index])
        grown.used = table.used
        free(table.slots)
        table[0] = grown
    slot.low = low
    slot.high = high
    slot.series = series
    place_slot(table, slot)
    table.used += 1
    return True


cdef inline bint put(Table* table, uint64_t low, uint32_t high, uint32_t series) noexcept nogil:
    """Add an entry, or make the one with these bits stand for ``series``."""
    cdef size_t place = low & table.mask
    while table.slots[place].series != SERIES_NONE:
        if table.slots[place].low == low and table.slots[place].high == high:
            table.slots[place].series = series
            return True
        place = (place + 1) & table.mask
    return insert(table, low, high, series)


cdef inline uint32_t find_in_all(const Table* table, const FrozenTables* frozen, uint64_t low,
                                 uint32_t high) noexcept nogil:
    cdef uint32_t found = find(table, low, high)
    cdef size_t index = frozen.count
    while found == SERIES_NONE and index > 0:
        index -= 1
        found = find(&frozen.table[index], low, high)
    return found


cdef inline bint freeze(Table* table, FrozenTables* frozen, int fd, int64_t* file_end) noexcept nogil:
    """Move all entries into a frozen table and begin an empty one; False, and nothing has changed, where that fails."""
    cdef size_t size = (table.mask + 1) * sizeof(Slot)
    cdef Table fresh
    cdef void* place
    if frozen.count == FROZEN_MAX or size < SPILL_BYTES:
        return False
    if not write_whole(fd, <uint8_t*>table.slots, size, file_end[0]):
        return False
    if not open_table(&fresh, 1024):
        return False
    place = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, file_end[0])
    if place == MAP_FAILED:
        free(fresh.slots)
        return False
    free(table.slots)
    frozen.table[frozen.count] = Table(<Slot*>place, table.mask, table.used)
    frozen.count += 1
    file_end[0] += <int64_t>size
    table[0] = fresh
    return True


cdef inline void release_frozen(FrozenTables* frozen) noexcept:
    cdef size_t index
    for index in range(frozen.count):
        munmap(frozen.table[index].slots, (frozen.table[index].mask + 1) * sizeof(Slot))
    frozen.count = 0
