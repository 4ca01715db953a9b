# One window of one series: its row, folded from samples or from the rows of narrower windows, and rows as columns.
#
#   samples   1.0  3.0  (NaN)  8.0  stale  2.0
#   row       count 4  nans 1  sum 14  min 1  max 8  first 1  last 2  m2 29  resets 8  carry 0
#
# Sums are compensated (Neumaier 1974): ``sum`` is the float64 nearest to the total, ``carry`` what it lacks, so that
# 1e16, 1 and -1e16 come to 1 whether they lie in one window or in three. A total beyond the float64 has the infinite
# ``sum`` of IEEE 754, and ``carry`` holds it divided by 2^32, which no count of finite numbers takes beyond: a mean
# needs it. The carry of an infinite value is 0.
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
    /* What a counter fell from, 0 where it did not fall. Without a branch, which a gauge would take at random. */
    static inline double nissa_fallen(double before, double after) {
        union { double number; uint64_t bits; } from = { before };
        from.bits &= 0 - (uint64_t)(after < before);
        return from.number;
    }
    /* Without its last bits, half to even; infinities and NaN as they are. */
    static inline double nissa_rounded(double number, int bits_less) {
        union { double number; uint64_t bits; } out = { number };
        const uint64_t last = 1ULL << bits_less;
        if ((out.bits & 0x7FF0000000000000ULL) == 0x7FF0000000000000ULL) return number;
        out.bits += (last >> 1) - 1 + (out.bits >> bits_less & 1);
        out.bits &= ~(last - 1);
        return out.number;
    }
    #define NISSA_M2_BITS_LESS 29     /* 24 significant bits */
    #define NISSA_CARRY_BITS_LESS 41  /* 12 significant bits: a sum in 65 */
    #define NISSA_SCALE 0x1p-32
    """
    double fallen "nissa_fallen"(double before, double after) noexcept nogil
    double rounded "nissa_rounded"(double number, int bits_less) noexcept nogil
    const int M2_BITS_LESS "NISSA_M2_BITS_LESS"
    const int CARRY_BITS_LESS "NISSA_CARRY_BITS_LESS"
    const double SCALE "NISSA_SCALE"
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
    double carry

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
    double* carry
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
    window.count, window.nans, window.sum, window.carry, window.m2, window.resets = 0, 0, 0.0, 0.0, 0.0, 0.0
    window.smallest, window.largest, window.first, window.last = NAN, NAN, NAN, NAN
    return window


cdef inline void add_window(Window* window, const Window* later) noexcept nogil:
    """Fold the next window of the series in (Chan, Golub, LeVeque 1979 for m2)."""
    cdef double count = <double>window.count, more = <double>later.count, apart
    window.nans += later.nans
    if later.count == 0:
        return
    if window.count == 0:
        window.count, window.sum, window.carry = later.count, later.sum, later.carry
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
    add_totals(window, later)
    if not isfinite(window.sum):
        window.m2 = NAN
    elif not window.smallest < window.largest:
        window.m2 = 0.0


cdef inline void add_number(double* total, double* carry, double number) noexcept nogil:
    """Add to a total, and what was rounded off to its carry (Knuth's two-sum)."""
    cdef double before = total[0], after = before + number, part = after - before
    carry[0] += (before - (after - part)) + (number - part)
    total[0] = after


cdef inline void add_totals(Window* window, const Window* later) noexcept nogil:
    """Add the next window's sum and carry."""
    cdef double total = window.sum, carry = window.carry, low = 0.0
    add_number(&total, &carry, later.sum)
    add_number(&total, &low, carry + later.carry)
    if isfinite(total) and isfinite(low):
        window.sum, window.carry = total, low
    elif not (holds_infinity(window) or holds_infinity(later)):
        put_scaled(window, scaled_total(window) + scaled_total(later), 0.0)
    elif holds_infinity(later):
        window.sum, window.carry = (window.sum if holds_infinity(window) else 0.0) + later.sum, 0.0


cdef inline bint holds_infinity(const Window* window) noexcept nogil:
    """True if the sum is not finite because a value is not."""
    return not isfinite(window.sum) and window.carry == 0.0


cdef inline double scaled_total(const Window* window) noexcept nogil:
    return window.sum * SCALE if isfinite(window.sum) else window.carry


cdef inline void put_scaled(Window* window, double total, double carry) noexcept nogil:
    """Note a total that was added up scaled."""
    window.sum, window.carry = total / SCALE, carry / SCALE
    if not isfinite(window.sum):
        window.carry = total


cdef inline void put_total(Window* window, double total, double carry, const uint64_t* bits,
                           size_t rows) noexcept nogil:
    """Note the total of samples; where it is not finite they are added up again, or one of them is not.

    The window's smallest and largest value are known.
    """
    cdef double low = 0.0, value
    cdef size_t row
    add_number(&total, &low, carry)
    if isfinite(total) and isfinite(low):
        window.sum, window.carry = total, rounded(low, CARRY_BITS_LESS)
        return
    if not (isfinite(window.smallest) and isfinite(window.largest)):
        window.sum, window.carry = window.smallest + window.largest, 0.0
        return
    total = carry = low = 0.0
    for row in range(rows):
        memcpy(&value, &bits[row], 8)
        if value == value:
            add_number(&total, &carry, value * SCALE)
    add_number(&total, &low, carry)
    put_scaled(window, total, rounded(low, CARRY_BITS_LESS))


cdef inline void round_window(Window* window) noexcept nogil:
    """State of a window folded from others."""
    window.m2 = rounded(window.m2, M2_BITS_LESS)
    if isfinite(window.sum):
        window.carry = rounded(window.carry, CARRY_BITS_LESS)


cdef inline size_t fold_window(const Run* run, size_t at, int64_t end_ms, Window* window) noexcept nogil:
    """The samples from ``at``, one at least, up to ``end_ms``. Returns the row behind them.

    All of them are taken for numbers first; where one is not, or infinities cancel out, their total is NaN, and what
    came of it is thrown away.
    """
    cdef size_t start = at, rows = run.rows
    cdef double value, total = 0.0, carry = 0.0, first, last, smallest, largest, resets = 0.0
    memcpy(&first, &run.bits[at], 8)
    last = smallest = largest = first
    while at < rows and run.ts_ms[at] < end_ms:
        memcpy(&value, &run.bits[at], 8)
        resets += fallen(last, value)
        smallest = value if value < smallest else smallest
        largest = value if value > largest else largest
        last = value
        add_number(&total, &carry, value)
        at += 1
    if total != total:
        fold_odd(run.bits + start, at - start, window)
        return at
    window.count, window.nans, window.resets = at - start, 0, resets
    window.smallest, window.largest, window.first, window.last = smallest, largest, first, last
    put_total(window, total, carry, run.bits + start, at - start)
    put_squares(window, run.bits + start, at - start, False)
    return at


cdef inline void fold_odd(const uint64_t* bits, size_t rows, Window* window) noexcept nogil:
    """Samples not all of which are numbers."""
    cdef uint64_t nans = 0, count = 0
    cdef double value, total = 0.0, carry = 0.0, smallest = NAN, largest = NAN, first = NAN, last = NAN, resets = 0.0
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
        add_number(&total, &carry, value)
        count += 1
    window.count, window.nans, window.resets = count, nans, resets
    window.smallest, window.largest, window.first, window.last = smallest, largest, first, last
    window.sum, window.carry = 0.0, 0.0
    if count:
        put_total(window, total, carry, bits, rows)
    put_squares(window, bits, rows, True)


cdef inline void put_squares(Window* window, const uint64_t* bits, size_t rows, bint odd) noexcept nogil:
    """Note the sum of the squares of what numbers differ from their mean. All else of the window is known.

    odd: not all of the samples are numbers.
    """
    cdef double value, mean, total = 0.0
    cdef size_t row
    if window.smallest < window.largest:
        mean = window.sum / <double>window.count
        for row in range(rows):
            memcpy(&value, &bits[row], 8)
            if not odd or value == value:
                total += (value - mean) * (value - mean)
    window.m2 = rounded(total, M2_BITS_LESS) if isfinite(window.sum) else NAN


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
    put_number(columns.carry + row, window.carry)
    columns.rows = row + 1


cdef inline void put_number(double* at, double number) noexcept nogil:
    """Every NaN as the same one: processors make them of either sign."""
    cdef uint64_t bits = NAN_BITS
    if number == number:
        memcpy(&bits, &number, 8)
    memcpy(at, &bits, 8)


cdef inline Window window_at(const Columns* columns, size_t row) noexcept nogil:
    """One row; blocks of earlier builds have no carry, and NaN for it here."""
    cdef Window window
    window.start_ms = columns.start_ms[row]
    window.count, window.nans = columns.count[row], columns.nans[row]
    window.sum, window.smallest, window.largest = columns.sum[row], columns.smallest[row], columns.largest[row]
    window.first, window.last = columns.first[row], columns.last[row]
    window.m2, window.resets = columns.m2[row], columns.resets[row]
    window.carry = columns.carry[row] if columns.carry[row] == columns.carry[row] else 0.0
    return window
