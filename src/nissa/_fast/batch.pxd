# What one frame is decoded into: rows of samples, and records that say which series each run of rows belongs to.
#
# The memory belongs to the Batch and is used again for the next frame; it grows with need up to the limits it was made
# with.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from nissa._fast.types cimport Fingerprint, Record, Status, Text

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
    # notes
    cdef Note* notes
    cdef size_t note_count
    cdef size_t note_capacity
    # claims
    cdef Claim* claims
    cdef readonly size_t claim_count
    cdef size_t claim_capacity
    # symbols of a frame that has a symbol table: their text and their hash
    cdef Text* symbols
    cdef void* symbol_hashes
    cdef size_t symbol_count
    cdef size_t symbol_capacity
    # counts of the frame
    cdef readonly size_t samples            # float samples accepted
    cdef readonly size_t histograms         # native histograms accepted
    cdef readonly size_t exemplars
    cdef readonly size_t events
    cdef readonly size_t series_new         # series admitted by this frame
    cdef readonly size_t missed             # records whose raw form was not known
    cdef uint64_t refused_counts[16]        # by Refusal, in samples and histograms: what a sender is told
    cdef uint64_t refused_row_counts[16]    # by Refusal, in rows (a histogram is two): what conservation counts
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
    cdef void settle(self, int64_t oldest_ms, int64_t newest_ms) noexcept nogil
    cdef fail(self, const uint8_t* body)
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
