"""Prometheus remote write 1.0: a request body to rows and records, in one walk.

    WriteRequest
    ├─ 1 timeseries*
    │   ├─ 1 labels*      name=1 value=2
    │   ├─ 2 samples*     value=1 timestamp=2
    │   ├─ 3 exemplars*
    │   └─ 4 histograms*
    └─ 3 metadata*        type=1 metric_family_name=2 help=4 unit=5

A series is known by the hash of its contiguous label bytes: one that was seen before costs no label parsing. A native
histogram becomes two rows, of the series ``<name>_count`` and ``<name>_sum`` (``histogram.pxd``); its buckets and the
exemplars are checked and counted, and stay in the journal's verbatim frame only.

Read strictly: fields in the wire type of their definition, no groups, strings UTF-8. What is at fault is refused by
itself: a sample, histogram, exemplar or metadata; a series whose labels or framing are at fault; the body only where
the framing of the request is broken. Unknown fields are stepped over, but those that 2.0 uses refuse the body: to read
it as empty would lose it and say it was written. A series without samples and histograms leaves no record.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from nissa._fast.batch cimport Batch, Note, contain
from nissa._fast.cursor cimport (BYTES, Cursor, cursor_in, cursor_over, no_text, read_bytes, read_tag, read_varint,
                                 skip_field)
from nissa._fast.fields cimport add_label, read_text, step_over_short
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.remote_write cimport (TAG_SAMPLE, Found, break_series, end_series, find_exemplar, find_histogram,
                                       find_sample, name_by_kind, read_plain_sample)
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ADMITTED, LABELS_MAX, OK, OTHER_VERSION, WIRE_TYPE_WRONG, Fingerprint, Label,
                                LabelList, Record, Status, Text)

# A tag as it is compared: field number << 3 | wire type. The names say message and field.
cdef enum:
    TAG_REQUEST_SERIES = 1 << 3 | 2
    TAG_REQUEST_METADATA = 3 << 3 | 2
    TAG_LABEL = 1 << 3 | 2
    TAG_LABEL_NAME = 1 << 3 | 2
    TAG_LABEL_VALUE = 2 << 3 | 2
    TAG_EXEMPLAR = 3 << 3 | 2
    TAG_HISTOGRAM = 4 << 3 | 2

cdef enum:
    DOMAIN_RAW_1 = 0x11     # name space of raw forms


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_remote_write_1(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                          size_t admit_max, int64_t oldest_ms, int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive.
    Returns: list of Metadata. Raises: Malformed (what, and the byte offset), TooLarge; nothing is kept then.
    GIL: released. Cost: about 80 ns per known series of 11 labels with one sample, 10 K series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    if minute == 0:
        raise ValueError("expected a minute above 0")
    with nogil:
        batch.begin()
        batch.status = walk_request_1(&index.secret, batch, cursor_over(start, body.shape[0]))
        if batch.status == OK:
            batch.status = index.resolve(batch, labels_of_1, NULL, minute, admit_max)
        if batch.status == OK:
            batch.complete(oldest_ms, newest_ms)
    if batch.status != OK:
        batch.fail(start)
    batch.tell_examples(start, labels_of_1, NULL)
    return batch.take_notes()


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_request_1(const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
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
                status = walk_series_1(secret, batch, field)
        elif tag == TAG_REQUEST_METADATA:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = contain(batch, walk_metadata_1(batch, field), 1, 0, field.at)
        elif tag >> 3 == 1 or tag >> 3 == 3:
            return WIRE_TYPE_WRONG
        elif tag >> 3 == 4 or tag >> 3 == 5:
            return OTHER_VERSION
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_series_1(const Secret* secret, Batch batch, Text message) noexcept nogil:
    """One TimeSeries. The expected shape, labels then samples, is read by tag bytes; the rest field by field."""
    cdef Cursor cursor = cursor_in(message)
    cdef Cursor labels
    cdef Record* record = NULL
    cdef Found found
    cdef Status status = batch.count_series()
    if status == OK:
        status = batch.push_record(&record)
    if status != OK:
        return status
    memset(&found, 0, sizeof(Found))
    found.refusal = ADMITTED
    record.origin = message.at
    record.origin_size = message.size
    record.first_row = <uint32_t>batch.rows
    labels = cursor
    step_over_short(&cursor, TAG_LABEL)
    record.key = hash_bytes(secret, labels.at, cursor.at - labels.at, DOMAIN_RAW_1)
    while cursor.at < cursor.end:
        if cursor.at[0] == TAG_SAMPLE and read_plain_sample(&cursor, batch, &status):
            if status != OK:
                return status
            continue
        status = walk_series_field_1(secret, batch, &cursor, message, &record.key, &found)
        if status != OK:
            status = break_series(status, &found)
            if status != OK:
                return status
            break
    return end_series(secret, batch, message, &found, TAG_HISTOGRAM, False)


cdef Status walk_series_field_1(const Secret* secret, Batch batch, Cursor* cursor, Text series, Fingerprint* key,
                                Found* found) noexcept nogil:
    """The general case: one field of a TimeSeries, of any kind."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Fingerprint part
    cdef const uint8_t* before = cursor.at
    cdef Status status = read_tag(cursor, &tag)
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
        part = hash_bytes(secret, before, cursor.at - before, DOMAIN_RAW_1)
        chain(secret, key, &part)
        return OK
    if tag == TAG_SAMPLE:
        return find_sample(batch, field, series, False, found)
    if tag == TAG_EXEMPLAR:
        return find_exemplar(batch, walk_exemplar_1(field), field, series, found)
    return find_histogram(batch, field, series, False, found)


cdef Status walk_label(Text message, Label* out) noexcept nogil:
    """A Label of 1.0: name and value, absent ones empty, the last of a repeated one."""
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
            status = read_text(&cursor, &out.name)
        elif tag == TAG_LABEL_VALUE:
            status = read_text(&cursor, &out.value)
        elif tag >> 3 == 1 or tag >> 3 == 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_exemplar_1(Text message) noexcept nogil:
    """Exemplar of 1.0: labels=1, value=2, timestamp=3."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Label label
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_LABEL:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = walk_label(field, &label)
        elif tag == (2 << 3 | 1) or tag == (3 << 3 | 0) or tag >> 3 > 3:
            status = skip_field(&cursor, tag)
        else:
            return WIRE_TYPE_WRONG
        if status != OK:
            return status
    return OK


cdef Status walk_metadata_1(Batch batch, Text message) noexcept nogil:
    """One note; none where it is at fault."""
    cdef Note* note = NULL
    cdef Status status = batch.push_note(&note)
    if status != OK:
        return status
    status = read_metadata_1(message, note)
    if status != OK:
        batch.note_count -= 1
    return status


cdef Status read_metadata_1(Text message, Note* out) noexcept nogil:
    """MetricMetadata: type=1, metric_family_name=2, help=4, unit=5."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0):
            status = read_varint(&cursor, &number)
            out.type = <uint32_t>number
        elif tag == (2 << 3 | 2):
            status = read_text(&cursor, &out.name)
        elif tag == (4 << 3 | 2):
            status = read_text(&cursor, &out.help)
        elif tag == (5 << 3 | 2):
            status = read_text(&cursor, &out.unit)
        elif tag >> 3 == 1 or tag >> 3 == 2 or tag >> 3 == 4 or tag >> 3 == 5:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status labels_of_1(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a TimeSeries, wherever they stand, up to the first that is at fault or one too many."""
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
        if status != OK:
            return status
        status = walk_label(field, &label)
        add_label(out, label)
        if status != OK:
            return status
        if out.count > LABELS_MAX:
            break
    name_by_kind(out, record.kind)
    return OK
