# Entries of a TtlMap in order of arrival, in chunks, and a frozen run of them for a checkpoint.

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free
from nissa._fast.publish cimport nissa_fetch_sub
from nissa._fast.types cimport Fingerprint

cdef extern from *:
    """
    #define NISSA_DEAD (1ULL << 63)
    """
    const uint64_t DEAD "NISSA_DEAD"        # in the LSN of an entry that nothing leads to any more

cdef enum:
    CHUNK_ENTRIES = 2048

# One remembered key. In the order of storing.
cdef struct Entry:
    Fingerprint key
    uint64_t lsn
    int64_t expires_ms

# 64 KiB of entries. holders: the map, and runs that were frozen; the last one frees it.
cdef struct Chunk:
    size_t holders
    Entry entries[CHUNK_ENTRIES]

# Entries [first, end) of a map whose line began at `oldest` when it was frozen, and the chunks they are in.
@cython.final
cdef class EntryRun:
    cdef uint64_t oldest
    cdef uint64_t first
    cdef uint64_t end
    cdef Chunk** chunks
    cdef size_t chunk_count

    cdef const Entry* entry_of(self, uint64_t number) noexcept nogil


cdef inline void drop_chunk(Chunk* chunk) noexcept nogil:
    """Let go of a chunk, which goes with the last who holds it; nothing for NULL."""
    if chunk != NULL and nissa_fetch_sub(&chunk.holders, 1) == 1:
        free(chunk)
