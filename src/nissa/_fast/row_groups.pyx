"""Row groups in memory, and the rows of some series out of many of them at once.

    group 0   ids         12    13    17                wanted  13  17  30
              starts      0     240   480   720
              offsets_ms  ░░░░░░▒▒▒▒▒▒▓▓▓▓▓▓            taken   ▒▒▒▓▓▓▒▒▒▓▓▓     the part of each run that
    group 1   ids         13    17    29                        0  0  1  1       lies in the interval
              ...         ▒▒▒▒▒▒▓▓▓▓▓▓░░░░░░

Rows of a group are sorted by series and time, so the run of a series is found in the list of series, and a stretch of
time within it by halving. Times are offsets from the earliest: four bytes instead of eight.

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.id_search cimport lower_bound
from nissa._fast.sample_part cimport i64, u32, u64

import numpy as np

# A row group as the loops see it, and what is wanted of it: offsets [start, end), runs of the series there.
cdef struct Group:
    const uint32_t* ids
    const uint32_t* starts
    size_t count
    const uint32_t* offsets
    const uint64_t* bits
    int64_t base_ms
    uint64_t start
    uint64_t end
    size_t runs

# Rows of one wanted series: [first, end) of its group.
cdef struct Run:
    uint32_t series
    uint32_t first
    uint32_t end

cdef struct Taken:
    uint32_t* series
    int64_t* ts_ms
    uint64_t* bits


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class RowGroup:
    """The rows of a row group. Never changes."""

    cdef readonly size_t nbytes
    cdef readonly int64_t base_ms
    cdef const uint32_t[::1] ids, starts, offsets_ms
    cdef const uint64_t[::1] bits

    def __init__(self, const uint32_t[::1] ids not None, const uint32_t[::1] starts not None, int64_t base_ms,
                 const uint32_t[::1] offsets_ms not None, value not None):
        """Refers to the columns, which must not change.

        ids: uint32, shape (k,), ascending, distinct. starts: uint32, shape (k + 1,), where the rows of each begin.
        base_ms: the earliest time, Unix milliseconds. offsets_ms: uint32, shape (n,), times behind it, ascending per
        series. value: float64, shape (n,). Raises: ValueError for columns that do not fit together.
        """
        cdef const uint64_t[::1] bits = value.view(np.uint64)
        cdef size_t rows = offsets_ms.shape[0], at
        cdef bint fits = starts.shape[0] == ids.shape[0] + 1 and <size_t>bits.shape[0] == rows
        if fits:
            fits = starts[0] == 0 and starts[ids.shape[0]] == rows
            for at in range(ids.shape[0]):
                fits &= starts[at] <= starts[at + 1]
        if not fits:
            lengths = f"{ids.shape[0]} ids, {starts.shape[0]} starts, {rows} times, {bits.shape[0]} values"
            raise ValueError(f"an index that does not fit its rows: {lengths}")
        self.ids, self.starts, self.base_ms, self.offsets_ms, self.bits = ids, starts, base_ms, offsets_ms, bits
        self.nbytes = 4 * (ids.shape[0] + starts.shape[0]) + 12 * rows

    def __len__(self):
        return self.offsets_ms.shape[0]

    cdef void point(self, Group* group, int64_t start_ms, int64_t end_ms) noexcept:
        group.count = self.ids.shape[0]
        group.starts = &self.starts[0]
        group.ids = group.offsets = NULL
        group.bits = NULL
        if group.count:
            group.ids = &self.ids[0]
        if self.offsets_ms.shape[0]:
            group.offsets, group.bits = &self.offsets_ms[0], &self.bits[0]
        group.base_ms = self.base_ms
        group.start, group.end = offset_of(self.base_ms, start_ms), offset_of(self.base_ms, end_ms)
        group.runs = 0


def count_rows(list groups not None, const uint32_t[::1] wanted, int64_t start_ms, int64_t end_ms):
    """The number of rows that ``take_rows`` takes of each group: int64, shape (groups,). Cost and parameters: as there,
    but for the rows."""
    ends = find_wanted(groups, wanted, start_ms, end_ms)[2]
    return np.diff(ends, prepend=0)


def take_rows(list groups not None, const uint32_t[::1] wanted, int64_t start_ms, int64_t end_ms):
    """Rows of wanted series with start_ms <= time < end_ms, of one group behind the other.

    groups: list of RowGroup. wanted: uint32, ascending, distinct; None for all.
    Returns: (series, ts_ms, value, ends, ascending): new arrays of the rows; int64, shape (groups,), where those of
    each group end; True where the series ascend over all groups.
    GIL: released. Cost: per group 20 ns for each series wanted or there, whichever are fewer; 1 ns per row taken.
    """
    group_memory, run_memory, ends, ascending = find_wanted(groups, wanted, start_ms, end_ms)
    cdef size_t count = len(groups), rows = ends[len(groups) - 1] if groups else 0
    cdef const Group* group = <const Group*>u64(group_memory)
    cdef const Run* run = <const Run*>u32(run_memory)
    out_series, out_ts, out_bits = np.empty(rows, np.uint32), np.empty(rows, np.int64), np.empty(rows, np.uint64)
    cdef Taken out
    out.series, out.ts_ms, out.bits = u32(out_series), i64(out_ts), u64(out_bits)
    if rows:
        with nogil:
            copy_all(group, count, run, &out)
    return out_series, out_ts, out_bits.view(np.float64), ends, ascending


cdef tuple find_wanted(list groups, const uint32_t[::1] wanted, int64_t start_ms, int64_t end_ms):
    """The groups and the runs that are wanted, as the loops see them; where the rows of each group end; whether the
    series of the runs ascend. The groups stay alive with the list."""
    cdef size_t count = len(groups), most = 0, runs = 0, at
    cdef bint ascending = True
    cdef const uint32_t* wanted_at = NULL
    cdef size_t wanted_count = 0
    if wanted is not None and wanted.shape[0]:
        wanted_at, wanted_count = &wanted[0], wanted.shape[0]
    group_memory = np.zeros(count * sizeof(Group) // 8, np.uint64)
    cdef Group* group = <Group*>u64(group_memory)
    for at in range(count):
        (<RowGroup?>groups[at]).point(&group[at], start_ms, end_ms)
        if wanted is not None:
            most += min(group[at].count, wanted_count)
        else:
            most += group[at].count
    run_memory, ends = np.empty(3 * most, np.uint32), np.zeros(count, np.int64)
    cdef Run* run = <Run*>u32(run_memory)
    cdef int64_t* ends_at = i64(ends)
    if most:
        with nogil:
            runs = find_all(group, count, wanted_at, wanted_count, run, ends_at)
            ascending = ascend(run, runs)
    return group_memory, run_memory, ends, bool(ascending)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t find_all(Group* group, size_t count, const uint32_t* wanted, size_t wanted_count, Run* run,
                     int64_t* ends) noexcept nogil:
    """The runs of wanted series in every group, one behind the other, and where the rows of each group end."""
    cdef size_t at, found = 0
    cdef int64_t rows = 0
    for at in range(count):
        if wanted == NULL:
            group[at].runs = all_runs(&group[at], &run[found], &rows)
        else:
            group[at].runs = find_runs(&group[at], wanted, wanted_count, &run[found], &rows)
        found += group[at].runs
        ends[at] = rows
    return found


cdef size_t all_runs(const Group* group, Run* run, int64_t* rows) noexcept nogil:
    cdef size_t at, found = 0
    for at in range(group.count):
        found += cut_run(group, at, &run[found], rows)
    return found


cdef size_t find_runs(const Group* group, const uint32_t* wanted, size_t wanted_count, Run* run,
                      int64_t* rows) noexcept nogil:
    """Halving in the longer of both lists."""
    cdef size_t at = 0, want = 0, found = 0
    while at < group.count and want < wanted_count:
        if group.ids[at] < wanted[want]:
            at = lower_bound(group.ids, at, group.count, wanted[want])
        elif group.ids[at] > wanted[want]:
            want = lower_bound(wanted, want, wanted_count, group.ids[at])
        else:
            found += cut_run(group, at, &run[found], rows)
            at += 1
            want += 1
    return found


cdef bint ascend(const Run* run, size_t runs) noexcept nogil:
    cdef size_t at
    for at in range(1, runs):
        if run[at].series < run[at - 1].series:
            return False
    return True


cdef void copy_all(const Group* group, size_t count, const Run* run, const Taken* out) noexcept nogil:
    cdef size_t number, row, rows, first, place, found = 0, at = 0
    for number in range(count):
        for place in range(found, found + group[number].runs):
            first, rows = run[place].first, run[place].end - run[place].first
            memcpy(&out.bits[at], &group[number].bits[first], rows * sizeof(uint64_t))
            for row in range(rows):
                out.ts_ms[at + row] = group[number].base_ms + group[number].offsets[first + row]
                out.series[at + row] = run[place].series
            at += rows
        found += group[number].runs


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline size_t cut_run(const Group* group, size_t at, Run* run, int64_t* rows) noexcept nogil:
    """Write the part of a run that is inside, and count its rows. Returns: 1, or 0 where there is none."""
    cdef size_t first = first_from(group.offsets, group.starts[at], group.starts[at + 1], group.start)
    cdef size_t end = first_from(group.offsets, first, group.starts[at + 1], group.end)
    run.series, run.first, run.end = group.ids[at], <uint32_t>first, <uint32_t>end
    rows[0] += end - first
    return end > first


cdef inline uint64_t offset_of(int64_t base_ms, int64_t moment_ms) noexcept nogil:
    """The offset of a moment, at most one more than that of any row; 0 for one before the base."""
    cdef uint64_t offset
    if moment_ms <= base_ms:
        return 0
    if base_ms < 0 <= moment_ms:  # further apart than a signed number says
        offset = <uint64_t>moment_ms + <uint64_t>(-(base_ms + 1)) + 1
    else:
        offset = <uint64_t>(moment_ms - base_ms)
    return min(offset, <uint64_t>1 << 32)


cdef inline size_t first_from(const uint32_t* offsets, size_t low, size_t high, uint64_t moment) noexcept nogil:
    """The first row of an ascending stretch whose offset is not below that of the moment."""
    cdef size_t middle
    while low < high:
        middle = low + (high - low) // 2
        if offsets[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low
