# A native histogram of Prometheus, 1.0 and 2.0 alike: what of it becomes samples.
#
#   1 count_int  2 count_float  3 sum  4 schema  15 timestamp   read; of the counts the last holds
#   all others                                                  native_buckets.pxd
#
# A histogram is invalid whose count is negative or NaN, whose schema is none of -4 to 8 and -53, or whose buckets do
# not fit. An invalid one is left out alone; the others of its series are kept.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from nissa._fast.batch cimport Batch, push_row
from nissa._fast.cursor cimport (VARINT, Cursor, cursor_in, no_text, read_bytes, read_double, read_tag, read_varint,
                                 skip_field, zigzag)
from nissa._fast.hash cimport Secret, chain
from nissa._fast.native_buckets cimport Buckets, read_bucket_field, sound_buckets
from nissa._fast.types cimport OK, WIRE_TYPE_WRONG, Fingerprint, Record, Status, Text

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
    int64_t start_ms        # 2.0: when its counters began at 0, or 0
    bint sound


cdef inline Status walk_histogram(Text message, bint second, HistogramValue* out) noexcept nogil:
    """The whole of one histogram; in 2.0 it may have a start_timestamp=17."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0, count = 0, bits = 0
    cdef int64_t schema = 0
    cdef bint of_floats = False
    cdef Buckets buckets
    cdef Status status
    memset(&buckets, 0, sizeof(Buckets))
    out.count = 0.0
    out.sum = 0.0
    out.ts_ms = 0
    out.start_ms = 0
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0):
            status = read_varint(&cursor, &count)
            of_floats = False
        elif tag == (2 << 3 | 1):
            status = read_double(&cursor, &out.count)
            of_floats = True
        elif tag == (3 << 3 | 1):
            status = read_double(&cursor, &out.sum)
        elif tag == (4 << 3 | 0):
            status = read_varint(&cursor, &number)
            schema = zigzag(number & 0xFFFFFFFFU)
        elif tag == (15 << 3 | 0):
            status = read_varint(&cursor, &number)
            out.ts_ms = <int64_t>number
        elif second and tag == (17 << 3 | VARINT):
            status = read_varint(&cursor, &number)
            out.start_ms = <int64_t>number
        elif second and tag >> 3 == 17:
            return WIRE_TYPE_WRONG
        else:
            status = read_bucket_field(&cursor, tag, &buckets)
        if status != OK:
            return status
    if not of_floats:
        out.count = <double>count
    out.sound = out.count >= 0.0 and sound_buckets(&buckets, schema, of_floats, count, out.sum != out.sum)
    memcpy(&bits, &out.sum, 8)
    if bits == STALE_BITS:
        out.count = out.sum
    return OK


cdef inline Status push_histograms(const Secret* secret, Batch batch, Text message, Fingerprint key, uint32_t wanted,
                                    bint second) noexcept nogil:
    """Walk a series again for its sound histograms: counts as rows of one record, sums as rows of the next."""
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
            if walk_histogram(field, second, &histogram) != OK or not histogram.sound:
                continue                    # it has been counted
            status = push_row(batch, histogram.ts_ms, histogram.count if kind == HISTOGRAM_COUNT else histogram.sum)
            if status == OK and histogram.start_ms != 0 and histogram.start_ms < histogram.ts_ms:
                status = batch.push_start(histogram.start_ms)
            if status != OK:
                return status
        record.rows = <uint32_t>batch.rows - record.first_row
    return OK
