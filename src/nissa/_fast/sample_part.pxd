# Three columns of samples that the compiled modules walk side by side, and pointers to the first value of a column.
#
# A pointer is NULL where the column is empty; whoever points keeps the arrays alive.

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef struct Part:
    const uint32_t* series
    const int64_t* ts_ms
    const uint64_t* bits    # of the values, which are doubles
    size_t rows
    size_t first            # row number of its first row, for who counts rows over several parts


cdef inline int point_part(Part* part, const uint32_t[::1] series, const int64_t[::1] ts_ms, value) except -1:
    """Point at three columns. value: float64. Raises: ValueError for columns of different lengths."""
    cdef const uint64_t[::1] bits = value.view("uint64")
    if series.shape[0] != ts_ms.shape[0] or series.shape[0] != bits.shape[0]:
        lengths = f"{series.shape[0]} series, {ts_ms.shape[0]} times, {bits.shape[0]} values"
        raise ValueError(f"columns of different lengths: {lengths}")
    part.rows = series.shape[0]
    part.series = &series[0] if part.rows else NULL
    part.ts_ms = &ts_ms[0] if part.rows else NULL
    part.bits = &bits[0] if part.rows else NULL
    return 0


cdef inline uint64_t* u64(uint64_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


cdef inline int64_t* i64(int64_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


cdef inline uint32_t* u32(uint32_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


cdef inline uint8_t* u8(uint8_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL
