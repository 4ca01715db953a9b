"""Prometheus remote write 1.0 and 2.0: a request body to rows and records, in one walk.

    WriteRequest                              io.prometheus.write.v2.Request
    ├─ 1 timeseries*                          ├─ 4 symbols*           "" first; every text of the request once
    │   ├─ 1 labels*      name=1 value=2      └─ 5 timeseries*
    │   ├─ 2 samples*     value=1 ts=2             ├─ 1 labels_refs   packed pairs of symbol indices
    │   ├─ 3 exemplars*                            ├─ 2 samples*      value=1 ts=2 start_ts=3
    │   └─ 4 histograms*                           ├─ 3 histograms*
    └─ 3 metadata*                                 ├─ 4 exemplars*
                                                   └─ 5 metadata      type=1 help_ref=3 unit_ref=4

A series of 1.0 is known by the hash of its contiguous label bytes, one of 2.0 by the hashes of its symbols in order and those of its
metadata: repeated series cost no label parsing. A native histogram becomes two rows, of the series ``<name>_count`` and
``<name>_sum``; its buckets and the exemplars are checked and counted, and stay in the journal's verbatim frame only. A histogram
is invalid whose count is negative or NaN or whose schema is none of -4 … 8 and -53, unless its sum is the staleness marker.

Read strictly: fields in the wire type of their definition, no groups, strings UTF-8. Unknown fields are stepped over, but those that
the other version uses are refused: to read such a body as empty would lose it and say it was written. What stands in no record that
gets an id is checked all the same, so a body is either sound as a whole or refused as a whole. A series without samples and
histograms leaves no record, but for the metadata of 2.0.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from nissa._fast.batch cimport Batch, Note, push_row
from nissa._fast.cursor cimport (BYTES, FIXED64, VARINT, Cursor, check_utf8, cursor_in, cursor_over, no_text, read_bytes, read_double,
                                 read_tag, read_varint, skip_field, zigzag)
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ADMITTED, HISTOGRAM_INVALID, LABELS_MAX, MIXED_SERIES, OK, OTHER_VERSION, SCRATCH_BYTES, SYMBOL_FIRST,
                                SYMBOL_OUT_OF_RANGE, SYMBOLS_ODD, TRUNCATED, WIRE_TYPE_WRONG, Fingerprint, Label, LabelList, Record, Status, Text)

cdef extern from *:
    """
    #define NISSA_STALE_BITS 0x7ff0000000000002ULL
    """
    const uint64_t STALE_BITS "NISSA_STALE_BITS"

# A tag as it is compared: field number << 3 | wire type. The names say message and field.
cdef enum:
    TAG_REQUEST_SERIES = 1 << 3 | 2
    TAG_REQUEST_METADATA = 3 << 3 | 2
    TAG_LABEL = 1 << 3 | 2
    TAG_LABEL_NAME = 1 << 3 | 2
    TAG_LABEL_VALUE = 2 << 3 | 2
    TAG_SAMPLE = 2 << 3 | 2
    TAG_SAMPLE_VALUE = 1 << 3 | 1
    TAG_SAMPLE_TIME = 2 << 3 | 0
    TAG_SAMPLE_START = 3 << 3 | 0
    TAG_EXEMPLAR = 3 << 3 | 2
    TAG_HISTOGRAM = 4 << 3 | 2
    TAG2_SYMBOL = 4 << 3 | 2
    TAG2_SERIES = 5 << 3 | 2
    TAG2_REFS = 1 << 3 | 2
    TAG2_HISTOGRAM = 3 << 3 | 2
    TAG2_EXEMPLAR = 4 << 3 | 2
    TAG2_METADATA = 5 << 3 | 2

cdef enum:
    FLOATS = 0              # kinds of record
    HISTOGRAM_COUNT = 1
    HISTOGRAM_SUM = 2
    DOMAIN_RAW_1 = 0x11     # name spaces of raw forms
    DOMAIN_SYMBOL_2 = 0x21
    DOMAIN_METADATA_2 = 0x22

cdef struct HistogramValue:
    double count
    double sum
    int64_t ts_ms
    bint sound

# What walking one series needs at hand.
cdef struct Walk:
    const Secret* secret
    bint second             # remote write 2.0
    const Text* symbols     # its symbol table, once walked

# What a series of 2.0 was found to have.
cdef struct Found:
    uint32_t refs
    uint32_t histograms
    uint32_t notes


# ---- Boundary ------------------------------------------------------------------------------------------------------------------------

def decode_remote_write(const uint8_t[::1] body, int version, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                        size_t admit_max, int64_t oldest_ms, int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    version: 1 or 2. minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive.
    Returns: list of Metadata. Raises: Malformed (what, and the byte offset), TooLarge. Nothing is kept of a body that raises.
    GIL: released. Cost: about 150 ns per series of 11 labels with one sample, 10 K known series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Walk walk
    if version not in (1, 2) or minute == 0:
        raise ValueError(f"expected version 1 or 2 and a minute above 0, got {version} and {minute}")
    walk.secret = &index.secret
    walk.second = version == 2
    walk.symbols = NULL
    with nogil:
        batch.begin()
        decode_body(&walk, batch, index, cursor_over(start, body.shape[0]), minute, admit_max)
        if batch.status == OK:
            batch.settle(oldest_ms, newest_ms)
    if batch.status != OK:
        batch.fail(start)
    return batch.take_notes()


# ---- Loops ---------------------------------------------------------------------------------------------------------------------------

cdef void decode_body(Walk* walk, Batch batch, SeriesIndex index, Cursor body, uint32_t minute, size_t admit_max) noexcept nogil:
    if walk.second:
        batch.status = walk_symbols(walk, batch, body)
        walk.symbols = batch.symbols
        if batch.status == OK:
            batch.status = walk_request_2(walk, batch, body)
    else:
        batch.status = walk_request_1(walk, batch, body)
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_2 if walk.second else labels_of_1, walk, minute, admit_max)
    if batch.status == OK and walk.second:
        batch.status = notes_of_new(walk, batch)


cdef Status walk_request_1(Walk* walk, Batch batch, Cursor cursor) noexcept nogil:
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status = OK
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_REQUEST_SERIES:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = walk_series_1(walk, batch, field)
        elif tag == TAG_REQUEST_METADATA:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = walk_metadata_1(batch, field)
        elif tag >> 3 == 1 or tag >> 3 == 3:
            return WIRE_TYPE_WRONG
        elif tag >> 3 == 4 or tag >> 3 == 5:
            return OTHER_VERSION
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_series_1(Walk* walk, Batch batch, Text message) noexcept nogil:
    """One TimeSeries. The expected shape, labels then samples, is read tag byte by tag byte; anything else by the general loop."""
    cdef Cursor cursor = cursor_in(message)
    cdef Cursor labels
    cdef Record* record = NULL
    cdef Fingerprint key
    cdef uint32_t histograms = 0
    cdef Status status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = message.at
    record.origin_size = message.size
    record.first_row = <uint32_t>batch.rows
    labels = cursor
    step_over_short(&cursor, TAG_LABEL)
    record.key = hash_bytes(walk.secret, labels.at, cursor.at - labels.at, DOMAIN_RAW_1)
    while cursor.at < cursor.end:
        if cursor.at[0] == TAG_SAMPLE and read_plain_sample(&cursor, batch, &status):
            if status != OK:
                return status
            continue
        status = walk_series_field_1(walk, batch, &cursor, &record.key, &histograms)
        if status != OK:
            return status
    record.rows = <uint32_t>batch.rows - record.first_row
    key = record.key
    if record.rows == 0:
        batch.record_count -= 1
        if histograms == 0:
            return check_labels_1(message)
    if histograms:
        return push_histograms(walk, batch, message, key, TAG_HISTOGRAM)
    return OK


cdef Status walk_series_field_1(Walk* walk, Batch batch, Cursor* cursor, Fingerprint* key, uint32_t* histograms) noexcept nogil:
    """The general case: one field of a TimeSeries, whatever it is."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Fingerprint part
    cdef HistogramValue histogram
    cdef const uint8_t* before = cursor.at
    cdef Status status
    batch.stopped_at = before
    status = read_tag(cursor, &tag)
    if status != OK:
        return status
    if tag >> 3 == 0 or tag >> 3 > 4:
        return skip_field(cursor, tag)
    if tag & 7 != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &field)
    if status != OK:
        return status
    if tag == TAG_LABEL:
        part = hash_bytes(walk.secret, before, cursor.at - before, DOMAIN_RAW_1)
        chain(walk.secret, key, &part)
        return OK
    if tag == TAG_SAMPLE:
        return walk_sample(batch, field, False)
    if tag == TAG_EXEMPLAR:
        batch.exemplars += 1
        return walk_exemplar_1(field)
    histograms[0] += 1
    return walk_histogram(field, False, &histogram)


cdef Status walk_sample(Batch batch, Text message, bint second) noexcept nogil:
    """A Sample in any order of fields; the last of a repeated field holds, an absent one is 0."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef double value = 0.0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_SAMPLE_VALUE:
            status = read_double(&cursor, &value)
        elif tag == TAG_SAMPLE_TIME:
            status = read_varint(&cursor, &number)
        elif tag >> 3 == 1 or tag >> 3 == 2 or (second and tag >> 3 == 3 and tag & 7 != VARINT):
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return push_row(batch, <int64_t>number, value)


cdef Status walk_label(Text message, Label* out) noexcept nogil:
    """A Label of 1.0: name and value, absent ones empty, the last of a repeated one; the earlier are checked here."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    out.name.size = 0
    out.name.at = message.at
    out.value = out.name
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_LABEL_NAME:
            status = check_utf8(out.name)
            if status == OK:
                status = read_bytes(&cursor, &out.name)
        elif tag == TAG_LABEL_VALUE:
            status = check_utf8(out.value)
            if status == OK:
                status = read_bytes(&cursor, &out.value)
        elif tag >> 3 == 1 or tag >> 3 == 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status check_labels_1(Text message) noexcept nogil:
    """The labels of a sound TimeSeries without samples, which no index will look at."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG_LABEL:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = check_label(field)
        if status != OK:
            return status
    return OK


cdef Status check_label(Text message) noexcept nogil:
    cdef Label label
    cdef Status status = walk_label(message, &label)
    if status == OK:
        status = check_utf8(label.name)
    return check_utf8(label.value) if status == OK else status


cdef Status walk_exemplar_1(Text message) noexcept nogil:
    """Exemplar of 1.0: labels=1, value=2, timestamp=3."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_LABEL:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = check_label(field)
        elif tag == (2 << 3 | 1) or tag == (3 << 3 | 0) or tag >> 3 > 3:
            status = skip_field(&cursor, tag)
        else:
            return WIRE_TYPE_WRONG
        if status != OK:
            return status
    return OK


cdef Status walk_metadata_1(Batch batch, Text message) noexcept nogil:
    """MetricMetadata: type=1, metric_family_name=2, help=4, unit=5."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Note* note = NULL
    cdef Status status = batch.push_note(&note)
    if status != OK:
        return status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0):
            status = read_varint(&cursor, &number)
            note.type = <uint32_t>number
        elif tag == (2 << 3 | 2):
            status = read_text(&cursor, &note.name)
        elif tag == (4 << 3 | 2):
            status = read_text(&cursor, &note.help)
        elif tag == (5 << 3 | 2):
            status = read_text(&cursor, &note.unit)
        elif tag >> 3 == 1 or tag >> 3 == 2 or tag >> 3 == 4 or tag >> 3 == 5:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_histogram(Text message, bint second, HistogramValue* out) noexcept nogil:
    """A native histogram: count=1|2 (the last holds), sum=3, schema=4, … timestamp=15, custom_values=16; start_timestamp=17 in 2.0."""
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


cdef Status walk_histogram_buckets(Cursor* cursor, uint32_t tag) noexcept nogil:
    """The fields of a histogram that are checked for form and not kept.

    5 zero_threshold, 7 zero_count_float: double. 6 zero_count_int: uint64. 8, 11 spans: messages. 9, 12 deltas: packed or single
    sint64. 10, 13 counts, 16 custom_values: packed or single double. 14 reset_hint: enum.
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


cdef Status walk_span(Text message) noexcept nogil:
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


cdef Status walk_packed_varints(Text packed) noexcept nogil:
    cdef Cursor cursor = cursor_in(packed)
    cdef uint64_t number = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &number)
        if status != OK:
            return status
    return OK


cdef Status push_histograms(Walk* walk, Batch batch, Text message, Fingerprint key, uint32_t wanted) noexcept nogil:
    """Walk a sound series again for its histograms: their counts as rows of one record, their sums as rows of the next."""
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
        chain(walk.secret, &record.key, &mark)
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
            walk_histogram(field, walk.second, &histogram)
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


cdef Status labels_of_1(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a TimeSeries of 1.0, wherever they stand in it. Its framing is known to be sound; that of its labels is not."""
    cdef Cursor cursor = cursor_over(record.origin, record.origin_size)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Label label
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag != TAG_LABEL:
            status = skip_field(&cursor, tag)
            if status != OK:
                return status
            continue
        status = read_bytes(&cursor, &field)
        if status == OK:
            status = walk_label(field, &label)
        if status == OK and out.count >= LABELS_MAX:
            status = check_label(field)         # it will not be in the list, where the others are checked
        if status != OK:
            return status
        add_label(out, label)
    name_by_kind(out, record.kind)
    return OK


# ---- Loops of 2.0 --------------------------------------------------------------------------------------------------------------------

cdef Status walk_symbols(Walk* walk, Batch batch, Cursor cursor) noexcept nogil:
    """Collect and hash the symbol table, wherever its parts stand in the request."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag != TAG2_SYMBOL:
            if tag >> 3 <= 3:
                return OTHER_VERSION
            if tag >> 3 == 4 or (tag >> 3 == 5 and tag != TAG2_SERIES):
                return WIRE_TYPE_WRONG
            status = skip_field(&cursor, tag)
            if status != OK:
                return status
            continue
        status = read_text(&cursor, &field)
        if status == OK:
            status = batch.grow_symbols()
        if status != OK:
            return status
        batch.symbols[batch.symbol_count] = field
        (<Fingerprint*>batch.symbol_hashes)[batch.symbol_count] = hash_bytes(walk.secret, field.at, field.size, DOMAIN_SYMBOL_2)
        batch.symbol_count += 1
    if batch.symbol_count and batch.symbols[0].size:
        batch.stopped_at = batch.symbols[0].at
        return SYMBOL_FIRST
    return OK


cdef Status walk_request_2(Walk* walk, Batch batch, Cursor cursor) noexcept nogil:
    """The series of a request whose framing walk_symbols has checked."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag != TAG2_SERIES:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = walk_series_2(walk, batch, field)
        if status != OK:
            return status
    return OK


cdef Status walk_series_2(Walk* walk, Batch batch, Text message) noexcept nogil:
    """One TimeSeries of 2.0."""
    cdef Cursor cursor = cursor_in(message)
    cdef Record* record = NULL
    cdef uint32_t tag = 0, rows
    cdef size_t index
    cdef Found found
    cdef Fingerprint key
    cdef Text field = no_text()
    cdef Status status = batch.push_record(&record)
    memset(&found, 0, sizeof(Found))
    if status != OK:
        return status
    record.origin = message.at
    record.origin_size = message.size
    record.first_row = <uint32_t>batch.rows
    record.key.low = DOMAIN_SYMBOL_2
    record.key.high = DOMAIN_SYMBOL_2
    if cursor.at < cursor.end and cursor.at[0] == TAG2_REFS:
        cursor.at += 1
        status = read_bytes(&cursor, &field)
        if status == OK:
            status = chain_refs(walk, batch, field, &record.key, &found.refs)
        if status != OK:
            return status
    while cursor.at < cursor.end:
        if cursor.at[0] == TAG_SAMPLE and read_plain_sample(&cursor, batch, &status):
            if status != OK:
                return status
            continue
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status == OK:
            status = walk_series_field_2(walk, batch, &cursor, tag, &record.key, &found)
        if status != OK:
            return status
    if found.refs & 1:
        return SYMBOLS_ODD
    rows = record.rows = <uint32_t>batch.rows - record.first_row
    key = record.key
    if rows == 0 and (found.histograms or not found.notes):
        batch.record_count -= 1
    if found.histograms == 0:
        return OK
    index = batch.record_count
    status = push_histograms(walk, batch, message, key, TAG2_HISTOGRAM)
    if status == OK and rows:
        for index in range(index - 1, batch.record_count):
            batch.records[index].refusal = MIXED_SERIES
    return status


cdef Status walk_series_field_2(Walk* walk, Batch batch, Cursor* cursor, uint32_t tag, Fingerprint* key,
                                Found* found) noexcept nogil:
    """One field of a TimeSeries of 2.0, whatever it is, its tag already read."""
    cdef Text field = no_text()
    cdef uint64_t number = 0
    cdef HistogramValue histogram
    cdef Status status
    if tag == (1 << 3 | 0):                         # a reference that is not packed
        field.at = cursor.at
        status = read_varint(cursor, &number)
        field.size = <uint32_t>(cursor.at - field.at)
        return chain_refs(walk, batch, field, key, &found.refs) if status == OK else status
    if tag >> 3 > 5:
        return skip_field(cursor, tag)
    if tag & 7 != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &field)
    if status != OK:
        return status
    if tag == TAG2_REFS:
        return chain_refs(walk, batch, field, key, &found.refs)
    if tag == TAG_SAMPLE:
        return walk_sample(batch, field, True)
    if tag == TAG2_HISTOGRAM:
        found.histograms += 1
        return walk_histogram(field, True, &histogram)
    if tag == TAG2_EXEMPLAR:
        batch.exemplars += 1
        return walk_exemplar_2(batch, field)
    found.notes += 1
    return chain_metadata(walk, batch, field, key)


cdef Status chain_refs(Walk* walk, Batch batch, Text packed, Fingerprint* key, uint32_t* count) noexcept nogil:
    """Append the hashes of the symbols that packed references name."""
    cdef Cursor cursor = cursor_in(packed)
    cdef const Fingerprint* hashes = <const Fingerprint*>batch.symbol_hashes
    cdef uint64_t symbol = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &symbol)
        if status != OK:
            return status
        symbol &= 0xFFFFFFFFU
        if symbol >= batch.symbol_count:
            return SYMBOL_OUT_OF_RANGE
        chain(walk.secret, key, &hashes[symbol])
        count[0] += 1
    return OK


cdef Status read_metadata_2(Batch batch, Text message, Note* out) noexcept nogil:
    """Metadata of 2.0 into an empty note, or further metadata into one: type=1, help_ref=3, unit_ref=4. The name is that of the series."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag >> 3 != 1 and tag >> 3 != 3 and tag >> 3 != 4:
            status = skip_field(&cursor, tag)
            if status != OK:
                return status
            continue
        if tag & 7 != VARINT:
            return WIRE_TYPE_WRONG
        status = read_varint(&cursor, &number)
        if status != OK:
            return status
        number &= 0xFFFFFFFFU
        if tag >> 3 == 1:
            out.type = <uint32_t>number
        elif number >= batch.symbol_count and number:
            return SYMBOL_OUT_OF_RANGE
        elif batch.symbol_count:
            if tag >> 3 == 3:
                out.help = batch.symbols[number]
            else:
                out.unit = batch.symbols[number]
    return OK


cdef Status chain_metadata(Walk* walk, Batch batch, Text message, Fingerprint* key) noexcept nogil:
    """Metadata takes part in the raw key, so that a change of it is a miss and is noticed."""
    cdef Note note
    cdef Fingerprint part, mark
    cdef Status status
    memset(&note, 0, sizeof(Note))
    status = read_metadata_2(batch, message, &note)
    if status != OK:
        return status
    mark.low = note.type
    mark.high = DOMAIN_METADATA_2
    chain(walk.secret, key, &mark)
    part = hash_bytes(walk.secret, note.help.at, note.help.size, DOMAIN_METADATA_2)
    chain(walk.secret, key, &part)
    part = hash_bytes(walk.secret, note.unit.at, note.unit.size, DOMAIN_METADATA_2)
    chain(walk.secret, key, &part)
    return OK


cdef Status walk_exemplar_2(Batch batch, Text message) noexcept nogil:
    """Exemplar of 2.0: labels_refs=1, value=2, timestamp=3."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint32_t count = 0
    cdef uint64_t number = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG2_REFS:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = check_refs(batch, field, &count)
        elif tag == (1 << 3 | 0):
            status = read_varint(&cursor, &number)
            count += 1
            if status == OK and (number & 0xFFFFFFFFU) >= batch.symbol_count:
                return SYMBOL_OUT_OF_RANGE
        elif tag == (2 << 3 | 1) or tag == (3 << 3 | 0) or tag >> 3 > 3:
            status = skip_field(&cursor, tag)
        else:
            return WIRE_TYPE_WRONG
        if status != OK:
            return status
    return SYMBOLS_ODD if count & 1 else OK


cdef Status check_refs(Batch batch, Text packed, uint32_t* count) noexcept nogil:
    cdef Cursor cursor = cursor_in(packed)
    cdef uint64_t symbol = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &symbol)
        if status != OK:
            return status
        if (symbol & 0xFFFFFFFFU) >= batch.symbol_count:
            return SYMBOL_OUT_OF_RANGE
        count[0] += 1
    return OK


cdef Status labels_of_2(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a TimeSeries of 2.0, which the walk has checked throughout."""
    cdef const Text* symbols = (<Walk*>codec).symbols
    cdef Cursor cursor = cursor_over(record.origin, record.origin_size)
    cdef Cursor refs
    cdef uint32_t tag = 0, count = 0
    cdef uint64_t symbol = 0
    cdef Text field = no_text()
    cdef Label label
    label.name = no_text()
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag >> 3 != 1:
            skip_field(&cursor, tag)
            continue
        if tag & 7 == BYTES:
            read_bytes(&cursor, &field)
            refs = cursor_in(field)
        else:
            refs = cursor
            read_varint(&cursor, &symbol)
            refs.end = cursor.at
        while refs.at < refs.end:
            read_varint(&refs, &symbol)
            if count & 1:
                label.value = symbols[symbol & 0xFFFFFFFFU]
                add_label(out, label)
            else:
                label.name = symbols[symbol & 0xFFFFFFFFU]
            count += 1
    name_by_kind(out, record.kind)
    return OK


cdef Status notes_of_new(Walk* walk, Batch batch) noexcept nogil:
    """Metadata of series whose raw form was not known: one note for each that is not refused, under the metric's name.

    It runs after the series are registered, and so it must not refuse: there are never more notes than records.
    """
    cdef size_t index
    cdef Record record
    cdef LabelList labels
    cdef Note* note = NULL
    cdef Status status
    if batch.missed == 0:
        return OK
    for index in range(batch.record_count):
        record = batch.records[index]
        if not record.missed or record.refusal != ADMITTED or record.kind == HISTOGRAM_SUM:
            continue
        status = batch.push_note(&note)
        if status != OK:
            return status
        if not read_notes_2(batch, &record, note):
            batch.note_count -= 1
            continue
        labels.count = 0
        labels.scratch_used = 0
        record.kind = FLOATS
        labels_of_2(walk, &record, &labels)
        note.name = name_in(&labels)
    return OK


cdef bint read_notes_2(Batch batch, const Record* record, Note* out) noexcept nogil:
    """All metadata of a sound series as one, as protobuf merges it. False where there is none."""
    cdef Cursor cursor = cursor_over(record.origin, record.origin_size)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef bint some = False
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG2_METADATA:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        read_metadata_2(batch, field, out)
        some = True
    return some


# ---- Steps ---------------------------------------------------------------------------------------------------------------------------

cdef inline void step_over_short(Cursor* cursor, uint8_t tag) noexcept nogil:
    """Step over a run of fields with this one-byte tag and a one-byte length, as far as they are whole."""
    cdef const uint8_t* at = cursor.at
    cdef const uint8_t* end = cursor.end
    while end - at >= 2 and at[0] == tag and at[1] < 0x80 and end - at >= 2 + at[1]:
        at += 2 + at[1]
    cursor.at = at


cdef inline bint read_plain_sample(Cursor* cursor, Batch batch, Status* status) noexcept nogil:
    """The sample every sender writes, ``tag length 09 value 10 time``, or no step at all (then: False)."""
    cdef const uint8_t* at = cursor.at
    cdef Cursor inner
    cdef uint64_t number = 0
    cdef double value
    if cursor.end - at < 12 or at[1] >= 0x80 or at[1] < 10 or cursor.end - at < 2 + at[1]:
        return False
    if at[2] != TAG_SAMPLE_VALUE or at[11] != TAG_SAMPLE_TIME:
        return False
    memcpy(&value, at + 3, 8)
    inner.at = at + 12
    inner.end = at + 2 + at[1]
    if not read_time(&inner, &number) or inner.at != inner.end:
        return False
    cursor.at = inner.end
    status[0] = push_row(batch, <int64_t>number, value)
    return True


cdef inline bint read_time(Cursor* cursor, uint64_t* out) noexcept nogil:
    """A varint of six bytes, which is any time from 1970-02-05 (2^35 ms over) to 2109 in milliseconds; others by read_varint."""
    cdef const uint8_t* at = cursor.at
    if cursor.end - at == 6 and at[5] < 0x80 and (at[0] & at[1] & at[2] & at[3] & at[4]) >= 0x80:
        out[0] = ((<uint64_t>(at[0] & 0x7F)) | (<uint64_t>(at[1] & 0x7F) << 7) | (<uint64_t>(at[2] & 0x7F) << 14)
                  | (<uint64_t>(at[3] & 0x7F) << 21) | (<uint64_t>(at[4] & 0x7F) << 28) | (<uint64_t>at[5] << 35))
        cursor.at = at + 6
        return True
    return read_varint(cursor, out) == OK


cdef inline Status read_text(Cursor* cursor, Text* out) noexcept nogil:
    cdef Status status = read_bytes(cursor, out)
    return check_utf8(out[0]) if status == OK else status


cdef inline Status add_label(LabelList* out, Label label) noexcept nogil:
    if out.count < LABELS_MAX:
        out.label[out.count] = label
        out.count += 1
    else:
        out.count = LABELS_MAX + 1
    return OK


cdef inline Text name_in(const LabelList* labels) noexcept nogil:
    """The value of ``__name__``, empty where there is none."""
    cdef Text name
    cdef uint32_t index
    name.at = NULL
    name.size = 0
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        if is_name(labels.label[index].name) and labels.label[index].value.size:
            name = labels.label[index].value
    return name


cdef inline bint is_name(Text text) noexcept nogil:
    cdef uint64_t word = 0
    cdef uint64_t wanted = 0
    if text.size != 8:
        return False
    memcpy(&word, text.at, 8)
    memcpy(&wanted, b"__name__", 8)
    return word == wanted


cdef inline void name_by_kind(LabelList* labels, uint32_t kind) noexcept nogil:
    """Append ``_count`` or ``_sum`` to the metric name of a histogram's series, if it has one."""
    cdef uint32_t index, tail = 6 if kind == HISTOGRAM_COUNT else 4
    cdef Text* value
    if kind == FLOATS:
        return
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        value = &labels.label[index].value
        if not is_name(labels.label[index].name) or value.size == 0:
            continue
        if value.size + tail > SCRATCH_BYTES - labels.scratch_used:
            labels.scratch_used = SCRATCH_BYTES + 1
            return
        memcpy(labels.scratch + labels.scratch_used, value.at, value.size)
        memcpy(labels.scratch + labels.scratch_used + value.size, b"_count" if kind == HISTOGRAM_COUNT else b"_sum", tail)
        value.at = labels.scratch + labels.scratch_used
        value.size += tail
        labels.scratch_used += value.size
