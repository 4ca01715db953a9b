# The shortest decimal that reads back as the same float64 (Schubfach, Raffaello Giulietti, 2020), and numbers as text.
#
#   v = c * 2^q, its neighbours half way:    cbl < cb < cbr    (all times 4)
#   scaled by 10^-k, k so that the interval holds one to ten integers:   vbl   vb   vbr
#   the answer is the multiple of ten inside, else the integer inside, else the nearer of two
#
# Powers of ten come as 128-bit numbers from a table that ``number_text.pyx`` fills when it is loaded:
# g(k) = floor(10^k * 2^-r) + 1 with 2^127 <= g(k) < 2^128, for k in [-292, 324].

cimport cython
from libc.math cimport fabs
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memmove, memset
from nissa._fast.sample cimport INFINITY_BITS, SIGN_BIT

cdef extern from *:
    """
    #define NISSA_FRACTION_BITS 0x000FFFFFFFFFFFFFULL
    #define NISSA_HIDDEN_BIT 0x0010000000000000ULL
    #define NISSA_WHOLE_LEAST 0x3FF0000000000000ULL
    #define NISSA_WHOLE_MOST 0x4340000000000000ULL
    #define NISSA_PLAIN_LEAST 0x3EB0C6F7A0B5ED8DULL
    #define NISSA_PLAIN_MOST 0x444B1AE4D6E2EF50ULL
    /* (g * cp) >> 128, its last bit set where something was cut off. */
    static inline uint64_t nissa_round_to_odd(uint64_t high, uint64_t low, uint64_t cp) {
        unsigned __int128 x = (unsigned __int128)low * cp;
        unsigned __int128 y = (unsigned __int128)high * cp + (uint64_t)(x >> 64);
        return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
    }
    static const char nissa_pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    static const uint64_t nissa_tens[20] = {
        0ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
        10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL,
        1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL,
        10000000000000000000ULL };
    /* 1233 / 4096 is a little more than log10(2). */
    static inline int nissa_digits_in(uint64_t number) {
        int guess = ((64 - __builtin_clzll(number | 1)) * 1233) >> 12;
        return guess + (number >= nissa_tens[guess]);
    }
    """
    uint64_t nissa_round_to_odd(uint64_t high, uint64_t low, uint64_t cp) noexcept nogil
    int digits_in "nissa_digits_in"(uint64_t number) noexcept nogil
    const char* PAIRS "nissa_pairs"                     # 00 to 99
    const uint64_t FRACTION_BITS "NISSA_FRACTION_BITS"
    const uint64_t HIDDEN_BIT "NISSA_HIDDEN_BIT"
    const uint64_t WHOLE_LEAST "NISSA_WHOLE_LEAST"      # 1.0
    const uint64_t WHOLE_MOST "NISSA_WHOLE_MOST"        # 2^53
    const uint64_t PLAIN_LEAST "NISSA_PLAIN_LEAST"      # 1e-6
    const uint64_t PLAIN_MOST "NISSA_PLAIN_MOST"        # 1e21

cdef enum:
    POWER_LEAST = -292
    POWERS = 617
    NUMBER_BYTES = 32       # room for any number as text

cdef struct PowerOfTen:
    uint64_t high
    uint64_t low

cdef struct Decimal:
    uint64_t digits         # as an integer; the number is digits * 10^exponent
    int32_t exponent


@cython.overflowcheck(False)
cdef inline Decimal shortest(uint64_t bits, const PowerOfTen* powers) noexcept nogil:
    """The shortest decimal that reads back as the same number, which is positive, finite and not 0."""
    cdef uint64_t fraction = bits & FRACTION_BITS, c, even, lower, upper, left, middle, right, s, tens
    cdef int32_t biased = <int32_t>((bits >> 52) & 0x7FF), q, k, h
    cdef bint closer = fraction == 0 and biased > 1, up, down
    cdef const PowerOfTen* g
    cdef Decimal out
    if biased:
        c, q = fraction | HIDDEN_BIT, biased - 1075
    else:
        c, q = fraction, -1074
    even = c & 1
    k = (q * 1262611 - (524031 if closer else 0)) >> 22
    h = q + ((-k * 1741647) >> 19) + 1
    g = &powers[-k - POWER_LEAST]
    left = nissa_round_to_odd(g.high, g.low, (4 * c - 2 + closer) << h)
    middle = nissa_round_to_odd(g.high, g.low, (4 * c) << h)
    right = nissa_round_to_odd(g.high, g.low, (4 * c + 2) << h)
    lower, upper = left + even, right - even
    s = middle // 4
    if s >= 10:
        tens = s // 10
        up, down = lower <= 40 * tens, 40 * tens + 40 <= upper
        if up != down:
            out.digits, out.exponent = tens + down, k + 1
            return out
    up, down = lower <= 4 * s, 4 * s + 4 <= upper
    if up == down:
        down = middle > 4 * s + 2 or (middle == 4 * s + 2 and s & 1)
    out.digits, out.exponent = s + down, k
    return out


@cython.overflowcheck(False)
cdef inline uint8_t* put_digits(uint64_t digits, uint8_t* out) noexcept nogil:
    """An integer, two digits at a time from its end; returns the end."""
    cdef uint8_t* end = out + digits_in(digits)
    cdef uint8_t* at = end
    while digits >= 100:
        at -= 2
        memcpy(at, PAIRS + 2 * (digits % 100), 2)
        digits //= 100
    if digits >= 10:
        memcpy(at - 2, PAIRS + 2 * digits, 2)
    else:
        (at - 1)[0] = <uint8_t>(48 + digits)
    return end


cdef inline void drop_zeros(Decimal* number) noexcept nogil:
    """Remove zeros at the end, at most sixteen."""
    if number.digits % 100000000 == 0:
        number.digits //= 100000000
        number.exponent += 8
    if number.digits % 10000 == 0:
        number.digits //= 10000
        number.exponent += 4
    while number.digits % 10 == 0:
        number.digits //= 10
        number.exponent += 1


@cython.overflowcheck(False)
cdef inline uint8_t* put_number(double value, const PowerOfTen* powers, uint8_t* out) noexcept nogil:
    """As Prometheus writes values: plain from 1e-6 to 1e21, with an exponent beyond; at most NUMBER_BYTES."""
    cdef uint64_t bits
    cdef Decimal number
    cdef int64_t whole
    memcpy(&bits, &value, sizeof(bits))
    if (bits & ~SIGN_BIT) > INFINITY_BITS:
        memcpy(out, b"NaN", 3)
        return out + 3
    if (bits & ~SIGN_BIT) == INFINITY_BITS:
        out[0] = 45 if bits & SIGN_BIT else 43
        memcpy(out + 1, b"Inf", 3)
        return out + 4
    if bits & SIGN_BIT:
        out[0] = 45
        out += 1
        bits &= ~SIGN_BIT
    if not bits:
        out[0] = 48
        return out + 1
    if WHOLE_LEAST <= bits < WHOLE_MOST:  # whole numbers are common, and short already
        whole = <int64_t>fabs(value)
        if <double>whole == fabs(value):
            return put_digits(<uint64_t>whole, out)
    number = shortest(bits, powers)
    drop_zeros(&number)
    if PLAIN_LEAST <= bits < PLAIN_MOST:
        return put_plain(&number, out)
    return put_scientific(&number, out)


cdef inline uint8_t* put_plain(const Decimal* number, uint8_t* out) noexcept nogil:
    cdef int64_t count = digits_in(number.digits), point = count + number.exponent
    if point <= 0:
        memcpy(out, b"0.00000000", 10)
        return put_digits(number.digits, out + 2 - point)
    if number.exponent >= 0:
        out = put_digits(number.digits, out)
        memset(out, 48, number.exponent)
        return out + number.exponent
    put_digits(number.digits, out + 1)
    memmove(out, out + 1, point)
    out[point] = 46
    return out + count + 1


cdef inline uint8_t* put_scientific(const Decimal* number, uint8_t* out) noexcept nogil:
    cdef uint8_t[20] digits
    cdef int64_t count = put_digits(number.digits, &digits[0]) - &digits[0], exponent = count - 1 + number.exponent
    out[0] = digits[0]
    out += 1
    if count > 1:
        out[0] = 46
        memcpy(out + 1, &digits[1], count - 1)
        out += count
    out[0] = 101
    out[1] = 45 if exponent < 0 else 43
    out += 2
    exponent = -exponent if exponent < 0 else exponent
    if exponent < 10:
        out[0] = 48
        out += 1
    return put_digits(<uint64_t>exponent, out)
