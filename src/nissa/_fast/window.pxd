# One window of one series: its row, folded from samples or from the rows of narrower windows, and rows as columns.
#
#   samples   1.0  3.0  (NaN)  8.0  stale  2.0
#   row       count 4  nans 1  sum 14  min 1  max 8  first 1  last 2  m2 29  resets 8
#
# Everything is computed in order of time, so a row computed again is the same bit for bit. A multiplication and an
# addition must not become one instruction, or rows would differ from machine to machine. The columns' meanings stand in
# ``docs/decisions/0006-the-ladder.md``.

from libc.math cimport NAN, isfinite
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.sample cimport INFINITY_BITS, SIGN_BIT, STALE_BITS

cdef extern from *:
    """
    #if defined(__clang__)
    #pragma clang fp contract(off)
    #elif defined(__GNUC__)
    #pragma GCC optimize ("fp-contract=off")
    #endif
    #define NISSA_NAN_BITS 0x7FF8000000000000ULL
    /* The top bit where a value is a NaN: without a branch, and the checked build knows no wrapping around. */
    #define nissa_nan_sign(bits) ((0x7FF0000000000000ULL - ((bits) & 0x7FFFFFFFFFFFFFFFULL)) & 0x8000000000000000ULL)
    /* What a counter fell from, 0 where it did not fall. Without a branch, which a gauge would take at random. */
    static inline double nissa_fallen(double before, double after) {
        union { double number; uint64_t bits; } from = { before };
        from.bits &= 0 - (uint64_t)(after < before);
        return from.number;
    }
    /* To 24 significant bits, half to even; infinities and NaN as they are. */
    static inline double nissa_rounded(double number) {
        union { double number; uint64_t bits; } out = { number };
        if ((out.bits & 0x7FF0000000000000ULL) == 0x7FF0000000000000ULL) return number;
        out.bits += 0x0FFFFFFFULL + (out.bits >> 29 & 1);
        out.bits &= ~0x1FFFFFFFULL;
        return out.number;
    }
    """
    uint64_t nan_sign "nissa_nan_sign"(uint64_t bits) noexcept nogil
    double fallen "nissa_fallen"(double before, double after) noexcept nogil
    double rounded "nissa_rounded"(double number) noexcept nogil
    const uint64_t NAN_BITS "NISSA_NAN_BITS"

# The samples of one series, in order of time.
cdef struct Run:
    const int64_t* ts_ms
    const uint64_t* bits
    size_t rows

cdef struct Window:
    int64_t start_ms
    uint64_t count
    uint64_t nans
    double sum
    double smallest
    double largest
    double first
    double last
    double m2
    double resets

# Rows as columns; the sketch of each behind the one before.
cdef struct Columns:
    uint32_t* series
    int64_t* start_ms
    uint32_t* count
    uint32_t* nans
    double* sum
    double* smallest
    double* largest
    double* first
    double* last
    double* m2
    double* resets
    int32_t* offsets        # NULL where there are no sketches
    uint8_t* data
    uint8_t* at             # where the next sketch goes
    const uint8_t* end
    size_t rows


cdef inline int64_t next_window_start(int64_t ts_ms, int64_t interval_ms, int64_t end_ms) noexcept nogil:
    """The same for a time not before ``end_ms``, where the window before ends. Mostly it is the next: no division."""
    return end_ms if ts_ms - end_ms < interval_ms else window_start(ts_ms, interval_ms)


cdef inline int64_t window_start(int64_t ts_ms, int64_t interval_ms) noexcept nogil:
    """The start of the window a time lies in, before 1970 too."""
    cdef int64_t rest = ts_ms % interval_ms
    return ts_ms - rest - (interval_ms if rest < 0 else 0)


cdef inline Window empty_window(int64_t start_ms) noexcept nogil:
    cdef Window window
    window.start_ms = start_ms
    window.count, window.nans, window.sum, window.m2, window.resets = 0, 0, 0.0, 0.0, 0.0
    window.smallest, window.largest, window.first, window.last = NAN, NAN, NAN, NAN
    return window


cdef inline void add_window(Window* window, const Window* later) noexcept nogil:
    """Fold the next window of the series in (Chan, Golub, LeVeque 1979 for m2)."""
    cdef double count = <double>window.count, more = <double>later.count, apart
    window.nans += later.nans
    if later.count == 0:
        return
    if window.count == 0:
        window.count, window.sum = later.count, later.sum
        window.smallest, window.largest = later.smallest, later.largest
        window.first, window.last, window.m2, window.resets = later.first, later.last, later.m2, later.resets
        return
    apart = later.sum / more - window.sum / count
    window.m2 = window.m2 + later.m2 + apart * apart * (count * more / (count + more))
    window.resets = window.resets + fallen(window.last, later.first) + later.resets
    window.smallest = later.smallest if later.smallest < window.smallest else window.smallest
    window.largest = later.largest if later.largest > window.largest else window.largest
    window.last = later.last
    window.count += later.count
    window.sum += later.sum
    if not isfinite(window.sum):
        window.m2 = NAN
    elif not window.smallest < window.largest:
        window.m2 = 0.0


cdef inline size_t fold_window(const Run* run, size_t at, int64_t end_ms, Window* window) noexcept nogil:
    """The samples from ``at``, one at least, up to ``end_ms``. Returns the row behind them.

    All of them are taken for numbers first; where one is not, what came of it is thrown away.
    """
    cdef size_t start = at, rows = run.rows
    cdef uint64_t odd = 0
    cdef double value, total = 0.0, first, last, smallest, largest, resets = 0.0
    memcpy(&first, &run.bits[at], 8)
    last = smallest = largest = first
    while at < rows and run.ts_ms[at] < end_ms:
        odd |= nan_sign(run.bits[at])
        memcpy(&value, &run.bits[at], 8)
        resets += fallen(last, value)
        smallest = value if value < smallest else smallest
        largest = value if value > largest else largest
        last = value
        total += value
        at += 1
    if odd:
        fold_odd(run.bits + start, at - start, window)
        return at
    window.count, window.nans, window.sum, window.resets = at - start, 0, total, resets
    window.smallest, window.largest, window.first, window.last = smallest, largest, first, last
    window.m2 = 0.0
    if smallest < largest:
        window.m2 = squares(run.bits + start, at - start, total / <double>(at - start))
    window.m2 = rounded(window.m2) if isfinite(total) else NAN
    return at


cdef inline void fold_odd(const uint64_t* bits, size_t rows, Window* window) noexcept nogil:
    """Samples not all of which are numbers."""
    cdef uint64_t nans = 0, count = 0
    cdef double value, total = 0.0, smallest = NAN, largest = NAN, first = NAN, last = NAN, resets = 0.0
    cdef size_t row
    for row in range(rows):
        if bits[row] & ~SIGN_BIT > INFINITY_BITS:
            nans += bits[row] != STALE_BITS
            continue
        memcpy(&value, &bits[row], 8)
        if count == 0:
            first = last = smallest = largest = value
        resets += fallen(last, value)
        smallest = value if value < smallest else smallest
        largest = value if value > largest else largest
        last = value
        total += value
        count += 1
    window.count, window.nans, window.sum, window.resets = count, nans, total, resets
    window.smallest, window.largest, window.first, window.last = smallest, largest, first, last
    window.m2 = 0.0
    if smallest < largest:
        window.m2 = squares(bits, rows, total / <double>count)
    window.m2 = rounded(window.m2) if isfinite(total) else NAN


cdef inline double squares(const uint64_t* bits, size_t rows, double mean) noexcept nogil:
    """Sum of the squares of what numbers differ from their mean."""
    cdef double value, total = 0.0
    cdef size_t row
    for row in range(rows):
        memcpy(&value, &bits[row], 8)
        if value == value:
            total += (value - mean) * (value - mean)
    return total


cdef inline void put_window(uint32_t series, const Window* window, Columns* columns) noexcept nogil:
    """Write the next row."""
    cdef size_t row = columns.rows
    columns.series[row] = series
    columns.start_ms[row] = window.start_ms
    columns.count[row] = <uint32_t>window.count
    columns.nans[row] = <uint32_t>window.nans
    put_number(columns.sum + row, window.sum)
    put_number(columns.smallest + row, window.smallest)
    put_number(columns.largest + row, window.largest)
    put_number(columns.first + row, window.first)
    put_number(columns.last + row, window.last)
    put_number(columns.m2 + row, window.m2)
    put_number(columns.resets + row, window.resets)
    columns.rows = row + 1


cdef inline void put_number(double* at, double number) noexcept nogil:
    """Every NaN as the same one: processors make them of either sign."""
    cdef uint64_t bits = NAN_BITS
    if number == number:
        memcpy(&bits, &number, 8)
    memcpy(at, &bits, 8)


cdef inline Window window_at(const Columns* columns, size_t row) noexcept nogil:
    cdef Window window
    window.start_ms = columns.start_ms[row]
    window.count, window.nans = columns.count[row], columns.nans[row]
    window.sum, window.smallest, window.largest = columns.sum[row], columns.smallest[row], columns.largest[row]
    window.first, window.last = columns.first[row], columns.last[row]
    window.m2, window.resets = columns.m2[row], columns.resets[row]
    return window
