"""Exposition formats of Prometheus, text 0.0.4 and OpenMetrics 1.0: a body to rows and records, in one walk.

    # HELP http_requests_total Requests served.      ┐ a family: a note, and part of the raw form of what follows
    # TYPE http_requests_total counter               ┘
    http_requests_total{code="200",path="/\\"a\\""} 1027 1758000000123
    ├────────────── series text ──────────────────┤ ├val┤├── time ──┤
    {"http.requests","service.name"="shop"} 3 # {trace_id="7f"} 0.5 1758000000.123       names in quotes; an exemplar

A series is known by the hash of its text as it stands, chained with that of the lines that describe its family: one
that was seen before costs no look at a label, and a changed description is noticed.

The two formats differ in their timestamps (milliseconds; seconds with a fraction), in exemplars and units, which the
text format lacks, and in the line ``# EOF``: an OpenMetrics body without it was cut, and is refused whole. Beyond that
both are read alike, and as leniently as the text format. Exemplars are read and counted; they are not stored.

A line at fault is refused by itself. One outside of the acceptance window is refused before its series is looked at.
Faults are noted with their line (``line_faults.pxd``).
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from nissa._fast.batch cimport Batch, Example, Note, push_row, refuse_part
from nissa._fast.cursor cimport Cursor, check_utf8, cursor_over
from nissa._fast.exposition_rules cimport ExpositionRules, labels_of_judged
from nissa._fast.exposition_text cimport (STALE, closing_quote, ends_word, labels_of_exposition, name_end, next_word,
                                          read_rest, read_type, read_value, series_end)
from nissa._fast.fields cimport same_bytes, text_is
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.line_faults cimport Faults, line_faults, note_fault
from nissa._fast.series cimport SeriesIndex
from nissa._fast.text_cursor cimport find_byte, next_is, skip_blanks, text_between
from nissa._fast.types cimport (COMMENT_WRONG, ENDING_WRONG, LINE_INCOMPLETE, OK, RECORD_MALFORMED, SERIES_NONE,
                                TEXT_NOT_UTF8, TIME_OVERFLOW, TOO_NEW, TOO_OLD, UTF8_INVALID, Fingerprint, LabelList,
                                LabelsOf, Record, Status, Text)

from nissa.model.errors import Malformed, TooLarge
from nissa.model.text_faults import TEXT_FAULTS

cdef enum:
    DOMAIN_SERIES = 0x81    # name spaces of raw forms
    DOMAIN_FAMILY = 0x82
    BODY_BYTES_MAX = 0x7FFFFFFF

# The terms of a walk, and what it notes.
cdef struct Page:
    bint openmetrics
    bint own_times          # timestamps of the body hold
    bint stale              # every value becomes a staleness marker
    bint ended              # the line "# EOF" was read
    int64_t now_ms          # of lines without a timestamp
    int64_t oldest_ms
    int64_t newest_ms
    bint described          # the lines that follow belong to a family
    Fingerprint family      # of the lines that describe it
    Faults faults


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_exposition(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                      size_t admit_max, int64_t oldest_ms, int64_t newest_ms, int64_t now_ms, bint openmetrics,
                      bint own_times=True, bint stale=False, ExpositionRules rules=None):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    minute: when it was received, minutes since 1970 (> 0). admit_max: how many new series it may bring.
    oldest_ms, newest_ms: the acceptance window, both inclusive. now_ms: time of lines without a timestamp.
    openmetrics: the body is OpenMetrics. own_times: its timestamps hold; otherwise every line is of now_ms. stale:
    every value becomes a staleness marker. rules: applied to the labels of every series, those of the context included.
    Returns: Metadata of families with series not seen before, names and help with their escapes; LineFault of lines
    refused, at most 64; how many samples rules dropped. Raises: TooLarge, Malformed for OpenMetrics without its end;
    nothing is kept then.
    GIL: released. Cost: about 70 ns per line of a known series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Page page
    if minute == 0:
        raise ValueError("expected a minute above 0")
    if body.shape[0] > BODY_BYTES_MAX:
        raise TooLarge("body", got=body.shape[0], limit=BODY_BYTES_MAX, setting="ingest.decompressed_size_max")
    page.openmetrics, page.own_times, page.stale = openmetrics, own_times, stale
    page.oldest_ms, page.newest_ms, page.now_ms = oldest_ms, newest_ms, now_ms
    cdef LabelsOf labels_of = labels_of_exposition
    cdef void* codec = NULL
    cdef size_t dropped = 0
    with nogil:
        begin_page(&page, &index.secret, batch, start, body.shape[0])
    if batch.status == ENDING_WRONG:
        batch.clear()
        raise Malformed(TEXT_FAULTS[<int>ENDING_WRONG], body.shape[0])
    if rules is not None and batch.status == OK:
        dropped = rules.judge(batch, index)
        labels_of, codec = labels_of_judged, &rules.judged
    with nogil:
        end_page(&page, index, batch, labels_of, codec, minute, admit_max)
    if batch.status != OK:
        batch.fail(start)
    if rules is not None:
        rules.give_back(batch)
    batch.tell_examples(start, labels_of_exposition, NULL)
    return batch.take_notes(), line_faults(&page.faults, start, body.shape[0]), dropped


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void begin_page(Page* page, const Secret* secret, Batch batch, const uint8_t* at, size_t size) noexcept nogil:
    batch.begin()
    page.faults.count = 0
    page.described = page.ended = False
    batch.status = walk_lines(page, secret, batch, cursor_over(at, size))


cdef void end_page(Page* page, SeriesIndex index, Batch batch, LabelsOf labels_of, void* codec, uint32_t minute,
                   size_t admit_max) noexcept nogil:
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of, codec, minute, admit_max)
    if batch.status == OK:
        note_unresolved(page, batch)
        keep_new_notes(batch)
        batch.complete(page.oldest_ms, page.newest_ms)


cdef Status walk_lines(Page* page, const Secret* secret, Batch batch, Cursor body) noexcept nogil:
    cdef Cursor line
    cdef const uint8_t* at
    cdef Status status
    while body.at < body.end:
        line.at = body.at
        line.end = find_byte(body.at, body.end, c'\n')
        body.at = line.end + (line.end < body.end)
        skip_blanks(&line)
        if line.at == line.end:
            continue
        at = batch.stopped_at = line.at
        if page.ended:
            status = COMMENT_WRONG
        elif line.at[0] == c'#':
            status = walk_comment(page, secret, batch, &line)
        else:
            status = walk_sample(page, secret, batch, &line)
        if status == OK:
            continue
        if status < LINE_INCOMPLETE and status != TIME_OVERFLOW and status != UTF8_INVALID:
            return status
        refuse_line(page, batch, at, status)
    if page.openmetrics and not page.ended:
        return ENDING_WRONG
    return OK


cdef Status walk_sample(Page* page, const Secret* secret, Batch batch, Cursor* line) noexcept nogil:
    """One sample: a row and a record, unless it is outside of the acceptance window."""
    cdef Record* record = NULL
    cdef const uint8_t* at = line.at
    cdef const uint8_t* end
    cdef uint32_t exemplars = 0
    cdef int64_t ts_ms = page.now_ms
    cdef double value = 0.0
    cdef Status status
    line.at = end = series_end(line, page.openmetrics)
    skip_blanks(line)
    status = read_value(line, &value)
    if status == OK:
        status = read_rest(line, page.openmetrics, &ts_ms, &exemplars)
    if status != OK:
        return status
    if not page.own_times:
        ts_ms = page.now_ms
    if ts_ms < page.oldest_ms or ts_ms > page.newest_ms:
        refuse_time(page, batch, at, ts_ms)
        return OK
    status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = at
    record.origin_size = <uint32_t>(end - at)
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    record.exemplars = exemplars
    record.key = hash_bytes(secret, at, end - at, DOMAIN_SERIES)
    if page.described:
        chain(secret, &record.key, &page.family)
    if page.stale:
        value = STALE
    return push_row(batch, ts_ms, value)


cdef Status walk_comment(Page* page, const Secret* secret, Batch batch, Cursor* line) noexcept nogil:
    """A line that begins with ``#``: it describes a family, ends an OpenMetrics body, or says nothing."""
    cdef const uint8_t* at = line.at
    cdef Text word
    cdef Note* note = NULL
    cdef Fingerprint part
    cdef Status status
    line.at += 1
    if not next_is(line, c' ') and not next_is(line, c'\t'):
        return OK
    skip_blanks(line)
    word = next_word(line)
    if page.openmetrics and text_is(word, b"EOF", 3):
        skip_blanks(line)
        page.ended = line.at == line.end
        return OK if page.ended else COMMENT_WRONG
    if not text_is(word, b"HELP", 4) and not text_is(word, b"TYPE", 4) and not (
            page.openmetrics and text_is(word, b"UNIT", 4)):
        return OK
    if check_utf8(text_between(at, line.end)) != OK:
        return UTF8_INVALID
    skip_blanks(line)
    status = family_note(page, batch, at, line, &note)
    if status != OK:
        return status
    skip_blanks(line)
    status = describe(note, word, text_between(line.at, line.end))
    if status == OK:
        part = hash_bytes(secret, at, line.end - at, DOMAIN_FAMILY)
        chain(secret, &page.family, &part)
        page.described = True
    return status


cdef Status family_note(Page* page, Batch batch, const uint8_t* at, Cursor* line, Note** out) noexcept nogil:
    """The note of the family a line describes, new unless it is that of the line before. Symbols: where each begins."""
    cdef Text name
    cdef Status status
    cdef Note* last = &batch.notes[batch.note_count - 1] if batch.note_count else NULL
    out[0] = last
    if last != NULL and step_over_name(line, last.name):
        return OK
    status = read_family_name(line, &name)
    if last != NULL and status == OK and last.name.size == name.size and same_bytes(last.name, name):
        return OK
    if status == OK:
        status = batch.grow_symbols()
    if status == OK:
        status = batch.push_note(out)
    if status != OK:
        return status
    out[0].name = name
    batch.symbols[batch.symbol_count] = text_between(at, at)
    batch.symbol_count += 1
    page.family.low = page.family.high = DOMAIN_FAMILY
    return OK


cdef Status read_family_name(Cursor* line, Text* name) noexcept nogil:
    """The name in a HELP, TYPE or UNIT line: plain, or in quotes, which do not belong to it."""
    cdef const uint8_t* at = line.at
    if next_is(line, c'"'):
        line.at = closing_quote(at + 1, line.end)
        name[0] = text_between(at + 1, line.at)
        if line.at == line.end:
            return COMMENT_WRONG
        line.at += 1
    else:
        line.at = name_end(at, line.end, True)
        name[0] = text_between(at, line.at)
    return OK if name.size and ends_word(line) else COMMENT_WRONG


cdef Status describe(Note* note, Text word, Text text) noexcept nogil:
    """One line about a family. word: HELP, TYPE or UNIT."""
    if word.at[0] == c'H':
        note.help = text
        return OK
    while text.size and (text.at[text.size - 1] == c' ' or text.at[text.size - 1] == c'\t'):
        text.size -= 1
    if word.at[0] == c'U':
        note.unit = text
        return OK
    return read_type(text, &note.type)


cdef void note_unresolved(Page* page, Batch batch) noexcept nogil:
    """Note the lines whose series are refused, with the fault where their labels are not of their form."""
    cdef size_t index
    cdef Record* record
    cdef LabelList labels
    cdef Status status
    for index in range(batch.record_count):
        record = &batch.records[index]
        if record.series != SERIES_NONE:
            continue
        status = OK
        if record.refusal == RECORD_MALFORMED:
            labels.count = 0
            labels.scratch_used = 0
            status = labels_of_exposition(NULL, record, &labels)
        note_fault(&page.faults, record.origin, record.refusal, status, 0)


cdef void keep_new_notes(Batch batch) noexcept nogil:
    """Keep the notes of families that have a series whose raw form was not known. Symbols: where each family begins."""
    cdef size_t note, index = 0, kept = 0
    cdef const uint8_t* end
    cdef bint new
    for note in range(batch.note_count):
        end = batch.symbols[note + 1].at if note + 1 < batch.note_count else NULL
        while index < batch.record_count and batch.records[index].origin < batch.symbols[note].at:
            index += 1
        new = False
        while batch.missed and index < batch.record_count and (end == NULL or batch.records[index].origin < end):
            if batch.records[index].missed and batch.records[index].series != SERIES_NONE:
                new = True
            index += 1
        if new:
            batch.notes[kept] = batch.notes[note]
            kept += 1
    batch.note_count = kept


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint step_over_name(Cursor* line, Text name) noexcept nogil:
    """Step over the name of the line before where it is plain. False: another one stands here, or one in quotes."""
    cdef const uint8_t* end = line.at + name.size
    if end > line.end or (name.at - 1)[0] == c'"' or memcmp(line.at, name.at, name.size) != 0 or (
            end < line.end and end[0] != c' ' and end[0] != c'\t'):
        return False
    line.at = end
    return True


cdef inline void refuse_line(Page* page, Batch batch, const uint8_t* at, Status status) noexcept nogil:
    """Count a line at fault: a sample, or a description, which leaves no row."""
    cdef int reason = TEXT_NOT_UTF8 if status == UTF8_INVALID else RECORD_MALFORMED
    refuse_part(batch, reason, 1, at[0] != c'#', at)
    note_fault(&page.faults, at, reason, status, 0)


cdef inline void refuse_time(Page* page, Batch batch, const uint8_t* at, int64_t ts_ms) noexcept nogil:
    """Count a sound line that is outside of the acceptance window."""
    cdef int reason = TOO_OLD if ts_ms < page.oldest_ms else TOO_NEW
    cdef Example* example = &batch.first_refused[reason]
    if example.at == NULL:
        example.ts_ms = ts_ms
    refuse_part(batch, reason, 1, 1, at)
    if example.at == at:
        example.timed = True
    note_fault(&page.faults, at, reason, OK, ts_ms)
