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

Read strictly, and what is at fault refused by itself, as in 1.0; fields that 1.0 uses refuse the body. References
that lead nowhere refuse the series, exemplar or metadata they stand in. A series of floats and histograms at once is
refused, and so is one of neither.

A sample or histogram whose start_timestamp is another than the last one of its series begins a counter: a row of 0 at
that time is kept beside it, so that what it has counted until its first sample is an increase (``docs/decisions``).

Metadata is kept under the name of the family: of a classic histogram or summary that is the name of the series without
``_bucket``, ``_sum`` or ``_count``.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from nissa._fast.batch cimport Batch, Note, refusal_of
from nissa._fast.cursor cimport (BYTES, VARINT, Cursor, check_utf8, cursor_in, cursor_over, no_text, read_bytes,
                                 read_tag, read_varint, skip_field)
from nissa._fast.fields cimport add_symbols, name_in
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.histogram cimport FLOATS, HISTOGRAM_SUM
from nissa._fast.remote_write cimport (TAG_SAMPLE, Found, break_series, end_series, find_exemplar, find_histogram,
                                       find_sample, name_by_kind, read_plain_sample, refuse_in,
                                       without_suffix)
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ADMITTED, LABELS_MAX, MIXED_SERIES, OK, OTHER_VERSION, REFERENCE_INVALID,
                                SERIES_EMPTY, SYMBOL_FIRST, SYMBOL_OUT_OF_RANGE, SYMBOLS_ODD, WIRE_TYPE_WRONG,
                                Fingerprint, Label, LabelList, Record, Status, Text)

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

cdef enum:
    TYPE_HISTOGRAM = 3      # MetricType
    TYPE_GAUGE_HISTOGRAM = 4
    TYPE_SUMMARY = 5


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
            batch.status = batch.reserve_starts()
        if batch.status == OK:
            batch.status = index.resolve(batch, labels_of_2, batch.symbols, minute, admit_max)
        if batch.status == OK:
            batch.status = notes_of_new(batch)
        if batch.status == OK:
            batch.complete(oldest_ms, newest_ms)
            batch.keep_starts(<int64_t*>index.starts_ms.start, oldest_ms, newest_ms)
    if batch.status != OK:
        batch.fail(start)
    batch.tell_examples(start, labels_of_2, batch.symbols)
    return batch.take_notes()


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_symbols(const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
    """Collect and hash the symbol table, wherever its parts stand in the request. Who uses a symbol checks its text."""
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
        status = read_bytes(&cursor, &field)
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
    cdef uint32_t tag = 0
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
    record.key.low = DOMAIN_SYMBOL_2
    record.key.high = DOMAIN_SYMBOL_2
    while cursor.at < cursor.end:
        if cursor.at[0] == TAG_SAMPLE and read_plain_sample(&cursor, batch, &status):
            if status != OK:
                return status
            continue
        status = read_tag(&cursor, &tag)
        if status == OK:
            status = walk_series_field_2(secret, batch, &cursor, tag, message, &record.key, &found)
        if status != OK:
            status = break_series(status, &found)
            if status != OK:
                return status
            break
    return end_series_2(secret, batch, message, &found)


cdef Status end_series_2(const Secret* secret, Batch batch, Text message, Found* found) noexcept nogil:
    """Checks what remote write 2.0 requires of a series as a whole."""
    cdef size_t index = batch.record_count - 1
    cdef size_t rows = batch.rows - batch.records[index].first_row
    cdef Status status
    if found.refs & 1 and not found.broken:
        found.refusal = REFERENCE_INVALID
    if found.refusal == ADMITTED and rows == 0 and found.histograms == 0 and found.faults == 0:
        found.refusal = SERIES_EMPTY
    status = end_series(secret, batch, message, found, TAG_HISTOGRAM, True)
    if status == OK and rows and found.histograms and found.refusal == ADMITTED:
        for index in range(index, batch.record_count):
            batch.records[index].refusal = MIXED_SERIES
    return status


cdef Status walk_series_field_2(const Secret* secret, Batch batch, Cursor* cursor, uint32_t tag, Text series,
                                Fingerprint* key, Found* found) noexcept nogil:
    """One field of a TimeSeries of 2.0, of any kind, its tag already read."""
    cdef Text field = no_text()
    cdef uint64_t number = 0
    cdef Status status
    if tag == (1 << 3 | 0):                         # a reference that is not packed
        field.at = cursor.at
        status = read_varint(cursor, &number)
        field.size = <uint32_t>(cursor.at - field.at)
        if status == OK:
            chain_refs(secret, batch, field, key, found)
        return status
    if tag >> 3 > 5:
        return skip_field(cursor, tag)
    if tag & 7 != BYTES:
        return WIRE_TYPE_WRONG
    status = read_bytes(cursor, &field)
    if status != OK:
        return status
    if tag == TAG_REFS:
        chain_refs(secret, batch, field, key, found)
        return OK
    if tag == TAG_SAMPLE:
        return find_sample(batch, field, series, True, found)
    if tag == TAG_HISTOGRAM:
        return find_histogram(batch, field, series, True, found)
    if tag == TAG_EXEMPLAR:
        return find_exemplar(batch, walk_exemplar_2(batch, field), field, series, found)
    status = chain_metadata(secret, batch, field, key)
    return OK if status == OK else refuse_in(batch, refusal_of(status), 1, 0, field, series)


cdef void chain_refs(const Secret* secret, Batch batch, Text packed, Fingerprint* key, Found* found) noexcept nogil:
    """Append the hashes of the symbols that packed references name. One that names none refuses the series."""
    cdef Cursor cursor = cursor_in(packed)
    cdef const Fingerprint* hashes = <const Fingerprint*>batch.symbol_hashes
    cdef uint64_t symbol = 0
    while cursor.at < cursor.end:
        if read_varint(&cursor, &symbol) != OK or symbol & 0xFFFFFFFFU >= batch.symbol_count:
            found.refusal = REFERENCE_INVALID
            return
        chain(secret, key, &hashes[symbol & 0xFFFFFFFFU])
        found.refs += 1


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
    if status == OK:
        status = check_utf8(note.help)
    if status == OK:
        status = check_utf8(note.unit)
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
        field.at = cursor.at
        if tag == TAG_REFS:
            status = read_bytes(&cursor, &field)
        elif tag == (1 << 3 | 0):
            status = read_varint(&cursor, &number)
            field.size = <uint32_t>(cursor.at - field.at)
        elif tag == (2 << 3 | 1) or tag == (3 << 3 | 0) or tag >> 3 > 3:
            status = skip_field(&cursor, tag)
        else:
            return WIRE_TYPE_WRONG
        if status == OK and tag >> 3 == 1:
            status = check_refs(batch, field, &count)
        if status != OK:
            return status
    return SYMBOLS_ODD if count & 1 else OK


cdef Status check_refs(Batch batch, Text packed, uint32_t* count) noexcept nogil:
    """References of an exemplar and the texts they name."""
    cdef Cursor cursor = cursor_in(packed)
    cdef uint64_t symbol = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &symbol)
        if status != OK:
            return status
        symbol &= 0xFFFFFFFFU
        if symbol >= batch.symbol_count:
            return SYMBOL_OUT_OF_RANGE
        status = check_utf8(batch.symbols[symbol])
        if status != OK:
            return status
        count[0] += 1
    return OK


cdef Status labels_of_2(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a TimeSeries of 2.0 whose framing and references the walk has found sound."""
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
        add_symbols(refs, symbols, &count, &label, out)
        if out.count > LABELS_MAX:
            break
    name_by_kind(out, record.kind)
    return OK


cdef Status notes_of_new(Batch batch) noexcept nogil:
    """Metadata of series whose raw form was not known: one note for each that is not refused, under the family's name.

    It runs after the series are registered, and so it must not refuse: there are never more notes than records.
    """
    cdef size_t index
    cdef Record record
    cdef LabelList labels
    cdef Note* note = NULL
    cdef bint classic
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
        classic = record.kind == FLOATS
        record.kind = FLOATS
        labels_of_2(batch.symbols, &record, &labels)
        note.name = family_of(name_in(&labels), note.type) if classic else name_in(&labels)
    return OK


cdef bint read_notes_2(Batch batch, const Record* record, Note* out) noexcept nogil:
    """All sound metadata of a series as one, as protobuf merges it. False where there is none."""
    cdef Cursor cursor = cursor_over(record.origin, record.origin_size)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Note merged, part
    cdef bint some = False
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG_METADATA:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        memset(&part, 0, sizeof(Note))
        merged = out[0]
        if (read_metadata_2(batch, field, &part) == OK and check_utf8(part.help) == OK
                and check_utf8(part.unit) == OK and read_metadata_2(batch, field, &merged) == OK):
            out[0] = merged
            some = True
    return some


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline Text family_of(Text name, uint32_t type) noexcept nogil:
    """The name of the family that a series of this name and type belongs to."""
    cdef Text family = name
    if type == TYPE_HISTOGRAM or type == TYPE_GAUGE_HISTOGRAM:
        family = without_suffix(name, b"_bucket", 7)
    if family.size == name.size and type == TYPE_GAUGE_HISTOGRAM:
        family = without_suffix(name, b"_gsum", 5)
        if family.size == name.size:
            family = without_suffix(name, b"_gcount", 7)
    if family.size == name.size and TYPE_HISTOGRAM <= type <= TYPE_SUMMARY:
        family = without_suffix(name, b"_sum", 4)
        if family.size == name.size:
            family = without_suffix(name, b"_count", 6)
    return family
