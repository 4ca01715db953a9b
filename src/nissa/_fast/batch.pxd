# A decoded frame: rows of samples, and records that map each run of rows to its series.
#
# The memory belongs to the Batch and is used again for the next frame; it grows with need up to the limits it was made
# with.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from nissa._fast.types cimport (ADMITTED, COLUMNS_UNEVEN, ENCODING_FOREIGN, ENCODING_UNSUPPORTED, LINE_INCOMPLETE, OK,
                                RECORD_MALFORMED, REFERENCE_INVALID, RUNS_WRONG, SYMBOL_FIRST, SYMBOL_OUT_OF_RANGE,
                                SYMBOLS_ODD, TAG_INVALID, TEXT_NOT_UTF8, TIME_OVERFLOW, TRUNCATED, UTF8_INVALID,
                                VARINT_TOO_LONG, WIRE_TYPE_WRONG, ContextLabels, Fingerprint, LabelsOf, Record, Status,
                                Text)

# A note about a metric name, pointing into the frame: made into a Python object before the frame is released.
cdef struct Note:
    Text name
    Text help
    Text unit
    uint32_t type           # MetricType of remote write; the numbers of 1.0 and 2.0 are the same

# What a claim is about: the longest-lived thing in it.
cdef enum:
    CLAIM_EVENT = 0
    CLAIM_METRIC = 1
    CLAIM_ALERT = 2

# What a part of a frame is known by when it comes again: a packet, or messages of one request. In the order of their
# records and events; one inside another stands behind it.
cdef struct Claim:
    Fingerprint packet      # of source and packet id, where has_packet
    Fingerprint request     # of epoch and request id, where has_request
    size_t first_record     # records [first_record, end_record) and events [first_event, end_event) belong to it
    size_t end_record
    size_t first_event
    size_t end_event
    bint has_packet
    bint has_request
    bint inside             # part of what the last claim that is not stands for: kept where that is kept
    bint duplicate          # claims.pyx: it came before
    uint32_t kind

# The first record that was refused for a reason: the example in the answer to the sender.
cdef struct Example:
    const uint8_t* at       # where in the body; NULL: there is none yet
    const uint8_t* origin   # as in Record; NULL: its labels cannot be read
    uint32_t origin_size
    uint32_t kind
    int64_t ts_ms
    bint timed              # whether ts_ms is set

# When the counter of a record began at 0.
cdef struct Start:
    size_t record
    int64_t start_ms

# One message of a delimited body (messages.pxd).
cdef struct Message:
    size_t first_record     # where its records and events begin
    size_t first_event
    uint64_t refused        # rows and events of it
    uint8_t reason          # the first of these; ADMITTED: nothing is

cdef class Batch:
    # rows: parallel arrays
    cdef uint32_t* series
    cdef int64_t* ts_ms
    cdef double* value
    cdef size_t rows
    cdef size_t rows_capacity
    cdef readonly size_t rows_max
    # records
    cdef Record* records
    cdef size_t record_count
    cdef size_t record_capacity
    cdef readonly size_t records_max
    # starts, in the order of their records
    cdef Start* starts
    cdef size_t start_count
    cdef size_t start_capacity
    # notes
    cdef Note* notes
    cdef size_t note_count
    cdef size_t note_capacity
    # claims
    cdef Claim* dedup_keys
    cdef readonly size_t claim_count
    cdef size_t claim_capacity
    # symbols of a frame that has a symbol table: their text and their hash
    cdef Text* symbols
    cdef void* symbol_hashes
    cdef size_t symbol_count
    cdef size_t symbol_capacity
    # messages of a delimited body
    cdef Message* message
    cdef size_t message_capacity
    cdef size_t message_at                  # whose records settle has come to
    # labels that the context of the frame adds to every series (context.pyx); kept until they are set anew
    cdef ContextLabels context
    cdef bytes context_bytes                # what they point into
    # counts of the frame
    cdef readonly size_t samples            # float samples accepted
    cdef readonly size_t histograms         # native histograms accepted
    cdef readonly size_t exemplars
    cdef readonly size_t events
    cdef readonly size_t series_new         # series admitted by this frame
    cdef readonly size_t missed             # records whose raw form was not known
    cdef readonly size_t series_seen        # series of remote write, with or without records
    cdef readonly size_t messages           # of a delimited body
    cdef readonly size_t parts              # exemplars and histograms
    cdef uint64_t refused_counts[32]        # by Refusal, in samples and histograms: for the sender
    cdef uint64_t refused_row_counts[32]    # by Refusal, in rows (a histogram is two): for conservation
    cdef Example first_refused[32]          # by Refusal
    cdef readonly dict examples             # reason word -> Example, of the frame that was decoded last
    cdef readonly size_t rows_received      # rows before settle, and those a codec refused without pushing them
    cdef readonly size_t duplicate_rows     # rows that claims.pyx took out again
    # where decoding stopped
    cdef Status status
    cdef const uint8_t* stopped_at

    # phases: begin → (push_*) → SeriesIndex.resolve → settle → (claims.pyx)
    cdef void begin(self) noexcept nogil
    cdef Status grow_rows(self, size_t more) noexcept nogil
    cdef Status push_record(self, Record** out) noexcept nogil
    cdef Status push_note(self, Note** out) noexcept nogil
    cdef Status push_claim(self, Claim** out) noexcept nogil
    cdef size_t kept_before(self, size_t record) noexcept nogil
    cdef size_t move_rows(self, size_t to, size_t first, size_t end) noexcept nogil
    cdef Status grow_symbols(self) noexcept nogil
    cdef Status push_start(self, int64_t start_ms) noexcept nogil
    cdef Status reserve_starts(self) noexcept nogil
    cdef void keep_starts(self, int64_t* last_ms, int64_t oldest_ms, int64_t newest_ms) noexcept nogil
    cdef void complete(self, int64_t oldest_ms, int64_t newest_ms) noexcept nogil
    cdef Status count_series(self) noexcept nogil
    cdef Status count_part(self) noexcept nogil
    cdef fail(self, const uint8_t* body)
    cdef tell_examples(self, const uint8_t* body, LabelsOf labels_of, void* codec)
    cdef list take_notes(self)
    cdef void refuse_halves(self, const Record* sums, int64_t oldest_ms, int64_t newest_ms) noexcept nogil


cdef inline Status push_row(Batch batch, int64_t ts_ms, double value) noexcept nogil:
    cdef size_t row = batch.rows
    cdef Status status
    if row == batch.rows_capacity:
        status = batch.grow_rows(1)
        if status != 0:
            return status
    batch.ts_ms[row] = ts_ms
    batch.value[row] = value
    batch.rows = row + 1
    return <Status>0


cdef inline void note_refused(Message* message, int reason, uint64_t rows) noexcept nogil:
    """Count refused rows or events of a message."""
    if rows and message.reason == ADMITTED:
        message.reason = <uint8_t>reason
    message.refused += rows


cdef inline int refusal_of(Status status) noexcept nogil:
    """The reason for which a fault refuses the record it stands in; ADMITTED where it ends the frame."""
    if status == UTF8_INVALID:
        return TEXT_NOT_UTF8
    if status == SYMBOL_OUT_OF_RANGE or status == SYMBOLS_ODD or status == SYMBOL_FIRST:
        return REFERENCE_INVALID
    if status == ENCODING_FOREIGN:
        return ENCODING_UNSUPPORTED
    if (status == TRUNCATED or status == VARINT_TOO_LONG or status == TAG_INVALID or status == WIRE_TYPE_WRONG
            or status == COLUMNS_UNEVEN or status == RUNS_WRONG or status == TIME_OVERFLOW
            or status >= LINE_INCOMPLETE):
        return RECORD_MALFORMED
    return ADMITTED


cdef inline void refuse_part(Batch batch, int reason, uint64_t told, uint64_t rows, const uint8_t* at) noexcept nogil:
    """Count a refused part that left no record. told: its number of samples, histograms and so on; rows: its rows."""
    cdef Example* example = &batch.first_refused[reason]
    batch.refused_counts[reason] += told
    batch.refused_row_counts[reason] += rows
    batch.rows_received += rows
    if batch.messages:
        note_refused(&batch.message[batch.messages - 1], reason, rows)
    if example.at == NULL:
        example.at = at
        example.origin = NULL
        example.timed = False


cdef inline Status contain(Batch batch, Status status, uint64_t told, uint64_t rows, const uint8_t* at) noexcept nogil:
    """A fault refuses the record it stands in and no more. Returns OK, or what ends the frame."""
    cdef int reason
    if status == OK:
        return OK
    reason = refusal_of(status)
    if reason == ADMITTED:
        return status
    refuse_part(batch, reason, told, rows, at)
    return OK
