# One sample beside another: which comes first, and which of two values for one series and time is kept.
#
# Equal bits are duplicates. Otherwise the winner does not depend on who came first: a number beats a NaN, a NaN beats
# the stale marker, the larger number wins, and what is still equal is settled by its bits (0.0 over -0.0; of two NaNs
# the larger bit pattern). Values travel as the bits of their float64, so that no NaN payload passes through a floating
# point register.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #define NISSA_STALE_BITS 0x7FF0000000000002ULL
    #define NISSA_SIGN_BIT 0x8000000000000000ULL
    #define NISSA_INFINITY_BITS 0x7FF0000000000000ULL
    """
    const uint64_t STALE_BITS "NISSA_STALE_BITS"
    const uint64_t SIGN_BIT "NISSA_SIGN_BIT"
    const uint64_t INFINITY_BITS "NISSA_INFINITY_BITS"


cdef inline bint comes_after(uint32_t series, int64_t ts_ms, uint32_t before_series,
                             int64_t before_ts_ms) noexcept nogil:
    return series > before_series or (series == before_series and ts_ms > before_ts_ms)


cdef inline int value_class(uint64_t bits) noexcept nogil:
    """2 a number, infinities included; 1 a NaN; 0 the stale marker."""
    if (bits & ~SIGN_BIT) <= INFINITY_BITS:
        return 2
    return 0 if bits == STALE_BITS else 1


cdef inline uint64_t ascending(uint64_t bits) noexcept nogil:
    """Bits of a number as an unsigned integer in the order of the numbers, -0.0 directly before 0.0."""
    return ~bits if bits & SIGN_BIT else bits | SIGN_BIT


cdef inline bint beats(uint64_t challenger, uint64_t holder) noexcept nogil:
    """True if the challenger's value is to be kept instead of the holder's. Equal bits never beat each other."""
    cdef int left = value_class(challenger), right = value_class(holder)
    if left != right:
        return left > right
    if left == 2:
        return ascending(challenger) > ascending(holder)
    return challenger > holder
