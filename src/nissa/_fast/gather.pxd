# The samples of one series out of several sorted parts.
#
#   part 0   7 @0  7 @20  8 @0 …          series 7   @0 @20 @60 @80     where they lie, if one part has them all;
#   part 1   7 @60 7 @80  9 @0 …                                        else brought together in room of the caller's
#
# Parts that follow one another in time are copied, others merged; a sample that stands in several is resolved by the
# rule of ``sample.pxd``.

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.sample cimport beats
from nissa._fast.window cimport Run

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
    """
    const int64_t TIME_LIMIT_MS "NISSA_TIME_LIMIT_MS"

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


cdef inline void trim_run(Run* run, int64_t start_ms, int64_t end_ms) noexcept nogil:
    """Leave what is in [start_ms, end_ms). What is not is little, or nothing."""
    while run.rows and run.ts_ms[0] < start_ms:
        run.ts_ms += 1
        run.bits += 1
        run.rows -= 1
    while run.rows and run.ts_ms[run.rows - 1] >= end_ms:
        run.rows -= 1


cdef inline size_t merge_runs(const Run* left, const Run* right, int64_t* ts_ms, uint64_t* bits) noexcept nogil:
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


cdef inline Verdict take_series(Part* part, uint32_t series, Run* run) noexcept nogil:
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


cdef inline Verdict gather_series(Part* parts, size_t count, uint32_t series, const Room* room,
                                  Run* run) noexcept nogil:
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
