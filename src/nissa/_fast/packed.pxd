# Packed columns of a protobuf message: one run of varints or doubles, in however many pieces it came.
#
# A repeated scalar field may stand as one packed run, as several, or as single elements. One run is used where it
# stands; anything else is joined first, so that the loops over a column see one run of bytes. Every piece holds whole
# elements only.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.cursor cimport (BYTES, FIXED64, VARINT, Cursor, cursor_in, read_bytes, read_tag, read_varint,
                                 skip_field, zigzag)
from nissa._fast.fields cimport no_text
from nissa._fast.types cimport OK, TIME_OVERFLOW, TRUNCATED, WIRE_TYPE_WRONG, Status, Text

cdef extern from *:
    """
    #define nissa_add_overflows(left, right, sum) __builtin_add_overflow(left, right, sum)
    """
    bint nissa_add_overflows(int64_t left, int64_t right, int64_t* sum) nogil

# A packed column: its bytes, and in how many pieces they came.
cdef struct Column:
    Text bytes
    uint32_t pieces


cdef inline Status note_column(Cursor* cursor, uint32_t tag, Column* column, bint doubles) noexcept nogil:
    """One piece of a packed column, or a single element, which makes it two pieces so that it is joined."""
    cdef uint32_t wire = tag & 7
    cdef Text piece
    cdef Status status
    if wire != BYTES:
        column.pieces += 2
        return skip_field(cursor, tag) if wire == <uint32_t>(FIXED64 if doubles else VARINT) else WIRE_TYPE_WRONG
    status = read_bytes(cursor, &piece)
    if status != OK:
        return status
    if piece.size and (piece.size % 8 != 0 if doubles else piece.at[piece.size - 1] >= 0x80):
        return TRUNCATED
    column.bytes = piece
    column.pieces += 1
    return OK


cdef inline size_t join_pieces(uint8_t* joined, size_t used, Text message, uint32_t field) noexcept nogil:
    """Append the pieces of one column behind ``used`` bytes; the form of the message is known to be sound."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text piece = no_text()
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag >> 3 != field:
            skip_field(&cursor, tag)
            continue
        piece.at = cursor.at
        if tag & 7 == BYTES:
            read_bytes(&cursor, &piece)
        else:
            skip_field(&cursor, tag)
            piece.size = <uint32_t>(cursor.at - piece.at)
        if piece.size:
            memcpy(joined + used, piece.at, piece.size)
            used += piece.size
    return used


cdef inline size_t count_varints(Text packed) noexcept nogil:
    """Number of varints in a run: one for each byte without the continuation bit."""
    cdef size_t index, count = 0
    for index in range(packed.size):
        count += packed.at[index] < 0x80
    return count


cdef inline Status read_run(Cursor* cursor, int64_t start_ms, int64_t* out, size_t count) noexcept nogil:
    """``count`` times, each counted from the one before."""
    cdef uint64_t number = 0
    cdef int64_t ts_ms = start_ms
    cdef size_t index
    cdef inline Status status
    for index in range(count):
        status = read_varint(cursor, &number)
        if status != OK:
            return status
        if nissa_add_overflows(ts_ms, zigzag(number), &ts_ms):
            return TIME_OVERFLOW
        out[index] = ts_ms
    return OK
