# A native histogram of Prometheus, 1.0 and 2.0 alike: what of it becomes samples, and the form of the rest.
#
#   1 count_int  2 count_float  3 sum  4 schema        read; of the counts the last holds
#   5 zero_threshold  6, 7 zero count                  checked for form
#   8, 11 spans  9, 12 deltas  10, 13 counts           checked for form
#   14 reset_hint  15 timestamp  16 custom_values      the timestamp is read
#
# A histogram is invalid whose count is negative or NaN or whose schema is none of -4 to 8 and -53, unless its sum is
# the staleness marker. An invalid one is left out alone; the others of its series are kept.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch, push_row
from nissa._fast.cursor cimport (BYTES, FIXED64, VARINT, Cursor, cursor_in, no_text, read_bytes, read_double, read_tag,
                                 read_varint, skip_field, zigzag)
from nissa._fast.hash cimport Secret, chain
from nissa._fast.types cimport HISTOGRAM_INVALID, OK, TRUNCATED, WIRE_TYPE_WRONG, Fingerprint, Record, Status, Text

cdef extern from *:
    """
    #define NISSA_STALE_BITS 0x7ff0000000000002ULL
    """
    const uint64_t STALE_BITS "NISSA_STALE_BITS"

cdef enum:
    FLOATS = 0              # kinds of record
    HISTOGRAM_COUNT = 1     # rows of <name>_count
    HISTOGRAM_SUM = 2       # rows of <name>_sum

cdef struct HistogramValue:
    double count
    double sum
    int64_t ts_ms
    bint sound


cdef inline Status walk_packed_varints(Text packed) noexcept nogil:
    cdef Cursor cursor = cursor_in(packed)
    cdef uint64_t number = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &number)
        if status != OK:
            return status
    return OK


cdef inline Status walk_span(Text message) noexcept nogil:
    """BucketSpan: offset=1 sint32, length=2 uint32."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag >> 3 <= 2 and tag & 7 != VARINT:
            return WIRE_TYPE_WRONG
        status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status walk_histogram_buckets(Cursor* cursor, uint32_t tag) noexcept nogil:
    """The fields of a histogram that are checked for form and not kept.

    5 zero_threshold, 7 zero_count_float: double. 6 zero_count_int: uint64. 8, 11 spans: messages. 9, 12 deltas: packed
    or single sint64. 10, 13 counts, 16 custom_values: packed or single double. 14 reset_hint: enum.
    """
    cdef uint32_t field = tag >> 3
    cdef uint32_t wire = tag & 7
    cdef Text part = no_text()
    cdef Status status
    if field == 5 or field == 7:
        return skip_field(cursor, tag) if wire == FIXED64 else WIRE_TYPE_WRONG
    if field == 6 or field == 14:
        return skip_field(cursor, tag) if wire == VARINT else WIRE_TYPE_WRONG
    if field <= 4 or field == 15:
        return WIRE_TYPE_WRONG
    if field > 16:
        return skip_field(cursor, tag)
    if wire != BYTES:
        if wire == (VARINT if field == 9 or field == 12 else FIXED64) and field != 8 and field != 11:
            return skip_field(cursor, tag)
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &part)
    if status != OK:
        return status
    if field == 8 or field == 11:
        return walk_span(part)
    if field == 9 or field == 12:
        return walk_packed_varints(part)
    return OK if part.size % 8 == 0 else TRUNCATED


cdef inline Status walk_histogram(Text message, bint second, HistogramValue* out) noexcept nogil:
    """The whole of one histogram; in 2.0 it may have a start_timestamp=17."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0, bits = 0
    cdef int64_t schema = 0
    cdef Status status
    out.count = 0.0
    out.sum = 0.0
    out.ts_ms = 0
    out.sound = True
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0):
            status = read_varint(&cursor, &number)
            out.count = <double>number
        elif tag == (2 << 3 | 1):
            status = read_double(&cursor, &out.count)
        elif tag == (3 << 3 | 1):
            status = read_double(&cursor, &out.sum)
        elif tag == (4 << 3 | 0):
            status = read_varint(&cursor, &number)
            schema = zigzag(number & 0xFFFFFFFFU)
        elif tag == (15 << 3 | 0):
            status = read_varint(&cursor, &number)
            out.ts_ms = <int64_t>number
        elif second and tag >> 3 == 17 and tag & 7 != VARINT:
            return WIRE_TYPE_WRONG
        else:
            status = walk_histogram_buckets(&cursor, tag)
        if status != OK:
            return status
    memcpy(&bits, &out.sum, 8)
    if bits == STALE_BITS:
        out.count = out.sum
    else:
        out.sound = out.count >= 0.0 and (-4 <= schema <= 8 or schema == -53)
    return OK


cdef inline Status push_histograms(const Secret* secret, Batch batch, Text message, Fingerprint key, uint32_t wanted,
                                    bint second) noexcept nogil:
    """Walk a sound series again for its histograms: counts as rows of one record, sums as rows of the next."""
    cdef Record* record = NULL
    cdef Cursor cursor
    cdef uint32_t kind, tag = 0
    cdef Text field = no_text()
    cdef HistogramValue histogram
    cdef Fingerprint mark
    cdef Status status
    for kind in range(HISTOGRAM_COUNT, HISTOGRAM_SUM + 1):
        status = batch.push_record(&record)
        if status != OK:
            return status
        mark.low = kind
        mark.high = kind
        record.key = key
        chain(secret, &record.key, &mark)
        record.kind = kind
        record.origin = message.at
        record.origin_size = message.size
        record.first_row = <uint32_t>batch.rows
        cursor = cursor_in(message)
        while cursor.at < cursor.end:
            read_tag(&cursor, &tag)
            if tag != wanted:
                skip_field(&cursor, tag)
                continue
            read_bytes(&cursor, &field)
            walk_histogram(field, second, &histogram)
            if not histogram.sound:
                if kind == HISTOGRAM_COUNT:
                    batch.refused_counts[<int>HISTOGRAM_INVALID] += 1
                    batch.refused_row_counts[<int>HISTOGRAM_INVALID] += 2
                    batch.rows_received += 2
                continue
            status = push_row(batch, histogram.ts_ms, histogram.count if kind == HISTOGRAM_COUNT else histogram.sum)
            if status != OK:
                return status
        record.rows = <uint32_t>batch.rows - record.first_row
    return OK
