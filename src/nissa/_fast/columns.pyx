"""Sorting and resolving rows of sample columns.

A head is in order of arrival; blocks and answers are in order of series, then time, with one value per series and time.

    arrival                     sorted and resolved
    series  ts  value           series  ts  value
      7     10    1.0             7     10    1.0
      9     10    5.0             7     20    2.0     the second (7, 20) was dropped: row 3
      7     20    2.0             9     10    5.0
      7     20    2.0

``SortedRows`` goes through the rows twice. Row numbers are first spread over buckets of neighbouring series, few
enough that every bucket's writing end stays in the cache. Bucket by bucket, small enough for the cache itself, rows
are then fetched, counting-sorted by series, resolved and handed out, so that sorted columns never stand in memory as
a whole: a head of four million rows needs 16 MB of row numbers beside itself. Within one series rows keep their order
of arrival, which nearly always is the order of time: a merge of natural runs sorts those that are not.

Two rows of the same series and time are one sample: ``sample.pxd`` says which value is kept. Of rows with the
winner's bits the first to arrive is kept.

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from nissa._fast.sample cimport beats, comes_after
from nissa._fast.sample_part cimport Part, i64, point_part, u8, u32, u64

import numpy as np

cdef extern from *:
    """
    #define nissa_prefetch(address) __builtin_prefetch(address)
    """
    void prefetch "nissa_prefetch"(const void* address) noexcept nogil

# Rows per bucket that, with their twin of the same size, stay in a second-level cache: 2 x 4096 x 24 B = 192 KiB.
cdef enum:
    BUCKET_ROWS = 4096
    BUCKETS_MAX = 2048      # writing ends at once: 2048 cache lines of 64 B are 128 KiB
    AHEAD = 24              # rows fetched ahead of the one in hand
    SHIFT_MIN = 3           # eight neighbouring series per bucket: their rows share cache lines on arrival
    SPAN_MIN = 1024         # a bucket of at most this many series is always counting-sorted

# A row on its way. bits are those of the float64, so that no NaN payload passes through a floating point register.
cdef struct Row:
    uint32_t series
    uint32_t origin         # row number over all parts, in order of arrival
    int64_t ts_ms
    uint64_t bits

cdef struct Survey:
    uint32_t series_min
    uint32_t series_max
    bint in_order           # strictly ascending by (series, ts): nothing to sort, nothing to resolve

cdef struct Plan:
    uint32_t series_min
    uint32_t shift          # bucket = (series - series_min) >> shift
    size_t buckets
    size_t span_max         # how many series a counting-sorted bucket may span

# Where resolved rows go: one chunk of columns, and the row numbers of what was dropped over all chunks.
cdef struct Output:
    uint32_t* series
    int64_t* ts_ms
    uint64_t* bits
    uint32_t* origins
    size_t rows
    uint32_t* dropped
    uint8_t* differs
    size_t dropped_rows


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class SortedRows:
    """Rows sorted by series, then time, one per series and time, handed out chunk by chunk.

    parts: list of (series uint32, ts_ms int64, value float64) triples of equal length, in order of arrival; they must
        not change while this object lives. Row numbers count over all parts.
    Raises: ValueError for columns of different lengths, or 2^32 - 1 rows and more.
    GIL: released. Cost: 12 to 16 ns per row for rounds of series in order, 35 to 45 shuffled; sorted rows are copied.
    Memory: 4 B per row and a few MB.
    """
    cdef list parts
    cdef object memory              # arrays the pointers below point into, by role
    cdef Part* part
    cdef size_t part_count
    cdef readonly size_t rows_total
    cdef Survey survey
    cdef Plan plan
    cdef uint64_t* ends
    cdef uint32_t* numbers          # row numbers by bucket
    cdef uint32_t* counts
    cdef Row* fetched               # the bucket in hand, and its twin
    cdef Row* twin
    cdef size_t largest
    cdef size_t bucket              # the next to hand out
    cdef size_t row                 # the next to hand out of rows already in order
    cdef Output out

    def __init__(self, list parts):
        cdef size_t index, total = 0
        self.parts = parts
        self.part_count = len(parts)
        part_memory = np.zeros(max(self.part_count, 1) * sizeof(Part) // 8, np.uint64)
        self.memory = {"parts": part_memory}
        self.part = <Part*>u64(part_memory)
        for index in range(self.part_count):
            series, ts_ms, value = parts[index]
            point_part(&self.part[index], series, ts_ms, value)
            self.part[index].first = total
            total += self.part[index].rows
        if total >= 0xFFFFFFFF:
            raise ValueError(f"{total} rows: at most 2^32 - 2 can be sorted at once")
        self.rows_total = total
        dropped, differs = np.empty(total, np.uint32), np.empty(total, np.uint8)  # pages never written cost nothing
        self.memory.update(dropped=dropped, differs=differs)
        if total == 0:
            return
        self.out.dropped, self.out.differs = u32(dropped), u8(differs)
        with nogil:
            self.survey = survey_rows(self.part, self.part_count)
        if not self.survey.in_order:
            self.plan = plan_buckets(total, self.survey.series_min, self.survey.series_max)
            self.spread()

    cdef int spread(self) except -1:
        """Allocate what sorting needs and give every row its bucket."""
        ends, counts = np.zeros(self.plan.buckets + 1, np.uint64), np.empty(self.plan.span_max + 1, np.uint32)
        numbers = np.empty(self.rows_total, np.uint32)
        self.ends, self.counts, self.numbers = u64(ends), u32(counts), u32(numbers)
        with nogil:
            self.largest = count_buckets(self.part, self.part_count, &self.plan, self.ends)
            spread_numbers(self.part, self.part_count, &self.plan, self.ends, self.numbers)
        fetched, twin = np.empty(self.largest * 3, np.uint64), np.empty(self.largest * 3, np.uint64)
        self.fetched, self.twin = <Row*>u64(fetched), <Row*>u64(twin)
        self.memory.update(ends=ends, counts=counts, numbers=numbers, fetched=fetched, twin=twin)
        return 0

    def next_rows(self, size_t rows_aim):
        """The next chunk: at least ``rows_aim`` rows before resolving, unless they are the last; none at the end.

        Returns: (series, ts_ms, value, origins) as new arrays; origins uint32 are the row numbers of these rows.
        A chunk ends where a bucket ends, so it holds whole series unless the rows came in order.
        """
        cdef size_t capacity, bucket_end = self.bucket, row_end = self.row, rows = 0
        if self.rows_total == 0 or self.survey.in_order:
            rows = min(max(rows_aim, 1), self.rows_total - self.row)
            row_end = self.row + rows
        else:
            while bucket_end < self.plan.buckets and (rows < rows_aim or rows == 0):
                bucket_end += 1
                rows = self.ends[bucket_end - 1] - (self.ends[self.bucket - 1] if self.bucket else 0)
        series, ts_ms, bits, origins = (np.empty(rows, np.uint32), np.empty(rows, np.int64), np.empty(rows, np.uint64),
                                        np.empty(rows, np.uint32))
        if rows:
            self.out.series, self.out.ts_ms, self.out.bits = u32(series), i64(ts_ms), u64(bits)
            self.out.origins, self.out.rows = u32(origins), 0
            with nogil:
                if self.survey.in_order:
                    copy_rows(self.part, self.part_count, self.row, row_end, &self.out)
                else:
                    sort_buckets(self, self.bucket, bucket_end)
            self.bucket, self.row, rows = bucket_end, row_end, self.out.rows
        return series[:rows], ts_ms[:rows], bits[:rows].view(np.float64), origins[:rows]

    def dropped_rows(self):
        """Dropped so far: row numbers uint32, and differs uint8, 1 where other bits than the dropped were kept."""
        count = self.out.dropped_rows
        return self.memory["dropped"][:count].copy(), self.memory["differs"][:count].copy()


def sort_resolve(list parts):
    """All rows of ``SortedRows`` at once.

    Returns: (series, ts_ms, value, dropped, differs). GIL: released. Cost: as SortedRows.
    """
    rows = SortedRows(parts)
    series, ts_ms, value, _ = rows.next_rows(max(rows.rows_total, 1))
    return series, ts_ms, value, *rows.dropped_rows()


cdef Plan plan_buckets(size_t rows, uint32_t series_min, uint32_t series_max):
    """Choose the number of buckets: near BUCKET_ROWS rows each if series are equally long, at most BUCKETS_MAX."""
    cdef Plan plan
    cdef uint64_t span = <uint64_t>series_max - series_min + 1
    cdef size_t aim = min(max(rows // BUCKET_ROWS, 1), <size_t>BUCKETS_MAX)
    plan.series_min = series_min
    plan.shift = SHIFT_MIN
    while (span - 1) >> plan.shift >= aim:
        plan.shift += 1
    plan.buckets = ((span - 1) >> plan.shift) + 1
    plan.span_max = min(<uint64_t>1 << plan.shift, max(<uint64_t>SPAN_MIN, 4 * rows))
    return plan


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Survey survey_rows(const Part* parts, size_t part_count) noexcept nogil:
    """One look over all rows: the range of series ids, and whether there is anything to do."""
    cdef Survey survey
    cdef size_t index, row
    cdef uint32_t series, before_series = 0
    cdef int64_t before_ts = 0
    cdef bint first = True
    survey.series_min = 0xFFFFFFFF
    survey.series_max = 0
    survey.in_order = True
    for index in range(part_count):
        for row in range(parts[index].rows):
            series = parts[index].series[row]
            survey.series_min = min(survey.series_min, series)
            survey.series_max = max(survey.series_max, series)
            if survey.in_order:
                if not first and not comes_after(series, parts[index].ts_ms[row], before_series, before_ts):
                    survey.in_order = False
                first = False
                before_series, before_ts = series, parts[index].ts_ms[row]
    return survey


cdef void copy_rows(const Part* parts, size_t part_count, size_t start, size_t end, Output* out) noexcept nogil:
    """Rows [start, end) as they are."""
    cdef size_t index, row, first, last, at = 0
    for index in range(part_count):
        first = max(start, parts[index].first)
        last = min(end, parts[index].first + parts[index].rows)
        if first >= last:
            continue
        memcpy(out.series + at, parts[index].series + (first - parts[index].first), (last - first) * sizeof(uint32_t))
        memcpy(out.ts_ms + at, parts[index].ts_ms + (first - parts[index].first), (last - first) * sizeof(int64_t))
        memcpy(out.bits + at, parts[index].bits + (first - parts[index].first), (last - first) * sizeof(uint64_t))
        at += last - first
    for row in range(at):
        out.origins[row] = <uint32_t>(start + row)
    out.rows = at


cdef size_t count_buckets(const Part* parts, size_t part_count, const Plan* plan, uint64_t* starts) noexcept nogil:
    """Turn ``starts`` (all 0) into where each bucket begins. Returns the rows of the largest."""
    cdef size_t index, row, bucket, current = 0, largest = 0
    cdef uint64_t rows = 0, at = 0
    for index in range(part_count):
        for row in range(parts[index].rows):
            bucket = bucket_of(plan, parts[index].series[row])
            if bucket != current:  # neighbours mostly share a bucket: count them in a register
                starts[current] += rows
                current, rows = bucket, 0
            rows += 1
    starts[current] += rows
    for bucket in range(plan.buckets):
        rows = starts[bucket]
        starts[bucket] = at
        at += rows
        largest = max(largest, <size_t>rows)
    starts[plan.buckets] = at
    return largest


cdef void spread_numbers(const Part* parts, size_t part_count, const Plan* plan, uint64_t* ends,
                         uint32_t* numbers) noexcept nogil:
    """Give every row number to its bucket, in order of arrival.

    ``ends`` says where buckets begin and is left saying where they end.
    """
    cdef size_t index, row, bucket, current = 0
    cdef uint64_t end = ends[0]
    cdef uint32_t number = 0
    for index in range(part_count):
        for row in range(parts[index].rows):
            bucket = bucket_of(plan, parts[index].series[row])
            if bucket != current:
                ends[current] = end
                current, end = bucket, ends[bucket]
            numbers[end] = number
            end += 1
            number += 1
    ends[current] = end


cdef void sort_buckets(SortedRows rows, size_t bucket, size_t bucket_end) noexcept nogil:
    """Fetch, sort and write out buckets [bucket, bucket_end)."""
    cdef uint64_t start = rows.ends[bucket - 1] if bucket else 0
    cdef uint64_t span = <uint64_t>1 << rows.plan.shift, base
    cdef size_t size
    cdef Row* sorted_rows
    while bucket < bucket_end:
        size = rows.ends[bucket] - start
        fetch_rows(rows.part, rows.numbers + start, size, rows.fetched)
        if size <= 1:
            sorted_rows = rows.fetched
        elif span <= SPAN_MIN or span <= 4 * size:
            base = rows.plan.series_min + (<uint64_t>bucket << rows.plan.shift)
            sorted_rows = count_sort(rows.fetched, rows.twin, size, base, span, rows.counts)
        else:
            sorted_rows = merge_sort(rows.fetched, rows.twin, size)
        emit_rows(sorted_rows, size, &rows.out)
        start = rows.ends[bucket]
        bucket += 1


cdef void fetch_rows(const Part* part, const uint32_t* numbers, size_t size, Row* rows) noexcept nogil:
    """Bring rows, given by rising row numbers, together.

    Those of the current part are asked for ahead of their turn.
    """
    cdef size_t index, row
    for index in range(size):
        while numbers[index] - part.first >= part.rows:
            part += 1
        row = numbers[index] - part.first
        if index + AHEAD < size and numbers[index + AHEAD] - part.first < part.rows:
            prefetch(&part.series[numbers[index + AHEAD] - part.first])
            prefetch(&part.ts_ms[numbers[index + AHEAD] - part.first])
            prefetch(&part.bits[numbers[index + AHEAD] - part.first])
        rows[index].series = part.series[row]
        rows[index].origin = numbers[index]
        rows[index].ts_ms = part.ts_ms[row]
        rows[index].bits = part.bits[row]


cdef Row* count_sort(Row* rows, Row* twin, size_t size, uint64_t base, uint64_t span, uint32_t* counts) noexcept nogil:
    """Sort by series with one count per series of the bucket, then by time where that is not given.

    Returns where the rows are.
    """
    cdef size_t index
    cdef uint32_t at = 0, count
    cdef uint32_t* place
    cdef bint in_order = True
    memset(counts, 0, span * sizeof(uint32_t))
    for index in range(size):
        counts[rows[index].series - base] += 1
    for index in range(span):
        count = counts[index]
        counts[index] = at
        at += count
    for index in range(size):
        place = &counts[rows[index].series - base]
        twin[place[0]] = rows[index]
        place[0] += 1
    for index in range(1, size):
        in_order &= not row_before(&twin[index], &twin[index - 1])
    if not in_order:
        sort_times(twin, rows, span, counts)
    return twin


cdef void sort_times(Row* rows, Row* twin, uint64_t span, const uint32_t* counts) noexcept nogil:
    """Sort each series by time; ``counts`` says where each ends."""
    cdef size_t index
    cdef uint32_t start = 0
    cdef Row* sorted_rows
    for index in range(span):
        if counts[index] > start + 1:
            sorted_rows = merge_sort(rows + start, twin + start, counts[index] - start)
            if sorted_rows != rows + start:
                memcpy(rows + start, sorted_rows, (counts[index] - start) * sizeof(Row))
        start = counts[index]


cdef Row* merge_sort(Row* rows, Row* twin, size_t size) noexcept nogil:
    """Stable sort by (series, ts) that merges natural runs, pair by pair: sorted input costs one look.

    Returns where the rows are.
    """
    cdef Row* source = rows
    cdef Row* target = twin
    cdef Row* swap
    cdef size_t start, middle, end, merges
    while True:
        start = 0
        merges = 0
        while start < size:
            middle = run_end(source, start, size)
            if middle == size:
                if merges == 0:
                    return source
                memcpy(target + start, source + start, (size - start) * sizeof(Row))
                break
            end = run_end(source, middle, size)
            merge_runs(source, start, middle, end, target)
            merges += 1
            start = end
        swap = source
        source = target
        target = swap


cdef void merge_runs(const Row* source, size_t start, size_t middle, size_t end, Row* target) noexcept nogil:
    cdef size_t left = start, right = middle, at
    for at in range(start, end):
        if right == end or (left < middle and not row_before(&source[right], &source[left])):
            target[at] = source[left]
            left += 1
        else:
            target[at] = source[right]
            right += 1


cdef void emit_rows(const Row* rows, size_t size, Output* out) noexcept nogil:
    """Write sorted rows, one per key."""
    cdef size_t index = 0, end, at = out.rows
    cdef const Row* row
    while index < size:
        row = &rows[index]
        index += 1
        if index < size and same_key(row, &rows[index]):
            end = index + 1
            while end < size and same_key(row, &rows[end]):
                end += 1
            row = resolve_group(row, end - index + 1, out)
            index = end
        out.series[at] = row.series
        out.ts_ms[at] = row.ts_ms
        out.bits[at] = row.bits
        out.origins[at] = row.origin
        at += 1
    out.rows = at


cdef const Row* resolve_group(const Row* rows, size_t size, Output* out) noexcept nogil:
    """The winner among rows of one key; the others are noted as dropped."""
    cdef const Row* winner = rows
    cdef size_t index
    for index in range(1, size):
        if beats(rows[index].bits, winner.bits):
            winner = &rows[index]
    for index in range(size):
        if &rows[index] != winner:
            out.dropped[out.dropped_rows] = rows[index].origin
            out.differs[out.dropped_rows] = rows[index].bits != winner.bits
            out.dropped_rows += 1
    return winner


cdef size_t run_end(const Row* rows, size_t start, size_t size) noexcept nogil:
    """End of the run that begins at ``start``."""
    cdef size_t at = start + 1
    while at < size and not row_before(&rows[at], &rows[at - 1]):
        at += 1
    return at


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline size_t bucket_of(const Plan* plan, uint32_t series) noexcept nogil:
    return <uint64_t>(series - plan.series_min) >> plan.shift  # 64 bits wide: the shift may be 32


cdef inline bint row_before(const Row* left, const Row* right) noexcept nogil:
    return left.series < right.series or (left.series == right.series and left.ts_ms < right.ts_ms)


cdef inline bint same_key(const Row* left, const Row* right) noexcept nogil:
    return left.ts_ms == right.ts_ms and left.series == right.series
