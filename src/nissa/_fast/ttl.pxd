# A map from keyed hashes to LSNs that expire, used to find redelivered packets.

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from nissa._fast.region cimport Region
from nissa._fast.ttl_run cimport Chunk, Entry
from nissa._fast.types cimport Fingerprint, Status

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
    cdef uint64_t last_lsn                  # of the entry stored last
    cdef Chunk** chunks
    cdef size_t chunk_ring                  # chunks on the ring, a power of two
    cdef size_t chunk_count                 # of them in memory
    cdef uint64_t oldest
    cdef uint64_t next
    # the pass under way visits entries [cursor, pass_end)
    cdef uint64_t cursor
    cdef uint64_t pass_end

    # the live entry of a key, or NULL; gone with the next store or sweep
    cdef const Entry* live(self, const Fingerprint* key, int64_t now_ms) noexcept nogil
    # remember a key that has no live entry
    cdef Status store(self, const Fingerprint* key, uint64_t lsn, int64_t expires_ms) noexcept nogil
    # raise where an LSN is 0 or below one that was stored
    cdef int go_on_at(self, uint64_t lsn) except -1
    # ask for the memory that a key will touch: early its slot, somewhat later its entry
    cdef void fetch_slot(self, const Fingerprint* key) noexcept nogil
    cdef void fetch_entry(self, const Fingerprint* key) noexcept nogil

    cdef void fetch_ahead(self, const Fingerprint* keys, size_t index, size_t count) noexcept nogil
    cdef uint64_t first_above(self, uint64_t lsn) noexcept nogil
    cdef void cut_at(self, uint64_t end) noexcept nogil
    cdef void free_chunk(self, uint64_t number) noexcept nogil
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
    cdef Status restore_keys(self, const Fingerprint* keys, size_t count, const uint64_t* lsns,
                             const int64_t* expires_ms, int64_t now_ms) noexcept nogil
    cdef Status claim_keys(self, const Fingerprint* keys, size_t count, uint64_t lsn, int64_t now_ms,
                           int64_t expires_ms, uint64_t* out) noexcept nogil
