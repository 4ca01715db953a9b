"""Chooses rows of sample columns, and compares rows with those already in blocks.

    head      7 @10  1.0    7 @20  2.0    7 @30  5.0
    block                   7 @20  2.0    7 @30  4.0
    standing  absent        equal         wins

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from nissa._fast.sample cimport beats, comes_after
from nissa._fast.sample_part cimport Part, i64, point_part, u32, u64

import numpy as np

# How a row of a sorted head stands to the samples of a block; larger is decisive .
cdef enum Standing:
    ABSENT = 0
    WINS = 1                # the block has another value, which this row beats
    EQUAL = 2
    LOSES = 3



# ---- Boundary --------------------------------------------------------------------------------------------------------

def select_rows(const uint32_t[::1] series, const int64_t[::1] ts_ms, value, const uint8_t[::1] wanted,
                int64_t start_ms, int64_t end_ms):
    """The rows of wanted series with start_ms <= ts_ms < end_ms, in their order.

    series uint32, ts_ms int64, value float64: shape (n,). wanted uint8, by series id: not 0 where wanted; ids past
    its end are not.
    Returns: (series, ts_ms, value) as new arrays.
    GIL: released. Cost: 1 to 2 ns per row looked at, 3 ns per row chosen.
    """
    cdef Part part
    cdef size_t chosen
    cdef const uint8_t* mask = &wanted[0] if wanted.shape[0] else NULL
    cdef size_t mask_size = wanted.shape[0]
    point_part(&part, series, ts_ms, value)
    with nogil:
        chosen = count_chosen(&part, mask, mask_size, start_ms, end_ms)
    out_series, out_ts, out_bits = np.empty(chosen, np.uint32), np.empty(chosen, np.int64), np.empty(chosen, np.uint64)
    cdef uint32_t* series_at = u32(out_series)
    cdef int64_t* ts_at = i64(out_ts)
    cdef uint64_t* bits_at = u64(out_bits)
    if chosen:
        with nogil:
            choose_rows(&part, mask, mask_size, start_ms, end_ms, series_at, ts_at, bits_at, chosen)
    return out_series, out_ts, out_bits.view(np.float64)


def against_sorted(series, ts_ms, value, block_series, block_ts_ms, block_value, uint8_t[::1] standing):
    """Compares sorted rows with sorted rows of a block: raises ``standing`` row by row, never lowers it.

    All columns sorted by (series, ts), without two equal keys on one side. standing uint8, parallel to series:
        0 not in the block, 1 in it with a value this row beats, 2 equal bits, 3 in it with a value that beats this row.
    Calling it for one block after another leaves how the row stands to the winner of them all.
    GIL: released. Cost: 3 ns per row of the block that lies in the range of the rows.
    """
    cdef Part rows, block
    point_part(&rows, series, ts_ms, value)
    point_part(&block, block_series, block_ts_ms, block_value)
    if <size_t>standing.shape[0] != rows.rows:
        raise ValueError(f"standing has {standing.shape[0]} rows, expected {rows.rows}")
    if rows.rows and block.rows:
        with nogil:
            compare_sorted(&rows, &block, &standing[0])


def first_unsorted(const uint32_t[::1] series, const int64_t[::1] ts_ms):
    """The first row that does not come strictly after the one before it by (series, ts), or -1.

    GIL: released. Cost: 1 ns per row.
    """
    cdef size_t rows = same_length(series, ts_ms)
    cdef size_t at = rows
    if rows:
        with nogil:
            at = find_unsorted(&series[0], &ts_ms[0], rows)
    return -1 if at == rows else at


cdef size_t same_length(const uint32_t[::1] series, const int64_t[::1] ts_ms) except? 0:
    if series.shape[0] != ts_ms.shape[0]:
        raise ValueError(f"columns of different lengths: {series.shape[0]} series, {ts_ms.shape[0]} times")
    return series.shape[0]


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t count_chosen(const Part* part, const uint8_t* mask, size_t mask_size, int64_t start_ms,
                         int64_t end_ms) noexcept nogil:
    cdef size_t row, chosen = 0
    for row in range(part.rows):
        chosen += is_chosen(part, row, mask, mask_size, start_ms, end_ms)
    return chosen


cdef void choose_rows(const Part* part, const uint8_t* mask, size_t mask_size, int64_t start_ms, int64_t end_ms,
                      uint32_t* series, int64_t* ts_ms, uint64_t* bits, size_t chosen) noexcept nogil:
    cdef size_t row = 0, at = 0
    while at < chosen:
        if is_chosen(part, row, mask, mask_size, start_ms, end_ms):
            series[at] = part.series[row]
            ts_ms[at] = part.ts_ms[row]
            bits[at] = part.bits[row]
            at += 1
        row += 1


cdef void compare_sorted(const Part* rows, const Part* block, uint8_t* standing) noexcept nogil:
    """Walk both in step, from the first row that is not before the block's first."""
    cdef size_t row = lower_bound(rows, block.series[0], block.ts_ms[0]), at = 0
    cdef uint8_t now
    while row < rows.rows and at < block.rows:
        if comes_after(rows.series[row], rows.ts_ms[row], block.series[at], block.ts_ms[at]):
            at += 1
            continue
        if rows.series[row] == block.series[at] and rows.ts_ms[row] == block.ts_ms[at]:
            if rows.bits[row] == block.bits[at]:
                now = EQUAL
            else:
                now = WINS if beats(rows.bits[row], block.bits[at]) else LOSES
            standing[row] = max(standing[row], now)
            at += 1
        row += 1


cdef size_t find_unsorted(const uint32_t* series, const int64_t* ts_ms, size_t rows) noexcept nogil:
    cdef size_t row
    for row in range(1, rows):
        if not comes_after(series[row], ts_ms[row], series[row - 1], ts_ms[row - 1]):
            return row
    return rows


cdef size_t lower_bound(const Part* rows, uint32_t series, int64_t ts_ms) noexcept nogil:
    """The first row that is not before (series, ts_ms)."""
    cdef size_t low = 0, high = rows.rows, middle
    while low < high:
        middle = low + (high - low) // 2
        if comes_after(series, ts_ms, rows.series[middle], rows.ts_ms[middle]):
            low = middle + 1
        else:
            high = middle
    return low


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint is_chosen(const Part* part, size_t row, const uint8_t* mask, size_t mask_size, int64_t start_ms,
                           int64_t end_ms) noexcept nogil:
    cdef uint32_t series = part.series[row]
    return series < mask_size and mask[series] != 0 and start_ms <= part.ts_ms[row] < end_ms
