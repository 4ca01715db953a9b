"""Rows of chosen series found through an index of them, without a look at the others.

    rows     row     0 1 2 3 4 5         index    ids     7 8 9
             series  7 9 7 8 9 7                  starts  0   3 4   6
                                                  order   0 2 5 3 1 4      rows of each series, in order of arrival

Row numbers are sorted by the digits of their series (base 2^11, the lowest first), as many of them as the highest
series has: rows of one series keep their order. Of rows that are sorted already see ``row_groups``.

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from nissa._fast.id_search cimport lower_bound

import numpy as np

cdef enum:
    DIGIT_BITS = 11         # 2048 counts of 8 B stay in a first-level cache
    DIGITS = 2048

# Rows of one wanted series: those at [first, end) of the order.
cdef struct Run:
    uint32_t series
    uint32_t first
    uint32_t end

# An index as the loops see it.
cdef struct Index:
    const uint32_t* ids
    const uint32_t* starts
    size_t count
    const uint32_t* order
    const int64_t* ts_ms
    const uint64_t* bits

cdef struct Taken:
    uint32_t* series
    int64_t* ts_ms
    uint64_t* bits


# ---- Boundary --------------------------------------------------------------------------------------------------------

def index_rows(const uint32_t[::1] series):
    """The index of rows in any order.

    series: uint32, shape (n,), n below 2^32.
    Returns: (ids, starts, order), all uint32: distinct series, ascending, shape (k,); where the rows of each begin in
    order, shape (k + 1,); row numbers by series, in order of arrival, shape (n,).
    GIL: released. Cost: 20 to 40 ns per row where ids are below 2^22. Memory: 16 B per row while it runs.
    """
    cdef size_t rows = series.shape[0], distinct = 0
    if rows >= 0xFFFFFFFF:
        raise ValueError(f"{rows} rows: at most 2^32 - 2 can be indexed")
    keys, other, order = np.empty(rows, np.uint64), np.empty(rows, np.uint64), np.empty(rows, np.uint32)
    cdef uint64_t* from_keys = u64(keys)
    cdef uint64_t* to_keys = u64(other)
    cdef uint32_t* order_at = u32(order)
    cdef uint64_t* in_order = from_keys
    if rows:
        with nogil:
            in_order = sort_keys(&series[0], rows, from_keys, to_keys)
            distinct = count_distinct(in_order, rows)
    ids, starts = np.empty(distinct, np.uint32), np.zeros(distinct + 1, np.uint32)
    cdef uint32_t* ids_at = u32(ids)
    cdef uint32_t* starts_at = u32(starts)
    if rows:
        with nogil:
            write_index(in_order, rows, ids_at, starts_at, order_at)
    return ids, starts, order


def take_indexed(const uint32_t[::1] ids, const uint32_t[::1] starts, const uint32_t[::1] order,
                 const int64_t[::1] ts_ms, value, const uint32_t[::1] wanted, int64_t start_ms, int64_t end_ms):
    """Rows of wanted series with start_ms <= time < end_ms, of rows in any order.

    ids, starts, order: as of ``index_rows``, of the first rows of ts_ms (int64) and value (float64); there may be more
    of these. wanted: uint32, ascending, distinct.
    Returns: (series, ts_ms, value) as new arrays, by series, those of one in order of arrival. Raises: ValueError for
    columns that do not fit together.
    GIL: released. Cost: 20 ns per series wanted or there, whichever are fewer, and 3 to 10 ns per row of them.
    """
    cdef const uint64_t[::1] bits = value.view(np.uint64)
    cdef size_t rows = order.shape[0]
    if starts.shape[0] != ids.shape[0] + 1 or ts_ms.shape[0] != bits.shape[0] or rows > <size_t>ts_ms.shape[0] \
            or starts[ids.shape[0]] != rows:
        lengths = f"{ids.shape[0]} ids, {starts.shape[0]} starts, {ts_ms.shape[0]} times, {bits.shape[0]} values"
        raise ValueError(f"an index that does not fit its rows: {lengths}")
    cdef Index index
    cdef size_t most = min(ids.shape[0], wanted.shape[0]), runs = 0, chosen = 0
    run_memory = np.empty(3 * most, np.uint32)
    cdef Run* run = <Run*>u32(run_memory)
    if most and rows:
        index.ids, index.starts, index.count = &ids[0], &starts[0], ids.shape[0]
        index.order, index.ts_ms, index.bits = &order[0], &ts_ms[0], &bits[0]
        with nogil:
            runs = find_runs(&index, &wanted[0], wanted.shape[0], run)
            chosen = count_rows(&index, run, runs, start_ms, end_ms)
    out_series, out_ts, out_bits = np.empty(chosen, np.uint32), np.empty(chosen, np.int64), np.empty(chosen, np.uint64)
    cdef Taken out
    out.series, out.ts_ms, out.bits = u32(out_series), i64(out_ts), u64(out_bits)
    if chosen:
        with nogil:
            gather_rows(&index, run, runs, start_ms, end_ms, &out)
    return out_series, out_ts, out_bits.view(np.float64)


cdef uint64_t* u64(uint64_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


cdef int64_t* i64(int64_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


cdef uint32_t* u32(uint32_t[::1] column) except? NULL:
    return &column[0] if column.shape[0] else NULL


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef uint64_t* sort_keys(const uint32_t* series, size_t rows, uint64_t* keys, uint64_t* other) noexcept nogil:
    """Keys (series, row) by series, in one of the two arrays: which one is returned."""
    cdef size_t row
    cdef uint32_t highest = 0
    cdef int shift = 32
    for row in range(rows):
        keys[row] = <uint64_t>series[row] << 32 | row
        highest = max(highest, series[row])
    while shift < 64 and (shift == 32 or highest >> (shift - 32)):
        sort_by_digit(keys, rows, shift, other)
        keys, other = other, keys
        shift += DIGIT_BITS
    return keys


cdef void sort_by_digit(const uint64_t* keys, size_t rows, int shift, uint64_t* out) noexcept nogil:
    cdef size_t[DIGITS] ends
    cdef size_t row, digit, count, end = 0
    memset(ends, 0, sizeof(ends))
    for row in range(rows):
        ends[digit_of(keys[row], shift)] += 1
    for digit in range(DIGITS):
        count = ends[digit]
        ends[digit] = end
        end += count
    for row in range(rows):
        digit = digit_of(keys[row], shift)
        out[ends[digit]] = keys[row]
        ends[digit] += 1


cdef size_t count_distinct(const uint64_t* keys, size_t rows) noexcept nogil:
    cdef size_t row, distinct = 1
    for row in range(1, rows):
        distinct += keys[row] >> 32 != keys[row - 1] >> 32
    return distinct


cdef void write_index(const uint64_t* keys, size_t rows, uint32_t* ids, uint32_t* starts,
                      uint32_t* order) noexcept nogil:
    cdef size_t row, at = 0
    for row in range(rows):
        order[row] = <uint32_t>keys[row]
        if row == 0 or keys[row] >> 32 != keys[row - 1] >> 32:
            ids[at] = <uint32_t>(keys[row] >> 32)
            starts[at] = <uint32_t>row
            at += 1
    starts[at] = <uint32_t>rows


cdef size_t find_runs(const Index* index, const uint32_t* wanted, size_t wanted_count, Run* runs) noexcept nogil:
    """The runs of wanted series; halving in the longer of both."""
    cdef size_t at = 0, want = 0, found = 0
    while at < index.count and want < wanted_count:
        if index.ids[at] < wanted[want]:
            at = lower_bound(index.ids, at, index.count, wanted[want])
        elif index.ids[at] > wanted[want]:
            want = lower_bound(wanted, want, wanted_count, index.ids[at])
        else:
            runs[found].series = index.ids[at]
            runs[found].first, runs[found].end = index.starts[at], index.starts[at + 1]
            found += 1
            at += 1
            want += 1
    return found


cdef size_t count_rows(const Index* index, const Run* runs, size_t count, int64_t start_ms,
                       int64_t end_ms) noexcept nogil:
    cdef size_t run, at, rows = 0
    for run in range(count):
        for at in range(runs[run].first, runs[run].end):
            rows += start_ms <= index.ts_ms[index.order[at]] < end_ms
    return rows


cdef void gather_rows(const Index* index, const Run* runs, size_t count, int64_t start_ms, int64_t end_ms,
                      const Taken* out) noexcept nogil:
    cdef size_t run, place, row, at = 0
    for run in range(count):
        for place in range(runs[run].first, runs[run].end):
            row = index.order[place]
            if start_ms <= index.ts_ms[row] < end_ms:
                out.series[at] = runs[run].series
                out.ts_ms[at] = index.ts_ms[row]
                out.bits[at] = index.bits[row]
                at += 1


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline size_t digit_of(uint64_t key, int shift) noexcept nogil:
    return (key >> shift) & (DIGITS - 1)
