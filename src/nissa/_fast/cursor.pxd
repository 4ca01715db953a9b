# The inline cursor: every byte of a frame is read through the functions of this file, and every bounds check is in it.
#
# A cursor is two pointers, [at, end). A read either succeeds, moves `at` behind what it read and returns OK, or returns
# what is wrong and leaves `at` where it was: the position to report. Rules are those of the protobuf wire format, read
# strictly: varints of at most 64 bits, tags and lengths of at most 32, no groups.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.types cimport OK, TAG_INVALID, TRUNCATED, UTF8_INVALID, VARINT_TOO_LONG, WIRE_TYPE_WRONG, Status, Text

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end

cdef extern from *:
    """
    #define NISSA_HIGH_BITS 0x8080808080808080ULL
    """
    const uint64_t UTF8_HIGH_BITS "NISSA_HIGH_BITS"

cdef enum WireType:
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


cdef inline Cursor cursor_over(const uint8_t* at, size_t size) noexcept nogil:
    cdef Cursor cursor
    cursor.at = at
    cursor.end = at + size
    return cursor


cdef inline Text no_text() noexcept nogil:
    cdef Text text
    text.at = NULL
    text.size = 0
    return text


cdef inline Cursor cursor_in(Text text) noexcept nogil:
    return cursor_over(text.at, text.size)


cdef inline size_t bytes_left(const Cursor* cursor) noexcept nogil:
    return <size_t>(cursor.end - cursor.at)


cdef inline Status read_long_varint(Cursor* cursor, int bytes_max, uint64_t* out) noexcept nogil:
    """The general case of read_varint: at most bytes_max bytes, and no bit beyond the 64th."""
    cdef const uint8_t* at = cursor.at
    cdef uint64_t value = 0
    cdef int index
    for index in range(bytes_max):
        if at >= cursor.end:
            return TRUNCATED
        if index == 9 and at[0] > 1:
            return VARINT_TOO_LONG
        value |= <uint64_t>(at[0] & 0x7F) << (7 * index)
        if at[0] < 0x80:
            cursor.at = at + 1
            out[0] = value
            return OK
        at += 1
    return VARINT_TOO_LONG


cdef inline Status read_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    if cursor.at < cursor.end and cursor.at[0] < 0x80:
        out[0] = cursor.at[0]
        cursor.at += 1
        return OK
    return read_long_varint(cursor, 10, out)


cdef inline Status read_tag(Cursor* cursor, uint32_t* out) noexcept nogil:
    """A tag: field number << 3 | wire type. Field number 0 is refused."""
    cdef uint64_t tag = 0
    cdef const uint8_t* before = cursor.at
    cdef Status status
    if cursor.at < cursor.end and cursor.at[0] < 0x80:
        tag = cursor.at[0]
        cursor.at += 1
    else:
        status = read_long_varint(cursor, 5, &tag)
        if status != OK:
            return status
    if tag < 8 or tag >> 32 != 0:
        cursor.at = before
        return TAG_INVALID
    out[0] = <uint32_t>tag
    return OK


cdef inline Status read_bytes(Cursor* cursor, Text* out) noexcept nogil:
    """A length and that many bytes, which stay where they are."""
    cdef uint64_t size = 0
    cdef const uint8_t* before = cursor.at
    cdef Status status
    if cursor.at < cursor.end and cursor.at[0] < 0x80:
        size = cursor.at[0]
        cursor.at += 1
    else:
        status = read_long_varint(cursor, 5, &size)
        if status != OK:
            return status
    if size > bytes_left(cursor) or size > 0x7FFFFFFF:
        cursor.at = before
        return TRUNCATED
    out.at = cursor.at
    out.size = <uint32_t>size
    cursor.at += size
    return OK


cdef inline Status read_fixed64(Cursor* cursor, uint64_t* out) noexcept nogil:
    if bytes_left(cursor) < 8:
        return TRUNCATED
    memcpy(out, cursor.at, 8)
    cursor.at += 8
    return OK


cdef inline Status read_double(Cursor* cursor, double* out) noexcept nogil:
    """Eight bytes, bit for bit: NaN payloads stay what they are."""
    if bytes_left(cursor) < 8:
        return TRUNCATED
    memcpy(out, cursor.at, 8)
    cursor.at += 8
    return OK


cdef inline Status read_fixed32(Cursor* cursor, uint32_t* out) noexcept nogil:
    if bytes_left(cursor) < 4:
        return TRUNCATED
    memcpy(out, cursor.at, 4)
    cursor.at += 4
    return OK


cdef inline Status skip_field(Cursor* cursor, uint32_t tag) noexcept nogil:
    """Step over the value of an unknown field."""
    cdef uint64_t number = 0
    cdef uint32_t word = 0
    cdef Text text
    cdef uint32_t wire = tag & 7
    if wire == VARINT:
        return read_varint(cursor, &number)
    if wire == BYTES:
        return read_bytes(cursor, &text)
    if wire == FIXED64:
        return read_fixed64(cursor, &number)
    if wire == FIXED32:
        return read_fixed32(cursor, &word)
    return WIRE_TYPE_WRONG


cdef inline int64_t zigzag(uint64_t number) noexcept nogil:
    """The signed integer that sint64 packs into number."""
    return <int64_t>(number >> 1) ^ -<int64_t>(number & 1)


cdef inline uint32_t utf8_sequence(const uint8_t* at, size_t left) noexcept nogil:
    """Bytes of the one well-formed character at `at` (RFC 3629: no overlong forms, no surrogates), or 0."""
    cdef uint8_t first = at[0]
    if first < 0x80:
        return 1
    if first < 0xC2 or first > 0xF4 or left < 2 or (at[1] & 0xC0) != 0x80:
        return 0
    if first < 0xE0:
        return 2
    if left < 3 or (at[2] & 0xC0) != 0x80:
        return 0
    if first < 0xF0:
        if (first == 0xE0 and at[1] < 0xA0) or (first == 0xED and at[1] > 0x9F):
            return 0
        return 3
    if left < 4 or (at[3] & 0xC0) != 0x80:
        return 0
    if (first == 0xF0 and at[1] < 0x90) or (first == 0xF4 and at[1] > 0x8F):
        return 0
    return 4


cdef inline Status check_utf8(Text text) noexcept nogil:
    cdef const uint8_t* at = text.at
    cdef const uint8_t* end = text.at + text.size
    cdef uint64_t eight = 0
    cdef uint32_t step
    while at < end:
        if end - at >= 8:
            memcpy(&eight, at, 8)
            if (eight & UTF8_HIGH_BITS) == 0:
                at += 8
                continue
        step = utf8_sequence(at, end - at)
        if step == 0:
            return UTF8_INVALID
        at += step
    return OK
