# Steps that remote write 1.0 and 2.0 share: their samples are the same message, and a histogram's series are named
# alike.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from nissa._fast.batch cimport Batch, Example, push_row, refusal_of, refuse_part
from nissa._fast.cursor cimport VARINT, Cursor, cursor_in, no_text, read_double, read_tag, read_varint, skip_field
from nissa._fast.fields cimport is_name
from nissa._fast.hash cimport Secret
from nissa._fast.histogram cimport FLOATS, HISTOGRAM_COUNT, HistogramValue, push_histograms, walk_histogram
from nissa._fast.types cimport (ADMITTED, HISTOGRAM_INVALID, LABELS_MAX, OK, REFUSALS, SCRATCH_BYTES, SERIES_EMPTY,
                                WIRE_TYPE_WRONG, Fingerprint, LabelList, Record, Status, Text)

# A tag as it is compared: field number << 3 | wire type.
cdef enum:
    TAG_SAMPLE = 2 << 3 | 2         # of a TimeSeries, in both versions
    TAG_SAMPLE_VALUE = 1 << 3 | 1
    TAG_SAMPLE_TIME = 2 << 3 | 0


# What a series was found to have beside its samples.
cdef struct Found:
    uint32_t histograms     # sound ones
    uint32_t exemplars      # sound ones
    uint32_t faults         # samples and histograms that were refused by themselves
    uint32_t refs           # references to labels
    int refusal             # why the series is refused as a whole, or ADMITTED
    bint broken             # its framing is: what stands behind the fault is not known


cdef inline bint read_time(Cursor* cursor, uint64_t* out) noexcept nogil:
    """A varint of six bytes: any time from 1971 (2^35 ms) to 2109 (2^42 ms). Others by read_varint."""
    cdef const uint8_t* at = cursor.at
    if cursor.end - at == 6 and at[5] < 0x80 and (at[0] & at[1] & at[2] & at[3] & at[4]) >= 0x80:
        out[0] = ((<uint64_t>(at[0] & 0x7F)) | (<uint64_t>(at[1] & 0x7F) << 7) | (<uint64_t>(at[2] & 0x7F) << 14)
                  | (<uint64_t>(at[3] & 0x7F) << 21) | (<uint64_t>(at[4] & 0x7F) << 28) | (<uint64_t>at[5] << 35))
        cursor.at = at + 6
        return True
    return read_varint(cursor, out) == OK


cdef inline bint read_plain_sample(Cursor* cursor, Batch batch, Status* status) noexcept nogil:
    """The sample every sender writes, ``tag length 09 value 10 time``, or no step at all (then: False)."""
    cdef const uint8_t* at = cursor.at
    cdef Cursor inner
    cdef uint64_t number = 0
    cdef double value
    if cursor.end - at < 12 or at[1] >= 0x80 or at[1] < 10 or cursor.end - at < 2 + at[1]:
        return False
    if at[2] != TAG_SAMPLE_VALUE or at[11] != TAG_SAMPLE_TIME:
        return False
    memcpy(&value, at + 3, 8)
    inner.at = at + 12
    inner.end = at + 2 + at[1]
    if not read_time(&inner, &number) or inner.at != inner.end:
        return False
    cursor.at = inner.end
    status[0] = push_row(batch, <int64_t>number, value)
    return True


cdef inline Status walk_sample(Batch batch, Text message, bint second) noexcept nogil:
    """A Sample in any order of fields; the last of a repeated field holds, an absent one is 0."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0, start = 0
    cdef double value = 0.0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_SAMPLE_VALUE:
            status = read_double(&cursor, &value)
        elif tag == TAG_SAMPLE_TIME:
            status = read_varint(&cursor, &number)
        elif second and tag == (3 << 3 | VARINT):
            status = read_varint(&cursor, &start)
        elif tag >> 3 == 1 or tag >> 3 == 2 or (second and tag >> 3 == 3):
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    status = push_row(batch, <int64_t>number, value)
    if status == OK and start != 0 and <int64_t>start < <int64_t>number:
        status = batch.push_start(<int64_t>start)
    return status


cdef inline Status refuse_in(Batch batch, int reason, uint64_t told, uint64_t rows, Text message,
                             Text series) noexcept nogil:
    """Refuse a part of a series by itself."""
    cdef Example* example = &batch.first_refused[reason]
    cdef bint first = example.at == NULL
    refuse_part(batch, reason, told, rows, message.at)
    if first:
        example.origin = series.at
        example.origin_size = series.size
        example.kind = FLOATS
    return OK


cdef inline Status find_sample(Batch batch, Text message, Text series, bint second, Found* found) noexcept nogil:
    """A Sample that read_plain_sample did not take: pushed, or refused by itself."""
    cdef Status status = walk_sample(batch, message, second)
    if status == OK or refusal_of(status) == ADMITTED:
        return status
    found.faults += 1
    return refuse_in(batch, refusal_of(status), 1, 1, message, series)


cdef inline Status find_histogram(Batch batch, Text message, Text series, bint second, Found* found) noexcept nogil:
    """A histogram: counted as sound, or refused by itself. push_histograms reads the sound ones again."""
    cdef HistogramValue histogram
    cdef Example* example = &batch.first_refused[<int>HISTOGRAM_INVALID]
    cdef bint first = example.at == NULL
    cdef Status status = batch.count_part()
    if status != OK:
        return status
    status = walk_histogram(message, second, &histogram)
    if status == OK and histogram.sound:
        found.histograms += 1
        return OK
    found.faults += 1
    if status != OK:
        return refuse_in(batch, refusal_of(status), 1, 2, message, series)
    if first:
        example.ts_ms = histogram.ts_ms
    refuse_in(batch, HISTOGRAM_INVALID, 1, 2, message, series)
    example.timed = True
    return OK


cdef inline Status find_exemplar(Batch batch, Status status, Text message, Text series, Found* found) noexcept nogil:
    """Count an exemplar that was read with this status. A refused one is counted as refused, and is no row."""
    if status == OK:
        found.exemplars += 1
        return batch.count_part()
    return refuse_in(batch, refusal_of(status), 1, 0, message, series)


cdef inline Status break_series(Status status, Found* found) noexcept nogil:
    """The framing of a series breaks here. Returns OK, or what ends the frame."""
    if refusal_of(status) == ADMITTED:
        return status
    found.refusal = refusal_of(status)
    found.broken = True
    return OK


cdef inline void refuse_series(Batch batch, Text message, const Found* found) noexcept nogil:
    """Count what a series that is refused as a whole has beside its float samples.

    What stands behind broken framing counts as one, and so does a series of nothing.
    """
    cdef int reason
    cdef uint64_t more = found.broken
    if batch.records[batch.record_count - 1].rows == 0 and found.histograms == 0 and found.faults == 0:
        more = 1
    for reason in range(<int>REFUSALS):
        if batch.first_refused[reason].origin == message.at:
            batch.first_refused[reason].origin = NULL   # its labels may refer to nothing
    if found.refusal == SERIES_EMPTY:
        refuse_in(batch, SERIES_EMPTY, more, more, message, message)
    elif found.histograms or more:
        refuse_part(batch, found.refusal, found.histograms + more, 2 * <uint64_t>found.histograms + more, message.at)


cdef inline Status end_series(const Secret* secret, Batch batch, Text message, const Found* found, uint32_t wanted,
                              bint second) noexcept nogil:
    """The record pushed last is at its end: its histograms get records of their own, and one without rows goes."""
    cdef Record* record = &batch.records[batch.record_count - 1]
    cdef size_t index = batch.record_count - 1
    cdef Fingerprint key = record.key
    cdef Status status
    record.rows = <uint32_t>batch.rows - record.first_row
    record.exemplars = found.exemplars
    if found.refusal != ADMITTED:
        record.refusal = <uint8_t>found.refusal
        refuse_series(batch, message, found)
    if record.rows == 0:
        batch.record_count -= 1             # what comes next stands in its place, and brings its exemplars
    if found.histograms == 0 or found.refusal != ADMITTED:
        return OK
    status = push_histograms(secret, batch, message, key, wanted, second)
    if status == OK:
        batch.records[index].exemplars = found.exemplars
    return status


cdef inline void name_by_kind(LabelList* labels, uint32_t kind) noexcept nogil:
    """Append ``_count`` or ``_sum`` to the metric name of a histogram's series, if it has one."""
    cdef uint32_t index, tail = 6 if kind == HISTOGRAM_COUNT else 4
    cdef Text* value
    if kind == FLOATS:
        return
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        value = &labels.label[index].value
        if not is_name(labels.label[index].name) or value.size == 0:
            continue
        if value.size + tail > SCRATCH_BYTES - labels.scratch_used:
            labels.scratch_used = SCRATCH_BYTES + 1
            return
        memcpy(labels.scratch + labels.scratch_used, value.at, value.size)
        memcpy(labels.scratch + labels.scratch_used + value.size, b"_count" if kind == HISTOGRAM_COUNT else b"_sum",
               tail)
        value.at = labels.scratch + labels.scratch_used
        value.size += tail
        labels.scratch_used += value.size


cdef inline Text without_suffix(Text name, const char* suffix, uint32_t size) noexcept nogil:
    """The name without a suffix, where it has it and is longer."""
    if name.size > size and memcmp(name.at + name.size - size, suffix, size) == 0:
        name.size -= size
    return name
