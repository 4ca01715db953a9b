# Exponential buckets of base 2^(1/32): the bucket of a value, counts by bucket, and sketches as bytes.
#
#   bucket index     -1            0             1             2               the native histograms of Prometheus,
#   ----------|-------------|-------------|-------------|-------------|--      schema 5; OpenTelemetry counts the
#         2^(-2/32)     2^(-1/32)         1         2^(1/32)      2^(2/32)     same buckets one lower (scale 5)
#
# Bucket i holds 2^((i-1)/32) < |x| <= 2^(i/32); negative numbers have buckets of their own, both zeros share one. The
# bounds between powers of two are the float64 nearest to them. All 64 bits are met: -34368 is the smallest number
# there is, 32768 the largest, 32769 infinity. A NaN is in no bucket: nobody may add one.
#
#   index = 32 * exponent + how many of the 32 bounds of its octave the mantissa is above
#
# The top six bits of the mantissa choose one of 64 cells, and no cell has two bounds in it. A bucket is 2^47 of the
# float64's bits were they even, so a cell keeps what moves its bound to the next multiple of 2^47: one look-up, one
# addition and one shift make exponent and mantissa an index.
#
#   counts   | 0 0 3 1 0 0 0 2 | 0 0 0 0 0 0 0 0 |     one for every bucket there can be: 1.1 MB, of which a window
#   marks             1                 0         …     touches a few lines; a byte for eight of them, one for 64 of
#   peaks                      1                        those, so walking and clearing cost what is in use
#
# A mark says that a count was touched, not that it is more than 0. Marks are bytes because storing 1 waits for nothing,
# where setting a bit waits for the value before it. ``docs/format/ladder.md`` draws the bytes of a sketch.

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from nissa._fast.cursor cimport Cursor, cursor_over, read_varint, zigzag
from nissa._fast.sample cimport INFINITY_BITS, SIGN_BIT
from nissa._fast.types cimport OK

cdef extern from *:
    """
    #include <math.h>
    /* 1632 = 32 * -1023 - INDEX_MIN: the place that exponent bits of 0 stand for; 2^47 a place */
    #define CELL(bound, below) ((1632 + (below) + 1ULL) * 0x800000000000ULL - 1 - bound##ULL)
    static const uint64_t nissa_cells[64] = {  /* the bound in this 64th of an octave, or its end; the bounds below */
        CELL(0x0000000000000, 0), CELL(0x059B0D3158574, 1), CELL(0x0B5586CF9890F, 2), CELL(0x0FFFFFFFFFFFF, 3),
        CELL(0x11301D0125B51, 3), CELL(0x172B83C7D517B, 4), CELL(0x1BFFFFFFFFFFF, 5), CELL(0x1D4873168B9AA, 5),
        CELL(0x2387A6E756238, 6), CELL(0x27FFFFFFFFFFF, 7), CELL(0x29E9DF51FDEE1, 7), CELL(0x2FFFFFFFFFFFF, 8),
        CELL(0x306FE0A31B715, 8), CELL(0x371A7373AA9CB, 9), CELL(0x3BFFFFFFFFFFF, 10), CELL(0x3DEA64C123422, 10),
        CELL(0x43FFFFFFFFFFF, 11), CELL(0x44E086061892D, 11), CELL(0x4BFDAD5362A27, 12), CELL(0x4FFFFFFFFFFFF, 13),
        CELL(0x5342B569D4F82, 13), CELL(0x57FFFFFFFFFFF, 14), CELL(0x5AB07DD485429, 14), CELL(0x5FFFFFFFFFFFF, 15),
        CELL(0x6247EB03A5585, 15), CELL(0x67FFFFFFFFFFF, 16), CELL(0x6A09E667F3BCD, 16), CELL(0x6FFFFFFFFFFFF, 17),
        CELL(0x71F75E8EC5F74, 17), CELL(0x77FFFFFFFFFFF, 18), CELL(0x7A11473EB0187, 18), CELL(0x7FFFFFFFFFFFF, 19),
        CELL(0x82589994CCE13, 19), CELL(0x87FFFFFFFFFFF, 20), CELL(0x8ACE5422AA0DB, 20), CELL(0x8FFFFFFFFFFFF, 21),
        CELL(0x93737B0CDC5E5, 21), CELL(0x97FFFFFFFFFFF, 22), CELL(0x9BFFFFFFFFFFF, 22), CELL(0x9C49182A3F090, 22),
        CELL(0xA3FFFFFFFFFFF, 23), CELL(0xA5503B23E255D, 23), CELL(0xABFFFFFFFFFFF, 24), CELL(0xAE89F995AD3AD, 24),
        CELL(0xB3FFFFFFFFFFF, 25), CELL(0xB7F76F2FB5E47, 25), CELL(0xBBFFFFFFFFFFF, 26), CELL(0xBFFFFFFFFFFFF, 26),
        CELL(0xC199BDD85529C, 26), CELL(0xC7FFFFFFFFFFF, 27), CELL(0xCB720DCEF9069, 27), CELL(0xCFFFFFFFFFFFF, 28),
        CELL(0xD3FFFFFFFFFFF, 28), CELL(0xD5818DCFBA487, 28), CELL(0xDBFFFFFFFFFFF, 29), CELL(0xDFC97337B9B5F, 29),
        CELL(0xE3FFFFFFFFFFF, 30), CELL(0xE7FFFFFFFFFFF, 30), CELL(0xEA4AFA2A490DA, 30), CELL(0xEFFFFFFFFFFFF, 31),
        CELL(0xF3FFFFFFFFFFF, 31), CELL(0xF50765B6E4540, 31), CELL(0xFBFFFFFFFFFFF, 32), CELL(0xFFFFFFFFFFFFF, 32),
    };
    #undef CELL
    static const double nissa_middles[32] = {  /* of (2^((r-1)/32), 2^(r/32)]: 2ab/(a+b), 1.083 % from either end */
        0.9891699987466264, 1.0108300012533737, 1.0329642960548597, 1.055583268799968,
        1.0786975325536792, 1.102317932776836, 1.126455552414949, 1.1511217170984342,
        1.1763280004567207, 1.2020862295487214, 1.2284084904122163, 1.2553071337347517,
        1.2827947806487148, 1.3108843286533045, 1.339588957666178, 1.3689221362076074,
        1.3988976277200564, 1.4295294970261336, 1.4608321169279597, 1.492820174951039,
        1.5255086802358064, 1.5589129705800753, 1.5930487196356977, 1.6279319442628108,
        1.6635790120451188, 1.7000066489697394, 1.7372319472752165, 1.7752723734713824,
        1.8141457765348319, 1.853870396283853, 1.8944648719367467, 1.9359482508575478,
    };
    #define nissa_ctz(word) ((unsigned)__builtin_ctzll(word))
    #define nissa_ones(word) ((unsigned)__builtin_popcountll(word))
    #define nissa_clz(word) ((unsigned)__builtin_clzll(word))
    #define nissa_mantissa(bits) ((bits) & 0x000FFFFFFFFFFFFFULL)
    """
    const uint64_t* CELLS "nissa_cells"
    const double* MIDDLES "nissa_middles"
    unsigned trailing_zeros "nissa_ctz"(uint64_t word) noexcept nogil
    unsigned count_ones "nissa_ones"(uint64_t word) noexcept nogil
    unsigned leading_zeros "nissa_clz"(uint64_t word) noexcept nogil
    uint64_t mantissa_of "nissa_mantissa"(uint64_t bits) noexcept nogil
    double ldexp(double fraction, int exponent) noexcept nogil

cdef enum:
    SCHEMA = 5
    INDEX_MIN = -34368          # 32 * -1074
    INDEX_INFINITE = 32769
    SIDE_PLACES = 69632         # 17 * 8 * 512: places of one sign, a little more than there are buckets
    SIDE_WORDS = 1088           # of marks, eight in one
    SIDE_PEAKS = 17             # words of peaks
    BUCKETS_WORDS = 141474      # 2 * (SIDE_PLACES + SIDE_WORDS + SIDE_PEAKS)
    LINE = 8                    # counts of one mark
    SKETCH_BYTES_EMPTY = 16     # header, count of zeros
    SKETCH_BYTES_SIDE = 10      # number of buckets, first index
    SKETCH_BYTES_BUCKET = 12    # at most: a gap of 3 bytes, a count of 7

cdef extern from *:
    """
    #define NISSA_SKETCH_COUNT_MAX 0xFFFFFFFFFFFFULL
    """
    const uint64_t SKETCH_COUNT_MAX "NISSA_SKETCH_COUNT_MAX"   # 2^48 - 1 values: sums of many stay far below 2^64

# What is wrong with the bytes of a sketch.
cdef enum SketchFault:
    SKETCH_SOUND = 0
    SKETCH_TRUNCATED = 1        # it ends in the middle
    SKETCH_HEADER = 2           # another schema, or flags that mean nothing
    SKETCH_BUCKET = 3           # a bucket that no float64 falls into
    SKETCH_FORM = 4             # not the one way these counts are written
    SKETCH_COUNT = 5            # more values than a sketch may hold

# Counts by bucket. place = index - INDEX_MIN, negative numbers SIDE_PLACES further.
cdef struct Buckets:
    uint64_t* counts            # 2 * SIDE_PLACES
    uint64_t* marks             # 2 * SIDE_WORDS: bytes of 1 where one of eight counts was touched
    uint64_t* peaks             # 2 * SIDE_PEAKS: bytes of 1 where one of 64 marks is set
    uint64_t zeros
    uint64_t total

cdef enum:
    HAS_ZEROS = 0x20            # header: schema in the low five bits, and what follows
    HAS_NEGATIVE = 0x40
    HAS_POSITIVE = 0x80
    NARROW_PLACES = 256         # eight octaves
    NARROW_WORDS = 4
    ROWS_NARROW = 0xFFFF
    COUNT_IN_TOKEN = 7          # a token holds counts 1 to 7; the value 7 of its low bits says that more follows


cdef inline Buckets buckets_in(uint64_t* memory) noexcept nogil:
    """No values, in BUCKETS_WORDS words that are all 0."""
    cdef Buckets held
    held.counts = memory
    held.marks = memory + 2 * SIDE_PLACES
    held.peaks = held.marks + 2 * SIDE_WORDS
    held.zeros = 0
    held.total = 0
    return held


cdef inline bint is_normal(uint64_t magnitude) noexcept nogil:
    return 0 < magnitude >> 52 < 0x7FF


cdef inline uint32_t normal_place(uint64_t magnitude) noexcept nogil:
    """The place of a normal number, by the bits of its absolute value."""
    return <uint32_t>((magnitude + CELLS[(magnitude >> 46) & 63]) >> 47)


cdef inline uint32_t place_of(uint64_t magnitude) noexcept nogil:
    """The place of a number that is not 0, by the bits of its absolute value."""
    cdef unsigned shift
    if magnitude >= INFINITY_BITS:
        return INDEX_INFINITE - INDEX_MIN
    if magnitude >> 52:
        return normal_place(magnitude)
    shift = leading_zeros(magnitude) - 11
    return <uint32_t>(<int32_t>normal_place(mantissa_of(magnitude << shift)) + 32 * (1 - <int32_t>shift))


cdef inline void add_place(Buckets* held, uint32_t place, uint64_t count) noexcept nogil:
    """Count values of one place. Not asked is whether it is in use already: of few values that is a coin's toss."""
    held.counts[place] += count
    (<uint8_t*>held.marks)[place >> 3] = 1
    (<uint8_t*>held.peaks)[place >> 9] = 1


cdef inline void add_odd_value(Buckets* held, uint64_t bits) noexcept nogil:
    """Count a zero, a subnormal or an infinity; a NaN is passed over."""
    cdef uint64_t magnitude = bits & ~SIGN_BIT
    if magnitude == 0:
        held.zeros += 1
    elif magnitude <= INFINITY_BITS:
        add_place(held, place_of(magnitude) + (SIDE_PLACES if bits & SIGN_BIT else 0), 1)
    else:
        return
    held.total += 1


cdef inline void add_values(Buckets* held, const uint64_t* bits, size_t count) noexcept nogil:
    """Count numbers, by the bits of their float64; NaN are passed over."""
    cdef Buckets own = held[0]  # in registers: what the counters' stores cannot reach
    cdef size_t row
    cdef uint64_t magnitude
    for row in range(count):
        magnitude = bits[row] & ~SIGN_BIT
        if is_normal(magnitude):
            add_place(&own, normal_place(magnitude) + <uint32_t>(bits[row] >> 63) * SIDE_PLACES, 1)
            own.total += 1
        else:
            add_odd_value(&own, bits[row])
    held[0] = own


cdef inline void clear_places(Buckets* held, uint32_t side, const uint32_t* places, uint32_t count) noexcept nogil:
    """Forget what is in listed places of one sign."""
    cdef uint32_t index, place
    for index in range(count):
        place = places[index] + side * SIDE_PLACES
        held.counts[place] = 0
        (<uint8_t*>held.marks)[place >> 3] = 0
        (<uint8_t*>held.peaks)[place >> 9] = 0


cdef inline void clear_buckets(Buckets* held) noexcept nogil:
    """Empty it; costs what is in it."""
    cdef uint32_t peak, words, word, line
    cdef uint64_t peaks, marks
    for peak in range(2 * SIDE_PEAKS):
        peaks = held.peaks[peak]
        held.peaks[peak] = 0
        while peaks:
            words = 8 * next_byte(&peaks, peak)
            for word in range(words, words + 8):
                marks = held.marks[word]
                held.marks[word] = 0
                while marks:
                    line = next_byte(&marks, word)
                    memset(held.counts + line * LINE, 0, LINE * sizeof(uint64_t))
    held.zeros = 0
    held.total = 0


cdef inline uint32_t list_places(const Buckets* held, uint32_t side, uint32_t* places) noexcept nogil:
    """Places in use of one sign, ascending, without the side; returns how many. places: room for SIDE_PLACES."""
    cdef uint32_t peak, words, word, line, place, found = 0
    cdef uint64_t peaks, marks
    for peak in range(side * SIDE_PEAKS, (side + 1) * SIDE_PEAKS):
        peaks = held.peaks[peak]
        while peaks:
            words = 8 * next_byte(&peaks, peak)
            for word in range(words, words + 8):
                marks = held.marks[word]
                while marks:
                    line = LINE * next_byte(&marks, word)
                    for place in range(line, line + LINE):
                        places[found] = place - side * SIDE_PLACES  # kept where the next is put behind it
                        found += held.counts[place] != 0
    return found


cdef inline uint32_t next_byte(uint64_t* bytes_left, uint32_t word) noexcept nogil:
    """The number of the lowest byte that is 1, of eight in each word; takes it away. Bytes count from the lowest."""
    cdef uint32_t found = word * 8 + (trailing_zeros(bytes_left[0]) >> 3)
    bytes_left[0] &= bytes_left[0] - 1
    return found


cdef inline double middle_of(uint32_t place) noexcept nogil:
    """Representative of the numbers in a positive bucket: at most 1.083 % away from any normal one of them."""
    cdef int32_t index = <int32_t>place + INDEX_MIN
    if index >= INDEX_INFINITE:
        return ldexp(1.0, 1024)
    return ldexp(MIDDLES[index & 31], index >> 5)


# ---- Bytes -----------------------------------------------------------------------------------------------------------

cdef inline uint8_t* put_varint(uint8_t* at, uint64_t number) noexcept nogil:
    """Write a varint of at most 10 bytes, for which the caller has the room. Returns its end."""
    while number >= 0x80:
        at[0] = <uint8_t>(number | 0x80)
        at += 1
        number >>= 7
    at[0] = <uint8_t>number
    return at + 1


cdef inline uint8_t* put_side(const Buckets* held, uint32_t side, const uint32_t* places, uint32_t count,
                              uint8_t* at) noexcept nogil:
    """One sign's buckets: how many, the first index, a token each."""
    cdef uint32_t index, next_place = places[0]
    at = put_first(at, count, places[0])
    for index in range(count):
        at = put_token(at, places[index] - next_place, held.counts[side * SIDE_PLACES + places[index]])
        next_place = places[index] + 1
    return at


cdef inline uint8_t* put_sketch(Buckets* held, uint32_t* places, uint8_t* at, const uint8_t* end,
                                bint clear) noexcept nogil:
    """Writes the sketch as bytes; returns the end of them, or NULL where they might not fit before ``end``.

    places: room for 2 * SIDE_PLACES. clear: forget everything afterwards.
    """
    cdef uint32_t positive = list_places(held, 0, places)
    cdef uint32_t negative = list_places(held, 1, places + positive)
    cdef size_t most = SKETCH_BYTES_EMPTY + 2 * SKETCH_BYTES_SIDE
    most += <size_t>SKETCH_BYTES_BUCKET * (positive + negative)
    if <size_t>(end - at) < most:
        return NULL
    at[0] = SCHEMA | (HAS_ZEROS if held.zeros else 0) | (HAS_NEGATIVE if negative else 0)
    at[0] |= HAS_POSITIVE if positive else 0
    at += 1
    if held.zeros:
        at = put_varint(at, held.zeros)
    if negative:
        at = put_side(held, 1, places + positive, negative, at)
    if positive:
        at = put_side(held, 0, places, positive, at)
    if clear:
        clear_places(held, 0, places, positive)
        clear_places(held, 1, places + positive, negative)
        held.zeros = 0
        held.total = 0
    return at


cdef inline uint8_t* put_values(const uint64_t* bits, size_t rows, uint64_t smallest, uint64_t largest,
                                uint8_t* at) noexcept nogil:
    """The sketch of numbers of one sign that lie close together; returns behind it, or NULL for any others.

    smallest, largest: bits of the least and the greatest of them by magnitude; there is no NaN. A window mostly is of
    that kind, and so needs no counters but its own. at: room for rows buckets.
    """
    cdef uint16_t counts[NARROW_PLACES]
    cdef uint64_t marks[NARROW_WORDS]
    cdef uint64_t places, sign = smallest & SIGN_BIT
    cdef uint32_t first, span, words, place, word, used = 0, next_place = 0
    if (largest & SIGN_BIT) != sign or rows > ROWS_NARROW or not is_normal(smallest ^ sign) or \
            not is_normal(largest ^ sign):
        return NULL
    first = normal_place(smallest ^ sign)
    span = normal_place(largest ^ sign) - first
    if span >= NARROW_PLACES:
        return NULL
    at[0] = SCHEMA | (HAS_NEGATIVE if sign else HAS_POSITIVE)
    if span == 0:
        at = put_first(at + 1, 1, first)
        return put_token(at, 0, rows)
    memset(counts, 0, (span + 1) * sizeof(uint16_t))
    words = (span >> 6) + 1
    if words == 1:
        marks[0] = count_octaves(bits, rows, first, counts)
    else:
        memset(marks, 0, words * sizeof(uint64_t))
        count_close(bits, rows, first, counts, marks)
    for word in range(words):
        used += count_ones(marks[word])
    at = put_first(at + 1, used, first)
    for word in range(words):
        places = marks[word]
        while places:
            place = word * 64 + trailing_zeros(places)
            places &= places - 1
            at = put_token(at, place - next_place, counts[place])
            next_place = place + 1
    return at


cdef inline uint64_t count_octaves(const uint64_t* bits, size_t rows, uint32_t first, uint16_t* counts) noexcept nogil:
    """Count numbers of two octaves, of 64 places from ``first``; returns which are in use: marks that never leave a
    register, as of most windows, where a mark in memory waits for the one before it."""
    cdef uint64_t marks = 0
    cdef uint32_t place
    cdef size_t row
    for row in range(rows):
        place = normal_place(bits[row] & ~SIGN_BIT) - first
        counts[place] += 1
        marks |= <uint64_t>1 << place
    return marks


cdef inline void count_close(const uint64_t* bits, size_t rows, uint32_t first, uint16_t* counts,
                             uint64_t* marks) noexcept nogil:
    """Count numbers of any places from ``first``, and mark which are in use."""
    cdef uint32_t place
    cdef size_t row
    for row in range(rows):
        place = normal_place(bits[row] & ~SIGN_BIT) - first
        counts[place] += 1
        marks[place >> 6] |= <uint64_t>1 << (place & 63)


cdef inline uint8_t* put_first(uint8_t* at, uint32_t buckets, uint32_t place) noexcept nogil:
    """Number of buckets of one sign, and the index of the first."""
    cdef int64_t first = <int64_t>place + INDEX_MIN
    at = put_varint(at, buckets)
    return put_varint(at, <uint64_t>(2 * first if first >= 0 else -2 * first - 1))  # zigzag


cdef inline uint8_t* put_token(uint8_t* at, uint32_t gap, uint64_t count) noexcept nogil:
    """One bucket."""
    cdef uint64_t token = (<uint64_t>gap << 3) | min(count - 1, <uint64_t>COUNT_IN_TOKEN)
    if token < 0x80:
        at[0] = <uint8_t>token
        at += 1
    else:
        at = put_varint(at, token)
    return put_varint(at, count - 1 - COUNT_IN_TOKEN) if count > COUNT_IN_TOKEN else at


cdef inline SketchFault read_number(Cursor* cursor, uint64_t* out) noexcept nogil:
    """A varint in its shortest form."""
    cdef const uint8_t* before = cursor.at
    if read_varint(cursor, out) != OK:
        return SKETCH_TRUNCATED
    if cursor.at - before > 1 and (cursor.at - 1)[0] == 0:
        return SKETCH_FORM
    return SKETCH_SOUND


cdef inline SketchFault add_count(uint64_t* total, uint64_t count) noexcept nogil:
    if count > SKETCH_COUNT_MAX - total[0]:
        return SKETCH_COUNT
    total[0] += count
    return SKETCH_SOUND


cdef inline SketchFault read_side(Cursor* cursor, uint32_t side, Buckets* held, bint undo,
                                  uint64_t* total) noexcept nogil:
    """One sign's buckets, added to ``held``, or taken from it."""
    cdef uint64_t buckets = 0, folded = 0, token = 0, more = 0, count, index, values = 0
    cdef int64_t place
    cdef SketchFault fault = read_number(cursor, &buckets)
    if fault == SKETCH_SOUND:
        fault = read_number(cursor, &folded)
    if fault != SKETCH_SOUND:
        return fault
    if buckets == 0 or (cursor.at < cursor.end and cursor.at[0] >= 8):  # the first token has no gap
        return SKETCH_FORM
    if folded > 2 * SIDE_PLACES:
        return SKETCH_BUCKET
    place = zigzag(folded) - INDEX_MIN - 1
    for index in range(buckets):
        fault = read_number(cursor, &token)
        if fault != SKETCH_SOUND:
            return fault
        if token >> 3 > SIDE_PLACES:
            return SKETCH_BUCKET
        place += 1 + <int64_t>(token >> 3)
        if place < 0 or place > INDEX_INFINITE - INDEX_MIN:
            return SKETCH_BUCKET
        count = (token & COUNT_IN_TOKEN) + 1
        if token & COUNT_IN_TOKEN == COUNT_IN_TOKEN:
            fault = read_number(cursor, &more)
            if fault == SKETCH_SOUND:
                fault = SKETCH_COUNT if more > SKETCH_COUNT_MAX else add_count(total, more)
            if fault != SKETCH_SOUND:
                return fault
            count += more
        values += (token & COUNT_IN_TOKEN) + 1  # at most 8 a bucket: looked at together
        if undo:
            held.counts[<uint32_t>place + side * SIDE_PLACES] -= count
        else:
            add_place(held, <uint32_t>place + side * SIDE_PLACES, count)
    return add_count(total, values)


cdef inline SketchFault read_sketch(const uint8_t* data, size_t size, Buckets* held, bint undo, uint64_t* total,
                                    const uint8_t** stopped) noexcept nogil:
    """Check the bytes of a sketch and add them to ``held``.

    total: the values of everything so far, to which its own are added. On a fault ``stopped`` is where, and ``held``
    has a part of the sketch. undo: take away what the same call, with the same total, has added.
    """
    cdef Cursor cursor = cursor_over(data, size)
    cdef uint64_t zeros = 0
    cdef uint8_t header
    cdef SketchFault fault = SKETCH_SOUND
    stopped[0] = data
    if size == 0:
        return SKETCH_TRUNCATED
    header = data[0]
    cursor.at += 1
    if header & 0x1F != SCHEMA:
        return SKETCH_HEADER
    if header & HAS_ZEROS:
        fault = read_number(&cursor, &zeros)
        if fault == SKETCH_SOUND and zeros == 0:
            fault = SKETCH_FORM
        if fault == SKETCH_SOUND:
            fault = add_count(total, zeros)
    if fault == SKETCH_SOUND and header & HAS_NEGATIVE:
        fault = read_side(&cursor, 1, held, undo, total)
    if fault == SKETCH_SOUND and header & HAS_POSITIVE:
        fault = read_side(&cursor, 0, held, undo, total)
    if fault == SKETCH_SOUND and cursor.at != cursor.end:
        fault = SKETCH_FORM
    stopped[0] = cursor.at
    if fault == SKETCH_SOUND and undo:
        held.zeros -= zeros
    elif fault == SKETCH_SOUND:
        held.zeros += zeros
        held.total = total[0]
    return fault
