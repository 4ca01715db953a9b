"""Snapshot of consecutive entries of a TtlMap, copied on another thread while the map is in use.

    map    [oldest ─────────────────── next)       appends behind `end`, marks entries dead, lets go of chunks
    run               [first ── end)               the chunks stay until the last of both has let go

A dead entry keeps its LSN and expiry, so a run reads the same at any time: a checkpoint takes a few pointers on the
engine thread, and the thread that writes it copies the entries.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free

import numpy as np


# ---- Boundary --------------------------------------------------------------------------------------------------------

@cython.final
cdef class EntryRun:
    """A part of a map's line as it was frozen, for whoever writes it down."""

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.chunk_count):
            drop_chunk(self.chunks[index])
        free(self.chunks)

    def __len__(self):
        return self.end - self.first

    @property
    def held(self):
        """Number of entries in the whole FIFO, dead ones among them."""
        return self.end - self.oldest

    def forget_above(self, uint64_t lsn):
        """Leave out what came with an LSN above ``lsn``. On the map's thread, before the map forgets it."""
        cdef uint64_t low = self.first, high = self.end, middle
        while low < high:
            middle = (low + high) // 2
            if self.entry_of(middle).lsn & ~DEAD > lsn:
                high = middle
            else:
                low = middle + 1
        self.end = low

    def columns(self):
        """Stored entries, oldest first, expired or not: (keys, lsns, expires_ms).

        On any thread. GIL: released. Cost: 2 ns per entry, and the first touch of 32 bytes.
        """
        cdef size_t place, span = self.end - self.first
        cdef const Entry* entry
        keys, lsns, expires = np.empty((span, 2), np.uint64), np.empty(span, np.uint64), np.empty(span, np.int64)
        cdef uint64_t[:, ::1] keys_view = keys
        cdef uint64_t[::1] lsns_view = lsns
        cdef int64_t[::1] expires_view = expires
        with nogil:
            for place in range(span):
                entry = self.entry_of(self.first + place)
                keys_view[place, 0] = entry.key.low
                keys_view[place, 1] = entry.key.high
                lsns_view[place] = entry.lsn & ~DEAD
                expires_view[place] = entry.expires_ms
        return keys, lsns, expires

    # ---- Steps ----------------------------------------------------------------------------------------------------

    cdef const Entry* entry_of(self, uint64_t number) noexcept nogil:
        return &self.chunks[number // CHUNK_ENTRIES - self.first // CHUNK_ENTRIES].entries[number % CHUNK_ENTRIES]
