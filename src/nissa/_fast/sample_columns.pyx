"""nissa.v2.SampleColumns: many samples of many series by column, to rows and records.

    1 packet_id  2 source  3 timestamp_ms  4 symbols*  5 series* {1 label_refs, 2 type, 3 unit_ref}
    6 run_lengths  7 time_deltas_ms  8 values  9 by_round

    grid, S series x R rounds                         runs
    times   t0 … tR-1   decoded once, copied S times  times   of series 0 │ of series 1 │ …
    values  as they stand, or turned from by_round    values  of series 0 │ of series 1 │ …

Identity costs once per series and message: each symbol is hashed once, a series is known by the hashes of its symbols
in order, its type and its unit. Values are copied as bytes. A packed column that comes in several pieces, or as single
elements, is joined first, so that the loops see one run of bytes each.

Read strictly, as ``packets.pyx`` does. A series that is at fault, or refers to symbols that do not exist, is refused by
itself with its samples; a message whose framing is broken or whose columns do not fit together is refused as a whole:
with its body, or alone where it is one of many in a delimited body.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from nissa._fast.batch cimport Batch, Note, contain, refusal_of, refuse_part
from nissa._fast.cursor cimport (BYTES, Cursor, check_utf8, cursor_in, read_bytes, read_tag, read_varint,
                                 skip_field)
from nissa._fast.fields cimport add_symbols, name_in, no_text, read_text
from nissa._fast.hash cimport chain, hash_bytes
from nissa._fast.packed cimport Column, count_varints, join_pieces, note_column, read_run
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (COLUMNS_UNEVEN, LABELS_MAX, NAME_MISSING, NO_MEMORY, OK, RUNS_WRONG,
                                SYMBOL_FIRST, SYMBOL_OUT_OF_RANGE, SYMBOLS_ODD, TEXT_NOT_UTF8, WIRE_TYPE_WRONG,
                                Fingerprint, Label, LabelList, Record, Status, Text)
from nissa._fast.walk cimport (Language, Packet, Walk, begin_claim, begin_walk, drop_packet, end_claim,
                               end_walk, note_type, packet_of, push_packet, take_all, walk_body)

# A tag as it is compared: field number << 3 | wire type.
cdef enum:
    TAG_PACKET_ID = 1 << 3 | 2
    TAG_SOURCE = 2 << 3 | 2
    TAG_TIME = 3 << 3 | 0
    TAG_SYMBOL = 4 << 3 | 2
    TAG_SERIES = 5 << 3 | 2
    TAG_BY_ROUND = 9 << 3 | 0
    TAG_REFS = 1 << 3 | 2
    TAG_REF = 1 << 3 | 0

cdef enum:
    FIELD_RUNS = 6
    FIELD_DELTAS = 7
    FIELD_VALUES = 8
    TYPE_MAX = 4            # MetricType; proto2 takes a field with another number as absent
    DOMAIN_SYMBOL = 0x51    # name space of raw forms

cdef struct Columns:
    Column columns[3]       # run_lengths, time_deltas_ms, values
    size_t series_count
    size_t first_record
    int64_t start_ms
    bint by_round

cdef struct Definition:
    Fingerprint key
    uint32_t refs
    uint32_t type
    uint32_t unit           # symbol


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_sample_columns(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, bint delimited,
                          int64_t received_ms, uint32_t minute, size_t admit_max, int64_t oldest_ms, int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    Arguments, and what is returned and raised, are as for ``decode_leyline``; there are never events.
    GIL: released. Cost: about 100 ns per known series of 6 labels, and 5 ns per sample.
    """
    cdef Text message
    cdef Walk walk
    cdef Language language = Language(walk_columns, labels_of_series, note_of_series)
    message.at = &body[0] if body.shape[0] else NULL
    message.size = <uint32_t>body.shape[0]
    begin_walk(&walk, &index.secret, received_ms, batch.records_max)
    try:
        with nogil:
            batch.begin()
            walk_body(&walk, batch, index, message, &language, 0, delimited, minute, admit_max)
            if batch.status == OK:
                batch.complete(oldest_ms, newest_ms)
        return take_all(&walk, batch, message.at, labels_of_series)
    finally:
        end_walk(&walk)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_columns(Walk* walk, Batch batch, Text message, int codec) noexcept nogil:
    """A SampleColumns, the only message of this language. One refused as a whole leaves only rows, not counted."""
    cdef Packet* packet
    cdef size_t records = batch.record_count, dedup_keys = batch.claim_count
    cdef Status status = push_packet(walk, message, &packet)
    if status != OK:
        return status
    packet.first_symbol = batch.symbol_count
    status = walk_message(walk, batch, packet, message)
    if status != OK:
        batch.record_count = records
        batch.claim_count = dedup_keys
        batch.symbol_count = packet.first_symbol
        walk.claimed = False
    if batch.record_count == records:
        drop_packet(walk)
    return status


cdef Status walk_message(Walk* walk, Batch batch, Packet* packet, Text message) noexcept nogil:
    """Symbols and the extent of its columns, then its series, then its samples."""
    cdef Columns columns
    cdef size_t claim = 0
    cdef Status status = walk_fields(walk, batch, packet, message, &columns)
    if status == OK:
        status = join_columns(walk, message, &columns)
    if status == OK:
        status = begin_claim(walk, batch, packet, &claim)
    if status == OK:
        status = walk_all_series(walk, batch, packet, message, &columns)
    if status != OK:
        return status
    end_claim(walk, batch, claim)
    # Joined columns lie outside of the body, so a fault in them is reported at the offset of the message.
    batch.stopped_at = columns.columns[2].bytes.at if columns.columns[2].pieces == 1 else message.at
    if columns.columns[0].bytes.size:
        return place_runs(batch, columns.start_ms, &columns)
    return place_grid(batch, columns.start_ms, &columns)


cdef Status walk_fields(Walk* walk, Batch batch, Packet* packet, Text message, Columns* out) noexcept nogil:
    """All fields but what stands inside series and columns."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Text field
    cdef Status status
    begin_columns(out, batch.record_count, packet.time_ms)
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_SYMBOL:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = push_symbol(walk, batch, packet, field)
        elif tag == TAG_SERIES:
            out.series_count += 1
            status = read_bytes(&cursor, &field)
        elif tag == TAG_PACKET_ID or tag == TAG_SOURCE:
            status = read_text(&cursor, &packet.packet_id if tag == TAG_PACKET_ID else &packet.source)
        elif tag == TAG_TIME:
            status = read_varint(&cursor, &number)
            out.start_ms = <int64_t>number
        elif tag == TAG_BY_ROUND:
            status = read_varint(&cursor, &number)
            out.by_round = number != 0
        elif FIELD_RUNS <= tag >> 3 <= FIELD_VALUES:
            status = note_column(&cursor, tag, &out.columns[(tag >> 3) - FIELD_RUNS], tag >> 3 == FIELD_VALUES)
        elif tag >> 3 <= 9:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status join_columns(Walk* walk, Text message, Columns* columns) noexcept nogil:
    """Make each column one run of bytes. All pieces together are shorter than the message."""
    cdef size_t used = 0
    cdef uint32_t index, field
    cdef void* grown
    for index in range(3):
        if columns.columns[index].pieces <= 1:
            continue
        if walk.joined_capacity < message.size:
            grown = realloc(walk.joined, message.size)
            if grown == NULL:
                return NO_MEMORY
            walk.joined = <uint8_t*>grown
            walk.joined_capacity = message.size
        field = index + FIELD_RUNS
        columns.columns[index].bytes.at = walk.joined + used
        used = join_pieces(walk.joined, used, message, field)
        columns.columns[index].bytes.size = <uint32_t>(walk.joined + used - columns.columns[index].bytes.at)
    return OK


cdef Status walk_all_series(Walk* walk, Batch batch, const Packet* packet, Text message,
                            Columns* columns) noexcept nogil:
    """One record for each series, its rows not yet known."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Record* record
    cdef Definition definition
    cdef Status status
    if columns.series_count == 0:
        return OK
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag != TAG_SERIES:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = batch.push_record(&record)
        if status != OK:
            return status
        record.origin = field.at
        record.origin_size = field.size
        status = walk_definition(walk, batch, packet, field, &definition)
        record.key = definition.key
        if status != OK:
            record.refusal = <uint8_t>refusal_of(status)
        elif definition.refs == 0:
            record.refusal = NAME_MISSING
        elif definition.unit and check_utf8(batch.symbols[packet.first_symbol + definition.unit]) != OK:
            refuse_part(batch, TEXT_NOT_UTF8, 1, 0, field.at)     # the unit alone: see notes_of_new
    return OK


cdef Status walk_definition(Walk* walk, Batch batch, const Packet* packet, Text message,
                            Definition* out) noexcept nogil:
    """A SeriesDefinition: its symbols' hashes in order, then its type and unit, so that a change of these is a miss."""
    cdef const Fingerprint* hashes = <const Fingerprint*>batch.symbol_hashes + packet.first_symbol
    cdef size_t symbols = batch.symbol_count - packet.first_symbol
    cdef Fingerprint last
    cdef Status status
    out.key.low = DOMAIN_SYMBOL
    out.key.high = DOMAIN_SYMBOL
    out.refs = 0
    status = read_definition(walk, message, hashes, symbols, out)
    if status != OK:
        return status
    if out.refs & 1:
        return SYMBOLS_ODD
    last.low = out.type
    last.high = out.unit != 0
    if out.unit:
        last = hashes[out.unit]
        last.high ^= out.type
    chain(walk.secret, &out.key, &last)
    return OK


cdef Status read_definition(Walk* walk, Text message, const Fingerprint* hashes, size_t symbols,
                            Definition* out) noexcept nogil:
    """The fields of a SeriesDefinition: references chained into key and counted, type, unit."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Text refs = no_text()
    cdef Status status
    out.type = 0
    out.unit = 0
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_REFS or tag == TAG_REF:
            refs.at = cursor.at
            status = read_bytes(&cursor, &refs) if tag == TAG_REFS else read_varint(&cursor, &number)
            if tag == TAG_REF:
                refs.size = <uint32_t>(cursor.at - refs.at)
            if status == OK:
                status = chain_refs(walk, refs, hashes, symbols, out)
        elif tag == (2 << 3 | 0) or tag == (3 << 3 | 0):
            status = read_varint(&cursor, &number)
            number &= 0xFFFFFFFFU
            if tag == (3 << 3 | 0):
                out.unit = <uint32_t>number
            elif number <= TYPE_MAX:
                out.type = <uint32_t>number
        elif tag >> 3 <= 3:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return SYMBOL_OUT_OF_RANGE if out.unit and out.unit >= symbols else OK


cdef Status chain_refs(Walk* walk, Text packed, const Fingerprint* hashes, size_t symbols,
                       Definition* out) noexcept nogil:
    cdef Cursor cursor = cursor_in(packed)
    cdef uint64_t symbol = 0
    cdef Fingerprint key = out.key
    cdef Status status
    while cursor.at < cursor.end:
        status = read_varint(&cursor, &symbol)
        if status != OK:
            return status
        symbol &= 0xFFFFFFFFU
        if symbol >= symbols:
            return SYMBOL_OUT_OF_RANGE
        chain(walk.secret, &key, &hashes[symbol])
        out.refs += 1
    out.key = key
    return OK


cdef Status place_grid(Batch batch, int64_t start_ms, Columns* columns) noexcept nogil:
    """S x R samples at R common times."""
    cdef Cursor deltas = cursor_in(columns.columns[1].bytes)
    cdef Text values = columns.columns[2].bytes
    cdef size_t series = columns.series_count
    cdef size_t samples = values.size // 8
    cdef size_t rounds = count_varints(columns.columns[1].bytes)
    cdef size_t index, first = batch.rows
    cdef int64_t* ts_ms
    cdef Record* records = batch.records + columns.first_record
    cdef Status status = batch.grow_rows(max(samples, rounds))
    if status != OK:
        return status
    if rounds == 0 and samples:
        rounds = 1
    if series * rounds != samples:
        return COLUMNS_UNEVEN
    ts_ms = batch.ts_ms + first
    if samples:
        ts_ms[0] = start_ms
    status = read_run(&deltas, start_ms, ts_ms, count_varints(columns.columns[1].bytes))
    if status != OK:
        return status
    for index in range(series):
        records[index].first_row = <uint32_t>(first + index * rounds)
        records[index].rows = <uint32_t>rounds
        if index and rounds == 1:
            ts_ms[index] = ts_ms[0]
        elif index and rounds:
            memcpy(ts_ms + index * rounds, ts_ms, rounds * sizeof(int64_t))
    if columns.by_round:
        turn(values.at, batch.value + first, series, rounds)
    elif samples:
        memcpy(batch.value + first, values.at, values.size)
    batch.rows = first + samples
    return OK


cdef Status place_runs(Batch batch, int64_t start_ms, Columns* columns) noexcept nogil:
    """Each series its own number of samples, at its own times."""
    cdef Cursor lengths = cursor_in(columns.columns[0].bytes)
    cdef Cursor deltas = cursor_in(columns.columns[1].bytes)
    cdef Text values = columns.columns[2].bytes
    cdef size_t samples = values.size // 8
    cdef size_t row = batch.rows, end = batch.rows + samples, index
    cdef uint64_t length = 0
    cdef Record* records = batch.records + columns.first_record
    cdef Status status = batch.grow_rows(samples)
    if status != OK:
        return status
    if columns.by_round:
        return RUNS_WRONG
    if (count_varints(columns.columns[0].bytes) != columns.series_count
            or count_varints(columns.columns[1].bytes) != samples):
        return COLUMNS_UNEVEN
    for index in range(columns.series_count):
        status = read_varint(&lengths, &length)
        if status != OK:
            return status
        length &= 0xFFFFFFFFU
        if length > end - row:
            return RUNS_WRONG
        records[index].first_row = <uint32_t>row
        records[index].rows = <uint32_t>length
        status = read_run(&deltas, start_ms, batch.ts_ms + row, length)
        if status != OK:
            return status
        row += length
    if row != end:
        return RUNS_WRONG
    if samples:
        memcpy(batch.value + batch.rows, values.at, values.size)
    batch.rows = end
    return OK


cdef void turn(const uint8_t* values, double* out, size_t series, size_t rounds) noexcept nogil:
    """Values that stand round by round, to series by series."""
    cdef size_t index, place
    for index in range(series):
        for place in range(rounds):
            memcpy(out + index * rounds + place, values + (place * series + index) * 8, 8)


cdef Status labels_of_series(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a SeriesDefinition whose framing and references the walk has found sound."""
    cdef const Walk* walk = <const Walk*>codec
    cdef const Text* symbols = walk.symbols + packet_of(walk, record.origin).first_symbol
    cdef Cursor cursor, refs
    cdef uint32_t tag = 0, count = 0
    cdef Text field = no_text()
    cdef Label label
    label.name = field
    cursor.at = record.origin
    cursor.end = record.origin + record.origin_size
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag >> 3 != 1:
            skip_field(&cursor, tag)
            continue
        refs = cursor
        if tag & 7 == BYTES:
            read_bytes(&cursor, &field)
            refs = cursor_in(field)
        else:
            skip_field(&cursor, tag)
            refs.end = cursor.at
        add_symbols(refs, symbols, &count, &label, out)
        if out.count > LABELS_MAX:
            break
    return OK


cdef bint note_of_series(Walk* walk, Batch batch, const Record* record, Note* out) noexcept nogil:
    """A unit that is not UTF-8 is left out."""
    cdef const Packet* packet = packet_of(walk, record.origin)
    cdef Definition definition
    cdef LabelList labels
    cdef Text message
    message.at = record.origin
    message.size = record.origin_size
    walk_definition(walk, batch, packet, message, &definition)
    if definition.unit == 0 and definition.type == 0:
        return False
    labels.count = 0
    labels_of_series(<void*>walk, record, &labels)
    out.name = name_in(&labels)
    out.unit = batch.symbols[packet.first_symbol + definition.unit]
    if check_utf8(out.unit) != OK:
        out.unit = no_text()
    out.type = note_type(definition.type)
    return out.unit.size != 0 or out.type != 0


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline void begin_columns(Columns* columns, size_t first_record, int64_t start_ms) noexcept nogil:
    memset(columns, 0, sizeof(Columns))
    columns.first_record = first_record
    columns.start_ms = start_ms


cdef inline Status push_symbol(Walk* walk, Batch batch, const Packet* packet, Text symbol) noexcept nogil:
    cdef Status status = batch.grow_symbols()
    if status != OK:
        return status
    if batch.symbol_count == packet.first_symbol and symbol.size:
        return SYMBOL_FIRST
    batch.symbols[batch.symbol_count] = symbol
    (<Fingerprint*>batch.symbol_hashes)[batch.symbol_count] = hash_bytes(walk.secret, symbol.at, symbol.size,
                                                                         DOMAIN_SYMBOL)
    batch.symbol_count += 1
    return OK
