"""Folding: samples into windows, windows into wider windows.

    samples of series 7, by parts (sorted blocks)          windows of 1 m                  windows of 5 m
    part 0   @0  1.0   @20  3.0   @40  8.0             ─►  7 @0   count 3  sum 12  …   ─►  7 @0  count 5  sum 20  …
    part 1   @60 2.0   @80  6.0                            7 @60  count 2  sum 8  …               and a sketch

A window is the half-open [k * interval, (k + 1) * interval). Its row is a function of the samples in it and of nothing
else, computed in order of time with one fixed association of the sums, so a row computed again is the same bit for
bit. ``docs/decisions/0006-the-ladder.md`` defines the columns:

    count, nans      numbers, and NaN that are not the staleness marker; the marker is neither
    sum min max first last      of the numbers, NaN (but sum 0) where there are none
    m2               sum of (x - mean)^2 in 24 bits, of two windows together by Chan's formula; NaN where sum is not
                     finite
    resets           what a counter fell from, added up: it went up by last - first + resets
    carry            what sum lacks of the total, in 12 bits; a total beyond the float64, divided by 2^32

One walk over the samples makes the windows of two intervals: the wide ones are folded from the narrow ones, as
``fold_windows`` would, but for their sketches, which need the samples.

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.buckets cimport (BUCKETS_WORDS, SIDE_PLACES, SKETCH_BYTES_BUCKET, SKETCH_BYTES_EMPTY,
                                  SKETCH_BYTES_SIDE, SKETCH_SOUND, Buckets, add_values, buckets_in, count_ones,
                                  put_sketch, put_values, read_sketch)
from nissa._fast.gather cimport (COUNT_OVERFLOW, ROOM_EXHAUSTED, SKETCH_WRONG, SOUND, TIME_LIMIT_MS, TIME_OUT_OF_RANGE,
                                 UNSORTED, Part, Room, Verdict, gather_series, trim_run)
from nissa._fast.sample cimport SIGN_BIT
from nissa._fast.window cimport (Columns, Run, Window, add_window, empty_window, fold_window, next_window_start,
                                 put_window, round_window, window_at, window_start)

import numpy as np

from nissa.model.errors import Malformed

cdef extern from *:
    """
    #define NISSA_COUNT_MAX 0xFFFFFFFFULL
    """
    const uint64_t COUNT_MAX "NISSA_COUNT_MAX"

cdef struct Fold:
    int64_t start_ms        # samples from here
    int64_t end_ms          # up to here are folded, others passed over
    int64_t interval_ms
    int64_t wide_ms         # 0 where no wide windows are wanted
    Columns narrow
    Columns wide
    Buckets held            # of the wide window in hand
    uint32_t* places
    const uint8_t* stopped  # where a sketch is wrong


# ---- Boundary --------------------------------------------------------------------------------------------------------

def fold_samples(list parts, int64_t interval_ms, int64_t wide_ms=0, int64_t start_ms=-TIME_LIMIT_MS,
                 int64_t end_ms=TIME_LIMIT_MS):
    """Windows of samples, and wider windows with sketches.

    parts: list of (series uint32, ts_ms int64, value float64) triples, each strictly ascending by (series, ts_ms). A
        sample in several parts is one sample, resolved by the rule of ``sample.pxd``. Windows that parts hold only
        some samples of are folded of those: the caller brings whole windows.
    wide_ms: a multiple of interval_ms, or 0 for none.
    start_ms, end_ms: samples in [start_ms, end_ms) are folded; both limits of windows.
    Returns: (columns, wide columns or None, sketches or None). columns: (series uint32, start_ms int64, count uint32,
        nans uint32, sum, min, max, first, last, m2, resets, carry float64), sorted by series, then time. sketches:
        (offsets int32 of one more than the wide rows, data uint8).
    Raises: ValueError for parts out of order or of uneven columns.
    GIL: released. Cost: 6 to 8 ns per sample, and 15 ns per window.
    """
    cdef size_t index, count = len(parts), rows = 0, rooms = 0, windows = 0, wide_windows = 0
    cdef Fold fold
    cdef Room room
    cdef Verdict verdict = SOUND
    if interval_ms <= 0 or wide_ms < 0 or wide_ms % interval_ms or wide_ms > TIME_LIMIT_MS:
        raise ValueError(f"windows of {interval_ms} ms do not divide windows of {wide_ms} ms")
    part_memory = np.zeros(max(count, 1) * sizeof(Part) // 8, np.uint64)
    cdef Part* part = <Part*>u64(part_memory)
    for index in range(count):
        series, ts_ms, value = parts[index]
        point_part(&part[index], series, ts_ms, value)
        rows += part[index].rows
    fold.interval_ms, fold.wide_ms, fold.start_ms, fold.end_ms = interval_ms, wide_ms, start_ms, end_ms
    rooms = rows if count > 1 else 0  # pages never written cost nothing
    room_memory = [np.empty(max(rooms, 1), kind) for kind in (np.int64, np.uint64, np.int64, np.uint64)]
    room.ts_ms, room.bits, room.other_ts_ms, room.other_bits = (i64(room_memory[0]), u64(room_memory[1]),
                                                                i64(room_memory[2]), u64(room_memory[3]))
    bound_windows(part, count, interval_ms, wide_ms, &windows, &wide_windows)
    narrow = new_columns(&fold.narrow, windows)
    wide = new_columns(&fold.wide, wide_windows)
    sketches = point_sketches(&fold, wide_windows, SKETCH_BYTES_BUCKET * rows) if wide_ms else None
    with nogil:
        verdict = fold_parts(part, count, &room, &fold)
    raise_verdict(verdict)
    if not wide_ms:
        return taken(narrow, &fold.narrow), None, None
    return taken(narrow, &fold.narrow), taken(wide, &fold.wide), taken_sketches(sketches, &fold)


def fold_windows(tuple columns, sketches, int64_t interval_ms):
    """Windows of an interval that theirs divides, of whole windows of it; the form is that of ``fold_samples``.

    columns: strictly ascending by (series, start_ms). sketches: (offsets, data) parallel to them, or None.
    Returns: (columns, sketches or None).
    Raises: ValueError; Malformed for bytes that are no sketch.
    GIL: released. Cost: 25 ns per row, and 4 ns per bucket of its sketch.
    """
    cdef Fold fold
    cdef Columns source
    cdef Verdict verdict = SOUND
    cdef size_t windows = 0
    cdef const uint8_t* data = NULL
    cdef size_t size = 0
    if interval_ms <= 0:
        raise ValueError(f"windows of {interval_ms} ms")
    fold.interval_ms, fold.wide_ms, fold.stopped = interval_ms, interval_ms, NULL
    point_columns(&source, columns)
    if sketches is not None:
        point_source_sketches(&source, sketches)
        data, size = source.data, source.end - source.data
    with nogil:
        verdict = survey_windows(&source, interval_ms, &windows)
    raise_verdict(verdict)
    wide = new_columns(&fold.wide, windows)
    room = point_sketches(&fold, windows, SKETCH_BYTES_BUCKET * size) if sketches is not None else None
    with nogil:
        verdict = fold_rows(&source, &fold)
    if verdict == SKETCH_WRONG:
        raise Malformed("a window's sketch is damaged", fold.stopped - data)
    raise_verdict(verdict)
    return taken(wide, &fold.wide), None if sketches is None else taken_sketches(room, &fold)


def explicit_extrema(const double[::1] edge, const double[::1] first, const double[::1] last, bint largest):
    """Mask of windows whose extremum is not the smaller (largest: the larger) of first and last, the first of equals.

    Returns: (one bit per row, lowest first, uint8; how many are set). GIL: released. Cost: 1 ns per row.
    """
    cdef size_t rows = edge.shape[0], told = 0
    if <size_t>first.shape[0] != rows or <size_t>last.shape[0] != rows:
        raise ValueError(f"columns of different lengths: {rows}, {first.shape[0]}, {last.shape[0]}")
    out = np.empty((rows + 7) // 8, np.uint8)
    cdef uint8_t[::1] view = out
    if rows:
        with nogil:
            told = tell_edges(<const uint64_t*>&edge[0], &first[0], &last[0], rows, largest, &view[0])
    return out, told


cdef int raise_verdict(Verdict verdict) except -1:
    if verdict == UNSORTED:
        raise ValueError("rows are not strictly ascending by series and time")
    if verdict == TIME_OUT_OF_RANGE:
        raise ValueError("a time is more than 2^62 ms from 1970")
    if verdict == COUNT_OVERFLOW:
        raise ValueError("a window holds more than 2^32 - 1 values")
    if verdict != SOUND:
        raise ValueError(f"folding ended with {<int>verdict}")
    return 0


cdef int point_part(Part* part, const uint32_t[::1] series, const int64_t[::1] ts_ms, value) except -1:
    """Check one triple and note where its columns are. The caller keeps the arrays alive."""
    cdef const double[::1] numbers = value
    if series.shape[0] != ts_ms.shape[0] or series.shape[0] != numbers.shape[0]:
        lengths = f"{series.shape[0]} series, {ts_ms.shape[0]} times, {numbers.shape[0]} values"
        raise ValueError(f"columns of different lengths: {lengths}")
    part.rows, part.at = series.shape[0], 0
    part.series = &series[0] if part.rows else NULL
    part.ts_ms = &ts_ms[0] if part.rows else NULL
    part.bits = <const uint64_t*>&numbers[0] if part.rows else NULL
    return 0


cdef tuple new_columns(Columns* columns, size_t capacity):
    """Columns with room for that many rows, and a note of where they are."""
    kinds = [np.uint32, np.int64, np.uint32, np.uint32, *[np.float64] * 8]
    arrays = tuple([np.empty(capacity, kind) for kind in kinds])
    point_columns(columns, arrays)
    columns.rows = 0
    return arrays


cdef int point_columns(Columns* columns, tuple arrays) except -1:
    """Note where columns are; the caller keeps them alive. They are written to only where they are new."""
    if len(arrays) != 12 or len({len(column) for column in arrays}) != 1:
        raise ValueError("windows are 12 columns of one length")
    columns.series, columns.start_ms = u32(arrays[0]), i64(arrays[1])
    columns.count, columns.nans = u32(arrays[2]), u32(arrays[3])
    columns.sum, columns.smallest, columns.largest = f64(arrays[4]), f64(arrays[5]), f64(arrays[6])
    columns.first, columns.last = f64(arrays[7]), f64(arrays[8])
    columns.m2, columns.resets, columns.carry = f64(arrays[9]), f64(arrays[10]), f64(arrays[11])
    columns.rows = len(arrays[0])
    columns.offsets, columns.data, columns.at, columns.end = NULL, NULL, NULL, NULL
    return 0


cdef tuple point_sketches(Fold* fold, size_t windows, size_t bytes_most):
    """Room for the sketches of all wide windows, and what counts them."""
    cdef size_t size = bytes_most + (SKETCH_BYTES_EMPTY + 2 * SKETCH_BYTES_SIDE) * (windows + 1)
    offsets, data = np.zeros(windows + 1, np.int32), np.empty(size, np.uint8)
    words, places = np.zeros(BUCKETS_WORDS, np.uint64), np.empty(2 * SIDE_PLACES, np.uint32)
    cdef int32_t[::1] offsets_view = offsets
    cdef uint8_t[::1] data_view = data
    fold.wide.offsets, fold.wide.data = &offsets_view[0], &data_view[0]
    fold.wide.at, fold.wide.end = fold.wide.data, fold.wide.data + size
    fold.held, fold.places = buckets_in(u64(words)), u32(places)
    return offsets, data, words, places


cdef tuple taken(tuple arrays, const Columns* columns):
    """The rows that were written."""
    return tuple([column[:columns.rows] for column in arrays])


cdef tuple taken_sketches(tuple room, const Fold* fold):
    cdef size_t size = fold.wide.at - fold.wide.data
    if size > 0x7FFFFFFF:
        raise ValueError(f"{size} bytes of sketches at once, at most 2^31 - 1: fold fewer rows")
    return room[0][:fold.wide.rows + 1], room[1][:size].copy()


cdef int point_source_sketches(Columns* source, tuple sketches) except -1:
    """Check where sketches lie and note it; the caller keeps them alive."""
    cdef const int32_t[::1] offsets = sketches[0]
    cdef const uint8_t[::1] data = sketches[1]
    cdef size_t row
    if <size_t>offsets.shape[0] != source.rows + 1:
        raise ValueError(f"{offsets.shape[0]} offsets of sketches for {source.rows} windows")
    for row in range(source.rows):
        if not 0 <= offsets[row] <= offsets[row + 1] <= data.shape[0]:
            raise ValueError(f"offsets of sketches do not rise inside of {data.shape[0]} bytes")
    source.offsets = <int32_t*>&offsets[0]
    source.data = <uint8_t*>&data[0] if data.shape[0] else NULL
    source.end = source.data + data.shape[0] if data.shape[0] else NULL
    return 0


cdef uint64_t* u64(const uint64_t[::1] column) except? NULL:
    return <uint64_t*>&column[0] if column.shape[0] else NULL


cdef int64_t* i64(const int64_t[::1] column) except? NULL:
    return <int64_t*>&column[0] if column.shape[0] else NULL


cdef uint32_t* u32(const uint32_t[::1] column) except? NULL:
    return <uint32_t*>&column[0] if column.shape[0] else NULL


cdef double* f64(const double[::1] column) except? NULL:
    return <double*>&column[0] if column.shape[0] else NULL


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t tell_edges(const uint64_t* edge, const double* first, const double* last, size_t rows, bint largest,
                       uint8_t* out) noexcept nogil:
    cdef size_t row, place, told = 0
    cdef unsigned octet
    for row in range(0, rows, 8):
        octet = 0
        if row + 8 <= rows:
            for place in range(8):
                octet |= told_apart(edge[row + place], first[row + place], last[row + place], largest) << place
        else:
            for place in range(rows - row):
                octet |= told_apart(edge[row + place], first[row + place], last[row + place], largest) << place
        out[row >> 3] = <uint8_t>octet
        told += count_ones(octet)
    return told


cdef void bound_windows(const Part* parts, size_t count, int64_t interval_ms, int64_t wide_ms, size_t* narrow,
                        size_t* wide) noexcept nogil:
    """Upper bounds of the numbers of windows written. Rooms of about this size are the same memory at every call;
    others would be new pages each time, and those cost as much as the fold."""
    cdef size_t index, row, start
    cdef const Part* part
    for index in range(count):
        part = &parts[index]
        start = 0
        for row in range(1, part.rows + 1):
            if row < part.rows and part.series[row] == part.series[start]:
                continue
            narrow[0] += windows_between(part.ts_ms[start], part.ts_ms[row - 1], row - start, interval_ms)
            wide[0] += windows_between(part.ts_ms[start], part.ts_ms[row - 1], row - start, wide_ms)
            start = row


cdef Verdict fold_parts(Part* parts, size_t count, const Room* room, Fold* fold) noexcept nogil:
    """Series by series: bring its samples together, fold them."""
    cdef size_t index
    cdef uint64_t series
    cdef Run run
    cdef Verdict verdict
    while True:
        series = <uint64_t>1 << 32
        for index in range(count):
            if parts[index].at < parts[index].rows:
                series = min(series, <uint64_t>parts[index].series[parts[index].at])
        if series >> 32:
            return SOUND
        verdict = gather_series(parts, count, <uint32_t>series, room, &run)
        if verdict == SOUND:
            trim_run(&run, fold.start_ms, fold.end_ms)
            verdict = fold_series(<uint32_t>series, &run, fold)
        if verdict != SOUND:
            return verdict


cdef Verdict fold_series(uint32_t series, const Run* run, Fold* fold) noexcept nogil:
    """Write the windows of one series."""
    cdef size_t at = 0, wide_at = 0
    cdef int64_t start, end = -TIME_LIMIT_MS
    cdef Window window, wide
    cdef Verdict verdict = SOUND
    wide = empty_window(0)
    while at < run.rows and verdict == SOUND:
        start = next_window_start(run.ts_ms[at], fold.interval_ms, end)
        end = start + fold.interval_ms
        if fold.wide_ms and (at == 0 or start - wide.start_ms >= fold.wide_ms):
            verdict = put_samples(series, &wide, run.bits + wide_at, at - wide_at, fold)
            wide, wide_at = empty_window(window_start(start, fold.wide_ms)), at
        at = fold_window(run, at, end, &window)
        window.start_ms = start
        if window.count + window.nans:
            put_window(series, &window, &fold.narrow)
            if fold.wide_ms:
                add_window(&wide, &window)
    if verdict == SOUND and fold.wide_ms:
        verdict = put_samples(series, &wide, run.bits + wide_at, at - wide_at, fold)
    return verdict


cdef Verdict survey_windows(const Columns* source, int64_t interval_ms, size_t* windows) noexcept nogil:
    """Number of wider windows, and whether the windows are in order."""
    cdef size_t row
    cdef int64_t end = 0
    cdef bint same
    for row in range(source.rows):
        if not -TIME_LIMIT_MS <= source.start_ms[row] < TIME_LIMIT_MS:
            return TIME_OUT_OF_RANGE
        same = row > 0 and source.series[row] == source.series[row - 1]
        if row and (source.series[row] < source.series[row - 1] or
                    (same and source.start_ms[row] <= source.start_ms[row - 1])):
            return UNSORTED
        if not same or source.start_ms[row] >= end:
            windows[0] += 1
            end = window_start(source.start_ms[row], interval_ms) + interval_ms
    return SOUND


cdef Verdict fold_rows(const Columns* source, Fold* fold) noexcept nogil:
    """Fold windows of all series."""
    cdef size_t row
    cdef Window window, wide
    cdef uint64_t total = 0
    cdef Verdict verdict = SOUND
    wide = empty_window(0)
    for row in range(source.rows):
        window = window_at(source, row)
        if row == 0 or source.series[row] != source.series[row - 1] or window.start_ms - wide.start_ms >= fold.wide_ms:
            if row:
                verdict = put_wide(source.series[row - 1], &wide, fold)
            wide = empty_window(window_start(window.start_ms, fold.wide_ms))
            total = 0
        add_window(&wide, &window)
        if source.offsets != NULL and verdict == SOUND:
            if read_sketch(source.data + source.offsets[row], source.offsets[row + 1] - source.offsets[row],
                           &fold.held, False, &total, &fold.stopped) != SKETCH_SOUND:
                verdict = SKETCH_WRONG
        if verdict != SOUND:
            return verdict
    return put_wide(source.series[source.rows - 1], &wide, fold) if source.rows else SOUND


cdef Verdict put_samples(uint32_t series, Window* wide, const uint64_t* bits, size_t rows, Fold* fold) noexcept nogil:
    """Write a wide window, unless it is empty, and the sketch of its samples."""
    cdef Columns* columns = &fold.wide
    cdef uint8_t* end = NULL
    cdef uint64_t smallest, largest
    if wide.count == rows and rows > 0:  # all of them numbers
        memcpy(&smallest, &wide.smallest, 8)
        memcpy(&largest, &wide.largest, 8)
        if smallest & SIGN_BIT:
            smallest, largest = largest, smallest
        if <size_t>(columns.end - columns.at) >= SKETCH_BYTES_BUCKET * rows + SKETCH_BYTES_SIDE:
            end = put_values(bits, rows, smallest, largest, columns.at)
    if end == NULL:
        add_values(&fold.held, bits, rows)
        return put_wide(series, wide, fold)
    return put_row(series, wide, fold, end)


cdef Verdict put_wide(uint32_t series, Window* wide, Fold* fold) noexcept nogil:
    """Write a wide window, unless it is empty, and its sketch."""
    cdef Columns* columns = &fold.wide
    cdef uint8_t* end = NULL
    if wide.count + wide.nans == 0:
        return SOUND
    if columns.offsets != NULL:
        end = put_sketch(&fold.held, fold.places, columns.at, columns.end, True)
        if end == NULL:
            return ROOM_EXHAUSTED
    return put_row(series, wide, fold, end)


cdef Verdict put_row(uint32_t series, Window* wide, Fold* fold, uint8_t* end) noexcept nogil:
    """Write a wide window whose sketch ends before ``end``."""
    cdef Columns* columns = &fold.wide
    if wide.count > COUNT_MAX or wide.nans > COUNT_MAX:
        return COUNT_OVERFLOW
    round_window(wide)
    put_window(series, wide, columns)
    if columns.offsets != NULL:
        columns.at = end
        columns.offsets[columns.rows] = <int32_t>min(<size_t>(end - columns.data), <size_t>0x7FFFFFFF)
    return SOUND


cdef inline size_t windows_between(int64_t first_ms, int64_t last_ms, size_t rows, int64_t interval_ms) noexcept nogil:
    """The most windows that rows of one series can lie in; 0 where they do not ascend, and so are not folded."""
    if interval_ms == 0 or not -TIME_LIMIT_MS <= first_ms <= last_ms < TIME_LIMIT_MS:
        return 0
    return min(rows, <size_t>((last_ms - first_ms) // interval_ms) + 2)


cdef inline unsigned told_apart(uint64_t edge, double first, double last, bint largest) noexcept nogil:
    """1 where an edge is neither of both."""
    cdef uint64_t bits
    cdef double value
    if largest:
        value = last if last > first else first
    else:
        value = last if last < first else first
    memcpy(&bits, &value, 8)
    return bits != edge
