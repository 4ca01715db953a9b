"""A frame as columns: the memory decoders write into.

    rows     series   ts_ms    value          records   key  origin  first_row  rows  series
             ------   ------   -----                    ---  ------  ---------  ----  ------
      0         7      …         …               0       …     …         0        2      7
      1         7      …         …               1       …     …         2        1     12
      2        12      …         …

A decoder walks a frame once and pushes rows and records; ``SeriesIndex.resolve`` gives every record its series;
``complete`` writes the series into the rows and drops, in place, the rows of refused records and those outside the
acceptance window. Until settle has run, nothing of the frame counts. A fault inside a record refuses that record and is
counted with its reason; the first record of each reason is kept as an example. A frame that ends in a Status other than
OK leaves no trace but its error.

Claims say which records belong to a packet that would be known if it came again (``dedup_keys.pyx``).

This file knows no protocol and no series.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset

import numpy as np

from nissa._fast.context cimport add_context
from nissa._fast.messages cimport note_settled
from nissa._fast.types cimport (ADMITTED, LABELS_MAX, NO_MEMORY, OK, RECORD_MALFORMED, REFERENCE_INVALID, REFUSALS,
                                SERIES_NONE, TOO_MANY_MESSAGES, TOO_MANY_SAMPLES, TOO_MANY_SERIES, TOO_MANY_SYMBOLS,
                                TOO_NEW, TOO_OLD, Fingerprint, LabelList, LabelsOf, Record, Status, Text)

from nissa.model.columns import Metadata
from nissa.model.errors import Malformed, TooLarge
from nissa.model.receipt import Example as RefusalExample
from nissa.model.refusal import Refusal as RefusalReason

METRIC_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
WORDS = {
    1: "a field is longer than the message it stands in",
    2: "a varint is longer than 64 bits",
    3: "a field number is 0 or too large",
    4: "a known field has the wrong wire type, or a group is used",
    5: "a string is not UTF-8",
    6: "a label refers to a symbol that does not exist",
    7: "label references do not come in pairs",
    8: "the first symbol is not the empty string",
    9: "parallel columns have different lengths",
    12: "out of memory",
    13: "a timestamp does not fit 64 bits of milliseconds",
    14: "run lengths do not add up to the samples",
    15: "a request of the other version of remote write",
    29: "a field that may stand once stands twice",
}

# How much of a series' labels an answer repeats.
EXAMPLE_BYTES_MAX = 1024


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class Batch:
    """Reusable memory for one decoded frame. Not thread-safe: it belongs to one thread.

    rows_max: samples one frame may bring (``ingest.frame_samples_max``). records_max: series and symbols
    (``ingest.frame_series_max``).
    """

    def __cinit__(self, size_t rows_max=4_000_000, size_t records_max=1_000_000):
        self.rows_max = rows_max
        self.records_max = records_max

    def __dealloc__(self):
        free(self.series)
        free(self.ts_ms)
        free(self.value)
        free(self.records)
        free(self.starts)
        free(self.notes)
        free(self.dedup_keys)
        free(self.message)
        free(self.symbols)
        free(self.symbol_hashes)

    def __len__(self):
        return self.rows

    def clear(self, size_t events=0):
        """Forget the frame before, for a frame that a slow path reads and that brings only events."""
        self.begin()
        self.events = events
        self.examples = {}

    def refuse(self, int reason, size_t offset):
        """Count one record that a slow path refuses, which begins at ``offset`` of the body."""
        if not 0 <= reason < <int>REFUSALS:
            raise ValueError(f"no such refusal: {reason}")
        self.refused_counts[reason] += 1
        self.refused_row_counts[reason] += 1
        self.rows_received += 1
        self.examples.setdefault(str(RefusalReason(reason)), RefusalExample(offset=offset))

    @property
    def refused(self):
        """Reason word -> count, of the records this frame brought and lost."""
        return counts_by_word(self.refused_counts)

    @property
    def refused_rows(self):
        """The same in rows: a native histogram is two."""
        return counts_by_word(self.refused_row_counts)

    def columns(self):
        """The accepted rows as three new arrays: series uint32 (n,), ts_ms int64 (n,), value float64 (n,)."""
        series = np.empty(self.rows, np.uint32)
        ts_ms = np.empty(self.rows, np.int64)
        value = np.empty(self.rows, np.float64)
        self.copy_rows(series, ts_ms, value, 0, 0, self.rows)
        return series, ts_ms, value

    def copy_rows(self, uint32_t[::1] series, int64_t[::1] ts_ms, double[::1] value, size_t at, size_t first,
                  size_t count):
        """Copy rows [first, first + count) into three arrays at position ``at``. Cost: 20 bytes per row."""
        if count > self.rows or first > self.rows - count:
            raise IndexError("no such rows")
        if count > <size_t>series.shape[0] or at > <size_t>series.shape[0] - count:
            raise IndexError("rows do not fit")
        if ts_ms.shape[0] != series.shape[0] or value.shape[0] != series.shape[0]:
            raise ValueError("columns of different lengths")
        if count:
            memcpy(&series[at], self.series + first, count * sizeof(uint32_t))
            memcpy(&ts_ms[at], self.ts_ms + first, count * sizeof(int64_t))
            memcpy(&value[at], self.value + first, count * sizeof(double))

    cdef fail(self, const uint8_t* body):
        """Raise what stopped the decoder; ``body`` is where the frame began."""
        cdef Py_ssize_t offset = self.stopped_at - body if self.stopped_at != NULL else -1
        cdef Status status = self.status
        self.begin()
        self.examples = {}
        if status == TOO_MANY_MESSAGES:
            raise too_many("messages", self.records_max, "ingest.frame_series_max")
        if status == TOO_MANY_SAMPLES:
            raise too_many("samples", self.rows_max, "ingest.frame_samples_max")
        if status == TOO_MANY_SERIES:
            raise too_many("series", self.records_max, "ingest.frame_series_max")
        if status == TOO_MANY_SYMBOLS:
            raise too_many("symbols", self.records_max, "ingest.frame_series_max")
        if status == NO_MEMORY:
            raise MemoryError("decoding a frame")
        raise Malformed(WORDS[status], offset)

    cdef tell_examples(self, const uint8_t* body, LabelsOf labels_of, void* codec):
        """Set ``examples``, while what the records point into is still there."""
        cdef int reason
        cdef Example* example
        cdef Record record
        cdef LabelList labels
        self.examples = {}
        for reason in range(<int>REFUSALS):
            example = &self.first_refused[reason]
            if self.refused_counts[reason] == 0 or example.at == NULL:
                continue
            series = ""
            if example.origin != NULL:
                memset(&record, 0, sizeof(Record))
                record.origin = example.origin
                record.origin_size = example.origin_size
                record.kind = example.kind
                labels.count = 0
                labels.scratch_used = 0
                labels_of(codec, &record, &labels)
                add_context(&self.context, &labels)
                series = series_text(&labels)
            self.examples[str(RefusalReason(reason))] = RefusalExample(
                series, example.ts_ms if example.timed else None, example.at - body)

    cdef list take_notes(self):
        """Notes as Metadata, without those that name no metric; what is not UTF-8 has been refused before."""
        cdef list out = []
        cdef size_t index
        cdef Note* note
        for index in range(self.note_count):
            note = &self.notes[index]
            if note.name.size == 0:
                continue
            type_name = METRIC_TYPES[note.type] if note.type < 8 else "unknown"
            out.append(Metadata(text_of(note.name), type_name, text_of(note.help), text_of(note.unit)))
        return out

    # ---- Loops -------------------------------------------------------------------------------------------------------

    cdef void begin(self) noexcept nogil:
        self.rows = 0
        self.record_count = 0
        self.start_count = 0
        self.note_count = 0
        self.claim_count = 0
        self.symbol_count = 0
        self.samples = 0
        self.histograms = 0
        self.exemplars = 0
        self.events = 0
        self.series_new = 0
        self.missed = 0
        self.rows_received = 0
        self.duplicate_rows = 0
        self.series_seen = 0
        self.messages = self.message_at = 0
        self.parts = 0
        memset(self.refused_counts, 0, sizeof(self.refused_counts))
        memset(self.refused_row_counts, 0, sizeof(self.refused_row_counts))
        memset(self.first_refused, 0, sizeof(self.first_refused))
        self.status = OK
        self.stopped_at = NULL

    cdef void complete(self, int64_t oldest_ms, int64_t newest_ms) noexcept nogil:
        """Keep the rows that are admitted and inside [oldest_ms, newest_ms]; count the others by reason.

        Afterwards a record's first_row is that of the first row kept of it or behind it.
        """
        cdef size_t index, row, end, kept = 0
        cdef Record* record
        cdef uint32_t series
        cdef int64_t ts_ms
        cdef int reason
        self.rows_received += self.rows
        for index in range(self.record_count):
            record = &self.records[index]
            row = record.first_row
            end = row + record.rows
            series = record.series
            if series == SERIES_NONE:
                self.refused_row_counts[record.refusal & 31] += record.rows
                note_settled(self, index, record.refusal & 31, record.rows)
                if record.rows:
                    note_example(self, record.refusal & 31, record, self.ts_ms[row])
                if record.kind != 2:
                    self.refused_counts[record.refusal & 31] += record.rows
                elif index > 0 and self.records[index - 1].series != SERIES_NONE:
                    self.refuse_halves(record, oldest_ms, newest_ms)
                record.first_row = <uint32_t>kept
                continue
            record.first_row = <uint32_t>kept
            self.exemplars += record.exemplars
            while row < end:
                ts_ms = self.ts_ms[row]
                if ts_ms < oldest_ms or ts_ms > newest_ms:
                    reason = TOO_OLD if ts_ms < oldest_ms else TOO_NEW
                    self.refused_row_counts[reason] += 1
                    note_settled(self, index, reason, 1)
                    note_example(self, reason, record, ts_ms)
                    if record.kind != 2:
                        self.refused_counts[reason] += 1
                    row += 1
                    continue
                self.series[kept] = series
                self.ts_ms[kept] = ts_ms
                self.value[kept] = self.value[row]
                if record.kind == 0:
                    self.samples += 1
                elif record.kind == 1:
                    self.histograms += 1
                kept += 1
                row += 1
        self.rows = kept

    cdef void keep_starts(self, int64_t* last_ms, int64_t oldest_ms, int64_t newest_ms) noexcept nogil:
        """After settle: a row of 0 where a series' counter began anew, unless that is outside of the window.

        last_ms: by series, the start that was kept last. A row of 0 is no sample of the sender.
        """
        cdef size_t index
        cdef uint32_t series
        cdef int64_t start_ms
        for index in range(self.start_count):
            series = self.records[self.starts[index].record].series
            start_ms = self.starts[index].start_ms
            if series == SERIES_NONE or last_ms[series] == start_ms:
                continue
            last_ms[series] = start_ms
            if oldest_ms <= start_ms <= newest_ms:
                self.series[self.rows] = series
                self.ts_ms[self.rows] = start_ms
                self.value[self.rows] = 0.0
                self.rows += 1
                self.rows_received += 1

    cdef void refuse_halves(self, const Record* sums, int64_t oldest_ms, int64_t newest_ms) noexcept nogil:
        """Histograms whose count was kept and whose sum is refused are refused: the sender must hear of them."""
        cdef size_t row
        for row in range(sums.first_row, sums.first_row + sums.rows):
            if oldest_ms <= self.ts_ms[row] <= newest_ms:
                self.histograms -= 1
                self.refused_counts[sums.refusal & 31] += 1

    # ---- Steps -------------------------------------------------------------------------------------------------------

    cdef Status grow_rows(self, size_t more) noexcept nogil:
        """Room for ``more`` further rows."""
        cdef size_t need = self.rows + more
        cdef size_t capacity = self.rows_capacity
        cdef void* grown
        if need > self.rows_max:
            return TOO_MANY_SAMPLES
        if need <= capacity:
            return OK
        capacity = min(need + need // 2 + 1024, self.rows_max)
        grown = realloc(self.series, capacity * sizeof(uint32_t))
        if grown == NULL:
            return NO_MEMORY
        self.series = <uint32_t*>grown
        grown = realloc(self.ts_ms, capacity * sizeof(int64_t))
        if grown == NULL:
            return NO_MEMORY
        self.ts_ms = <int64_t*>grown
        grown = realloc(self.value, capacity * sizeof(double))
        if grown == NULL:
            return NO_MEMORY
        self.value = <double*>grown
        self.rows_capacity = capacity
        return OK

    cdef Status count_series(self) noexcept nogil:
        """One more series on the wire: those that leave no record have the same limit."""
        self.series_seen += 1
        return TOO_MANY_SERIES if self.series_seen > self.records_max else OK

    cdef Status count_part(self) noexcept nogil:
        """One more exemplar or histogram."""
        self.parts += 1
        return TOO_MANY_SAMPLES if self.parts > self.rows_max else OK

    cdef Status push_record(self, Record** out) noexcept nogil:
        """One more record, its fields not yet set."""
        cdef void* grown
        cdef size_t capacity
        if self.record_count == self.record_capacity:
            if self.record_count >= self.records_max:
                return TOO_MANY_SERIES
            capacity = min(self.record_capacity * 2 + 1024, self.records_max)
            grown = realloc(self.records, capacity * sizeof(Record))
            if grown == NULL:
                return NO_MEMORY
            self.records = <Record*>grown
            self.record_capacity = capacity
        out[0] = &self.records[self.record_count]
        out[0].refusal = ADMITTED
        out[0].kind = 0
        out[0].missed = 0
        out[0].exemplars = 0
        self.record_count += 1
        return OK

    cdef Status push_start(self, int64_t start_ms) noexcept nogil:
        """The counter of the record pushed last began then. Samples that say the same start are one."""
        cdef size_t record = self.record_count - 1
        cdef void* grown
        cdef size_t capacity
        cdef Start* last = &self.starts[self.start_count - 1] if self.start_count else NULL
        if last != NULL and last.record == record and last.start_ms == start_ms:
            return OK
        if self.start_count == self.start_capacity:
            capacity = self.start_capacity * 2 + 64     # as many as rows at most: their limit holds here too
            grown = realloc(self.starts, capacity * sizeof(Start))
            if grown == NULL:
                return NO_MEMORY
            self.starts = <Start*>grown
            self.start_capacity = capacity
        self.starts[self.start_count].record = record
        self.starts[self.start_count].start_ms = start_ms
        self.start_count += 1
        return OK

    cdef Status reserve_starts(self) noexcept nogil:
        """Room for the rows that keep_starts may add."""
        return self.grow_rows(self.start_count) if self.start_count else OK

    cdef Status push_note(self, Note** out) noexcept nogil:
        """One more note, all empty."""
        cdef void* grown
        cdef size_t capacity
        if self.note_count == self.note_capacity:
            if self.note_count >= self.records_max:
                return TOO_MANY_SERIES
            capacity = min(self.note_capacity * 2 + 64, self.records_max)
            grown = realloc(self.notes, capacity * sizeof(Note))
            if grown == NULL:
                return NO_MEMORY
            self.notes = <Note*>grown
            self.note_capacity = capacity
        out[0] = &self.notes[self.note_count]
        memset(out[0], 0, sizeof(Note))
        self.note_count += 1
        return OK

    cdef Status push_claim(self, Claim** out) noexcept nogil:
        """One more claim, which begins here and stands for nothing yet."""
        cdef void* grown
        cdef size_t capacity
        if self.claim_count == self.claim_capacity:
            capacity = self.claim_capacity * 2 + 16  # as many as records and events at most: their limits hold here too
            grown = realloc(self.dedup_keys, capacity * sizeof(Claim))
            if grown == NULL:
                return NO_MEMORY
            self.dedup_keys = <Claim*>grown
            self.claim_capacity = capacity
        out[0] = &self.dedup_keys[self.claim_count]
        memset(out[0], 0, sizeof(Claim))
        out[0].first_record = self.record_count
        self.claim_count += 1
        return OK

    cdef size_t kept_before(self, size_t record) noexcept nogil:
        """Number of rows stored from the records in front of this one."""
        return self.records[record].first_row if record < self.record_count else self.rows

    cdef size_t move_rows(self, size_t to, size_t first, size_t end) noexcept nogil:
        """Move rows [first, end) forward to ``to``; returns where they end there."""
        cdef size_t count = end - first
        if to != first and count:
            memmove(self.series + to, self.series + first, count * sizeof(uint32_t))
            memmove(self.ts_ms + to, self.ts_ms + first, count * sizeof(int64_t))
            memmove(self.value + to, self.value + first, count * sizeof(double))
        return to + count

    cdef Status grow_symbols(self) noexcept nogil:
        """Room for one further symbol and its hash; a frame may bring as many symbols as series."""
        cdef void* grown
        cdef size_t capacity
        if self.symbol_count < self.symbol_capacity:
            return OK
        if self.symbol_count >= self.records_max:
            return TOO_MANY_SYMBOLS
        capacity = min(self.symbol_capacity * 2 + 1024, self.records_max)
        grown = realloc(self.symbols, capacity * sizeof(Text))
        if grown == NULL:
            return NO_MEMORY
        self.symbols = <Text*>grown
        grown = realloc(self.symbol_hashes, capacity * sizeof(Fingerprint))
        if grown == NULL:
            return NO_MEMORY
        self.symbol_hashes = grown
        self.symbol_capacity = capacity
        return OK


cdef inline void note_example(Batch batch, int reason, const Record* record, int64_t ts_ms) noexcept nogil:
    """Keep the first record that is refused for a reason. Labels are not read again where their references are bad."""
    cdef Example* example = &batch.first_refused[reason]
    if example.at == NULL:
        example.at = record.origin
        if reason != RECORD_MALFORMED and reason != REFERENCE_INVALID:
            example.origin = record.origin
        example.origin_size = record.origin_size
        example.kind = record.kind
        example.ts_ms = ts_ms
        example.timed = True


cdef str series_text(const LabelList* labels):
    """Labels as a selector shows them, cut at EXAMPLE_BYTES_MAX; what is not UTF-8 or cannot be printed is escaped."""
    cdef uint32_t index
    cdef size_t size = 0
    name, pairs = "", []
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        size += labels.label[index].name.size + labels.label[index].value.size
        if size > <size_t>EXAMPLE_BYTES_MAX:
            pairs.append("…")
            break
        label, value = shown(labels.label[index].name), shown(labels.label[index].value)
        if label == "__name__" and not name:
            name = value
        elif value:
            pairs.append(f'{label}="{value}"')
    return name + ("{" + ",".join(pairs) + "}" if pairs else "")


cdef str shown(Text text):
    if text.size == 0:
        return ""
    plain = (<const char*>text.at)[:text.size].decode("utf-8", "backslashreplace")
    plain = plain.replace('"', '\\"')
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in plain)


cdef str text_of(Text text):
    return (<const char*>text.at)[:text.size].decode() if text.size else ""


cdef dict counts_by_word(const uint64_t* counts):
    cdef dict out = {}
    cdef int reason
    for reason in range(<int>REFUSALS):
        if counts[reason]:
            out[str(RefusalReason(reason))] = counts[reason]
    return out


cdef object too_many(str what, size_t limit, str setting):
    return TooLarge(f"{what} in one frame", got=limit + 1, limit=limit, setting=setting)
