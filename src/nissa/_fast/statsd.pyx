"""StatsD lines, with DogStatsD's tags and packed values, added up into meters until the next flush.

    api.time:1.5:2.5|ms|@0.5|#route:/,dc:ams|c:7f3a|T1758000000
    ├─name─┤ ├values┤ ├┤ rate  ├─── tags ────┤ container, time: passed over

    head (name, type, tags as they stand) ── hash ──► raw table ──► meter     known: one look-up, no tag is parsed
                                              │ miss: the caller names the meter (``codec/statsd.py``)

    meter       total             count      low, high
    counter     sum of values     —          —             a value counts 1 / rate times
    gauge       the value         —          —             +N and -N move it
    set         members           —          —             distinct since the last flush
    observed    sum of values     values     extremes      and buckets: (meter, place) -> weight, since the last flush

Sketches of all meters are one list of buckets behind one probe table, and so are the members of all sets: both are
bounded as a whole and emptied by a flush. ``buckets.pxd`` says which bucket a value is in.

This file knows no clock, and no names of series.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

import hashlib

import numpy as np

from nissa._fast.buckets cimport SIDE_PLACES, middle_of, place_of
from nissa._fast.cursor cimport Cursor, cursor_in, cursor_over, no_text
from nissa._fast.fields cimport text_is
from nissa._fast.hash cimport Secret, chain, hash_bytes, nissa_fold
from nissa._fast.probe cimport Table, clear_table, find, insert, keep_seen, open_table, put
from nissa._fast.sample cimport SIGN_BIT
from nissa._fast.text_cursor cimport find_byte, read_decimal, text_between
from nissa._fast.types cimport SERIES_NONE, Fingerprint, Text

cdef enum Kind:
    COUNTER = 0
    GAUGE = 1
    SET = 2
    OBSERVED = 3                # timers, histograms and distributions
    NO_KIND = 255

cdef enum Found:                # what a line turned out to be
    ADDED = 0
    MALFORMED = 1
    UNKNOWN = 2                 # its head has no meter yet
    EVENT = 3                   # an event or a service check

cdef enum:
    DOMAIN_NAME = 0x76          # name spaces of raw forms
    DOMAIN_TAGS = 0x77
    DOMAIN_MEMBER = 0x78
    FAULTS_MAX = 8              # malformed lines of one call that are shown
    RAW_FORMS_SPARE = 65536
    ZERO_PLACE = 139264         # 2 * SIDE_PLACES: both zeros

cdef struct Bucket:
    uint32_t meter
    uint32_t place
    double weight

cdef struct Line:
    Text name
    Text values
    Text type
    Text tags
    double rate
    double divisor
    int kind
    Fingerprint key

cdef struct Sums:               # columns of the meters
    uint8_t* kind
    uint8_t* touched
    double* total
    double* count
    double* low
    double* high


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class Meters:
    """Meters of one source. Not thread-safe.

    secret: at least 32 random bytes. meters_max: how many there may be. buckets_max, members_max: of all sketches and
    of all sets, between two flushes. Columns are arrays of meters_max, by meter: kind uint8 (255: free), touched uint8
    (since the last flush), total, count, low, high float64.
    """

    cdef Secret secret
    cdef Sums sums
    cdef Table raw
    cdef Table members
    cdef Table places
    cdef Bucket* buckets
    cdef size_t bucket_count
    cdef size_t bucket_capacity
    cdef readonly size_t meters_max
    cdef size_t buckets_max
    cdef size_t members_max
    cdef size_t fault_count
    cdef Text[FAULTS_MAX] faults
    cdef readonly uint64_t lines        # of metrics, sound or not
    cdef readonly uint64_t malformed
    cdef readonly uint64_t unsketched   # values that are in sum and count, and had no room in a sketch
    cdef readonly uint64_t uncounted    # members of sets that had no room
    cdef readonly object kind
    cdef readonly object touched
    cdef readonly object total
    cdef readonly object count
    cdef readonly object low
    cdef readonly object high

    def __cinit__(self, bytes secret not None, size_t meters_max=100_000, size_t buckets_max=4_000_000,
                  size_t members_max=1_000_000):
        cdef bytes stretched = hashlib.shake_256(secret).digest(sizeof(Secret))
        if len(secret) < 32 or not 1 <= meters_max < SERIES_NONE:
            raise ValueError("expected a secret of at least 32 bytes and at least one meter")
        memcpy(&self.secret, <const char*>stretched, sizeof(Secret))
        self.meters_max, self.buckets_max, self.members_max = meters_max, buckets_max, members_max
        self.kind, self.touched = np.full(meters_max, <int>NO_KIND, np.uint8), np.zeros(meters_max, np.uint8)
        self.total, self.count = np.zeros(meters_max), np.zeros(meters_max)
        self.low, self.high = np.zeros(meters_max), np.zeros(meters_max)
        cdef uint8_t[::1] kind = self.kind, touched = self.touched
        cdef double[::1] total = self.total, count = self.count, low = self.low, high = self.high
        self.sums = Sums(&kind[0], &touched[0], &total[0], &count[0], &low[0], &high[0])
        if not (open_table(&self.raw, 1024) and open_table(&self.members, 1024) and open_table(&self.places, 1024)):
            raise MemoryError("StatsD meters")

    def __dealloc__(self):
        free(self.raw.slots)
        free(self.members.slots)
        free(self.places.slots)
        free(self.buckets)

    def add(self, const uint8_t[::1] data, meet, event):
        """Add the lines of ``data``. Returns the first malformed ones, at most 8, as bytes.

        meet: called with (name, kind, tags) of a head that is not known, as bytes, int and bytes; returns its meter,
        opened, or -1 to refuse the line. event: called with each event and service check, as bytes.
        GIL: released but for these. Cost: about 100 ns per line of a known head.
        """
        cdef Cursor cursor = cursor_over(&data[0] if data.shape[0] else NULL, data.shape[0])
        cdef Line line
        cdef int found
        cdef object meter
        self.fault_count = 0
        while True:
            with nogil:
                found = walk_lines(self, &cursor, &line)
            if found == UNKNOWN:
                meter = meet(bytes_of(line.name), line.kind, bytes_of(line.tags))
                if meter >= 0:
                    self.know(&line, meter)
            elif found == EVENT:
                event(bytes_of(line.name))
            else:
                return [bytes_of(self.faults[place]) for place in range(self.fault_count)]

    cdef know(self, const Line* line, uint32_t meter):
        if meter >= self.meters_max or self.sums.kind[meter] != line.kind:
            raise IndexError(f"meter {meter} is not open for kind {line.kind}")
        if self.raw.used > 4 * self.meters_max + RAW_FORMS_SPARE:
            clear_table(&self.raw)
        if not put(&self.raw, line.key.low, <uint32_t>line.key.high, meter):
            raise MemoryError("StatsD meters")
        add_line(self, line, meter)

    def open_meter(self, uint32_t meter, int kind):
        """Begin a meter that is free, at 0. kind: 0 counter, 1 gauge, 2 set, 3 observed."""
        if meter >= self.meters_max or self.sums.kind[meter] != NO_KIND or not 0 <= kind <= 3:
            raise IndexError(f"meter {meter} cannot be opened for kind {kind}")
        begin_meter(&self.sums, meter, kind)

    def close_meters(self, const uint32_t[::1] meters not None):
        """Free meters; heads that meant them are unknown again. For use after a flush, when no sketch has them."""
        seen = np.ones(self.meters_max, np.uint32)
        seen[meters] = 0
        self.kind[meters] = <int>NO_KIND
        cdef uint32_t[::1] view = seen
        with nogil:
            keep_seen(&self.raw, &view[0])

    def take_buckets(self):
        """Buckets since the last flush: meter uint32 (n,), representative value float64 (n,), weight float64 (n,)."""
        cdef size_t index, count = self.bucket_count
        meter, value, weight = np.empty(count, np.uint32), np.empty(count), np.empty(count)
        cdef uint32_t[::1] meters = meter
        cdef double[::1] values = value, weights = weight
        for index in range(count):
            meters[index] = self.buckets[index].meter
            values[index] = value_of(self.buckets[index].place)
            weights[index] = self.buckets[index].weight
        self.bucket_count = 0
        clear_table(&self.places)
        return meter, value, weight

    def flushed(self):
        """Begin a new interval: nothing is touched, and sets are empty."""
        self.touched[:] = 0
        self.total[self.kind == <int>SET] = 0.0
        clear_table(&self.members)


cdef bytes bytes_of(Text text):
    return (<const char*>text.at)[:text.size] if text.size else b""


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef int walk_lines(Meters meters, Cursor* cursor, Line* line) noexcept nogil:
    """Add lines up to one that the caller has to see; ADDED at the end of them."""
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef int found
    while cursor.at < cursor.end:
        at = cursor.at
        end = find_byte(at, cursor.end, c'\n')
        cursor.at = min(end + 1, cursor.end)
        while end > at and ((end - 1)[0] == c'\r' or (end - 1)[0] == c' '):
            end -= 1
        if end == at:
            continue
        line.name = text_between(at, end)
        if at[0] == c'_' and is_event(line.name):
            return EVENT
        meters.lines += 1
        found = take_line(meters, line.name, line)
        if found == UNKNOWN:
            return UNKNOWN
        if found == MALFORMED:
            meters.malformed += 1
            if meters.fault_count < <size_t>FAULTS_MAX:
                meters.faults[meters.fault_count] = text_between(at, end)
                meters.fault_count += 1
    return ADDED


cdef int take_line(Meters meters, Text text, Line* line) noexcept nogil:
    """One metric line: added where its head is known."""
    cdef Fingerprint part
    cdef uint32_t meter
    if not read_line(text, line) or not sound_values(line):
        return MALFORMED
    line.key = hash_bytes(&meters.secret, line.name.at, line.name.size, DOMAIN_NAME + 16 * (line.kind + 1))
    if line.tags.size:
        part = hash_bytes(&meters.secret, line.tags.at, line.tags.size, DOMAIN_TAGS)
        chain(&meters.secret, &line.key, &part)
    meter = find(&meters.raw, line.key.low, <uint32_t>line.key.high)
    if meter == SERIES_NONE:
        return UNKNOWN
    add_line(meters, line, meter)
    return ADDED


cdef bint read_line(Text text, Line* line) noexcept nogil:
    """The parts of a line. What follows the type may stand in any order."""
    cdef const uint8_t* end = text.at + text.size
    cdef const uint8_t* colon = find_byte(text.at, end, c':')
    cdef const uint8_t* bar = find_byte(colon, end, c'|')
    cdef Text part
    if colon == text.at or bar == end or bar == colon + 1:
        return False
    line.name = text_between(text.at, colon)
    if find_byte(text.at, colon, c'|') != colon:
        return False
    line.values = text_between(colon + 1, bar)
    line.tags = no_text()
    line.rate = 1.0
    colon = bar + 1
    bar = find_byte(colon, end, c'|')
    line.type = text_between(colon, bar)
    line.kind = kind_of(line.type)
    line.divisor = 1000.0 if text_is(line.type, b"ms", 2) else 1.0
    if line.kind == NO_KIND:
        return False
    while bar < end:
        colon = bar + 1
        bar = find_byte(colon, end, c'|')
        part = text_between(colon, bar)
        if part.size == 0:
            return False
        if part.at[0] == c'#':
            line.tags = text_between(part.at + 1, bar)
        elif part.at[0] == c'@' and not read_rate(text_between(part.at + 1, bar), &line.rate):
            return False
    return True


cdef bint sound_values(const Line* line) noexcept nogil:
    """True if every value is a number that the kind can have."""
    cdef Cursor cursor = cursor_in(line.values)
    cdef double value = 0.0
    cdef bint integral = False
    if line.kind == SET:
        return True
    while True:
        if read_decimal(&cursor, &value, &integral) != 0 or value - value != 0.0:
            return False
        if value < 0.0 and line.kind == COUNTER:
            return False
        if cursor.at == cursor.end:
            return True
        if cursor.at[0] != c':':
            return False
        cursor.at += 1


cdef void add_line(Meters meters, const Line* line, uint32_t meter) noexcept nogil:
    """Add the values of a sound line."""
    cdef Cursor cursor = cursor_in(line.values)
    cdef double value = 0.0
    cdef bint integral = False, moves
    if meters.sums.touched[meter] == 0:
        meters.sums.touched[meter] = 1
    if line.kind == SET:
        add_member(meters, meter, line.values)
        return
    while cursor.at < cursor.end:
        moves = cursor.at[0] == c'+' or cursor.at[0] == c'-'
        read_decimal(&cursor, &value, &integral)
        cursor.at += 1          # a colon, or the end
        if line.kind == COUNTER:
            meters.sums.total[meter] += value / line.rate
        elif line.kind == GAUGE:
            meters.sums.total[meter] = meters.sums.total[meter] + value if moves else value
        else:
            observe(meters, meter, value / line.divisor, 1.0 / line.rate)


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint is_event(Text text) noexcept nogil:
    """True for an event ``_e{…`` or a service check ``_sc|…``."""
    if text.size < 4:
        return False
    return (text.at[1] == c'e' and text.at[2] == c'{') or (text.at[1] == c's' and text.at[2] == c'c'
                                                           and text.at[3] == c'|')


cdef inline int kind_of(Text type) noexcept nogil:
    if text_is(type, b"ms", 2):
        return OBSERVED
    if type.size != 1:
        return NO_KIND
    if type.at[0] == c'c':
        return COUNTER
    if type.at[0] == c'g':
        return GAUGE
    if type.at[0] == c's':
        return SET
    return OBSERVED if type.at[0] == c'h' or type.at[0] == c'd' else NO_KIND


cdef inline bint read_rate(Text text, double* out) noexcept nogil:
    """A sample rate: more than 0, at most 1."""
    cdef Cursor cursor = cursor_in(text)
    cdef bint integral = False
    return read_decimal(&cursor, out, &integral) == 0 and cursor.at == cursor.end and 1e-9 <= out[0] <= 1.0


cdef inline void begin_meter(Sums* sums, uint32_t meter, int kind) noexcept nogil:
    sums.kind[meter] = <uint8_t>kind
    sums.touched[meter] = 0
    sums.total[meter] = sums.count[meter] = sums.low[meter] = sums.high[meter] = 0.0


cdef inline void add_member(Meters meters, uint32_t meter, Text member) noexcept nogil:
    """Count a member of a set, once."""
    cdef Fingerprint key = hash_bytes(&meters.secret, member.at, member.size, DOMAIN_MEMBER)
    cdef Fingerprint of_meter
    of_meter.low = of_meter.high = meter
    chain(&meters.secret, &key, &of_meter)
    if find(&meters.members, key.low, <uint32_t>key.high) != SERIES_NONE:
        return
    if meters.members.used >= meters.members_max or not insert(&meters.members, key.low, <uint32_t>key.high, meter):
        meters.uncounted += 1
        return
    meters.sums.total[meter] += 1.0


cdef inline void observe(Meters meters, uint32_t meter, double value, double weight) noexcept nogil:
    """Add a value to sum, count and sketch."""
    cdef Sums* sums = &meters.sums
    cdef uint64_t bits = 0, key
    cdef uint32_t place, bucket
    if sums.low[meter] > value or sums.touched[meter] == 1:
        sums.low[meter] = value
    if sums.high[meter] < value or sums.touched[meter] == 1:
        sums.high[meter] = value
    sums.touched[meter] = 2     # low and high are of this interval
    sums.total[meter] += value * weight
    sums.count[meter] += weight
    memcpy(&bits, &value, 8)
    place = ZERO_PLACE
    if bits & ~SIGN_BIT:
        place = place_of(bits & ~SIGN_BIT) + (SIDE_PLACES if bits & SIGN_BIT else 0)
    key = nissa_fold(place ^ meters.secret.word[0], meter ^ meters.secret.word[1])
    bucket = find(&meters.places, key, meter)
    if bucket == SERIES_NONE:
        bucket = <uint32_t>meters.bucket_count
        if not room_for_bucket(meters) or not insert(&meters.places, key, meter, bucket):
            meters.unsketched += 1
            return
        meters.buckets[bucket] = Bucket(meter, place, 0.0)
        meters.bucket_count += 1
    meters.buckets[bucket].weight += weight


cdef inline bint room_for_bucket(Meters meters) noexcept nogil:
    cdef void* grown
    cdef size_t capacity
    if meters.bucket_count < meters.bucket_capacity:
        return True
    capacity = min(meters.bucket_capacity * 2 + 1024, meters.buckets_max)
    if capacity == meters.bucket_capacity:
        return False
    grown = realloc(meters.buckets, capacity * sizeof(Bucket))
    if grown == NULL:
        return False
    meters.buckets = <Bucket*>grown
    meters.bucket_capacity = capacity
    return True


cdef inline double value_of(uint32_t place) noexcept nogil:
    """The number that stands for a bucket."""
    if place == ZERO_PLACE:
        return 0.0
    return -middle_of(place - SIDE_PLACES) if place >= SIDE_PLACES else middle_of(place)
