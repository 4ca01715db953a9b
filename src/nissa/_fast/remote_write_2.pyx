"""Prometheus remote write 2.0: a request body to rows and records, in one walk behind its symbol table.

    io.prometheus.write.v2.Request
    ├─ 4 symbols*           "" first; every text of the request once
    └─ 5 timeseries*
         ├─ 1 labels_refs   packed pairs of symbol indices
         ├─ 2 samples*      value=1 timestamp=2 start_timestamp=3
         ├─ 3 histograms*
         ├─ 4 exemplars*
         └─ 5 metadata      type=1 help_ref=3 unit_ref=4

Each symbol is hashed once. A series is known by the hashes of its symbols in order and those of its metadata: one that
was seen before costs no look at a label, and changed metadata is noticed. Histograms and exemplars are as in
``remote_write_1.pyx``.

Read strictly, as 1.0 is; fields that 1.0 uses are refused. A series of floats and histograms at once is refused whole.
A series without samples and histograms leaves no record, but for its metadata.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from nissa._fast.batch cimport Batch, Note
from nissa._fast.cursor cimport (BYTES, VARINT, Cursor, cursor_in, cursor_over, no_text, read_bytes, read_tag,
                                 read_varint, skip_field)
from nissa._fast.fields cimport add_label, read_text
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.histogram cimport FLOATS, HISTOGRAM_SUM, HistogramValue, push_histograms, walk_histogram
from nissa._fast.remote_write cimport TAG_SAMPLE, name_by_kind, name_in, read_plain_sample, walk_sample
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ADMITTED, MIXED_SERIES, OK, OTHER_VERSION, SYMBOL_FIRST, SYMBOL_OUT_OF_RANGE,
                                SYMBOLS_ODD, WIRE_TYPE_WRONG, Fingerprint, Label, LabelList, Record, Status, Text)

# A tag as it is compared: field number << 3 | wire type. The names say message and field.
cdef enum:
    TAG_REQUEST_SYMBOL = 4 << 3 | 2
    TAG_REQUEST_SERIES = 5 << 3 | 2
    TAG_REFS = 1 << 3 | 2
    TAG_HISTOGRAM = 3 << 3 | 2
    TAG_EXEMPLAR = 4 << 3 | 2
    TAG_METADATA = 5 << 3 | 2

cdef enum:
    DOMAIN_SYMBOL_2 = 0x21  # name spaces of raw forms
    DOMAIN_METADATA_2 = 0x22

# What a series was found to have.
cdef struct Found:
    uint32_t refs
    uint32_t histograms
    uint32_t notes


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_remote_write_2(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                          size_t admit_max, int64_t oldest_ms, int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive.
    Returns: list of Metadata. Raises: Malformed (what, and the byte offset), TooLarge; nothing is kept then.
    GIL: released. Cost: about 60 ns per known series of 11 labels with one sample, 10 K series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Cursor cursor = cursor_over(start, body.shape[0])
    if minute == 0:
        raise ValueError("expected a minute above 0")
    with nogil:
        batch.begin()
        batch.status = walk_symbols(&index.secret, batch, cursor)
        if batch.status == OK:
            batch.status = walk_request_2(&index.secret, batch, cursor)
        if batch.status == OK:
            batch.status = index.resolve(batch, labels_of_2, batch.symbols, minute, admit_max)
        if batch.status == OK:
            batch.status = notes_of_new(batch)
        if batch.status == OK:
            batch.settle(oldest_ms, newest_ms)
    if batch.status != OK:
        batch.fail(start)
    return batch.take_notes()


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_symbols(const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
    """Collect and hash the symbol table, wherever its parts stand in the request."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Fingerprint* hashes
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag != TAG_REQUEST_SYMBOL:
            if tag >> 3 <= 3:
                return OTHER_VERSION
            if tag >> 3 == 4 or (tag >> 3 == 5 and tag != TAG_REQUEST_SERIES):
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
        hashes = <Fingerprint*>batch.symbol_hashes
        hashes[batch.symbol_count] = hash_bytes(secret, field.at, field.size, DOMAIN_SYMBOL_2)
        batch.symbol_count += 1
    if batch.symbol_count and batch.symbols[0].size:
        batch.stopped_at = batch.symbols[0].at
        return SYMBOL_FIRST
    return OK


cdef Status walk_request_2(const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
    """The series of a request whose framing walk_symbols has checked."""
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag != TAG_REQUEST_SERIES:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = walk_series_2(secret, batch, field)
        if status != OK:
            return status
    return OK


cdef Status walk_series_2(const Secret* secret, Batch batch, Text message) noexcept nogil:
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
    if cursor.at < cursor.end and cursor.at[0] == TAG_REFS:
        cursor.at += 1
        status = read_bytes(&cursor, &field)
        if status == OK:
            status = chain_refs(secret, batch, field, &record.key, &found.refs)
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
            status = walk_series_field_2(secret, batch, &cursor, tag, &record.key, &found)
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
    status = push_histograms(secret, batch, message, key, TAG_HISTOGRAM, True)
    if status == OK and rows:
        for index in range(index - 1, batch.record_count):
            batch.records[index].refusal = MIXED_SERIES
    return status


cdef Status walk_series_field_2(const Secret* secret, Batch batch, Cursor* cursor, uint32_t tag, Fingerprint* key,
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
        return chain_refs(secret, batch, field, key, &found.refs) if status == OK else status
    if tag >> 3 > 5:
        return skip_field(cursor, tag)
    if tag & 7 != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &field)
    if status != OK:
        return status
    if tag == TAG_REFS:
        return chain_refs(secret, batch, field, key, &found.refs)
    if tag == TAG_SAMPLE:
        return walk_sample(batch, field, True)
    if tag == TAG_HISTOGRAM:
        found.histograms += 1
        return walk_histogram(field, True, &histogram)
    if tag == TAG_EXEMPLAR:
        batch.exemplars += 1
        return walk_exemplar_2(batch, field)
    found.notes += 1
    return chain_metadata(secret, batch, field, key)


cdef Status chain_refs(const Secret* secret, Batch batch, Text packed, Fingerprint* key,
                       uint32_t* count) noexcept nogil:
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
        chain(secret, key, &hashes[symbol])
        count[0] += 1
    return OK


cdef Status read_metadata_2(Batch batch, Text message, Note* out) noexcept nogil:
    """Metadata into an empty note, or further metadata into one. The name is that of the series."""
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


cdef Status chain_metadata(const Secret* secret, Batch batch, Text message, Fingerprint* key) noexcept nogil:
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
    chain(secret, key, &mark)
    part = hash_bytes(secret, note.help.at, note.help.size, DOMAIN_METADATA_2)
    chain(secret, key, &part)
    part = hash_bytes(secret, note.unit.at, note.unit.size, DOMAIN_METADATA_2)
    chain(secret, key, &part)
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
        if tag == TAG_REFS:
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
    cdef const Text* symbols = <const Text*>codec
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


cdef Status notes_of_new(Batch batch) noexcept nogil:
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
        labels_of_2(batch.symbols, &record, &labels)
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
        if tag != TAG_METADATA:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        read_metadata_2(batch, field, out)
        some = True
    return some
