"""A map from keyed 128-bit hashes to LSNs that expire; when it is full, the oldest entry is evicted.

    key.low    │ first `depth` bits      …      10 bits │ 32 bits │
               │◄─────────────── tag ─────────────────►│
                   │                            │
    directory  [ 0 | 1 | 2 | 3 | … ]            ▼
                 │   └──┬──┘     segment: 1024 slots of tag and place on the ring, 8 bytes each
                 ▼      ▼                            │
    entries    chunk … │ e7 ✝e8 e9 e10 … │ e2048 …  │ free          in the order they were stored, 32 bytes each
                         ▲ oldest          ▲ cursor    ▲ next

A slot whose tag fits names an entry, which holds the whole key and decides. Growing moves one segment at a time: one
that is 5/8 full is split by the next bit of its keys, some microseconds of work, and the directory doubles when a
segment needs more bits than it has. Nothing is ever rehashed as a whole, so no call waits for that. Memory: about 18
bytes of index and 32 of entry; chunks go back when all in them are dead, the index stays as large as it once was.

An entry is dead to every question from its expiry on, whether or not it was swept. A sweep visits entries in the order
of storing, so many at a time. What is live after a sequence of calls therefore does not depend on when it was swept, as
long as all entries live equally long: whatever a full map forgets, expired entries come first.

LSNs never descend along the line. What came with an LSN above some other is therefore the end of it: that is what a
checkpoint adds, and what is taken back where frames were lost.

Keys come from a keyed hash, so nobody can aim for a crowded segment. This file knows no clock: times are given, in
milliseconds of whatever monotonic clock. One thread.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

import numpy as np

from nissa._fast.publish cimport nissa_fetch_add
from nissa._fast.region cimport release, reserve
from nissa._fast.ttl_run cimport CHUNK_ENTRIES, DEAD, Chunk, Entry, EntryRun, drop_chunk
from nissa._fast.types cimport NO_MEMORY, OK, TOO_MANY_SYMBOLS, Fingerprint, Status

cdef extern from *:
    """
    /* The empty statement keeps gcc from taking a function that only prefetches for one without effect. */
    #define nissa_prefetch(place) (__builtin_prefetch(place), ({ __asm__ volatile(""); }))
    """
    void nissa_prefetch(const void* place) nogil

cdef enum: NOWHERE = 0xFFFFFFFF  # the place of an empty slot

cdef enum:
    SEGMENT_USED_MAX = 640      # of SEGMENT_SLOTS
    SEGMENT_FILL_MIN = 64       # keys per segment that address space is reserved for; hashes leave about 450 in each
    DEPTH_MAX = 22              # 4 M segments, 2,600 M keys
    AHEAD = 12                  # keys between the prefetch of a slot and its probe
    ENTRIES_MAX = 100_000_000


# ---- Boundary --------------------------------------------------------------------------------------------------------

@cython.final
cdef class TtlMap:
    """Keys and the LSN each was stored with. entries_max: how many are held; one more and the oldest is forgotten.

    Keys are uint64 arrays of shape (n, 2): low and high half of a hash, as ``packet_keys.Keys`` makes them.
    """

    def __cinit__(self, size_t entries_max):
        cdef size_t chunks = 2 * (entries_max // CHUNK_ENTRIES + 2)   # as much again for holes of odd life times
        if not 1 <= entries_max <= ENTRIES_MAX:
            raise ValueError(f"entries_max: expected 1 to {ENTRIES_MAX}, got {entries_max}")
        self.entries_max = entries_max
        self.chunk_ring = 1
        while self.chunk_ring < chunks:
            self.chunk_ring *= 2
        self.segments_max = entries_max // SEGMENT_FILL_MIN + 64
        reserve(&self.slots, self.segments_max * SEGMENT_SLOTS * sizeof(Slot))
        self.chunks = <Chunk**>calloc(self.chunk_ring, sizeof(Chunk*))
        self.directory = <uint32_t*>calloc(1, sizeof(uint32_t))
        self.segments = <Segment*>calloc(self.segments_max, sizeof(Segment))
        if self.chunks == NULL or self.directory == NULL or self.segments == NULL:
            raise MemoryError("ttl map")
        memset(self.slots_of(0), 0xFF, SEGMENT_SLOTS * sizeof(Slot))
        self.segment_count = 1

    def __dealloc__(self):
        cdef size_t index
        if self.chunks != NULL:
            for index in range(self.chunk_ring):
                drop_chunk(self.chunks[index])
        free(self.chunks)
        free(self.directory)
        free(self.segments)
        release(&self.slots)

    @property
    def memory_bytes(self):
        """Bytes in use: the index as allocated, entries by the chunk."""
        index_bytes = self.segment_count * (sizeof(Segment) + SEGMENT_SLOTS * sizeof(Slot))
        directory_bytes = (sizeof(uint32_t) << self.depth) + self.chunk_ring * sizeof(Chunk*)
        return index_bytes + directory_bytes + self.chunk_count * sizeof(Chunk)

    def dedup_all(self, const uint64_t[:, ::1] keys not None, uint64_t lsn, int64_t now_ms, int64_t expires_ms):
        """Remember those keys that are not known; say of each who had it before.

        Returns: uint64 (n,), 0 for a key that was not known (it is now, with ``lsn``, until ``expires_ms``), else the
        LSN it has; ``lsn`` itself for a key that came twice in this call. lsn: not 0, not below those before. Raises:
        MemoryError; ValueError where keys are no hashes. GIL: released. Cost: 30 to 60 ns per key at a million entries.
        """
        cdef size_t count = keys_in(keys)
        cdef Status status = OK
        out = np.zeros(count, np.uint64)
        cdef uint64_t[::1] out_view = out
        self.go_on_at(lsn)
        if count:
            with nogil:
                status = self.claim_keys(<const Fingerprint*>&keys[0, 0], count, lsn, now_ms, expires_ms, &out_view[0])
        told(status)
        return out

    def restore_all(self, const uint64_t[:, ::1] keys not None, const uint64_t[::1] lsns not None,
                    const int64_t[::1] expires_ms not None, int64_t now_ms):
        """Remember keys that are not known, each with its LSN and expiry, in the order of ``entries``.

        Those that have expired are left out. Raises, GIL and Cost as ``dedup_all``.
        """
        cdef size_t count = keys_in(keys)
        cdef Status status = OK
        if <size_t>lsns.shape[0] != count or <size_t>expires_ms.shape[0] != count:
            raise ValueError(f"expected an LSN and an expiry for each of {count} keys")
        if not count:
            return
        if (np.diff(lsns) >> np.uint64(63)).any():
            raise ValueError("LSNs descend")
        self.go_on_at(lsns[0])
        if lsns[count - 1] >= DEAD:
            raise ValueError(f"lsn {lsns[count - 1]}: expected less than 2**63")
        with nogil:
            status = self.restore_keys(<const Fingerprint*>&keys[0, 0], count, &lsns[0], &expires_ms[0], now_ms)
        self.last_lsn = max(self.last_lsn, lsns[count - 1])
        told(status)

    def forget_above(self, uint64_t lsn):
        """Forget what came with an LSN above ``lsn``: those frames are lost. Returns: how many keys."""
        cdef size_t before = self.count
        with nogil:
            self.cut_at(self.first_above(lsn))
        self.last_lsn = min(self.last_lsn, lsn)
        return before - self.count

    def get(self, uint64_t low, uint64_t high, int64_t now_ms):
        """(lsn, expires_ms) of one key, or None."""
        cdef Fingerprint key
        cdef const Entry* entry
        key.low = low
        key.high = high
        entry = self.live(&key, now_ms)
        return None if entry == NULL else (entry.lsn, entry.expires_ms)

    def sweep(self, int64_t now_ms, size_t entries_slice):
        """Look at the next ``entries_slice`` entries of a pass and drop those that expired at ``now_ms`` or before.

        A pass is over the entries that are there when it begins. Returns: (how many were dropped, whether the pass is
        finished). GIL: released. Cost: 1 ns per entry looked at, about 40 ns per entry dropped.
        """
        cdef size_t removed
        if self.cursor >= self.pass_end:
            self.cursor, self.pass_end = self.oldest, self.next
        with nogil:
            removed = self.sweep_slice(now_ms, entries_slice)
        return removed, self.cursor >= self.pass_end

    def freeze(self, uint64_t above_lsn=0):
        """The line as it is now, to be written down on another thread: an EntryRun of LSNs above ``above_lsn``.

        Cost: 50 µs for a million entries.
        """
        cdef EntryRun run = EntryRun.__new__(EntryRun)
        cdef size_t index
        run.oldest, run.first, run.end = self.oldest, self.first_above(above_lsn), self.next
        if run.first == run.end:
            return run
        run.chunks = <Chunk**>calloc((run.end - 1) // CHUNK_ENTRIES - run.first // CHUNK_ENTRIES + 1, sizeof(Chunk*))
        if run.chunks == NULL:
            raise MemoryError("ttl map")
        run.chunk_count = (run.end - 1) // CHUNK_ENTRIES - run.first // CHUNK_ENTRIES + 1
        for index in range(run.chunk_count):
            run.chunks[index] = self.chunks[(run.first // CHUNK_ENTRIES + index) & (self.chunk_ring - 1)]
            nissa_fetch_add(&run.chunks[index].holders, 1)
        return run

    cdef int go_on_at(self, uint64_t lsn) except -1:
        """Raise where ``lsn`` is none, or below what the line ends with."""
        if lsn == 0:
            raise ValueError("lsn 0 stands for an unknown key")
        if lsn >= DEAD:
            raise ValueError(f"lsn {lsn}: expected less than 2**63")
        if lsn < self.last_lsn:
            raise ValueError(f"lsn {lsn} comes behind {self.last_lsn}: they never descend")
        self.last_lsn = lsn
        return 0

    # ---- Loops ----------------------------------------------------------------------------------------------------

    cdef Status restore_keys(self, const Fingerprint* keys, size_t count, const uint64_t* lsns,
                             const int64_t* expires_ms, int64_t now_ms) noexcept nogil:
        cdef size_t index
        cdef Status status
        for index in range(count):
            self.fetch_ahead(keys, index, count)
            if expires_ms[index] > now_ms and self.live(&keys[index], now_ms) == NULL:
                status = self.store(&keys[index], lsns[index], expires_ms[index])
                if status != OK:
                    return status
        return OK

    cdef Status claim_keys(self, const Fingerprint* keys, size_t count, uint64_t lsn, int64_t now_ms,
                           int64_t expires_ms, uint64_t* out) noexcept nogil:
        cdef size_t index
        cdef const Entry* entry
        cdef Status status
        for index in range(count):
            self.fetch_ahead(keys, index, count)
            entry = self.live(&keys[index], now_ms)
            if entry != NULL:
                out[index] = entry.lsn
                continue
            status = self.store(&keys[index], lsn, expires_ms)
            if status != OK:
                return status
        return OK

    cdef void cut_at(self, uint64_t end) noexcept nogil:
        """Forget entries from the number ``end`` on, and give back chunks that are left empty."""
        cdef Entry* entry
        while self.next > end:
            self.next -= 1
            entry = self.entry_of(self.next)
            if entry.lsn < DEAD:
                self.forget(entry)
            if self.next % CHUNK_ENTRIES == 0 or self.next == self.oldest:
                self.free_chunk(self.next)
        self.pass_end = min(self.pass_end, end)
        self.cursor = min(self.cursor, end)

    cdef size_t sweep_slice(self, int64_t now_ms, size_t entries) noexcept nogil:
        cdef size_t removed = 0
        cdef Entry* entry
        cdef uint64_t end
        self.let_go()
        self.cursor = max(self.cursor, min(self.oldest, self.pass_end))
        end = min(self.cursor + entries, self.pass_end)
        while self.cursor < end:
            if self.cursor + AHEAD < end:
                entry = self.entry_of(self.cursor + AHEAD)
                if entry.expires_ms <= now_ms:
                    nissa_prefetch(self.home_of(&entry.key))
            entry = self.entry_of(self.cursor)
            if entry.expires_ms <= now_ms and entry.lsn < DEAD:
                self.forget(entry)
                removed += 1
            self.cursor += 1
        self.let_go()
        return removed

    # ---- Steps ----------------------------------------------------------------------------------------------------

    cdef const Entry* live(self, const Fingerprint* key, int64_t now_ms) noexcept nogil:
        cdef const Entry* entry = self.held(key)
        return entry if entry != NULL and entry.expires_ms > now_ms else NULL

    cdef Status store(self, const Fingerprint* key, uint64_t lsn, int64_t expires_ms) noexcept nogil:
        cdef Entry* entry = self.held(key)
        if entry != NULL:
            self.forget(entry)  # expired: it comes anew, its place in line is the last
        return self.append(key, lsn, expires_ms)

    cdef uint64_t first_above(self, uint64_t lsn) noexcept nogil:
        """The number of the first entry with an LSN above ``lsn``."""
        cdef uint64_t low = self.oldest, high = self.next, middle
        while low < high:
            middle = (low + high) // 2
            if self.entry_of(middle).lsn & ~DEAD > lsn:
                high = middle
            else:
                low = middle + 1
        return low

    cdef void fetch_ahead(self, const Fingerprint* keys, size_t index, size_t count) noexcept nogil:
        if index + 2 * AHEAD < count:
            self.fetch_slot(&keys[index + 2 * AHEAD])
        if index + AHEAD < count:
            self.fetch_entry(&keys[index + AHEAD])

    cdef void fetch_slot(self, const Fingerprint* key) noexcept nogil:
        nissa_prefetch(self.home_of(key))

    cdef void fetch_entry(self, const Fingerprint* key) noexcept nogil:
        cdef const Slot* slot = self.home_of(key)
        if slot.place != NOWHERE and slot.tag == tag_of(key.low):  # further ones are rarely needed
            nissa_prefetch(self.entry_of(slot.place))

    cdef Entry* entry_of(self, uint64_t number) noexcept nogil:
        return &self.chunks[(number // CHUNK_ENTRIES) & (self.chunk_ring - 1)].entries[number % CHUNK_ENTRIES]

    cdef uint32_t segment_of(self, uint64_t low) noexcept nogil:
        return self.directory[(low >> 1) >> (63 - self.depth)]  # in two steps: a shift by 64 is not defined

    cdef Slot* slots_of(self, uint32_t segment) noexcept nogil:
        return <Slot*>self.slots.start + <size_t>segment * SEGMENT_SLOTS

    cdef Slot* home_of(self, const Fingerprint* key) noexcept nogil:
        """The slot where the search for a key begins."""
        return self.slots_of(self.segment_of(key.low)) + home_of_tag(tag_of(key.low))

    cdef Entry* held(self, const Fingerprint* key) noexcept nogil:
        """The entry of a key, expired or not; NULL where there is none."""
        cdef const Slot* slots = self.slots_of(self.segment_of(key.low))
        cdef uint32_t tag = tag_of(key.low)
        cdef size_t at = home_of_tag(tag)
        cdef Entry* entry
        while slots[at].place != NOWHERE:
            if slots[at].tag == tag:
                entry = self.entry_of(slots[at].place)
                if entry.key.low == key.low and entry.key.high == key.high:
                    return entry
            at = (at + 1) & (SEGMENT_SLOTS - 1)
        return NULL

    cdef Status append(self, const Fingerprint* key, uint64_t lsn, int64_t expires_ms) noexcept nogil:
        """Add an entry for a key that has none."""
        cdef Chunk** chunk
        cdef Entry* entry
        cdef Slot slot
        cdef Status status
        cdef uint32_t segment
        self.make_room()
        status = self.room_in_segment(key.low, &segment)
        if status != OK:
            return status
        chunk = &self.chunks[(self.next // CHUNK_ENTRIES) & (self.chunk_ring - 1)]
        if chunk[0] == NULL:
            chunk[0] = <Chunk*>malloc(sizeof(Chunk))
            if chunk[0] == NULL:
                return NO_MEMORY
            chunk[0].holders = 1
            self.chunk_count += 1
        slot.tag = tag_of(key.low)
        slot.place = <uint32_t>(self.next & (self.chunk_ring * CHUNK_ENTRIES - 1))
        place_slot(self.slots_of(segment), slot)
        self.segments[segment].used += 1
        entry = self.entry_of(self.next)
        entry.key = key[0]
        entry.lsn = lsn
        entry.expires_ms = expires_ms
        self.next += 1
        self.count += 1
        return OK

    cdef Status room_in_segment(self, uint64_t low, uint32_t* segment) noexcept nogil:
        """The segment of ``low``, in which there is a free slot."""
        cdef Status status
        segment[0] = self.segment_of(low)
        while self.segments[segment[0]].used >= SEGMENT_USED_MAX:
            status = self.split(segment[0], low)
            if status != OK:
                return status
            segment[0] = self.segment_of(low)
        return OK

    cdef Status split(self, uint32_t segment, uint64_t low) noexcept nogil:
        """Give half the keys of a segment, of which ``low`` names any, to a new one."""
        cdef Slot before[SEGMENT_SLOTS]
        cdef uint32_t halves[2]
        cdef uint32_t depth = self.segments[segment].depth
        cdef size_t index, side, span, first, count = 0
        if depth == DEPTH_MAX or self.segment_count == self.segments_max:
            return TOO_MANY_SYMBOLS
        if depth == self.depth and self.deepen() != OK:
            return NO_MEMORY
        halves[0] = segment
        halves[1] = <uint32_t>self.segment_count
        self.segment_count += 1
        for index in range(SEGMENT_SLOTS):  # no branch to guess: a third of them is empty
            before[count] = self.slots_of(segment)[index]
            count += before[count].place != NOWHERE
        for side in range(2):
            self.segments[halves[side]].used = 0
            self.segments[halves[side]].depth = depth + 1
            memset(self.slots_of(halves[side]), 0xFF, sizeof(before))
        for index in range(count):
            side = (before[index].tag >> (31 - depth)) & 1
            place_slot(self.slots_of(halves[side]), before[index])
            self.segments[halves[side]].used += 1
        span = <size_t>1 << (self.depth - depth)
        first = ((low >> 1) >> (63 - self.depth)) & ~(span - 1)
        for index in range(span // 2, span):
            self.directory[first + index] = halves[1]
        return OK

    cdef Status deepen(self) noexcept nogil:
        """A directory of one bit more, every segment named twice as often."""
        cdef size_t size = <size_t>1 << self.depth, index
        cdef uint32_t* grown = <uint32_t*>realloc(self.directory, size * 2 * sizeof(uint32_t))
        if grown == NULL:
            return NO_MEMORY
        self.directory = grown
        for index in range(size):
            grown[2 * (size - index) - 1] = grown[2 * (size - index) - 2] = grown[size - index - 1]
        self.depth += 1
        return OK

    cdef void make_room(self) noexcept nogil:
        """Forget the oldest entry where one more would be too many, or would meet the other end of the ring."""
        cdef Entry* entry
        cdef uint64_t span_max = (self.chunk_ring - 1) * CHUNK_ENTRIES
        while self.count >= self.entries_max or self.next - self.oldest >= span_max:
            if self.next - self.oldest > AHEAD:
                nissa_prefetch(self.home_of(&self.entry_of(self.oldest + AHEAD).key))
            entry = self.entry_of(self.oldest)
            if entry.lsn < DEAD:
                self.forget(entry)
                self.evicted_total += 1
            self.let_go()

    cdef void forget(self, Entry* entry) noexcept nogil:
        """Take an entry out of the index: what stood behind its slot, up to a gap, closes up."""
        cdef uint32_t segment = self.segment_of(entry.key.low)
        cdef Slot* slots = self.slots_of(segment)
        cdef size_t hole = home_of_tag(tag_of(entry.key.low)), at
        while slots[hole].place == NOWHERE or self.entry_of(slots[hole].place) != entry:
            hole = (hole + 1) & (SEGMENT_SLOTS - 1)
        at = hole
        while True:
            at = (at + 1) & (SEGMENT_SLOTS - 1)
            if slots[at].place == NOWHERE:
                break
            if distance(home_of_tag(slots[at].tag), at) >= distance(hole, at):
                slots[hole] = slots[at]
                hole = at
        slots[hole].place = NOWHERE
        self.segments[segment].used -= 1
        entry.lsn |= DEAD
        self.count -= 1

    cdef void let_go(self) noexcept nogil:
        """Move ``oldest`` over dead entries, and give back chunks that it leaves."""
        while self.oldest < self.next and self.entry_of(self.oldest).lsn >= DEAD:
            if self.oldest % CHUNK_ENTRIES == CHUNK_ENTRIES - 1:
                self.free_chunk(self.oldest)
            self.oldest += 1

    cdef void free_chunk(self, uint64_t number) noexcept nogil:
        """Let go of the chunk of an entry, where it is there."""
        cdef Chunk** chunk = &self.chunks[(number // CHUNK_ENTRIES) & (self.chunk_ring - 1)]
        self.chunk_count -= chunk[0] != NULL
        drop_chunk(chunk[0])
        chunk[0] = NULL


cdef size_t keys_in(const uint64_t[:, ::1] keys) except? 0:
    if keys.shape[1] != 2:
        raise ValueError(f"keys: expected uint64 of shape (n, 2), got (n, {keys.shape[1]})")
    return keys.shape[0]


cdef int told(Status status) except -1:
    if status == NO_MEMORY:
        raise MemoryError("ttl map")
    if status != OK:
        raise ValueError(f"keys are no hashes: over {SEGMENT_USED_MAX} of them begin with the same {DEPTH_MAX} bits")
    return 0


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline size_t distance(size_t start, size_t end) noexcept nogil:
    """Steps from one slot of a segment forward to another."""
    return (end + SEGMENT_SLOTS - start) & (SEGMENT_SLOTS - 1)


cdef inline uint32_t tag_of(uint64_t low) noexcept nogil:
    return <uint32_t>(low >> 32)


cdef inline size_t home_of_tag(uint32_t tag) noexcept nogil:
    return tag & (SEGMENT_SLOTS - 1)


cdef inline void place_slot(Slot* slots, Slot slot) noexcept nogil:
    """Put a slot into the first empty one from its home on."""
    cdef size_t at = home_of_tag(slot.tag)
    while slots[at].place != NOWHERE:
        at = (at + 1) & (SEGMENT_SLOTS - 1)
    slots[at] = slot
