# A map from keyed hashes to values that expire, oldest first out: what a decoder needs to tell redelivered packets.

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from nissa._fast.region cimport Region
from nissa._fast.types cimport Fingerprint, Status

# One remembered key. In the order of storing; dead where expires_ms is INT64_MIN.
cdef struct Entry:
    Fingerprint key
    uint64_t lsn
    int64_t expires_ms

cdef enum:
    SEGMENT_SLOTS = 1024    # 8 KiB: split in some microseconds

# Where an entry is found: the upper half of its key's low word, and its place on the ring of chunks.
cdef struct Slot:
    uint32_t tag
    uint32_t place

# Slots [n * SEGMENT_SLOTS, (n + 1) * SEGMENT_SLOTS) belong to the keys that share their first `depth` bits.
cdef struct Segment:
    uint32_t used
    uint32_t depth

@cython.final
cdef class TtlMap:
    # limits
    cdef readonly size_t entries_max
    # figures
    cdef readonly size_t count              # entries held, expired ones that are not swept yet among them
    cdef readonly size_t evicted_total      # forgotten before their time, because of entries_max
    # index: the first `depth` bits of a key choose its segment
    cdef uint32_t* directory
    cdef uint32_t depth
    cdef Segment* segments
    cdef size_t segment_count
    cdef size_t segments_max
    cdef Region slots
    # entries [oldest, next) by number, in chunks on a ring
    cdef Entry** chunks
    cdef size_t chunk_ring                  # chunks on the ring, a power of two
    cdef size_t chunk_count                 # of them in memory
    cdef uint64_t oldest
    cdef uint64_t next
    # the pass under way visits entries [cursor, pass_end)
    cdef uint64_t cursor
    cdef uint64_t pass_end

    # the live entry of a key, or NULL; gone with the next store or sweep
    cdef const Entry* live(self, const Fingerprint* key, int64_t now_ms) noexcept nogil
    # remember a key, in place of what was stored of it
    cdef Status store(self, const Fingerprint* key, uint64_t lsn, int64_t now_ms, int64_t expires_ms) noexcept nogil
    # ask for the memory that the keys behind keys[index] will touch
    cdef void fetch_ahead(self, const Fingerprint* keys, size_t index, size_t count) noexcept nogil

    cdef Entry* entry_of(self, uint64_t number) noexcept nogil
    cdef uint32_t segment_of(self, uint64_t low) noexcept nogil
    cdef Slot* slots_of(self, uint32_t segment) noexcept nogil
    cdef Slot* home_of(self, const Fingerprint* key) noexcept nogil
    cdef Entry* held(self, const Fingerprint* key) noexcept nogil
    cdef Status append(self, const Fingerprint* key, uint64_t lsn, int64_t expires_ms) noexcept nogil
    cdef Status room_in_segment(self, uint64_t low, uint32_t* segment) noexcept nogil
    cdef Status split(self, uint32_t segment, uint64_t low) noexcept nogil
    cdef Status deepen(self) noexcept nogil
    cdef void make_room(self) noexcept nogil
    cdef void forget(self, Entry* entry) noexcept nogil
    cdef void let_go(self) noexcept nogil
    cdef size_t sweep_slice(self, int64_t now_ms, size_t entries) noexcept nogil
    cdef Status store_keys(self, const Fingerprint* keys, size_t count, const uint64_t* lsns, int64_t now_ms,
                           int64_t expires_ms) noexcept nogil
    cdef Status claim_keys(self, const Fingerprint* keys, size_t count, uint64_t lsn, int64_t now_ms,
                           int64_t expires_ms, uint64_t* out) noexcept nogil
    cdef void look_up_keys(self, const Fingerprint* keys, size_t count, int64_t now_ms, uint64_t* out) noexcept nogil
