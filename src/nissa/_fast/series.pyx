"""The index of series: which id has this label set, and which labels has this id.

    raw form (as it stands on the wire) ──hash──► raw table ────────► id    the common case: no label is parsed
                  │ miss                                                ▲
                  ▼                                                     │
    labels parsed, sorted, checked ──hash──► identity table ───────────┤    another spelling of a known series
                  │ miss                                                │
                  ▼                                                     │
    symbols interned, pairs appended, id = series_total ────────────────┘    a new series

    place  0 1 2 3 4 5    ids in order; those of series that are no more have no place
    id     0 1 2 3 7 9

Identity is the sorted set of labels with non-empty values, ``__name__`` included: the keyed 128-bit hash over ``length
name length value`` of each, lengths as 4 bytes little endian. A raw form is any byte string a codec answers labels
for; its hash is only a shortcut and may be forgotten at any time.
Memory per series of 11 labels: 4 id + 16 fingerprint + 8 start + 88 pairs + 4 seen + about 2 x 32 in the probe tables =
184 bytes, and the text of symbols not seen before. Most of it never changes again, and can be spilled to a file
(``series_spill.pyx``); series that nothing mentions are dropped (``series_drop.pyx``).

Threads: one writer (the engine). Readers on other threads see series below ``series_count`` and symbols below
``symbol_count``, both published after what they count was written; regions never move. This file knows no clock:
minutes are given.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

import hashlib

import numpy as np

from nissa._fast.arrow_text cimport check_range
from nissa._fast.batch cimport Batch, refusal_of
from nissa._fast.context cimport add_context, chain_context
from nissa._fast.hash cimport Secret, hash_bytes
from nissa._fast.label_set cimport arrange, canonical_size, checked_labels, write_canonical
from nissa._fast.offenders cimport note_offender, offenders_in
from nissa._fast.probe cimport (Slot, clear_table, find, find_in_all, insert, keep_seen, open_table, put,
                                release_frozen)
from nissa._fast.publish cimport nissa_observe, nissa_publish
from nissa._fast.region cimport release, reserve
from nissa._fast.types cimport (ADMITTED, LABELS_MAX, NO_MEMORY, OK, SERIES_LIMIT, SERIES_NONE, Fingerprint, LabelList,
                                LabelsOf, Record, Status, Text)

cdef extern from *:
    """
    #define NISSA_SERIES_MAX (1ULL << 31)
    #define NISSA_PAIRS_MAX (1ULL << 34)
    #define NISSA_TEXT_MAX (1ULL << 37)
    #define nissa_prefetch(place) __builtin_prefetch(place, 0, 3)
    """
    void nissa_prefetch(const void* place) nogil
    # Address space only. Ids of 600 new series a minute last for seven years.
    const uint64_t SERIES_CAPACITY "NISSA_SERIES_MAX"
    const uint64_t SYMBOL_CAPACITY "NISSA_SERIES_MAX"
    const uint64_t PAIR_CAPACITY "NISSA_PAIRS_MAX"
    const uint64_t TEXT_CAPACITY "NISSA_TEXT_MAX"      # bytes

cdef enum:
    PROBE_AHEAD = 12                # records between the prefetch of a slot and its probe
    DOMAIN_IDENTITY = 1
    DOMAIN_SYMBOL = 2
    RAW_FORMS_PER_SERIES = 4        # raw forms remembered per series before all are forgotten and learned again


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class SeriesIndex:
    """Series of one data directory.

    secret: at least 32 random bytes, the same for the life of the directory.
    active_max: how many series may be active; a further one is refused. ids_max: how many may ever have an id.
    """

    def __cinit__(self, bytes secret not None, size_t active_max=1_000_000, uint32_t labels_max=64,
                  uint32_t name_bytes_max=1024, uint32_t value_bytes_max=65535, size_t ids_max=SERIES_CAPACITY - 2):
        cdef bytes stretched
        if len(secret) < 32:
            raise ValueError(f"secret: expected at least 32 bytes, got {len(secret)}")
        stretched = hashlib.shake_256(secret).digest(sizeof(Secret))
        memcpy(&self.secret, <const char*>stretched, sizeof(Secret))
        self.active_max = active_max
        self.ids_max = min(ids_max, SERIES_CAPACITY - 2)
        self.rules.labels_max = min(labels_max, LABELS_MAX)
        self.rules.name_bytes_max = name_bytes_max
        self.rules.value_bytes_max = value_bytes_max
        reserve(&self.ids, <size_t>SERIES_CAPACITY * 4)
        reserve(&self.dropped, <size_t>SERIES_CAPACITY)
        reserve(&self.fingerprints, <size_t>SERIES_CAPACITY * sizeof(Fingerprint))
        reserve(&self.pair_starts, <size_t>SERIES_CAPACITY * 8)
        reserve(&self.pairs, <size_t>PAIR_CAPACITY * sizeof(Pair))
        reserve(&self.starts_ms, <size_t>SERIES_CAPACITY * 8)
        reserve(&self.seen_minutes, <size_t>SERIES_CAPACITY * 4)
        reserve(&self.active, <size_t>SERIES_CAPACITY * 4)
        reserve(&self.symbol_starts, <size_t>SYMBOL_CAPACITY * 8)
        reserve(&self.texts, <size_t>TEXT_CAPACITY)
        self.canonical_capacity = 1 << 16
        self.canonical = <uint8_t*>malloc(self.canonical_capacity)
        if self.canonical == NULL or not (open_table(&self.raw, 1024) and open_table(&self.identities, 1024)
                                          and open_table(&self.symbol_table, 1024)):
            raise MemoryError("series index")

    def __dealloc__(self):
        release(&self.ids)
        release(&self.dropped)
        release(&self.fingerprints)
        release(&self.pair_starts)
        release(&self.pairs)
        release(&self.starts_ms)
        release(&self.seen_minutes)
        release(&self.active)
        release_frozen(&self.identities_frozen)
        release_frozen(&self.symbols_frozen)
        release(&self.symbol_starts)
        release(&self.texts)
        free(self.raw.slots)
        free(self.identities.slots)
        free(self.symbol_table.slots)
        free(self.canonical)

    @property
    def series_count(self):
        """Number of ids given out; the next series has this one."""
        return nissa_observe(&self.series_total)

    @property
    def known_count(self):
        """Number of series, active and idle, without those that were dropped."""
        return nissa_observe(&self.known_total) - self.dropped_total

    @property
    def symbol_count(self):
        """Number of distinct label names and values interned."""
        return nissa_observe(&self.symbol_total)

    @property
    def memory_bytes(self):
        """Bytes in memory: tables as allocated, regions as filled, without what is spilled."""
        cdef size_t known = self.known_total, spilled = 0
        for region in (self.ids, self.fingerprints, self.pair_starts, self.pairs, self.symbol_starts, self.texts):
            spilled += region.spilled
        tables = (self.raw.mask + self.identities.mask + self.symbol_table.mask + 3) * sizeof(Slot)
        return (tables + known * (sizeof(Fingerprint) + 4 + 8 + 4)
                + (<uint64_t*>self.pair_starts.start)[known] * sizeof(Pair)
                + self.symbol_total * 8 + (<uint64_t*>self.symbol_starts.start)[self.symbol_total] - spilled)

    def top_offenders(self):
        """The metric names refused for ``active_max`` most often, as (name, how often at least). Any thread."""
        return offenders_in(&self.offenders)

    def labels(self, size_t series):
        """Labels of a series as (name, value) pairs sorted by name. Any thread. Raises: IndexError."""
        cdef list out = []
        cdef size_t place, index
        cdef Pair pair
        if not self.has_place(series, &place):
            raise IndexError(f"no series {series}")
        cdef uint64_t* starts = <uint64_t*>self.pair_starts.start
        for index in range(starts[place], starts[place + 1]):
            pair = (<Pair*>self.pairs.start)[index]
            out.append((self.symbol_text(pair.name), self.symbol_text(pair.value)))
        return out

    def symbol_text(self, size_t symbol):
        """The text of a symbol. Any thread."""
        cdef Text text
        if symbol >= nissa_observe(&self.symbol_total):
            raise IndexError(f"no symbol {symbol}")
        text = self.text_of_symbol(symbol)
        return (<const char*>text.at)[:text.size].decode()

    def symbol(self, str text not None):
        """The symbol of a text, or -1. Any thread. Cost: a scan of the lengths of all symbols."""
        cdef bytes wanted = text.encode()
        cdef const char* at = wanted
        cdef size_t size = len(wanted), index, count = nissa_observe(&self.symbol_total)
        cdef Py_ssize_t found = -1
        cdef uint64_t* starts = <uint64_t*>self.symbol_starts.start
        with nogil:
            for index in range(count):
                if starts[index + 1] - starts[index] == size and not memcmp(self.texts.start + starts[index], at, size):
                    found = index
                    break
        return found

    def pairs_of(self, size_t first, size_t count):
        """Labels of series [first, first + count) that have a place: starts uint64 (count + 1,), uint32 (n, 2)."""
        check_range(first, count, nissa_observe(&self.series_total))
        return self.pairs_of_each(np.arange(first, first + count, dtype=np.uint32))

    def pairs_of_each(self, const uint32_t[::1] series not None):
        """Labels of some series, in any order: starts and pairs as of ``pairs_of``. Any thread. Raises IndexError."""
        cdef uint64_t* starts = <uint64_t*>self.pair_starts.start
        cdef size_t count = series.shape[0], at, place
        out_starts = np.empty(count + 1, np.uint64)
        cdef uint64_t[::1] to = out_starts
        to[0] = 0
        for at in range(count):
            check_range(series[at], 1, nissa_observe(&self.series_total))
            to[at + 1] = to[at] + (starts[place + 1] - starts[place] if self.has_place(series[at], &place) else 0)
        out_pairs = np.empty((to[count], 2), np.uint32)
        cdef uint32_t[:, ::1] pairs = out_pairs
        for at in range(count):
            if to[at] < to[at + 1] and self.has_place(series[at], &place):
                memcpy(&pairs[to[at], 0], self.pairs.start + starts[place] * sizeof(Pair),
                       (to[at + 1] - to[at]) * sizeof(Pair))
        return out_starts, out_pairs

    def symbols_of(self, size_t first, size_t count):
        """Texts of symbols [first, first + count) as Arrow lays them out: (offsets int64 (count + 1,), data bytes)."""
        check_range(first, count, nissa_observe(&self.symbol_total))
        cdef uint64_t* starts = <uint64_t*>self.symbol_starts.start
        offsets = np.empty(count + 1, np.int64)
        cdef int64_t[::1] view = offsets
        memcpy(&view[0], starts + first, (count + 1) * 8)
        data = (<const char*>(self.texts.start + starts[first]))[:starts[first + count] - starts[first]]
        return offsets - offsets[0], data

    def names(self):
        """Symbols that are label names, as uint32, ascending. Any thread."""
        return np.flatnonzero(self.value_counts(-1)).astype(np.uint32)

    def values_of(self, size_t name):
        """Symbols that are values of the label ``name`` (a symbol), as uint32, ascending. Any thread."""
        return np.flatnonzero(self.value_counts(<Py_ssize_t>name)).astype(np.uint32)

    def value_counts(self, Py_ssize_t name):
        """uint32 by symbol: how many series have it as value of the label ``name`` (-1: as a name). GIL: released."""
        cdef size_t known = nissa_observe(&self.known_total), place
        cdef uint64_t index
        out = np.zeros(nissa_observe(&self.symbol_total), np.uint32)
        cdef uint32_t[::1] view = out
        cdef uint64_t* starts = <uint64_t*>self.pair_starts.start
        cdef Pair* pairs = <Pair*>self.pairs.start
        with nogil:
            for place in range(known):
                if self.dropped.start[place]:
                    continue
                for index in range(starts[place], starts[place + 1]):
                    if name < 0:
                        view[pairs[index].name] += 1
                    elif pairs[index].name == <uint32_t>name:
                        view[pairs[index].value] += 1
        return out

    def filter(self, conditions):
        """Series for which every condition holds, as uint32, ascending; all there are where there is no condition.

        conditions: an iterable of (name symbol or -1, accept uint8 by symbol, absent_ok), each asked for when the one
        before has been applied. A series passes one if its value of that label is accepted, or if it lacks the label
        and absent_ok is true. Any thread. GIL: released.
        Cost: about 10 ns per label and series.
        """
        cdef size_t known = nissa_observe(&self.known_total)
        keep = (np.asarray(<uint8_t[:known + 1]>self.dropped.start)[:known] == 0).view(np.uint8)
        for name, accept, absent_ok in conditions:
            self.filter_one(keep, name, np.ascontiguousarray(accept, np.uint8), absent_ok)
        return np.asarray(<uint32_t[:known + 1]><uint32_t*>self.ids.start)[:known][keep.view(np.bool_)]

    def filter_one(self, uint8_t[::1] keep, Py_ssize_t name, uint8_t[::1] accept, bint absent_ok):
        cdef size_t place, count = keep.shape[0]
        cdef uint64_t index
        cdef uint64_t* starts = <uint64_t*>self.pair_starts.start
        cdef Pair* pairs = <Pair*>self.pairs.start
        cdef bint passed
        cdef size_t known = accept.shape[0]
        with nogil:
            for place in range(count):
                if not keep[place]:
                    continue
                passed = absent_ok
                for index in range(starts[place], starts[place + 1]):
                    if pairs[index].name == <uint32_t>name and name >= 0:
                        passed = pairs[index].value < known and accept[pairs[index].value]
                        break
                keep[place] = passed

    def sweep(self, uint32_t oldest_minute):
        """Make series last seen before ``oldest_minute`` idle. Returns how many.

        Cost: a few ns per active series.
        """
        cdef size_t index, kept = 0, swept = 0
        cdef uint32_t* active = <uint32_t*>self.active.start
        cdef uint32_t* seen = <uint32_t*>self.seen_minutes.start
        with nogil:
            for index in range(self.active_count):
                if seen[active[index]] < oldest_minute:
                    seen[active[index]] = 0
                    swept += 1
                else:
                    active[kept] = active[index]
                    kept += 1
            if swept:
                keep_seen(&self.raw, seen)  # a raw form answers without a look at the limit
        self.active_count -= swept
        return swept

    # ---- Loops ----------------------------------------------------------------------------------------------------

    cdef Status resolve(self, Batch batch, LabelsOf labels_of, void* codec, uint32_t minute,
                        size_t admit_max) noexcept nogil:
        """Set ``series`` (or ``refusal``) of every record; a record whose labels are at fault is refused by itself."""
        cdef size_t index, ahead, count = batch.record_count
        cdef size_t first_missing = count
        cdef Record* record
        cdef Status status
        cdef uint32_t* seen = <uint32_t*>self.seen_minutes.start
        if batch.context.count:
            chain_context(batch, &self.secret)
        for index in range(min(count, <size_t>PROBE_AHEAD)):
            nissa_prefetch(&self.raw.slots[batch.records[index].key.low & self.raw.mask])
        for index in range(count):
            ahead = index + PROBE_AHEAD
            if ahead < count:
                nissa_prefetch(&self.raw.slots[batch.records[ahead].key.low & self.raw.mask])
            record = &batch.records[index]
            if record.refusal != ADMITTED:
                record.series = SERIES_NONE
                continue
            record.series = find(&self.raw, record.key.low, <uint32_t>record.key.high)
            if record.series == SERIES_NONE and first_missing == count:
                first_missing = index
        if first_missing < count:
            status = self.resolve_missing(batch, labels_of, codec, minute, admit_max, first_missing)
            if status != OK:
                return status
        # Only now: a frame that is refused must not keep a series from becoming idle, or a replay would differ.
        for index in range(count):
            record = &batch.records[index]
            if record.series != SERIES_NONE and record.rows:
                seen[record.series] = minute
        return OK

    cdef Status resolve_missing(self, Batch batch, LabelsOf labels_of, void* codec, uint32_t minute, size_t admit_max,
                                size_t first) noexcept nogil:
        """The records the raw table does not know: their labels are read, checked, and registered if they are new."""
        cdef LabelList labels
        cdef size_t index
        cdef Record* record
        cdef Status status
        cdef int refusal
        for index in range(first, batch.record_count):
            record = &batch.records[index]
            if record.series != SERIES_NONE or record.refusal != ADMITTED:
                continue
            record.missed = 1
            batch.missed += 1
            record.series = find(&self.raw, record.key.low, <uint32_t>record.key.high)
            if record.series != SERIES_NONE:
                continue                    # an earlier record of this frame has registered it
            status = checked_labels(labels_of, codec, record, &labels)
            add_context(&batch.context, &labels)
            refusal = arrange(&labels, &self.rules) if status == OK else refusal_of(status)
            if refusal == ADMITTED and status != OK:
                batch.stopped_at = record.origin
                return status
            if refusal != ADMITTED:
                record.refusal = <uint8_t>refusal
            elif record.rows:
                status = self.resolve_record(batch, record, &labels, minute, admit_max)
                if status != OK:
                    return status
        return OK

    # ---- Steps ----------------------------------------------------------------------------------------------------

    cdef Status resolve_record(self, Batch batch, Record* record, LabelList* labels, uint32_t minute,
                               size_t admit_max) noexcept nogil:
        """Identity of one sound record: known, new, or over the limit."""
        cdef Fingerprint identity
        cdef uint32_t* seen = <uint32_t*>self.seen_minutes.start
        cdef Status status = self.identity_of(labels, &identity)
        if status != OK:
            return status
        record.series = find_in_all(&self.identities, &self.identities_frozen, identity.low, <uint32_t>identity.high)
        if (record.series != SERIES_NONE and seen[record.series] == 0
                and self.dropped.start[self.place_of(record.series)]):
            record.series = SERIES_NONE         # it gets a new id
        if record.series == SERIES_NONE or seen[record.series] == 0:
            if batch.series_new >= admit_max or (record.series == SERIES_NONE and not self.has_room(labels)):
                record.series = SERIES_NONE
                record.refusal = SERIES_LIMIT
                self.refused_total += 1
                note_offender(&self.offenders, &self.secret, labels)
                return OK
            batch.series_new += 1
            if record.series == SERIES_NONE:
                status = self.register(&identity, labels, minute, &record.series)
                if status != OK:
                    return status
            else:
                self.activate(record.series, minute)
        seen[record.series] = minute
        if self.raw.used > RAW_FORMS_PER_SERIES * self.series_total + 65536:
            clear_table(&self.raw)
        return OK if insert(&self.raw, record.key.low, <uint32_t>record.key.high, record.series) else NO_MEMORY

    cdef Status identity_of(self, const LabelList* labels, Fingerprint* out) noexcept nogil:
        cdef size_t size = canonical_size(labels)
        cdef uint8_t* grown
        if size > self.canonical_capacity:
            grown = <uint8_t*>realloc(self.canonical, size)
            if grown == NULL:
                return NO_MEMORY
            self.canonical = grown
            self.canonical_capacity = size
        write_canonical(labels, self.canonical)
        out[0] = hash_bytes(&self.secret, self.canonical, size, DOMAIN_IDENTITY)
        return OK

    cdef Status register(self, const Fingerprint* identity, const LabelList* labels, uint32_t minute,
                         uint32_t* out) noexcept nogil:
        """Give arranged labels the next id. They must not have one yet."""
        cdef Pair* pairs = self.room_for(labels.count)
        cdef uint32_t index
        if pairs == NULL:
            return NO_MEMORY
        for index in range(labels.count):
            if self.symbol_of(labels.label[index].name, &pairs[index].name) != OK:
                return NO_MEMORY
            if self.symbol_of(labels.label[index].value, &pairs[index].value) != OK:
                return NO_MEMORY
        return self.enter(identity, labels.count, minute, out)

    cdef bint has_room(self, const LabelList* labels) noexcept nogil:
        """True if a new series with these labels still gets an id, whatever of its text is new."""
        cdef uint64_t pairs = (<uint64_t*>self.pair_starts.start)[self.known_total]
        cdef uint64_t text = (<uint64_t*>self.symbol_starts.start)[self.symbol_total]
        return (self.series_total < self.ids_max and pairs + labels.count < PAIR_CAPACITY
                and self.symbol_total + 2 * labels.count + 2 < SYMBOL_CAPACITY
                and text + canonical_size(labels) < TEXT_CAPACITY)

    cdef void activate(self, uint32_t series, uint32_t minute) noexcept nogil:
        (<uint32_t*>self.seen_minutes.start)[series] = minute
        (<uint32_t*>self.active.start)[self.active_count] = series
        self.active_count += 1

    cdef Pair* room_for(self, uint32_t labels) noexcept nogil:
        """Place for the pairs of the next series; NULL where there is no more room."""
        cdef uint64_t at = (<uint64_t*>self.pair_starts.start)[self.known_total]
        if self.series_total + 2 >= SERIES_CAPACITY or at + labels >= <uint64_t>PAIR_CAPACITY:
            return NULL
        return <Pair*>self.pairs.start + at

    cdef Status enter(self, const Fingerprint* identity, uint32_t labels, uint32_t minute,
                      uint32_t* out) noexcept nogil:
        """Give the next id to the pairs that were written where ``room_for`` said."""
        if not put(&self.identities, identity.low, <uint32_t>identity.high, <uint32_t>self.series_total):
            return NO_MEMORY
        append(self, identity, labels, minute, out)
        return OK

    cdef bint has_place(self, size_t series, size_t* place) noexcept nogil:
        """True if the series has a place, which is not so if it was dropped. Any thread."""
        place[0] = self.place_of(series)
        return place[0] < nissa_observe(&self.known_total) and (<uint32_t*>self.ids.start)[place[0]] == series

    cdef size_t place_of(self, size_t series) noexcept nogil:
        """The place of a series, or of the next one that has a place. Any thread."""
        cdef uint32_t* ids = <uint32_t*>self.ids.start
        cdef size_t low = 0, high = nissa_observe(&self.known_total), middle
        if series < high and ids[series] == series:
            return series
        high = min(high, series)            # a place is never behind its id
        while low < high:
            middle = low + (high - low) // 2
            if ids[middle] < series:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Status symbol_of(self, Text text, uint32_t* out) noexcept nogil:
        """The symbol of a text, interned if it is new."""
        cdef Fingerprint hashed = hash_bytes(&self.secret, text.at, text.size, DOMAIN_SYMBOL)
        cdef uint64_t* starts = <uint64_t*>self.symbol_starts.start
        cdef size_t symbol = find_in_all(&self.symbol_table, &self.symbols_frozen, hashed.low, <uint32_t>hashed.high)
        cdef uint64_t at
        if symbol != SERIES_NONE:
            out[0] = <uint32_t>symbol
            return OK
        symbol = self.symbol_total
        at = starts[symbol]
        if symbol + 2 >= SYMBOL_CAPACITY or at + text.size >= <uint64_t>TEXT_CAPACITY:
            return NO_MEMORY
        if not insert(&self.symbol_table, hashed.low, <uint32_t>hashed.high, <uint32_t>symbol):
            return NO_MEMORY
        memcpy(self.texts.start + at, text.at, text.size)
        starts[symbol + 1] = at + text.size
        out[0] = <uint32_t>symbol
        nissa_publish(&self.symbol_total, symbol + 1)
        return OK

    cdef Text text_of_symbol(self, size_t symbol) noexcept nogil:
        cdef uint64_t* starts = <uint64_t*>self.symbol_starts.start
        return Text(self.texts.start + starts[symbol], <uint32_t>(starts[symbol + 1] - starts[symbol]))
