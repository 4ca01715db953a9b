# Attributes and values of OTLP, and how a value reads as text.
#
#   KeyValue   1 key  2 AnyValue             AnyValue   1 string  2 bool  3 int  4 double  5 array  6 kvlist  7 bytes
#
#   string          as it is, where it stands
#   bool, int       true, 42
#   double          the fewest digits that read back the same: 0.1, 1e+21, NaN, +Inf
#   bytes           base64
#   array, kvlist   JSON without spaces, in the order of the sender; numbers that JSON does not have are strings
#   none            empty; in JSON null
#
# Text that does not stand in the body is written through a Writer, which checks its room in one place. A message that
# may stand once is refused where it stands twice: protobuf would merge the two.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.cursor cimport (BYTES, Cursor, cursor_in, no_text, read_bytes, read_double, read_tag, read_varint,
                                 skip_field)
from nissa._fast.shortest cimport NUMBER_BYTES, PowerOfTen, put_digits, put_number
from nissa._fast.types cimport FIELD_TWICE, NESTED_TOO_DEEP, OK, WIRE_TYPE_WRONG, Status, Text

cdef enum:
    DEPTH_MAX = 32          # of arrays and lists inside one another

cdef enum ValueKind:        # field numbers of AnyValue
    NO_VALUE = 0
    TEXT_VALUE = 1
    BOOL_VALUE = 2
    INT_VALUE = 3
    DOUBLE_VALUE = 4
    ARRAY_VALUE = 5
    LIST_VALUE = 6
    BYTES_VALUE = 7

cdef struct Attribute:
    Text key
    Text value              # the AnyValue; at is NULL where there is none

cdef struct Value:
    uint32_t kind
    Text text               # of a string, bytes, an array or a list
    uint64_t number         # of a bool or int
    double real

# Where text is written. full: it did not fit, and what was written is cut.
cdef struct Writer:
    uint8_t* at
    uint8_t* end
    const PowerOfTen* powers
    bint full

cdef extern from *:
    """
    static const char nissa_base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char nissa_hex[] = "0123456789abcdef";
    """
    const char* BASE64 "nissa_base64"
    const char* HEX "nissa_hex"


cdef inline Status read_attribute(Text message, Attribute* out) noexcept nogil:
    """A KeyValue: key=1, value=2. The last key holds."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    out.key = no_text()
    out.value = no_text()
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == (1 << 3 | 2):
            status = read_bytes(&cursor, &out.key)
        elif tag == (2 << 3 | 2):
            if out.value.at != NULL:
                return FIELD_TWICE
            status = read_bytes(&cursor, &out.value)
        elif tag >> 3 <= 2:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status read_value(Text message, Value* out) noexcept nogil:
    """An AnyValue. What stands inside an array or a list is not looked at."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    out.kind = NO_VALUE
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag >> 3 > BYTES_VALUE:
            status = skip_field(&cursor, tag)
        elif out.kind != NO_VALUE:
            return FIELD_TWICE
        elif tag == (BOOL_VALUE << 3 | 0) or tag == (INT_VALUE << 3 | 0):
            status = read_varint(&cursor, &out.number)
        elif tag == (DOUBLE_VALUE << 3 | 1):
            status = read_double(&cursor, &out.real)
        elif tag & 7 == BYTES and tag >> 3 != BOOL_VALUE and tag >> 3 != INT_VALUE and tag >> 3 != DOUBLE_VALUE:
            status = read_bytes(&cursor, &out.text)
        else:
            return WIRE_TYPE_WRONG
        if status != OK:
            return status
        if tag >> 3 <= BYTES_VALUE:
            out.kind = tag >> 3
    return OK


cdef inline Status text_of_value(Text message, Writer* writer, Text* out) noexcept nogil:
    """An AnyValue as text: where it stands in the body, or written."""
    cdef Value value
    cdef uint8_t* begin = writer.at
    cdef Status status = read_value(message, &value)
    out[0] = no_text()
    if status != OK or value.kind == NO_VALUE:
        return status
    if value.kind == TEXT_VALUE:
        out[0] = value.text
        return OK
    status = put_value(writer, &value, 0)
    out.at, out.size = begin, <uint32_t>(writer.at - begin)
    return status


cdef inline Status put_value(Writer* writer, const Value* value, uint32_t depth) noexcept nogil:
    """A value as text, or (depth > 0) as it stands inside of JSON."""
    if value.kind == BOOL_VALUE:
        if value.number:
            put_bytes(writer, <const uint8_t*>b"true", 4)
        else:
            put_bytes(writer, <const uint8_t*>b"false", 5)
    elif value.kind == INT_VALUE:
        put_int(writer, <int64_t>value.number)
    elif value.kind == DOUBLE_VALUE:
        put_real(writer, value.real, depth > 0)
    elif value.kind == BYTES_VALUE:
        put_quote(writer, depth)
        put_base64(writer, value.text)
        put_quote(writer, depth)
    elif value.kind == TEXT_VALUE:
        put_json_text(writer, value.text)
    elif value.kind == ARRAY_VALUE or value.kind == LIST_VALUE:
        return put_json(writer, value.text, value.kind == LIST_VALUE, depth)
    else:
        put_bytes(writer, <const uint8_t*>b"null", 4)
    return OK


cdef inline Status put_json(Writer* writer, Text message, bint list_, uint32_t depth) noexcept nogil:
    """An ArrayValue or KeyValueList: values=1 in both."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef bint first = True
    cdef Text field
    cdef Attribute pair
    cdef Value value
    cdef Status status
    if depth >= <uint32_t>DEPTH_MAX:
        return NESTED_TOO_DEEP
    put_byte(writer, c'{' if list_ else c'[')
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag != (1 << 3 | 2):
            if tag >> 3 == 1:
                return WIRE_TYPE_WRONG
            status = skip_field(&cursor, tag)
            if status != OK:
                return status
            continue
        status = read_bytes(&cursor, &field)
        if not first:
            put_byte(writer, c',')
        first = False
        if status == OK and list_:
            status = read_attribute(field, &pair)
            if status == OK:
                put_json_text(writer, pair.key)
                put_byte(writer, c':')
                field = pair.value
        if status == OK:
            status = read_value(field, &value)
        if status == OK:
            status = put_value(writer, &value, depth + 1)
        if status != OK:
            return status
    put_byte(writer, c'}' if list_ else c']')
    return OK


cdef inline void put_byte(Writer* writer, uint8_t byte) noexcept nogil:
    if writer.at < writer.end:
        writer.at[0] = byte
        writer.at += 1
    else:
        writer.full = True


cdef inline void put_bytes(Writer* writer, const uint8_t* at, size_t size) noexcept nogil:
    if size > <size_t>(writer.end - writer.at):
        writer.full = True
    elif size:
        memcpy(writer.at, at, size)
        writer.at += size


cdef inline void put_text(Writer* writer, Text text) noexcept nogil:
    put_bytes(writer, text.at, text.size)


cdef inline void put_quote(Writer* writer, uint32_t depth) noexcept nogil:
    """A quotation mark, inside of JSON."""
    if depth:
        put_byte(writer, c'"')


cdef inline void put_int(Writer* writer, int64_t number) noexcept nogil:
    cdef uint8_t[24] digits
    cdef uint64_t size = <uint64_t>number
    if number < 0:
        put_byte(writer, c'-')
        size = ~size + 1
    put_bytes(writer, &digits[0], put_digits(size, &digits[0]) - &digits[0])


cdef inline void put_real(Writer* writer, double number, bint in_json) noexcept nogil:
    """A double; inside of JSON one that is not finite is a string."""
    cdef uint8_t[NUMBER_BYTES] digits
    cdef bint quoted = in_json and number - number != 0.0
    cdef uint8_t* end = put_number(number, writer.powers, &digits[0])
    put_quote(writer, quoted)
    put_bytes(writer, &digits[0], end - &digits[0])
    put_quote(writer, quoted)


cdef inline void put_base64(Writer* writer, Text text) noexcept nogil:
    cdef uint32_t place = 0, word
    while text.size - place >= 3:
        word = (<uint32_t>text.at[place] << 16) | (<uint32_t>text.at[place + 1] << 8) | text.at[place + 2]
        put_byte(writer, BASE64[word >> 18])
        put_byte(writer, BASE64[(word >> 12) & 63])
        put_byte(writer, BASE64[(word >> 6) & 63])
        put_byte(writer, BASE64[word & 63])
        place += 3
    if place == text.size:
        return
    word = <uint32_t>text.at[place] << 16
    if text.size - place == 2:
        word |= <uint32_t>text.at[place + 1] << 8
    put_byte(writer, BASE64[word >> 18])
    put_byte(writer, BASE64[(word >> 12) & 63])
    put_byte(writer, BASE64[(word >> 6) & 63] if text.size - place == 2 else c'=')
    put_byte(writer, c'=')


cdef inline void put_hex(Writer* writer, Text text) noexcept nogil:
    cdef uint32_t place
    for place in range(text.size):
        put_byte(writer, HEX[text.at[place] >> 4])
        put_byte(writer, HEX[text.at[place] & 15])


cdef inline void put_json_text(Writer* writer, Text text) noexcept nogil:
    """A string of JSON: quotation marks, backslashes and control characters escaped."""
    cdef uint32_t place, plain = 0
    cdef uint8_t byte
    put_byte(writer, c'"')
    for place in range(text.size):
        byte = text.at[place]
        if byte >= 0x20 and byte != c'"' and byte != c'\\':
            continue
        put_bytes(writer, text.at + plain, place - plain)
        plain = place + 1
        put_byte(writer, c'\\')
        if byte == c'"' or byte == c'\\':
            put_byte(writer, byte)
        elif byte == c'\n':
            put_byte(writer, c'n')
        elif byte == c'\r':
            put_byte(writer, c'r')
        elif byte == c'\t':
            put_byte(writer, c't')
        else:
            put_bytes(writer, <const uint8_t*>b"u00", 3)
            put_byte(writer, HEX[byte >> 4])
            put_byte(writer, HEX[byte & 15])
    put_bytes(writer, text.at + plain, text.size - plain)
    put_byte(writer, c'"')
