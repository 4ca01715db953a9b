# Steps that remote write 1.0 and 2.0 share: their samples are the same message, and a histogram's series are named
# alike.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from nissa._fast.batch cimport Batch, push_row
from nissa._fast.cursor cimport VARINT, Cursor, cursor_in, no_text, read_double, read_tag, read_varint, skip_field
from nissa._fast.histogram cimport FLOATS, HISTOGRAM_COUNT
from nissa._fast.types cimport LABELS_MAX, OK, SCRATCH_BYTES, WIRE_TYPE_WRONG, LabelList, Status, Text

# A tag as it is compared: field number << 3 | wire type.
cdef enum:
    TAG_SAMPLE = 2 << 3 | 2         # of a TimeSeries, in both versions
    TAG_SAMPLE_VALUE = 1 << 3 | 1
    TAG_SAMPLE_TIME = 2 << 3 | 0


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
    cdef uint64_t number = 0
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
        elif tag >> 3 == 1 or tag >> 3 == 2 or (second and tag >> 3 == 3 and tag & 7 != VARINT):
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return push_row(batch, <int64_t>number, value)


cdef inline bint is_name(Text text) noexcept nogil:
    return text.size == 8 and memcmp(text.at, b"__name__", 8) == 0


cdef inline Text name_in(const LabelList* labels) noexcept nogil:
    """The value of ``__name__``, empty where there is none."""
    cdef Text name = no_text()
    cdef uint32_t index
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        if is_name(labels.label[index].name) and labels.label[index].value.size:
            name = labels.label[index].value
    return name


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
