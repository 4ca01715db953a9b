# Data points of OTLP: their fields, read in one pass.
#
#   field            number  histogram  exponential  summary
#   attributes            7          9            1        7     hashed as runs of bytes, and looked at no further
#   start, time        2, 3       2, 3         2, 3     2, 3     fixed64, ns
#   value              4, 6                                      double, or sfixed64
#   count, sum                    4, 5         4, 5     4, 5     fixed64, double
#   flags                 8         10           10        8     1: no recorded value
#   buckets                       6, 7     6 to 9, 14             counts and bounds; scale, zeros, sides
#   quantiles                                              6
#   exemplars             5          8           11              stepped over
#
# Buckets become cumulative totals by upper bound, as Prometheus' classic histograms have them. Those of an exponential
# histogram are brought to powers of 2 (or, where these are too many, of 4, 16, 256 …), with its zeros as one bucket:
#
#   scale 1, offset -2     (0.5 0.71] (0.71 1] (1 1.41] (1.41 2]           7 1 0 4    zeros 2
#   classic                0: 2     0.5: 2     1: 10     2: 14
#
# Here a native histogram would be made of the same fields.

from libc.math cimport INFINITY, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.cursor cimport (BYTES, FIXED64, VARINT, Cursor, cursor_in, no_text, read_bytes, read_double,
                                 read_fixed64, read_tag, read_varint, skip_field, zigzag)
from nissa._fast.fields cimport step_over_short
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.types cimport FIELD_TWICE, OK, TRUNCATED, WIRE_TYPE_WRONG, Fingerprint, Status, Text

cdef enum:
    DOMAIN_ATTRIBUTES = 0x81    # name spaces of raw forms
    BUCKETS_MAX = 512           # bounds or quantiles of one data point
    SIDE_MAX = 1024             # buckets of one side of an exponential histogram
    POWERS_MAX = 64             # bounds that one side becomes

cdef enum PointKind:            # field numbers of Metric
    GAUGE_POINT = 5
    SUM_POINT = 7
    HISTOGRAM_POINT = 9
    EXPONENTIAL_POINT = 10
    SUMMARY_POINT = 11

# One side of an exponential histogram.
cdef struct Side:
    int32_t offset
    uint32_t count              # of buckets; SIDE_MAX + 1: too many
    uint64_t[SIDE_MAX] bucket
    bint there

cdef struct DataPoint:
    uint64_t start_ns
    uint64_t time_ns
    uint64_t flags
    double value                # of a number
    uint64_t count
    double sum
    bint has_value
    bint has_sum
    # histogram: counts and bounds; summary: quantiles and their values. BUCKETS_MAX + 1: too many
    uint32_t counts
    uint32_t bounds
    uint64_t[BUCKETS_MAX + 1] bucket
    double[BUCKETS_MAX] bound
    double[BUCKETS_MAX] total   # up to each bound
    # exponential histogram
    int32_t scale
    uint64_t zero_count
    double zero_threshold
    Side positive
    Side negative

cdef extern from *:
    """
    #define nissa_add_overflows(left, right, sum) __builtin_add_overflow(left, right, sum)
    """
    bint nissa_add_overflows(uint64_t left, uint64_t right, uint64_t* sum) nogil


cdef inline uint32_t attributes_field(uint32_t kind) noexcept nogil:
    """Number of the field that holds the attributes of a data point."""
    return 9 if kind == HISTOGRAM_POINT else 1 if kind == EXPONENTIAL_POINT else 7


cdef inline int64_t point_ms(uint64_t ns) noexcept nogil:
    """Milliseconds, rounded down."""
    return <int64_t>(ns // 1_000_000)


cdef inline void begin_point(DataPoint* point) noexcept nogil:
    """A point that says nothing. The places of counts and bounds are not touched."""
    point.start_ns = point.time_ns = point.flags = point.count = point.zero_count = 0
    point.value = point.sum = point.zero_threshold = 0.0
    point.has_value = point.has_sum = False
    point.counts = point.bounds = 0
    point.scale = 0
    point.positive.there = point.negative.there = False
    point.positive.count = point.negative.count = 0


cdef inline Status read_point(const Secret* secret, Text message, uint32_t kind, DataPoint* out,
                              Fingerprint* key) noexcept nogil:
    """A data point of any kind. secret, key: where its attributes are hashed into; NULL: they are not."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint32_t attributes = attributes_field(kind) << 3 | 2
    cdef const uint8_t* begin
    cdef Fingerprint part
    cdef Status status
    begin_point(out)
    while cursor.at < cursor.end:
        if cursor.at[0] == attributes:
            status = hash_attributes(secret, &cursor, <uint8_t>attributes, key)
        elif cursor.end - cursor.at >= 9 and (cursor.at[0] == 0x19 or cursor.at[0] == 0x11):
            if cursor.at[0] == 0x19:
                memcpy(&out.time_ns, cursor.at + 1, 8)
            else:
                memcpy(&out.start_ns, cursor.at + 1, 8)
            cursor.at += 9
            continue
        else:
            begin = cursor.at
            status = read_tag(&cursor, &tag)
            if status == OK:
                status = read_point_field(&cursor, tag, kind, out)
            if status == OK and key != NULL and tag == attributes:      # its tag is spelt longer than it need be
                part = hash_bytes(secret, begin, cursor.at - begin, DOMAIN_ATTRIBUTES)
                chain(secret, key, &part)
        if status != OK:
            return status
    return OK


cdef inline Status hash_attributes(const Secret* secret, Cursor* cursor, uint8_t tag, Fingerprint* key) noexcept nogil:
    """A run of attributes: step over it, and hash it as it stands."""
    cdef const uint8_t* begin = cursor.at
    cdef Fingerprint part
    cdef Text field
    cdef Status status
    while True:
        step_over_short(cursor, tag)
        if cursor.at >= cursor.end or cursor.at[0] != tag:
            break
        cursor.at += 1
        status = read_bytes(cursor, &field)
        if status != OK:
            return status
    if key != NULL:
        part = hash_bytes(secret, begin, cursor.at - begin, DOMAIN_ATTRIBUTES)
        chain(secret, key, &part)
    return OK


cdef inline Status read_point_field(Cursor* cursor, uint32_t tag, uint32_t kind, DataPoint* out) noexcept nogil:
    """One field, its tag already read."""
    cdef uint32_t number = tag >> 3
    cdef uint64_t bits = 0
    cdef Status status
    if number == attributes_field(kind):
        return skip_field(cursor, tag) if tag & 7 == BYTES else WIRE_TYPE_WRONG
    if number == 2 or number == 3:
        if tag & 7 != FIXED64:
            return WIRE_TYPE_WRONG
        return read_fixed64(cursor, &out.start_ns if number == 2 else &out.time_ns)
    if number == (8 if kind <= SUM_POINT or kind == SUMMARY_POINT else 10):
        return read_varint(cursor, &out.flags) if tag & 7 == VARINT else WIRE_TYPE_WRONG
    if kind == GAUGE_POINT or kind == SUM_POINT:
        if number != 4 and number != 6:
            return skip_field(cursor, tag) if number != 5 or tag & 7 == BYTES else WIRE_TYPE_WRONG
        if tag & 7 != FIXED64:
            return WIRE_TYPE_WRONG
        if out.has_value:
            return FIELD_TWICE
        out.has_value = True
        if number == 4:
            return read_double(cursor, &out.value)
        status = read_fixed64(cursor, &bits)
        out.value = <double><int64_t>bits
        return status
    if number == 4 or number == 5:
        if tag & 7 != FIXED64:
            return WIRE_TYPE_WRONG
        if number == 4:
            return read_fixed64(cursor, &out.count)
        out.has_sum = True
        return read_double(cursor, &out.sum)
    if kind == SUMMARY_POINT:
        return read_quantile_field(cursor, tag, out)
    if kind == HISTOGRAM_POINT:
        return read_histogram_field(cursor, tag, out)
    return read_exponential_field(cursor, tag, out)


cdef inline Status read_quantile_field(Cursor* cursor, uint32_t tag, DataPoint* out) noexcept nogil:
    """quantile_values=6: ValueAtQuantile."""
    cdef Text field
    cdef double quantile, value
    cdef Status status
    if tag >> 3 != 6:
        return skip_field(cursor, tag)
    if tag & 7 != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &field)
    if status == OK:
        status = read_quantile(field, &quantile, &value)
    if status != OK:
        return status
    if out.bounds >= <uint32_t>BUCKETS_MAX:
        out.bounds = BUCKETS_MAX + 1
    else:
        out.bound[out.bounds], out.total[out.bounds] = quantile, value
        out.bounds += 1
    return OK


cdef inline Status read_histogram_field(Cursor* cursor, uint32_t tag, DataPoint* out) noexcept nogil:
    """bucket_counts=6 and explicit_bounds=7, packed or not; min=11 and max=12 are stepped over."""
    cdef uint32_t number = tag >> 3
    cdef Cursor some
    cdef Text field = no_text()
    cdef Status status
    if number != 6 and number != 7:
        if (number == 8 and tag & 7 != BYTES) or ((number == 11 or number == 12) and tag & 7 != FIXED64):
            return WIRE_TYPE_WRONG
        return skip_field(cursor, tag)
    if tag & 7 == FIXED64:
        some.at = cursor.at
        status = skip_field(cursor, tag)
        some.end = cursor.at
    elif tag & 7 == BYTES:
        status = read_bytes(cursor, &field)
        some = cursor_in(field)
    else:
        return WIRE_TYPE_WRONG
    if status != OK:
        return status
    if (some.end - some.at) % 8:
        return TRUNCATED
    while some.at < some.end:
        if number == 6:
            if out.counts > <uint32_t>BUCKETS_MAX:
                out.bounds = BUCKETS_MAX + 1
                return OK
            read_fixed64(&some, &out.bucket[out.counts])
            out.counts += 1
        else:
            if out.bounds >= <uint32_t>BUCKETS_MAX:
                out.bounds = BUCKETS_MAX + 1
                return OK
            read_double(&some, &out.bound[out.bounds])
            out.bounds += 1
    return OK


cdef inline Status read_exponential_field(Cursor* cursor, uint32_t tag, DataPoint* out) noexcept nogil:
    """scale=6 zero_count=7 positive=8 negative=9 zero_threshold=14; min=12 and max=13 are stepped over."""
    cdef uint32_t number = tag >> 3
    cdef uint64_t bits = 0
    cdef Text field
    cdef Side* side
    cdef Status status
    if number == 6:
        if tag & 7 != VARINT:
            return WIRE_TYPE_WRONG
        status = read_varint(cursor, &bits)
        out.scale = <int32_t>zigzag(bits & 0xFFFFFFFFU)
        return status
    if number == 7:
        return read_fixed64(cursor, &out.zero_count) if tag & 7 == FIXED64 else WIRE_TYPE_WRONG
    if number == 14:
        return read_double(cursor, &out.zero_threshold) if tag & 7 == FIXED64 else WIRE_TYPE_WRONG
    if number == 8 or number == 9:
        if tag & 7 != BYTES:
            return WIRE_TYPE_WRONG
        side = &out.positive if number == 8 else &out.negative
        if side.there:
            return FIELD_TWICE
        status = read_bytes(cursor, &field)
        return read_side(field, side) if status == OK else status
    if (number == 11 and tag & 7 != BYTES) or ((number == 12 or number == 13) and tag & 7 != FIXED64):
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef inline Status read_side(Text message, Side* out) noexcept nogil:
    """Buckets: offset=1 sint32, bucket_counts=2 varints, packed or not."""
    cdef Cursor cursor = cursor_in(message)
    cdef Cursor counts
    cdef Text field = no_text()
    cdef uint32_t tag = 0
    cdef uint64_t bits = 0
    cdef Status status
    out.there = True
    out.offset = 0
    out.count = 0
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status == OK and tag == (2 << 3 | 2):
            status = read_bytes(&cursor, &field)
            counts = cursor_in(field)
            while status == OK and counts.at < counts.end:
                status = read_count(&counts, out)
        elif status == OK and tag == (2 << 3 | 0):
            status = read_count(&cursor, out)
        elif status == OK and tag == (1 << 3 | 0):
            status = read_varint(&cursor, &bits)
            out.offset = <int32_t>zigzag(bits & 0xFFFFFFFFU)
        elif status == OK:
            status = WIRE_TYPE_WRONG if tag >> 3 <= 2 else skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status read_count(Cursor* cursor, Side* out) noexcept nogil:
    cdef uint64_t bits = 0
    cdef Status status = read_varint(cursor, &bits)
    if status == OK and out.count < <uint32_t>SIDE_MAX:
        out.bucket[out.count] = bits
        out.count += 1
    elif status == OK:
        out.count = SIDE_MAX + 1
    return status


cdef inline Status read_quantile(Text message, double* quantile, double* value) noexcept nogil:
    """ValueAtQuantile: quantile=1, value=2."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    quantile[0] = value[0] = 0.0
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 1):
            status = read_double(&cursor, quantile)
        elif tag == (2 << 3 | 1):
            status = read_double(&cursor, value)
        elif tag >> 3 <= 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


# ---- Buckets ---------------------------------------------------------------------------------------------------------

cdef inline bint add_explicit(DataPoint* point) noexcept nogil:
    """Totals of a histogram. False where its counts do not fit its bounds, or its count; bounds rise.

    A point without a recorded value has bounds alone. One bound of infinity says what the last bucket says anyway.
    """
    cdef uint32_t index
    cdef uint64_t total = 0
    cdef bint stale = point.flags & 1
    if point.bounds > <uint32_t>BUCKETS_MAX:
        return False
    if not stale and point.counts != point.bounds + 1 and (point.counts or point.bounds):
        return False
    for index in range(point.bounds):
        if not (index == 0 or point.bound[index] > point.bound[index - 1]) or point.bound[index] != point.bound[index]:
            return False
        if not stale and nissa_add_overflows(total, point.bucket[index], &total):
            return False
        point.total[index] = <double>total
    if not stale and point.counts:
        if nissa_add_overflows(total, point.bucket[point.counts - 1], &total) or total != point.count:
            return False
    if point.bounds and point.bound[point.bounds - 1] == INFINITY:
        point.bounds -= 1
    return True


cdef inline bint add_exponential(DataPoint* point) noexcept nogil:
    """Bounds and totals of an exponential histogram. False where its buckets do not add up to its count."""
    cdef uint64_t total = point.zero_count, before
    cdef uint32_t shift
    cdef int64_t low, high, index
    point.bounds = 0
    if point.flags & 1:
        point.zero_count = point.positive.count = point.negative.count = 0
    elif not (add_side(&point.positive, &total) and add_side(&point.negative, &total) and total == point.count):
        return False
    if not point.zero_threshold >= 0.0 or point.zero_threshold == INFINITY or point.scale > 31 or point.scale < -11:
        return False
    shift = shift_of(&point.positive, &point.negative, point.scale)
    before = 0
    if side_range(&point.negative, shift, &low, &high):
        for index in range(high, low - 2, -1):
            if index < high:
                before += side_count(&point.negative, shift, index + 1)
            add_bound(point, -power_of(index + 1, shift, point.scale), before)
    before += point.zero_count
    add_bound(point, point.zero_threshold, before)
    if side_range(&point.positive, shift, &low, &high):
        for index in range(low - 1, high + 1):
            if index >= low:
                before += side_count(&point.positive, shift, index)
            add_bound(point, power_of(index + 1, shift, point.scale), before)
    return True


cdef inline bint add_side(const Side* side, uint64_t* total) noexcept nogil:
    cdef uint32_t index
    if side.count > <uint32_t>SIDE_MAX:
        return False
    for index in range(side.count):
        if nissa_add_overflows(total[0], side.bucket[index], total):
            return False
    return True


cdef inline void add_bound(DataPoint* point, double bound, uint64_t total) noexcept nogil:
    """The next bound, unless it is that of all or none: what is up to it then is up to the one before."""
    if point.bounds and not bound > point.bound[point.bounds - 1]:
        point.total[point.bounds - 1] = <double>total
        return
    if bound == INFINITY or bound == -INFINITY:
        return
    point.bound[point.bounds], point.total[point.bounds] = bound + 0.0, <double>total     # -0.0 is 0
    point.bounds += 1


cdef inline uint32_t shift_of(const Side* positive, const Side* negative, int32_t scale) noexcept nogil:
    """Number of bits by which indices are shifted to reach powers of 2, or more if there were too many bounds."""
    cdef uint32_t shift = <uint32_t>scale if scale > 0 else 0
    cdef int64_t low, high
    while shift < 63:
        if ((not side_range(positive, shift, &low, &high) or high - low + 2 <= POWERS_MAX)
                and (not side_range(negative, shift, &low, &high) or high - low + 2 <= POWERS_MAX)):
            break
        shift += 1
    return shift


cdef inline bint side_range(const Side* side, uint32_t shift, int64_t* low, int64_t* high) noexcept nogil:
    """The first and last bucket with a count, their indices shifted. False where there is none."""
    cdef uint32_t first = 0, end = side.count
    while first < end and side.bucket[first] == 0:
        first += 1
    while end > first and side.bucket[end - 1] == 0:
        end -= 1
    low[0] = (<int64_t>side.offset + first) >> shift
    high[0] = (<int64_t>side.offset + end - 1) >> shift
    return first < end


cdef inline uint64_t side_count(const Side* side, uint32_t shift, int64_t index) noexcept nogil:
    """Count of all buckets with this shifted index."""
    cdef uint32_t place
    cdef uint64_t total = 0
    for place in range(side.count):
        if (<int64_t>side.offset + place) >> shift == index:
            total += side.bucket[place]
    return total


cdef inline double power_of(int64_t index, uint32_t shift, int32_t scale) noexcept nogil:
    """The lower bound of a bucket: 2^(index * 2^(shift - scale)), 0 or infinity beyond the range of doubles."""
    cdef int64_t exponent
    cdef int32_t steps = <int32_t>shift - scale
    if steps > 12 and index:
        return INFINITY if index > 0 else 0.0
    exponent = index * (<int64_t>1 << (steps if index else 0))
    return INFINITY if exponent > 1023 else 0.0 if exponent < -1074 else ldexp(1.0, <int>exponent)
