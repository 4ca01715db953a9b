"""InfluxDB line protocol: a request body to rows and records, in one walk.

    weather,city=Oslo,station=12 temp=-3.5,humidity=87i,ok=t,note="snow, late" 1758000000000000000
    ├───────── head ───────────┤ ├────────────────── fields ─────────────────┤ ├────── time ─────┤

    weather_temp{city="Oslo",station="12"} -3.5        a row and a record for each field but strings
    weather_humidity{city="Oslo",station="12"} 87
    weather_ok{city="Oslo",station="12"} 1

A series is known by the hash of the head's bytes chained with that of the field's name: one that was seen before costs
no parsing of tags. The place of each head is kept as a symbol of the batch, so that labels can be read again.

A line that is at fault is refused by itself: it leaves no field. A line outside of the acceptance window is refused
before its series are looked at. Strings are no numbers: they are counted as refused, and the rest of their line stands.
Faults are noted with their line, up to FAULTS_MAX of them.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch, Example, push_row, refuse_part
from nissa._fast.cursor cimport Cursor, cursor_in, cursor_over
from nissa._fast.fields cimport add_label, text_is
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.line_faults cimport Faults, line_faults, note_fault
from nissa._fast.series cimport SeriesIndex
from nissa._fast.text_cursor cimport find_byte, fits_64_bits, next_is, read_decimal, read_integer, text_between
from nissa._fast.types cimport (ADMITTED, LABELS_MAX, LABELS_WRONG, LINE_INCOMPLETE, LINE_TRAILING, NAME_WRONG,
                                NUMBER_WRONG, OK, RECORD_MALFORMED, SCRATCH_BYTES, SERIES_NONE, STRING_OPEN,
                                TIME_OVERFLOW, TOO_NEW, TOO_OLD, VALUE_TEXT, Fingerprint, Label, LabelList,
                                Record, Status, Text)

from nissa.model.errors import TooLarge

cdef enum:
    DOMAIN_HEAD = 0x71      # name spaces of raw forms
    DOMAIN_FIELD = 0x72
    BODY_BYTES_MAX = 0x7FFFFFFF
    NS_PER_MS = 1_000_000

# The terms of a walk, and what it notes.
cdef struct Lines:
    int64_t unit_ns         # of timestamps; 0: by their size
    int64_t now_ms          # of lines without one
    int64_t oldest_ms
    int64_t newest_ms
    const Text* heads       # where labels are read again: those of the batch
    size_t head_count
    Faults faults

# One line, while it is read.
cdef struct Line:
    const uint8_t* at
    Text head
    size_t first_record
    size_t first_row
    uint32_t strings
    int64_t ts_ms


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_influx(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                  size_t admit_max, int64_t oldest_ms, int64_t newest_ms, int64_t now_ms, int64_t unit_ns):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive. now_ms: time of lines without a timestamp.
    unit_ns: of timestamps, in ns; 0: seconds, ms, us or ns by their size.
    Returns: list of LineFault, at most 64, in the order of lines. Raises: TooLarge; nothing is kept then.
    GIL: released. Cost: about 60 ns per field of known series, in lines of 10 fields.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Lines lines
    if minute == 0 or unit_ns < 0:
        raise ValueError("expected a minute above 0 and a unit of at least 0 ns")
    if body.shape[0] > BODY_BYTES_MAX:
        raise TooLarge("body", got=body.shape[0], limit=BODY_BYTES_MAX, setting="ingest.decompressed_size_max")
    lines.unit_ns, lines.now_ms, lines.oldest_ms, lines.newest_ms = unit_ns, now_ms, oldest_ms, newest_ms
    with nogil:
        decode_lines(&lines, index, batch, start, body.shape[0], minute, admit_max)
    if batch.status != OK:
        batch.fail(start)
    batch.tell_examples(start, labels_of_influx, &lines)
    return line_faults(&lines.faults, start, body.shape[0])


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void decode_lines(Lines* lines, SeriesIndex index, Batch batch, const uint8_t* at, size_t size, uint32_t minute,
                       size_t admit_max) noexcept nogil:
    """All of a decoding but its boundary."""
    batch.begin()
    lines.faults.count = 0
    batch.status = walk_lines(lines, &index.secret, batch, cursor_over(at, size))
    lines.heads = batch.symbols
    lines.head_count = batch.symbol_count
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_influx, lines, minute, admit_max)
    if batch.status == OK:
        note_unresolved(lines, batch)
        batch.complete(lines.oldest_ms, lines.newest_ms)


cdef Status walk_lines(Lines* lines, const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
    cdef Line line
    cdef Status status
    while True:
        while cursor.at < cursor.end and cursor.at[0] <= c' ':      # blank lines, and what stands in front of a line
            cursor.at += 1
        if cursor.at >= cursor.end:
            return OK
        batch.stopped_at = cursor.at
        if cursor.at[0] == c'#':
            cursor.at = find_byte(cursor.at, cursor.end, c'\n')
            continue
        line.at = cursor.at
        line.first_record = batch.record_count
        line.first_row = batch.rows
        line.strings = 0
        status = walk_line(lines, secret, batch, &cursor, &line)
        if status == OK:
            end_line(lines, batch, &line)
        elif status >= LINE_INCOMPLETE or status == TIME_OVERFLOW:
            drop_line(batch, &line)
            refuse_part(batch, RECORD_MALFORMED, 1, 1, line.at)
            note_fault(&lines.faults, line.at, RECORD_MALFORMED, status, 0)
            cursor.at = find_byte(cursor.at, cursor.end, c'\n')
        else:
            return status


cdef Status walk_line(Lines* lines, const Secret* secret, Batch batch, Cursor* cursor, Line* line) noexcept nogil:
    """One line, to the end of it or to the byte at fault. Its rows have no time yet."""
    cdef Fingerprint head
    cdef Status status = walk_head(cursor, &line.head)
    if status == OK:
        status = push_head(batch, line.head)
    if status != OK:
        return status
    head = hash_bytes(secret, line.head.at, line.head.size, DOMAIN_HEAD)
    skip_spaces(cursor)
    while True:
        status = walk_field(secret, batch, cursor, &head, line)
        if status != OK:
            return status
        if not next_is(cursor, c','):
            break
        cursor.at += 1
    if cursor.at < cursor.end and cursor.at[0] != c' ' and not ends_line(cursor):
        return NUMBER_WRONG
    skip_spaces(cursor)
    if ends_line(cursor):
        line.ts_ms = lines.now_ms
        return OK
    status = read_time(lines.unit_ns, cursor, &line.ts_ms)
    if status != OK:
        return status
    skip_spaces(cursor)
    return OK if ends_line(cursor) else LINE_TRAILING


cdef Status walk_head(Cursor* cursor, Text* head) noexcept nogil:
    """Measurement and tags, as they stand."""
    cdef const uint8_t* at = cursor.at
    cdef Text name, value
    head.at = at
    cursor.at = word_end(at, cursor.end, False)
    if cursor.at == at:
        return NAME_WRONG
    while next_is(cursor, c','):
        cursor.at += 1
        name.at = cursor.at
        cursor.at = word_end(cursor.at, cursor.end, True)
        if cursor.at == name.at or not next_is(cursor, c'='):
            return LABELS_WRONG
        cursor.at += 1
        value.at = cursor.at
        cursor.at = word_end(cursor.at, cursor.end, True)
        if cursor.at == value.at or next_is(cursor, c'='):
            return LABELS_WRONG
    head.size = <uint32_t>(cursor.at - head.at)
    return OK if next_is(cursor, c' ') else LINE_INCOMPLETE


cdef Status walk_field(const Secret* secret, Batch batch, Cursor* cursor, const Fingerprint* head,
                       Line* line) noexcept nogil:
    """``name=value``: a row and a record, or a string that is counted."""
    cdef const uint8_t* name = cursor.at
    cdef uint32_t name_size
    cdef double value = 0.0
    cdef Record* record = NULL
    cdef Fingerprint part
    cdef Status status
    cursor.at = word_end(name, cursor.end, True)
    name_size = <uint32_t>(cursor.at - name)
    if not next_is(cursor, c'='):
        return LINE_INCOMPLETE
    if name_size == 0:
        return NAME_WRONG
    cursor.at += 1
    if cursor.at >= cursor.end:
        return LINE_INCOMPLETE
    if cursor.at[0] == c'"':
        line.strings += 1
        return skip_string(cursor)
    status = read_value(cursor, &value)
    if status == OK:
        status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = name
    record.origin_size = name_size
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    record.key = head[0]
    part = hash_bytes(secret, name, name_size, DOMAIN_FIELD)
    chain(secret, &record.key, &part)
    return push_row(batch, 0, value)


cdef Status read_value(Cursor* cursor, double* out) noexcept nogil:
    """A number, an integer with its suffix, or a truth value."""
    cdef const uint8_t* at = cursor.at
    cdef bint integral = False
    if at[0] > c'9':
        return read_truth(cursor, out)
    if read_decimal(cursor, out, &integral) != OK or out[0] - out[0] != 0.0:
        return NUMBER_WRONG
    if next_is(cursor, c'i') or next_is(cursor, c'u'):
        if not integral or not fits_64_bits(at, cursor.at, cursor.at[0] == c'i'):
            return NUMBER_WRONG
        cursor.at += 1
    return OK


cdef Status read_truth(Cursor* cursor, double* out) noexcept nogil:
    """t, T, true, True, TRUE, or the same of false."""
    cdef const uint8_t* at = cursor.at
    cdef const uint8_t* end = at
    cdef Text word
    while end < cursor.end and end[0] > c' ' and end[0] != c',':
        end += 1
    word = text_between(at, end)
    if (text_is(word, b"true", 4) or text_is(word, b"t", 1) or text_is(word, b"T", 1) or text_is(word, b"True", 4)
            or text_is(word, b"TRUE", 4)):
        out[0] = 1.0
    elif (text_is(word, b"false", 5) or text_is(word, b"f", 1) or text_is(word, b"F", 1) or text_is(word, b"False", 5)
            or text_is(word, b"FALSE", 5)):
        out[0] = 0.0
    else:
        return NUMBER_WRONG
    cursor.at = end
    return OK


cdef Status read_time(int64_t unit_ns, Cursor* cursor, int64_t* out) noexcept nogil:
    """A timestamp as milliseconds, rounded down."""
    cdef int64_t number = 0, size
    cdef Status status = read_integer(cursor, &number)
    if status != OK:
        return status
    if unit_ns == 0:
        size = number if number >= 0 else -(number + 1)
        unit_ns = (1_000_000_000 if size < 5_000_000_000LL else 1_000_000 if size < 5_000_000_000_000LL
                   else 1_000 if size < 5_000_000_000_000_000LL else 1)
    if unit_ns >= NS_PER_MS:
        size = unit_ns // NS_PER_MS
        if number > <int64_t>0x7FFFFFFFFFFFFFFF // size or number < -(<int64_t>0x7FFFFFFFFFFFFFFF // size):
            return TIME_OVERFLOW
        out[0] = number * size
        return OK
    size = NS_PER_MS // unit_ns
    out[0] = number // size
    if number < 0 and out[0] * size != number:      # C rounds towards 0
        out[0] -= 1
    return OK


cdef void end_line(Lines* lines, Batch batch, const Line* line) noexcept nogil:
    """A sound line: its rows get their time, or it is refused for it."""
    cdef size_t row
    cdef size_t fields = batch.rows - line.first_row
    cdef int reason = TOO_OLD if line.ts_ms < lines.oldest_ms else TOO_NEW
    cdef Example* example = &batch.first_refused[reason]
    if line.strings:
        refuse_part(batch, VALUE_TEXT, line.strings, line.strings, line.at)
    if fields == 0:
        return
    if lines.oldest_ms <= line.ts_ms <= lines.newest_ms:
        for row in range(line.first_row, batch.rows):
            batch.ts_ms[row] = line.ts_ms
        return
    drop_line(batch, line)
    if example.at == NULL:
        example.ts_ms = line.ts_ms
    refuse_part(batch, reason, fields, fields, line.at)
    if example.at == line.at:
        example.timed = True
    note_fault(&lines.faults, line.at, reason, OK, line.ts_ms)


cdef void note_unresolved(Lines* lines, Batch batch) noexcept nogil:
    """Note the lines some of whose series are refused."""
    cdef size_t index
    cdef const uint8_t* at
    cdef const uint8_t* last = NULL
    cdef int last_reason = ADMITTED
    for index in range(batch.record_count):
        if batch.records[index].series != SERIES_NONE:
            continue
        at = head_of(lines, batch.records[index].origin).at
        if at != last or batch.records[index].refusal != last_reason:
            last, last_reason = at, batch.records[index].refusal
            note_fault(&lines.faults, at, last_reason, OK, 0)


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline const uint8_t* word_end(const uint8_t* at, const uint8_t* end, bint before_equals) noexcept nogil:
    """End of a name or tag value: the comma, space, end of line or (before_equals) equals sign without a backslash.

    A backslash escapes these only; in front of anything else it stands for itself.
    """
    while at < end:
        if at[0] == c'\\':
            at += 1
            if at < end and (at[0] == c',' or at[0] == c' ' or at[0] == c'='):
                at += 1
            continue
        if at[0] == c',' or at[0] == c' ' or at[0] == c'\n' or (before_equals and at[0] == c'='):
            return at
        at += 1
    return at


cdef inline void skip_spaces(Cursor* cursor) noexcept nogil:
    while next_is(cursor, c' '):
        cursor.at += 1


cdef inline bint ends_line(const Cursor* cursor) noexcept nogil:
    """True at the end of a line, which may have a carriage return in front of its line feed."""
    if cursor.at >= cursor.end or cursor.at[0] == c'\n':
        return True
    return cursor.at[0] == c'\r' and (cursor.end - cursor.at == 1 or cursor.at[1] == c'\n')


cdef inline Status skip_string(Cursor* cursor) noexcept nogil:
    """A string in quotes, in which a backslash escapes a quote and itself. It may have line feeds."""
    cdef const uint8_t* at = cursor.at + 1
    while at < cursor.end:
        if at[0] == c'\\' and cursor.end - at > 1 and (at[1] == c'"' or at[1] == c'\\'):
            at += 2
        elif at[0] == c'"':
            cursor.at = at + 1
            return OK
        else:
            at += 1
    return STRING_OPEN


cdef inline Status push_head(Batch batch, Text head) noexcept nogil:
    cdef Status status = batch.grow_symbols()
    if status == OK:
        batch.symbols[batch.symbol_count] = head
        batch.symbol_count += 1
    return status


cdef inline void drop_line(Batch batch, const Line* line) noexcept nogil:
    batch.record_count = line.first_record
    batch.rows = line.first_row


cdef inline Text head_of(const Lines* lines, const uint8_t* origin) noexcept nogil:
    """The head of the line in which a field stands: the last one in front of it."""
    cdef size_t low = 0, high = lines.head_count, middle
    while high - low > 1:
        middle = (low + high) >> 1
        if lines.heads[middle].at <= origin:
            low = middle
        else:
            high = middle
    return lines.heads[low]


cdef inline Text plain_text(LabelList* out, Text text, bint of_name) noexcept nogil:
    """A text without its escapes: where it stands, or in the scratch. of_name: an equals sign cannot be escaped."""
    cdef Text plain = text
    cdef uint32_t place = 0, size = 0
    cdef uint8_t* room = out.scratch + out.scratch_used
    if find_byte(text.at, text.at + text.size, c'\\') == text.at + text.size:
        return text
    if text.size > SCRATCH_BYTES - min(out.scratch_used, <uint32_t>SCRATCH_BYTES):
        out.scratch_used = SCRATCH_BYTES + 1
        return text
    while place < text.size:
        if text.at[place] == c'\\' and place + 1 < text.size and (
                text.at[place + 1] == c',' or text.at[place + 1] == c' '
                or (text.at[place + 1] == c'=' and not of_name)):
            place += 1
        room[size] = text.at[place]
        size += 1
        place += 1
    plain.at, plain.size = room, size
    out.scratch_used += size
    return plain


cdef inline void add_metric_name(LabelList* out, Text measurement, Text field) noexcept nogil:
    """``__name__``: measurement and field, joined by an underscore."""
    cdef Label label
    cdef uint8_t* room
    measurement = plain_text(out, measurement, True)
    field = plain_text(out, field, False)
    if (out.scratch_used > SCRATCH_BYTES
            or <size_t>measurement.size + field.size + 1 > <size_t>SCRATCH_BYTES - out.scratch_used):
        out.scratch_used = SCRATCH_BYTES + 1
        return
    room = out.scratch + out.scratch_used
    memcpy(room, measurement.at, measurement.size)
    room[measurement.size] = c'_'
    memcpy(room + measurement.size + 1, field.at, field.size)
    label.name.at = <const uint8_t*>b"__name__"
    label.name.size = 8
    label.value.at = room
    label.value.size = measurement.size + 1 + field.size
    out.scratch_used += label.value.size
    add_label(out, label)


cdef Status labels_of_influx(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a field of a sound line: its head is found again, and read."""
    cdef Text head = head_of(<const Lines*>codec, record.origin)
    cdef Cursor cursor = cursor_in(head)
    cdef Label label
    cdef const uint8_t* at = cursor.at
    cursor.at = word_end(at, cursor.end, False)
    add_metric_name(out, text_between(at, cursor.at), text_between(record.origin, record.origin + record.origin_size))
    while cursor.at < cursor.end and out.count <= LABELS_MAX and out.scratch_used <= SCRATCH_BYTES:
        at = cursor.at + 1
        cursor.at = word_end(at, cursor.end, True)
        label.name = plain_text(out, text_between(at, cursor.at), False)
        at = min(cursor.at + 1, cursor.end)
        cursor.at = word_end(at, cursor.end, True)
        label.value = plain_text(out, text_between(at, cursor.at), False)
        add_label(out, label)
    return OK
