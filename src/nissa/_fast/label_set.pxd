# What makes a run of labels the label set of a series.
#
#   as a codec read them      b=2  a=1  c=""  __name__=up
#   arranged                  __name__=up  a=1  b=2              sorted by name, empty values dropped, rules checked
#   canonical bytes           8 __name__ 2 up 1 a 1 1 1 b 1 2    what an identity is the hash of; lengths are 4 bytes

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memmove

from nissa._fast.cursor cimport check_utf8
from nissa._fast.types cimport (ADMITTED, LABEL_DUPLICATE, LABEL_NAME_EMPTY, LABEL_TOO_LONG, LABELS_MAX,
                                LABELS_TOO_MANY, NAME_MISSING, OK, SCRATCH_BYTES, Label, LabelList, LabelsOf, Record,
                                Status, Text)

cdef struct LabelRules:
    uint32_t labels_max
    uint32_t name_bytes_max
    uint32_t value_bytes_max


cdef inline Status checked_labels(LabelsOf labels_of, void* codec, const Record* record,
                                  LabelList* labels) noexcept nogil:
    """Labels of a record, every one of them UTF-8."""
    cdef uint32_t index
    cdef Status status
    labels.count = 0
    labels.scratch_used = 0
    status = labels_of(codec, record, labels)
    if status != OK:
        return status
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        status = check_utf8(labels.label[index].name)
        if status != OK:
            return status
        status = check_utf8(labels.label[index].value)
        if status != OK:
            return status
    return OK


cdef inline int compare_text(Text left, Text right) noexcept nogil:
    cdef int order = memcmp(left.at, right.at, min(left.size, right.size))
    if order != 0:
        return order
    return (left.size > right.size) - (left.size < right.size)


cdef inline int arrange(LabelList* labels, const LabelRules* rules) noexcept nogil:
    """Drop labels with an empty value, sort by name, check the rules. Returns ADMITTED or a Refusal."""
    cdef uint32_t index, kept = 0, place, left, middle
    cdef Label label
    cdef bint named = False
    if labels.count > LABELS_MAX:
        return LABELS_TOO_MANY
    if labels.scratch_used > SCRATCH_BYTES:
        return LABEL_TOO_LONG
    for index in range(labels.count):
        label = labels.label[index]
        if label.name.size == 0:
            return LABEL_NAME_EMPTY
        if label.value.size == 0:
            continue
        if label.name.size > rules.name_bytes_max or label.value.size > rules.value_bytes_max:
            return LABEL_TOO_LONG
        if label.name.size == 8 and memcmp(label.name.at, b"__name__", 8) == 0:
            named = True
        if kept == rules.labels_max:
            return LABELS_TOO_MANY
        place = kept
        if kept > 0 and compare_text(labels.label[kept - 1].name, label.name) >= 0:
            left = 0                        # not in order: halve [left, place) until place is the first not below label
            while left < place:
                middle = (left + place) >> 1
                if compare_text(labels.label[middle].name, label.name) < 0:
                    left = middle + 1
                else:
                    place = middle
            if compare_text(labels.label[place].name, label.name) == 0:
                return LABEL_DUPLICATE
            memmove(&labels.label[place + 1], &labels.label[place], (kept - place) * sizeof(Label))
        labels.label[place] = label
        kept += 1
    labels.count = kept
    return ADMITTED if named else NAME_MISSING


cdef inline size_t append_text(uint8_t* out, size_t at, Text text) noexcept nogil:
    memcpy(out + at, &text.size, 4)
    if text.size:
        memcpy(out + at + 4, text.at, text.size)
    return at + 4 + text.size


cdef inline size_t canonical_size(const LabelList* labels) noexcept nogil:
    """Number of bytes that ``write_canonical`` writes."""
    cdef size_t size = 0
    cdef uint32_t index
    for index in range(labels.count):
        size += 8 + <size_t>labels.label[index].name.size + labels.label[index].value.size
    return size


cdef inline void write_canonical(const LabelList* labels, uint8_t* out) noexcept nogil:
    """Arranged labels as the bytes their identity is the hash of."""
    cdef size_t size = 0
    cdef uint32_t index
    for index in range(labels.count):
        size = append_text(out, size, labels.label[index].name)
        size = append_text(out, size, labels.label[index].value)
