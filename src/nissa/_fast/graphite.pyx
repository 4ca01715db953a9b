"""Graphite plaintext: lines to rows and records, in one walk.

    servers.web-1.load;dc=ams 0.75 1758000000
    ├───────── head ────────┤ value ├─ time ─┤

    {__name__="servers.web-1.load", dc="ams"} 0.75      the path is the name as it stands, tags are labels

A series is known by the hash of its head's bytes: one that was seen before costs no parsing of tags. A line at fault is
refused by itself. Faults are noted with their line, up to FAULTS_MAX of them.
"""

from operator import attrgetter

from libc.stdint cimport int64_t, uint8_t, uint32_t

from nissa._fast.batch cimport Batch, Example, push_row, refuse_part
from nissa._fast.cursor cimport Cursor, cursor_over
from nissa._fast.fields cimport add_label
from nissa._fast.hash cimport Secret, hash_bytes
from nissa._fast.series cimport SeriesIndex
from nissa._fast.text_cursor cimport (find_byte, is_digit, line_number, next_is, read_decimal, read_integer,
                                      skip_blanks, text_between)
from nissa._fast.types cimport (LABELS_MAX, LABELS_WRONG, LINE_INCOMPLETE, LINE_TRAILING, NAME_WRONG,
                                NUMBER_WRONG, OK, RECORD_MALFORMED, SERIES_NONE, TIME_OVERFLOW, TIME_WRONG, TOO_NEW,
                                TOO_OLD, Label, LabelList, Record, Status)

from nissa.model.errors import TooLarge
from nissa.model.refusal import Refusal
from nissa.model.text_faults import TEXT_FAULTS, LineFault

cdef enum:
    DOMAIN_PATH = 0x74          # name space of raw forms
    FAULTS_MAX = 64             # lines at fault that are named
    SHOWN_BYTES_MAX = 200       # of such a line
    BODY_BYTES_MAX = 0x7FFFFFFF

cdef extern from *:
    """
    #define NISSA_SECONDS_MAX 9223372036854774LL
    """
    const int64_t SECONDS_MAX "NISSA_SECONDS_MAX"       # of which milliseconds, and 999 of them more, fit 64 bits

# A line that is refused.
cdef struct Fault:
    const uint8_t* at           # where it begins
    int64_t ts_ms               # where it is outside of the acceptance window
    int reason                  # a Refusal
    Status status               # why its bytes are not of their form; OK otherwise

# The terms of a walk, and what it notes.
cdef struct Paths:
    int64_t now_ms              # of lines without a time
    int64_t oldest_ms
    int64_t newest_ms
    uint32_t fault_count
    Fault[FAULTS_MAX] faults


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_graphite(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                    size_t admit_max, int64_t oldest_ms, int64_t newest_ms, int64_t now_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive. now_ms: time of lines without a timestamp.
    Returns: list of LineFault, at most 64, in the order of lines. Raises: TooLarge; nothing is kept then.
    GIL: released. Cost: about 110 ns per line of a known series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Paths paths
    if minute == 0:
        raise ValueError("expected a minute above 0")
    if body.shape[0] > BODY_BYTES_MAX:
        raise TooLarge("body", got=body.shape[0], limit=BODY_BYTES_MAX, setting="ingest.decompressed_size_max")
    paths.now_ms, paths.oldest_ms, paths.newest_ms = now_ms, oldest_ms, newest_ms
    with nogil:
        decode_paths(&paths, index, batch, start, body.shape[0], minute, admit_max)
    if batch.status != OK:
        batch.fail(start)
    batch.tell_examples(start, labels_of_path, NULL)
    found = [fault_of(&paths.faults[place], start, body.shape[0]) for place in range(paths.fault_count)]
    return sorted(found, key=attrgetter("offset"))


cdef fault_of(const Fault* fault, const uint8_t* body, size_t size):
    cdef size_t offset = fault.at - body
    cdef size_t end = find_byte(fault.at, body + min(size, offset + SHOWN_BYTES_MAX), c'\n') - body
    timed = fault.reason == TOO_OLD or fault.reason == TOO_NEW
    return LineFault(line_number(body, fault.at), offset, str(Refusal(fault.reason)),
                     TEXT_FAULTS.get(fault.status, ""), fault.ts_ms if timed else None,
                     (<const char*>body)[offset:end].decode("utf-8", "replace").rstrip("\r"))


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void decode_paths(Paths* paths, SeriesIndex index, Batch batch, const uint8_t* at, size_t size, uint32_t minute,
                       size_t admit_max) noexcept nogil:
    """All of a decoding but its boundary."""
    batch.begin()
    paths.fault_count = 0
    batch.status = walk_paths(paths, &index.secret, batch, cursor_over(at, size))
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_path, NULL, minute, admit_max)
    if batch.status == OK:
        note_unresolved(paths, batch)
        batch.complete(paths.oldest_ms, paths.newest_ms)


cdef Status walk_paths(Paths* paths, const Secret* secret, Batch batch, Cursor cursor) noexcept nogil:
    cdef const uint8_t* line
    cdef Status status
    while True:
        while cursor.at < cursor.end and cursor.at[0] <= c' ':      # blank lines, and what stands in front of a line
            cursor.at += 1
        if cursor.at >= cursor.end:
            return OK
        line = batch.stopped_at = cursor.at
        status = walk_path(paths, secret, batch, &cursor)
        if status >= LINE_INCOMPLETE or status == TIME_OVERFLOW:
            refuse_part(batch, RECORD_MALFORMED, 1, 1, line)
            note_fault(paths, line, RECORD_MALFORMED, status, 0)
            cursor.at = find_byte(cursor.at, cursor.end, c'\n')
        elif status != OK:
            return status


cdef Status walk_path(Paths* paths, const Secret* secret, Batch batch, Cursor* cursor) noexcept nogil:
    """One line, to the end of it or to the byte at fault: a row and a record, or nothing of it."""
    cdef const uint8_t* head = cursor.at
    cdef const uint8_t* head_end
    cdef double value = 0.0
    cdef int64_t ts_ms = paths.now_ms
    cdef bint integral = False
    cdef Record* record = NULL
    cdef Status status = walk_head(cursor)
    head_end = cursor.at
    if status != OK:
        return status
    skip_blanks(cursor)
    if ends_line(cursor):
        return LINE_INCOMPLETE
    if read_decimal(cursor, &value, &integral) != OK or value - value != 0.0:
        return NUMBER_WRONG
    if not ends_line(cursor):
        if cursor.at[0] != c' ' and cursor.at[0] != c'\t':
            return NUMBER_WRONG
        skip_blanks(cursor)
        if not ends_line(cursor):
            status = read_seconds(cursor, &ts_ms)
            if status != OK:
                return status
            skip_blanks(cursor)
            if not ends_line(cursor):
                return LINE_TRAILING
    if ts_ms < paths.oldest_ms or ts_ms > paths.newest_ms:
        refuse_line(paths, batch, head, ts_ms)
        return OK
    status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = head
    record.origin_size = <uint32_t>(head_end - head)
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    record.key = hash_bytes(secret, head, head_end - head, DOMAIN_PATH)
    return push_row(batch, ts_ms, value)


cdef Status walk_head(Cursor* cursor) noexcept nogil:
    """The path and its tags, as they stand, up to the blank behind them."""
    cdef const uint8_t* at = cursor.at
    cdef const uint8_t* end
    cdef const uint8_t* tags
    while cursor.at < cursor.end and cursor.at[0] > c' ':
        cursor.at += 1
    end = cursor.at
    if end == cursor.end or end[0] == c'\n' or end[0] == c'\r':
        return LINE_INCOMPLETE
    if end[0] != c' ' and end[0] != c'\t':
        return NAME_WRONG
    tags = find_byte(at, end, c';')
    if tags == at:
        return NAME_WRONG
    while tags < end:
        at = tags + 1
        tags = find_byte(at, end, c';')
        at = find_byte(at, tags, c'=') if at < tags and at[0] != c'=' else tags
        if at == tags:
            return LABELS_WRONG
    return OK


cdef Status read_seconds(Cursor* cursor, int64_t* out) noexcept nogil:
    """A time in seconds, whole or with a fraction, as milliseconds rounded down; -1 leaves the time of receipt."""
    cdef const uint8_t* at = cursor.at
    cdef int64_t number = 0
    cdef int64_t factor = 100
    cdef Status status = read_integer(cursor, &number)
    if status != OK:
        return status
    if number > SECONDS_MAX or number < -SECONDS_MAX:
        return TIME_OVERFLOW
    if number == -1 and not next_is(cursor, c'.'):
        return OK
    number *= 1_000
    if next_is(cursor, c'.'):
        if at[0] == c'-':
            return TIME_WRONG
        cursor.at += 1
        while cursor.at < cursor.end and is_digit(cursor.at[0]):
            number += factor * (cursor.at[0] - c'0')
            factor = factor // 10
            cursor.at += 1
    out[0] = number
    return OK


cdef void note_unresolved(Paths* paths, Batch batch) noexcept nogil:
    """Note the lines whose series are refused."""
    cdef size_t index
    for index in range(batch.record_count):
        if batch.records[index].series == SERIES_NONE:
            note_fault(paths, batch.records[index].origin, batch.records[index].refusal, OK, 0)


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint ends_line(const Cursor* cursor) noexcept nogil:
    """True at the end of a line, which may have a carriage return in front of its line feed."""
    if cursor.at >= cursor.end or cursor.at[0] == c'\n':
        return True
    return cursor.at[0] == c'\r' and (cursor.end - cursor.at == 1 or cursor.at[1] == c'\n')


cdef inline void refuse_line(Paths* paths, Batch batch, const uint8_t* at, int64_t ts_ms) noexcept nogil:
    """Refuse a line for its time."""
    cdef int reason = TOO_OLD if ts_ms < paths.oldest_ms else TOO_NEW
    cdef Example* example = &batch.first_refused[reason]
    if example.at == NULL:
        example.ts_ms = ts_ms
    refuse_part(batch, reason, 1, 1, at)
    if example.at == at:
        example.timed = True
    note_fault(paths, at, reason, OK, ts_ms)


cdef inline void note_fault(Paths* paths, const uint8_t* at, int reason, Status status, int64_t ts_ms) noexcept nogil:
    cdef Fault* fault
    if paths.fault_count == <uint32_t>FAULTS_MAX:
        return
    fault = &paths.faults[paths.fault_count]
    fault.at, fault.reason, fault.status, fault.ts_ms = at, reason, status, ts_ms
    paths.fault_count += 1


cdef Status labels_of_path(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a sound head."""
    cdef const uint8_t* at = record.origin
    cdef const uint8_t* end = at + record.origin_size
    cdef const uint8_t* tags = find_byte(at, end, c';')
    cdef Label label
    label.name.at = <const uint8_t*>b"__name__"
    label.name.size = 8
    label.value = text_between(at, tags)
    add_label(out, label)
    while tags < end and out.count <= LABELS_MAX:
        at = tags + 1
        tags = find_byte(at, end, c';')
        label.name = text_between(at, find_byte(at, tags, c'='))
        label.value = text_between(label.name.at + label.name.size + 1, tags)
        add_label(out, label)
    return OK
