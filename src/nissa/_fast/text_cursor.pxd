# The cursor of the languages that are lines of text: every byte of a line is read through the functions of this file,
# or between two bytes that they found.
#
# The cursor is that of cursor.pxd, two pointers [at, end). A read moves `at` behind what it read and returns OK, or
# returns what is wrong and leaves `at` where it was. Numbers are decimal, and rounded as IEEE 754 has it: up to 2^53
# times or by 10^22 in one exact operation, others by strtod in the C locale.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from nissa._fast.cursor cimport Cursor
from nissa._fast.types cimport NUMBER_WRONG, OK, TIME_OVERFLOW, TIME_WRONG, Status, Text

cdef extern from *:
    """
    #include <locale.h>
    #include <stdlib.h>
    static const double nissa_tens[23] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
                                          1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    static inline double nissa_strtod(const char* text) {
        static locale_t plain = (locale_t)0;
        if (!plain) plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
        return strtod_l(text, NULL, plain);
    }
    """
    const double[23] nissa_tens
    double nissa_strtod(const char* text) nogil

cdef enum:
    NUMBER_BYTES_MAX = 400      # of one number; longer ones are refused
    EXPONENT_MAX = 100_000      # beyond it every number is 0 or infinite


cdef inline const uint8_t* find_byte(const uint8_t* at, const uint8_t* end, uint8_t wanted) noexcept nogil:
    """Place of the next byte of this value; ``end`` where there is none."""
    cdef const uint8_t* hit = <const uint8_t*>memchr(at, wanted, end - at) if at < end else NULL
    return end if hit == NULL else hit


cdef inline bint is_digit(uint8_t byte) noexcept nogil:
    return c'0' <= byte <= c'9'


cdef inline bint next_is(const Cursor* cursor, uint8_t byte) noexcept nogil:
    return cursor.at < cursor.end and cursor.at[0] == byte


cdef inline void skip_blanks(Cursor* cursor) noexcept nogil:
    """Step over spaces and tabs."""
    while cursor.at < cursor.end and (cursor.at[0] == c' ' or cursor.at[0] == c'\t'):
        cursor.at += 1


cdef inline Text text_between(const uint8_t* at, const uint8_t* end) noexcept nogil:
    cdef Text text
    text.at = at
    text.size = <uint32_t>(end - at)
    return text


cdef inline size_t line_number(const uint8_t* body, const uint8_t* at) noexcept nogil:
    """Number of the line, from 1, in which the byte at ``at`` stands."""
    cdef size_t count = 1
    while True:
        body = find_byte(body, at, c'\n')
        if body >= at:
            return count
        body += 1
        count += 1


cdef inline Status read_decimal(Cursor* cursor, double* out, bint* integral) noexcept nogil:
    """Sign, digits with a point, exponent. integral: there were digits alone."""
    cdef const uint8_t* at = cursor.at
    cdef const uint8_t* end = cursor.end
    cdef const uint8_t* digits
    cdef const uint8_t* point
    cdef uint64_t mantissa = 0
    cdef int64_t exponent = 0, power = 0
    cdef bint negative = False, negative_power = False
    cdef size_t count
    if at < end and (at[0] == c'-' or at[0] == c'+'):
        negative = at[0] == c'-'
        at += 1
    digits = at
    while at < end and is_digit(at[0]):
        mantissa = times_ten(mantissa, at[0])
        at += 1
    count = at - digits
    integral[0] = True
    if at < end and at[0] == c'.':
        integral[0] = False
        at += 1
        point = at
        while at < end and is_digit(at[0]):
            mantissa = times_ten(mantissa, at[0])
            at += 1
        exponent = -<int64_t>(at - point)
        count += at - point
    if count == 0:
        return NUMBER_WRONG
    if at < end and (at[0] == c'e' or at[0] == c'E'):
        integral[0] = False
        at += 1
        if at < end and (at[0] == c'-' or at[0] == c'+'):
            negative_power = at[0] == c'-'
            at += 1
        if at >= end or not is_digit(at[0]):
            return NUMBER_WRONG
        while at < end and is_digit(at[0]):
            if power < EXPONENT_MAX:
                power = power * 10 + (at[0] - c'0')
            at += 1
        exponent += -power if negative_power else power
    if count <= 19 and mantissa <= 9_007_199_254_740_992ULL and -22 <= exponent <= 22:
        out[0] = <double>mantissa
        if exponent < 0:
            out[0] /= nissa_tens[-exponent]
        elif exponent:
            out[0] *= nissa_tens[exponent]
        if negative:
            out[0] = -out[0]
    elif not round_decimal(cursor.at, at, out):
        return NUMBER_WRONG
    cursor.at = at
    return OK


cdef inline uint64_t times_ten(uint64_t mantissa, uint8_t digit) noexcept nogil:
    """One further digit. Behind the 19th the result means nothing, and is not used."""
    if mantissa > 999_999_999_999_999_999ULL:
        return mantissa
    return mantissa * 10 + (digit - c'0')


cdef inline bint round_decimal(const uint8_t* at, const uint8_t* end, double* out) noexcept nogil:
    """The general case of read_decimal. False: the number is too long."""
    cdef char[NUMBER_BYTES_MAX + 1] copy
    cdef size_t size = end - at
    if size > NUMBER_BYTES_MAX:
        return False
    memcpy(&copy[0], at, size)
    copy[size] = 0
    out[0] = nissa_strtod(&copy[0])
    return True


cdef inline bint word_is(const uint8_t* at, const uint8_t* end, const char* word, size_t size) noexcept nogil:
    """True if [at, end) is this word of small letters, in letters of any size."""
    cdef size_t index
    if <size_t>(end - at) != size:
        return False
    for index in range(size):
        if (at[index] | 0x20) != <uint8_t>word[index]:
            return False
    return True


cdef inline Status read_integer(Cursor* cursor, int64_t* out) noexcept nogil:
    """Sign and digits, of 64 bits."""
    cdef const uint8_t* at = cursor.at
    cdef bint negative = False
    cdef uint64_t value = 0
    cdef const uint8_t* digits
    if at < cursor.end and (at[0] == c'-' or at[0] == c'+'):
        negative = at[0] == c'-'
        at += 1
    digits = at
    while at < cursor.end and is_digit(at[0]):
        if value > 922_337_203_685_477_580ULL:
            return TIME_OVERFLOW
        value = value * 10 + (at[0] - c'0')
        at += 1
    if at == digits:
        return TIME_WRONG
    if value > 9_223_372_036_854_775_807ULL + negative:
        return TIME_OVERFLOW
    if value > 9_223_372_036_854_775_807ULL:
        out[0] = -<int64_t>(value - 1) - 1
    else:
        out[0] = -<int64_t>value if negative else <int64_t>value
    cursor.at = at
    return OK


cdef inline bint fits_64_bits(const uint8_t* at, const uint8_t* end, bint signed_) noexcept nogil:
    """True if the integer in [at, end) fits 64 bits, with a sign or without one."""
    cdef uint64_t value = 0, most = ~<uint64_t>0
    cdef uint64_t digit
    if at < end and (at[0] == c'-' or at[0] == c'+'):
        if at[0] == c'-' and not signed_:
            return False
        most = 9_223_372_036_854_775_807ULL + (at[0] == c'-')
        at += 1
    elif signed_:
        most = 9_223_372_036_854_775_807ULL
    while at < end:
        digit = at[0] - c'0'
        if value > (most - digit) // 10:
            return False
        value = value * 10 + digit
        at += 1
    return True
