# The buckets of a native histogram: whether they fit its spans, its count and its schema. The rules are those of
# Prometheus (model/histogram: Histogram.Validate, FloatHistogram.Validate), read in one pass over the fields.
#
#   5 zero_threshold  6, 7 zero count     11 positive spans  12 positive deltas  13 positive counts
#   14 reset_hint     16 custom_values     8 negative spans   9 negative deltas  10 negative counts
#
# An integer histogram counts in deltas, a float histogram in counts; the buckets of the other are not looked at. What
# is added up here is bounded: a sum that does not fit 64 bits makes the histogram invalid.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from nissa._fast.cursor cimport (BYTES, FIXED64, VARINT, Cursor, cursor_in, no_text, read_bytes, read_double, read_tag,
                                 read_varint, skip_field, zigzag)
from nissa._fast.types cimport OK, TRUNCATED, WIRE_TYPE_WRONG, Status, Text

cdef extern from *:
    """
    #define nissa_sum_overflows(left, right, sum) __builtin_add_overflow(left, right, sum)
    """
    bint nissa_total_overflows "nissa_sum_overflows"(uint64_t left, uint64_t right, uint64_t* sum) nogil
    bint nissa_delta_overflows "nissa_sum_overflows"(int64_t left, int64_t right, int64_t* sum) nogil

cdef extern from "math.h" nogil:
    const double INFINITY

cdef enum: CUSTOM_SCHEMA = -53

# One side, positive or negative.
cdef struct Side:
    uint64_t spans
    uint64_t spanned        # buckets that its spans cover
    int64_t reached         # the same with the gaps between them
    bint offset_negative    # of any span but the first
    bint first_negative     # of the first span
    uint64_t deltas
    int64_t last            # the count of the last bucket, by deltas
    uint64_t total          # of all buckets, by deltas
    bint deltas_negative    # a bucket below 0, or sums of more than 64 bits
    uint64_t counts
    bint counts_negative

cdef struct Buckets:
    Side positive
    Side negative
    uint64_t zero_count     # where it is an integer
    double zero_count_float # where it is a float
    double zero_threshold
    uint64_t bounds         # custom_values
    double last_bound
    bint bounds_wrong       # not strictly increasing


cdef inline Status read_span(Text message, Side* side) noexcept nogil:
    """BucketSpan: offset=1 sint32, length=2 uint32."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef int32_t offset = 0
    cdef uint32_t length = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0) or tag == (2 << 3 | 0):
            status = read_varint(&cursor, &number)
            if tag >> 3 == 1:
                offset = <int32_t>zigzag(number & 0xFFFFFFFFU)
            else:
                length = <uint32_t>(number & 0xFFFFFFFFU)
        elif tag >> 3 <= 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    if offset < 0:
        if side.spans:
            side.offset_negative = True
        else:
            side.first_negative = True
    side.spans += 1
    side.spanned += length              # a frame has less than 2^32 bytes: no sum of 32-bit numbers passes 63 bits
    side.reached += <int64_t>length + offset
    return OK


cdef inline void add_delta(Side* side, int64_t delta) noexcept nogil:
    side.deltas += 1
    if nissa_delta_overflows(side.last, delta, &side.last) or side.last < 0:
        side.deltas_negative = True
        side.last = 0
    elif nissa_total_overflows(side.total, <uint64_t>side.last, &side.total):
        side.deltas_negative = True


cdef inline Status read_deltas(Cursor* cursor, uint32_t wire, Side* side) noexcept nogil:
    """Packed or single sint64."""
    cdef Text packed = no_text()
    cdef Cursor inner
    cdef uint64_t number = 0
    cdef Status status
    if wire == VARINT:
        status = read_varint(cursor, &number)
        if status == OK:
            add_delta(side, zigzag(number))
        return status
    if wire != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &packed)
    inner = cursor_in(packed)
    while status == OK and inner.at < inner.end:
        status = read_varint(&inner, &number)
        if status == OK:
            add_delta(side, zigzag(number))
    return status


cdef inline Status read_doubles(Cursor* cursor, uint32_t wire, Side* side, Buckets* bounds) noexcept nogil:
    """Packed or single doubles: counts of a side, or else custom bounds."""
    cdef Text packed = no_text()
    cdef Cursor inner
    cdef double value = 0.0
    cdef Status status = OK
    inner.at = cursor.at
    inner.end = cursor.at
    if wire == BYTES:
        status = read_bytes(cursor, &packed)
        inner = cursor_in(packed)
    elif wire == FIXED64:
        status = skip_field(cursor, wire)
        inner.end = cursor.at
    else:
        return WIRE_TYPE_WRONG
    if status != OK:
        return status
    if (inner.end - inner.at) % 8 != 0:
        return TRUNCATED
    while inner.at < inner.end:
        read_double(&inner, &value)
        if side != NULL:
            side.counts += 1
            side.counts_negative |= value < 0.0
        else:
            bounds.bounds_wrong |= value != value or (bounds.bounds > 0 and value <= bounds.last_bound)
            bounds.bounds += 1
            bounds.last_bound = value
    return OK


cdef inline Status read_bucket_field(Cursor* cursor, uint32_t tag, Buckets* out) noexcept nogil:
    """One field of a histogram other than its count, sum, schema and time."""
    cdef uint32_t field = tag >> 3
    cdef uint32_t wire = tag & 7
    cdef Text part = no_text()
    cdef Status status
    if field == 5:
        return read_double(cursor, &out.zero_threshold) if wire == FIXED64 else WIRE_TYPE_WRONG
    if field == 6:
        out.zero_count_float = 0.0
        return read_varint(cursor, &out.zero_count) if wire == VARINT else WIRE_TYPE_WRONG
    if field == 7:
        out.zero_count = 0
        return read_double(cursor, &out.zero_count_float) if wire == FIXED64 else WIRE_TYPE_WRONG
    if field == 8 or field == 11:
        if wire != BYTES:
            return WIRE_TYPE_WRONG
        status = read_bytes(cursor, &part)
        return read_span(part, &out.negative if field == 8 else &out.positive) if status == OK else status
    if field == 9 or field == 12:
        return read_deltas(cursor, wire, &out.negative if field == 9 else &out.positive)
    if field == 10 or field == 13:
        return read_doubles(cursor, wire, &out.negative if field == 10 else &out.positive, NULL)
    if field == 16:
        return read_doubles(cursor, wire, NULL, out)
    if field == 14 and wire != VARINT or field <= 4 or field == 15:
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef inline bint sound_side(const Side* side, bint of_floats) noexcept nogil:
    """Spans of an exponential schema cover as many buckets as there are, and none is below 0."""
    if of_floats:
        return not side.offset_negative and side.spanned == side.counts and not side.counts_negative
    return not side.offset_negative and side.spanned == side.deltas and not side.deltas_negative


cdef inline bint sound_custom(const Buckets* buckets, bint of_floats) noexcept nogil:
    """Custom bounds increase, cover the spans, and have neither a zero bucket nor a negative side."""
    cdef const Side* side = &buckets.positive
    if buckets.bounds_wrong or (buckets.bounds and buckets.last_bound == INFINITY):
        return False
    if side.first_negative or side.reached > <int64_t>buckets.bounds + 1 or not sound_side(side, of_floats):
        return False
    if buckets.negative.spans or (buckets.negative.counts if of_floats else buckets.negative.deltas):
        return False
    return buckets.zero_threshold == 0.0 and buckets.zero_count == 0 and buckets.zero_count_float == 0.0


cdef inline bint sound_buckets(const Buckets* buckets, int64_t schema, bint of_floats, uint64_t count,
                               bint sum_is_nan) noexcept nogil:
    """count: of an integer histogram. Where the sum is NaN, observations of NaN are in the count and in no bucket."""
    cdef uint64_t total = 0
    if schema == CUSTOM_SCHEMA:
        if not sound_custom(buckets, of_floats):
            return False
    elif schema < -4 or schema > 8 or buckets.bounds:
        return False
    elif not sound_side(&buckets.positive, of_floats) or not sound_side(&buckets.negative, of_floats):
        return False
    if of_floats:
        return not buckets.zero_count_float < 0.0
    if (nissa_total_overflows(buckets.positive.total, buckets.negative.total, &total)
            or nissa_total_overflows(total, buckets.zero_count, &total)):
        return False
    return total <= count if sum_is_nan else total == count
