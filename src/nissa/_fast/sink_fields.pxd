# What a sink knows of its series, rows of them, and the fields of remote write that rows become (sink_series.pyx).

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cimport cython

cdef enum:
    UNKNOWN = 0
    DROPPED = 1
    SENT = 2

cdef enum:
    SAMPLE_BYTES_MAX = 2 + 9 + 11   # tag and length, value, time
    SERIES_BYTES_MAX = 11 + 11      # tag and length of a TimeSeries and of its references
    METADATA_BYTES_MAX = 2 + 2 + 6 + 6
    SYMBOL_BYTES_MAX = 6            # tag and length
    REF_BYTES_MAX = 5
    SHARDS_MAX = 256
    SORTED_HERE_MAX = 64    # rows of one series; more are left to a sort that bears any order

cdef enum: ROW_NONE = 0xFFFFFFFF

cdef struct Sent:
    uint64_t head           # where its labels begin in ``heads``
    uint64_t refs           # its first symbol in ``pairs``
    uint32_t head_size
    uint32_t ref_count
    uint32_t help           # symbols
    uint32_t unit
    uint32_t first_row      # of the rows being ordered; ROW_NONE: none
    uint32_t last_row
    uint8_t state
    uint8_t shard
    uint8_t kind            # MetricType
    uint8_t uneven          # its rows are not in order of time

cdef struct Symbol:
    uint64_t start          # in ``texts``
    uint32_t size
    uint32_t request        # the request it was numbered for
    uint32_t number         # there

cdef struct Bytes:          # grows at the boundary
    uint8_t* at
    size_t size
    size_t capacity

cdef struct Rows:
    const uint32_t* series
    const int64_t* ts_ms
    const uint64_t* bits
    size_t count


cdef inline size_t end_of_series(const Rows* rows, size_t first) noexcept nogil:
    cdef size_t end = first + 1
    while end < rows.count and rows.series[end] == rows.series[first]:
        end += 1
    return end


cdef inline uint32_t number_of(Symbol* symbols, uint32_t symbol, uint32_t request, uint32_t* order, size_t* used,
                               size_t* size) noexcept nogil:
    """Number of a symbol in the symbol table; a new one adds its bytes to ``size``."""
    cdef Symbol* one = &symbols[symbol]
    if one.request != request:
        one.request, one.number = request, <uint32_t>used[0]
        order[used[0]] = symbol
        used[0] += 1
        size[0] += SYMBOL_BYTES_MAX + one.size
    return one.number


@cython.overflowcheck(False)
cdef inline size_t samples_size(const Rows* rows, size_t first, size_t end) noexcept nogil:
    cdef size_t row, size = 0
    for row in range(first, end):
        size += 2 + 9 + 1 + varint_size(<uint64_t>rows.ts_ms[row])
    return size


@cython.overflowcheck(False)
cdef inline uint8_t* put_samples(const Rows* rows, size_t first, size_t end, uint8_t* at) noexcept nogil:
    """samples=2 { value=1, timestamp=2 }, in both versions."""
    cdef size_t row
    cdef uint8_t* start
    for row in range(first, end):
        start = at
        at[0], at[2], at[11] = 2 << 3 | 2, 1 << 3 | 1, 2 << 3
        memcpy(at + 3, &rows.bits[row], 8)
        at = put_varint(<uint64_t>rows.ts_ms[row], at + 12)
        start[1] = <uint8_t>(at - start - 2)
    return at


cdef inline size_t metadata_size(uint8_t kind, const uint32_t* numbers) noexcept nogil:
    """Bytes of the message; 0 for none. numbers: of help and unit in the symbol table."""
    cdef size_t size = 2 if kind else 0
    if numbers[0]:
        size += 1 + varint_size(numbers[0])
    if numbers[1]:
        size += 1 + varint_size(numbers[1])
    return size


cdef inline uint8_t* put_metadata(uint8_t kind, const uint32_t* numbers, size_t size, uint8_t* at) noexcept nogil:
    """metadata=5 { type=1, help_ref=3, unit_ref=4 }"""
    at[0], at[1] = 5 << 3 | 2, <uint8_t>size
    at += 2
    if kind:
        at[0], at[1] = 1 << 3, kind
        at += 2
    if numbers[0]:
        at[0] = 3 << 3
        at = put_varint(numbers[0], at + 1)
    if numbers[1]:
        at[0] = 4 << 3
        at = put_varint(numbers[1], at + 1)
    return at


@cython.overflowcheck(False)
cdef inline size_t varint_size(uint64_t number) noexcept nogil:
    cdef size_t size = 1
    while number >= 128:
        number >>= 7
        size += 1
    return size


@cython.overflowcheck(False)
cdef inline uint8_t* put_varint(uint64_t number, uint8_t* at) noexcept nogil:
    while number >= 128:
        at[0] = <uint8_t>(number & 127) | 128
        number >>= 7
        at += 1
    at[0] = <uint8_t>number
    return at + 1
