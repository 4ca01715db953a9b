# Steps shared by the codecs of packets: fields of a protobuf message, each one read or checked in the wire type of its
# definition.
#
# Fields that are not stored are skipped in the wire type of their definition; their contents are not checked.
# They are described by a string, one letter for each field number from 0: b bytes, n varint, - unknown.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from nissa._fast.cursor cimport (BYTES, VARINT, Cursor, check_utf8, cursor_in, no_text, read_bytes,
                                 read_tag, read_varint, skip_field)
from nissa._fast.types cimport (LABELS_MAX, OK, SCRATCH_BYTES, TAG_INVALID, TIME_OVERFLOW, WIRE_TYPE_WRONG, Label,
                                LabelList, Status, Text)


cdef inline bint text_is(Text text, const char* wanted, uint32_t size) noexcept nogil:
    return text.size == size and (size == 0 or memcmp(text.at, wanted, size) == 0)


cdef inline Status read_text(Cursor* cursor, Text* out) noexcept nogil:
    """A string field's value; other bytes than UTF-8 are refused."""
    cdef Status status = read_bytes(cursor, out)
    return check_utf8(out[0]) if status == OK else status


cdef inline Status read_entry(Text message, bint of_map, Label* out) noexcept nogil:
    """A map entry of Leyline or a Label of nissa.v2: {1 name, 2 value}. The last of each holds, absent is empty.

    A map entry has these two fields by definition. With a third one, some readers keep the entry and some drop it: it
    is refused.
    """
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    out.name = no_text()
    out.value = no_text()
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 2):
            status = read_text(&cursor, &out.name)
        elif tag == (2 << 3 | 2):
            status = read_text(&cursor, &out.value)
        elif tag >> 3 <= 2:
            return WIRE_TYPE_WRONG
        elif of_map:
            return TAG_INVALID
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status read_moment(Text message, int64_t* seconds, int32_t* nanos) noexcept nogil:
    """A Timestamp or Duration. What it does not mention keeps its value: repeated ones merge as protobuf has it."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 0) or tag == (2 << 3 | 0):
            status = read_varint(&cursor, &number)
            if tag == (1 << 3 | 0):
                seconds[0] = <int64_t>number
            else:
                nanos[0] = <int32_t>(number & 0xFFFFFFFFU)
        elif tag >> 3 <= 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status moment_ms(int64_t seconds, int32_t nanos, int64_t* out) noexcept nogil:
    """Milliseconds, rounded down. The bound is a little inside 2^63."""
    cdef int64_t seconds_max = 9_223_372_036_854_000LL
    if seconds > seconds_max or seconds < -seconds_max:
        return TIME_OVERFLOW
    out[0] = seconds * 1000 + (nanos + 3_000_000_000LL) // 1_000_000 - 3_000  # shifted: a positive dividend
    return OK


cdef inline Status skip_known(Cursor* cursor, uint32_t tag, char kind) noexcept nogil:
    """Step over the value of one field whose kind is known."""
    if kind != c'-' and tag & 7 != <uint32_t>(VARINT if kind == c'n' else BYTES):
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef inline char kind_of(const char* kinds, uint32_t kind_count, uint32_t tag) noexcept nogil:
    """The kind of a tag's field in a description like those above."""
    return kinds[tag >> 3] if tag >> 3 < kind_count else <char>c'-'


cdef inline void add_label(LabelList* out, Label label) noexcept nogil:
    if out.count < LABELS_MAX:
        out.label[out.count] = label
        out.count += 1
    else:
        out.count = LABELS_MAX + 1


cdef inline bint same_bytes(Text left, Text right) noexcept nogil:
    """Texts of one size. The last bytes are compared first: names of one origin begin alike."""
    if left.size == 0:
        return True
    return left.at[left.size - 1] == right.at[left.size - 1] and memcmp(left.at, right.at, left.size) == 0


cdef inline void put_label(LabelList* out, Label label) noexcept nogil:
    """Add a label as a map takes an entry: the last of one name holds."""
    cdef uint32_t index
    if out.count > LABELS_MAX:
        return
    for index in range(out.count):
        if out.label[index].name.size == label.name.size and same_bytes(out.label[index].name, label.name):
            out.label[index].value = label.value
            return
    add_label(out, label)


cdef inline bint has_label(const LabelList* labels, const char* name, uint32_t size) noexcept nogil:
    cdef uint32_t index
    for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
        if text_is(labels.label[index].name, name, size):
            return True
    return False


cdef inline void add_default(LabelList* labels, const char* name, uint32_t size, Text value) noexcept nogil:
    """Add a label unless the sender gave one of that name, be it with an empty value."""
    cdef Label label
    if has_label(labels, name, size):
        return
    label.name.at = <const uint8_t*>name
    label.name.size = size
    label.value = value
    add_label(labels, label)


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


cdef inline void add_symbols(Cursor refs, const Text* symbols, uint32_t* count, Label* label,
                             LabelList* out) noexcept nogil:
    """Labels whose names and values are symbols in turn, by sound references. Half a pair waits in label."""
    cdef uint64_t symbol = 0
    while refs.at < refs.end:
        read_varint(&refs, &symbol)
        if count[0] & 1:
            label.value = symbols[symbol & 0xFFFFFFFFU]
            add_label(out, label[0])
        else:
            label.name = symbols[symbol & 0xFFFFFFFFU]
        count[0] += 1


cdef inline void step_over_short(Cursor* cursor, uint8_t tag) noexcept nogil:
    """Step over a run of fields with this one-byte tag and a one-byte length, as far as they are whole."""
    cdef const uint8_t* at = cursor.at
    cdef const uint8_t* end = cursor.end
    while end - at >= 2 and at[0] == tag and at[1] < 0x80 and end - at >= 2 + at[1]:
        at += 2 + at[1]
    cursor.at = at


cdef inline void add_name(LabelList* labels, Text name) noexcept nogil:
    """Add ``__name__``: the name with dots as underscores.

    A sender's own ``__name__`` label makes the series refused: it stands beside this one, a duplicate, or is emptied
    with it.
    """
    cdef Label label
    cdef uint32_t index
    cdef uint8_t* rewritten = labels.scratch + labels.scratch_used
    label.name.at = <const uint8_t*>b"__name__"
    label.name.size = 8
    label.value = name
    if name.size == 0:
        for index in range(min(labels.count, <uint32_t>LABELS_MAX)):
            if text_is(labels.label[index].name, b"__name__", 8):
                labels.label[index].value.size = 0
    if name.size > SCRATCH_BYTES - labels.scratch_used:
        labels.scratch_used = SCRATCH_BYTES + 1
        return
    for index in range(name.size):
        rewritten[index] = c'_' if name.at[index] == c'.' else name.at[index]
    label.value.at = rewritten
    labels.scratch_used += name.size
    add_label(labels, label)
