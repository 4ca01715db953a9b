"""Folding: samples into windows, windows into wider windows.

    samples of series 7, by parts (sorted blocks)          windows of 1 m                  windows of 5 m
    part 0   @0  1.0   @20  3.0   @40  8.0             ─►  7 @0   count 3  sum 12  …   ─►  7 @0  count 5  sum 20  …
    part 1   @60 2.0   @80  6.0                            7 @60  count 2  sum 8  …               and a sketch

A window is the half-open [k * interval, (k + 1) * interval). Its row is a function of the samples in it and of nothing
else, computed in order of time with one fixed association of the sums, so a row computed again is the same bit for
bit. ``docs/decisions/0006-the-ladder.md`` defines the columns:

    count, nans      numbers, and NaN that are not the staleness marker; the marker is neither
    sum min max first last      of the numbers, NaN (but sum 0) where there are none
    m2               sum of (x - mean)^2, of two windows together by Chan's formula; NaN where sum is not finite
    increase         steps upwards between neighbours; a step down is a reset and counts the new value

One walk over the samples makes the windows of two intervals: the wide ones are folded from the narrow ones, as
``fold_windows`` would, but for their sketches, which need the samples.

This file knows no series names, no clock and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.buckets cimport (BUCKETS_WORDS, SIDE_PLACES, SKETCH_BYTES_BUCKET, SKETCH_BYTES_EMPTY,
                                  SKETCH_BYTES_SIDE, SKETCH_SOUND, Buckets, buckets_in, put_sketch,
                                  read_sketch)
from nissa._fast.sample cimport beats
from nissa._fast.window cimport (Columns, Run, Window, add_window, empty_window, fold_window, next_window_start,
                                 put_window, window_at, window_start)

import numpy as np

from nissa.model.errors import Malformed

# What a loop says of its input.
cdef enum Verdict:
    SOUND = 0
    UNSORTED = 1            # a part or the windows are not strictly ascending
    TIME_OUT_OF_RANGE = 2   # beyond 2^62 ms either way, where window arithmetic could overflow
    COUNT_OVERFLOW = 3      # over 2^32 - 1 values in a window
    SKETCH_WRONG = 4
    ROOM_EXHAUSTED = 5      # never: rooms are made for the most there can be

cdef extern from *:
    """
    #define NISSA_TIME_LIMIT_MS 0x4000000000000000LL
    #define NISSA_COUNT_MAX 0xFFFFFFFFULL
    """
    const int64_t TIME_LIMIT_MS "NISSA_TIME_LIMIT_MS"
    const uint64_t COUNT_MAX "NISSA_COUNT_MAX"

cdef struct Part:
    const uint32_t* series
    const int64_t* ts_ms
    const uint64_t* bits
    size_t rows
    size_t at               # the next to be folded

# Room to bring a series' samples of several parts together.
cdef struct Room:
    int64_t* ts_ms
    uint64_t* bits
    int64_t* other_ts_ms
    uint64_t* other_bits

cdef struct Fold:
    int64_t interval_ms
    int64_t wide_ms         # 0 where no wide windows are wanted
    Columns narrow
    Columns wide
    Buckets held            # of the wide window in hand
    uint32_t* places
    const uint8_t* stopped  # where a sketch is wrong


# ---- Boundary --------------------------------------------------------------------------------------------------------

def fold_samples(list parts, int64_t interval_ms, int64_t wide_ms=0):
    """Windows of samples, and wider windows with sketches.

    parts: list of (series uint32, ts_ms int64, value float64) triples, each strictly ascending by (series, ts_ms). A
        sample in several parts is one sample, resolved by the rule of ``sample.pxd``. Windows that parts hold only
        some samples of are folded of those: the caller brings whole windows.
    wide_ms: a multiple of interval_ms, or 0 for none.
    Returns: (columns, wide columns or None, sketches or None). columns: (series uint32, start_ms int64, count uint32,
        nans uint32, sum, min, max, first, last, m2, increase float64), sorted by series, then time. sketches: (offsets
        int32 of one more than the wide rows, data uint8).
    Raises: ValueError for parts out of order or of uneven columns.
    GIL: released. Cost: 6 to 8 ns per sample, and 15 ns per window.
    """
    cdef size_t index, count = len(parts), rows = 0, rooms = 0
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
    fold.interval_ms, fold.wide_ms = interval_ms, wide_ms
    rooms = rows if count > 1 else 0  # pages never written cost nothing
    room_memory = [np.empty(max(rooms, 1), kind) for kind in (np.int64, np.uint64, np.int64, np.uint64)]
    room.ts_ms, room.bits, room.other_ts_ms, room.other_bits = (i64(room_memory[0]), u64(room_memory[1]),
                                                                i64(room_memory[2]), u64(room_memory[3]))
    narrow = new_columns(&fold.narrow, rows)
    wide = new_columns(&fold.wide, rows if wide_ms else 0)
    sketches = point_sketches(&fold, rows, SKETCH_BYTES_BUCKET * rows) if wide_ms else None
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
    kinds = [np.uint32, np.int64, np.uint32, np.uint32, *[np.float64] * 7]
    arrays = tuple([np.empty(capacity, kind) for kind in kinds])
    point_columns(columns, arrays)
    columns.rows = 0
    return arrays


cdef int point_columns(Columns* columns, tuple arrays) except -1:
    """Note where columns are; the caller keeps them alive. They are written to only where they are new."""
    if len(arrays) != 11 or len({len(column) for column in arrays}) != 1:
        raise ValueError("windows are 11 columns of one length")
    columns.series, columns.start_ms = u32(arrays[0]), i64(arrays[1])
    columns.count, columns.nans = u32(arrays[2]), u32(arrays[3])
    columns.sum, columns.smallest, columns.largest = f64(arrays[4]), f64(arrays[5]), f64(arrays[6])
    columns.first, columns.last = f64(arrays[7]), f64(arrays[8])
    columns.m2, columns.increase = f64(arrays[9]), f64(arrays[10])
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
            verdict = fold_series(<uint32_t>series, &run, fold)
        if verdict != SOUND:
            return verdict


cdef Verdict gather_series(Part* parts, size_t count, uint32_t series, const Room* room, Run* run) noexcept nogil:
    """The samples of a series of all parts, where they lie if only one has it."""
    cdef Room here = room[0]
    cdef Run more
    cdef size_t index
    cdef Verdict verdict
    run.rows = 0
    run.ts_ms, run.bits = NULL, NULL
    for index in range(count):
        verdict = take_series(&parts[index], series, &more)
        if verdict != SOUND:
            return verdict
        if more.rows == 0:
            continue
        if run.rows == 0:
            run[0] = more
            continue
        if run.ts_ms != here.ts_ms:
            memcpy(here.ts_ms, run.ts_ms, run.rows * sizeof(int64_t))
            memcpy(here.bits, run.bits, run.rows * sizeof(uint64_t))
            run.ts_ms, run.bits = here.ts_ms, here.bits
        if more.ts_ms[0] > run.ts_ms[run.rows - 1]:
            memcpy(here.ts_ms + run.rows, more.ts_ms, more.rows * sizeof(int64_t))
            memcpy(here.bits + run.rows, more.bits, more.rows * sizeof(uint64_t))
            run.rows += more.rows
        else:
            run.rows = merge_runs(run, &more, here.other_ts_ms, here.other_bits)
            run.ts_ms, run.bits = here.other_ts_ms, here.other_bits
            here.other_ts_ms, here.other_bits, here.ts_ms, here.bits = (here.ts_ms, here.bits, here.other_ts_ms,
                                                                        here.other_bits)
    return SOUND


cdef Verdict take_series(Part* part, uint32_t series, Run* run) noexcept nogil:
    """The rows at a part's turn that are of ``series``."""
    cdef size_t end = part.at
    cdef bint ascending = True
    while end < part.rows and part.series[end] == series:
        end += 1
    run.ts_ms = part.ts_ms + part.at
    run.bits = part.bits + part.at
    run.rows = end - part.at
    for end in range(1, run.rows):
        ascending &= run.ts_ms[end] > run.ts_ms[end - 1]
    part.at += run.rows
    if not ascending or (part.at < part.rows and part.series[part.at] < series):
        return UNSORTED
    if run.rows and not (-TIME_LIMIT_MS <= run.ts_ms[0] and run.ts_ms[run.rows - 1] < TIME_LIMIT_MS):
        return TIME_OUT_OF_RANGE
    return SOUND


cdef size_t merge_runs(const Run* left, const Run* right, int64_t* ts_ms, uint64_t* bits) noexcept nogil:
    """Two runs as one, equal times resolved. Returns the rows."""
    cdef size_t at = 0, first = 0, second = 0
    while first < left.rows or second < right.rows:
        if second == right.rows or (first < left.rows and left.ts_ms[first] < right.ts_ms[second]):
            ts_ms[at], bits[at] = left.ts_ms[first], left.bits[first]
            first += 1
        elif first == left.rows or right.ts_ms[second] < left.ts_ms[first]:
            ts_ms[at], bits[at] = right.ts_ms[second], right.bits[second]
            second += 1
        else:
            ts_ms[at] = left.ts_ms[first]
            bits[at] = right.bits[second] if beats(right.bits[second], left.bits[first]) else left.bits[first]
            first += 1
            second += 1
        at += 1
    return at


cdef Verdict fold_series(uint32_t series, const Run* run, Fold* fold) noexcept nogil:
    """Write the windows of one series."""
    cdef size_t at = 0
    cdef int64_t start, end = -TIME_LIMIT_MS
    cdef Window window, wide
    cdef Verdict verdict = SOUND
    cdef Buckets* held = &fold.held if fold.wide_ms else NULL
    wide = empty_window(0)
    while at < run.rows and verdict == SOUND:
        start = next_window_start(run.ts_ms[at], fold.interval_ms, end)
        end = start + fold.interval_ms
        if held != NULL and (at == 0 or start - wide.start_ms >= fold.wide_ms):
            verdict = put_wide(series, &wide, fold)
            wide = empty_window(window_start(start, fold.wide_ms))
        at = fold_window(run, at, end, &window, held)
        window.start_ms = start
        if window.count + window.nans:
            put_window(series, &window, &fold.narrow)
            if held != NULL:
                add_window(&wide, &window)
    if verdict == SOUND and held != NULL:
        verdict = put_wide(series, &wide, fold)
    return verdict


cdef Verdict survey_windows(const Columns* source, int64_t interval_ms, size_t* windows) noexcept nogil:
    """How many wider windows there are, and whether the windows are in order."""
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
                           &fold.held, &total, &fold.stopped) != SKETCH_SOUND:
                verdict = SKETCH_WRONG
        if verdict != SOUND:
            return verdict
    return put_wide(source.series[source.rows - 1], &wide, fold) if source.rows else SOUND


cdef Verdict put_wide(uint32_t series, const Window* wide, Fold* fold) noexcept nogil:
    """Write a wide window, unless it is empty, and its sketch."""
    cdef Columns* columns = &fold.wide
    cdef uint8_t* end
    if wide.count + wide.nans == 0:
        return SOUND
    if wide.count > COUNT_MAX or wide.nans > COUNT_MAX:
        return COUNT_OVERFLOW
    put_window(series, wide, columns)
    if columns.offsets == NULL:
        return SOUND
    end = put_sketch(&fold.held, fold.places, columns.at, columns.end, True)
    if end == NULL:
        return ROOM_EXHAUSTED
    columns.at = end
    columns.offsets[columns.rows] = <int32_t>min(<size_t>(end - columns.data), <size_t>0x7FFFFFFF)
    return SOUND
