"""Writes samples as a body of remote write 1.0: labels that are encoded once, samples many times.

    heads    b"\\n\\x0e…"  b"\\n\\x0e…"        labels of a series as they stand in a TimeSeries, encoded by the caller
    which    0  1  1  0 …                    one TimeSeries per row, of one sample

This file knows no names and no clock.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

cdef enum: SAMPLE_BYTES_MAX = 2 + 9 + 11    # tag and length, value, timestamp


# ---- Boundary --------------------------------------------------------------------------------------------------------

def series_body(list heads not None, const int64_t[::1] which not None, const int64_t[::1] ts_ms not None,
                 const double[::1] value not None):
    """A body with a TimeSeries for each row. which: the row's head, an index of ``heads``.

    ts_ms: Unix milliseconds, at least 0. Raises: ValueError for columns of different lengths or no such head.
    Cost: about 30 ns per row.
    """
    cdef size_t row, rows = which.shape[0], size = 0
    cdef bytes head
    cdef uint8_t* at
    cdef uint8_t* start
    if <size_t>ts_ms.shape[0] != rows or <size_t>value.shape[0] != rows:
        raise ValueError(f"{rows} rows with {ts_ms.shape[0]} times and {value.shape[0]} values")
    for row in range(rows):
        if not 0 <= which[row] < len(heads) or ts_ms[row] < 0:
            raise ValueError(f"row {row}: no head {which[row]}, or a time below 0")
        head = heads[which[row]]
        size += <size_t>PyBytes_GET_SIZE(head) + 11 + SAMPLE_BYTES_MAX
    out = bytearray(size)
    if not rows:
        return b""
    cdef uint8_t[::1] view = out
    start = at = &view[0]
    for row in range(rows):
        head = heads[which[row]]
        at = put_series(at, <const uint8_t*>PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), ts_ms[row], value[row])
    return bytes(memoryview(out)[:at - start])


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline uint8_t* put_series(uint8_t* at, const uint8_t* head, size_t head_size, int64_t ts_ms,
                                double value) noexcept nogil:
    """timeseries=1 { labels=1 …, samples=2 { value=1, timestamp=2 } }"""
    cdef size_t stamp = varint_size(ts_ms)
    at[0] = 1 << 3 | 2
    at = put_varint(at + 1, head_size + 2 + 9 + 1 + stamp)
    memcpy(at, head, head_size)
    at += head_size
    at[0] = 2 << 3 | 2
    at[1] = <uint8_t>(9 + 1 + stamp)
    at[2] = 1 << 3 | 1
    memcpy(at + 3, &value, 8)
    at[11] = 2 << 3
    return put_varint(at + 12, ts_ms)


cdef inline size_t varint_size(uint64_t number) noexcept nogil:
    cdef size_t size = 1
    while number >= 0x80:
        number >>= 7
        size += 1
    return size


cdef inline uint8_t* put_varint(uint8_t* at, uint64_t number) noexcept nogil:
    while number >= 0x80:
        at[0] = <uint8_t>(number | 0x80)
        at += 1
        number >>= 7
    at[0] = <uint8_t>number
    return at + 1
