# Steps of reading the lines of Prometheus' exposition formats. The formats are drawn in exposition.pyx.
#
# A cursor here is over one line, without its line feed.

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from nissa._fast.cursor cimport Cursor, cursor_over
from nissa._fast.fields cimport add_label, text_is
from nissa._fast.text_cursor cimport (find_byte, is_digit, next_is, read_decimal, read_integer, skip_blanks,
                                      text_between, word_is)
from nissa._fast.types cimport (COMMENT_WRONG, LABELS_MAX, LABELS_WRONG, LINE_INCOMPLETE, LINE_TRAILING, NAME_WRONG,
                                NUMBER_WRONG, OK, SCRATCH_BYTES, STRING_OPEN, TIME_OVERFLOW, TIME_WRONG, Label,
                                LabelList, Record, Status, Text)

cdef extern from *:
    """
    #include <string.h>
    static inline double nissa_double(unsigned long long bits) {
        double value;
        memcpy(&value, &bits, 8);
        return value;
    }
    #define NISSA_NOT_A_NUMBER nissa_double(0x7FF8000000000001ULL)
    #define NISSA_STALE nissa_double(0x7FF0000000000002ULL)
    /* Bytes of names: 1 letters and the underscore, 2 digits, 4 the colon. */
    static const unsigned char nissa_name_bytes[256] = {
        ['0'] = 2, ['1'] = 2, ['2'] = 2, ['3'] = 2, ['4'] = 2, ['5'] = 2, ['6'] = 2, ['7'] = 2, ['8'] = 2, ['9'] = 2,
        [':'] = 4, ['_'] = 1,
        ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
        ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1,
        ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
        ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1,
        ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1,
        ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1};
    """
    const uint8_t[256] nissa_name_bytes
    const double NOT_A_NUMBER "NISSA_NOT_A_NUMBER"  # as Prometheus stores it: no staleness marker
    const double STALE "NISSA_STALE"                # the staleness marker

cdef enum:
    MANTISSA_MAX = 1_000_000_000_000_000_000    # another digit fits 64 bits still
    SCALE_MAX = 100_000                         # powers of ten beyond it are all the same


cdef inline const uint8_t* series_end(const Cursor* line, bint exemplars) noexcept nogil:
    """End of the text of a series: behind its brace, or its name.

    exemplars: the line may have one. No sound value or timestamp has a brace, so it is the last one of the line, or
    where there may be exemplars the first one outside of quotes. A line for which that is wrong is refused, for its
    value or when its labels are read.
    """
    cdef const uint8_t* at = line.end
    cdef const uint8_t* name
    if not exemplars or find_byte(line.at, line.end, c'#') == line.end:
        while at > line.at:
            at -= 1
            if at[0] == c'}':
                return at + 1
    at = line.at
    while at < line.end and at[0] != c' ' and at[0] != c'\t' and at[0] != c'{':
        at += 1
    name = at
    while at < line.end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    if at == line.end or at[0] != c'{':
        return name
    at = closing_brace(at, line.end)
    return at + (at < line.end)


cdef inline const uint8_t* closing_brace(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """The first closing brace outside of quotes; ``end`` where there is none."""
    while at < end and at[0] != c'}':
        if at[0] == c'"':
            at = closing_quote(at + 1, end)
            if at == end:
                return end
        at += 1
    return at


cdef inline const uint8_t* closing_quote(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """The next quote without a backslash; ``end`` where there is none."""
    while at < end and at[0] != c'"':
        at += 1 + (at[0] == c'\\' and end - at > 1)
    return at


cdef inline Text next_word(Cursor* line) noexcept nogil:
    """Bytes up to a blank, and step over them."""
    cdef const uint8_t* at = line.at
    while line.at < line.end and line.at[0] != c' ' and line.at[0] != c'\t':
        line.at += 1
    return text_between(at, line.at)


cdef inline const uint8_t* name_end(const uint8_t* at, const uint8_t* end, bint colons) noexcept nogil:
    """The end of a name of letters, digits and underscores (and colons), which does not begin with a digit."""
    cdef uint8_t wanted = 7 if colons else 3
    if at < end and nissa_name_bytes[at[0]] == 2:
        return at
    while at < end and nissa_name_bytes[at[0]] & wanted:
        at += 1
    return at


cdef inline bint ends_word(const Cursor* line) noexcept nogil:
    return line.at == line.end or line.at[0] == c' ' or line.at[0] == c'\t'


cdef inline Status read_value(Cursor* line, double* out) noexcept nogil:
    """A number, NaN, or an infinity, each as Go reads it. What follows is not looked at."""
    cdef const uint8_t* at = line.at
    cdef const uint8_t* word
    cdef bint integral = False
    cdef bint signed_
    if at == line.end:
        return LINE_INCOMPLETE
    signed_ = at[0] == c'-' or at[0] == c'+'
    word = at + signed_
    if word == line.end or word[0] <= c'9':
        if read_decimal(line, out, &integral) != OK or out[0] - out[0] != 0.0:
            return NUMBER_WRONG
        return OK
    at = word
    while at < line.end and at[0] != c' ' and at[0] != c'\t':
        at += 1
    if not signed_ and word_is(word, at, b"nan", 3):
        out[0] = NOT_A_NUMBER
    elif word_is(word, at, b"inf", 3) or word_is(word, at, b"infinity", 8):
        out[0] = -INFINITY if line.at[0] == c'-' else INFINITY
    else:
        return NUMBER_WRONG
    line.at = at
    return OK


cdef inline Status read_seconds(Cursor* line, int64_t* out) noexcept nogil:
    """Seconds, with a fraction and an exponent if need be, as milliseconds, rounded down."""
    cdef const uint8_t* at = line.at
    cdef bint negative = False, lost = False
    cdef uint64_t mantissa = 0
    cdef int64_t scale = 3, power = 0
    cdef size_t digits = 0
    if at < line.end and (at[0] == c'-' or at[0] == c'+'):
        negative = at[0] == c'-'
        at += 1
    while at < line.end and is_digit(at[0]):
        take_digit(at[0], False, &mantissa, &scale, &lost)
        digits += 1
        at += 1
    if at < line.end and at[0] == c'.':
        at += 1
        while at < line.end and is_digit(at[0]):
            take_digit(at[0], True, &mantissa, &scale, &lost)
            digits += 1
            at += 1
    if digits == 0:
        return TIME_WRONG
    if at < line.end and (at[0] == c'e' or at[0] == c'E'):
        line.at = at + 1
        if read_integer(line, &power) != OK or power > SCALE_MAX or power < -SCALE_MAX:
            line.at = at
            return TIME_WRONG
        at = line.at
    scale += power
    if not scale_time(&mantissa, scale, &lost):
        return TIME_OVERFLOW
    out[0] = -<int64_t>mantissa - lost if negative else <int64_t>mantissa
    line.at = at
    return OK


cdef inline void take_digit(uint8_t digit, bint fraction, uint64_t* mantissa, int64_t* scale,
                            bint* lost) noexcept nogil:
    """One more digit, of 19 at most; others count by their place, and as lost unless they are 0."""
    if mantissa[0] < MANTISSA_MAX:
        mantissa[0] = mantissa[0] * 10 + (digit - c'0')
        scale[0] -= fraction
    else:
        lost[0] = lost[0] or digit != c'0'
        scale[0] += not fraction


cdef inline bint scale_time(uint64_t* number, int64_t scale, bint* lost) noexcept nogil:
    """number times 10 to the power of scale, rounded down; lost: something was. False: it does not fit."""
    if scale < -19:
        lost[0] = lost[0] or number[0] != 0
        number[0] = 0
    while scale < 0 and number[0]:
        lost[0] = lost[0] or number[0] % 10 != 0
        number[0] //= 10
        scale += 1
    while scale > 0 and number[0]:
        if number[0] > 922_337_203_685_477_580ULL:
            return False
        number[0] *= 10
        scale -= 1
    return number[0] <= 9_223_372_036_854_775_807ULL


cdef inline Status read_type(Text word, uint32_t* out) noexcept nogil:
    """The word of a TYPE line as a MetricType of remote write."""
    if text_is(word, b"counter", 7):
        out[0] = 1
    elif text_is(word, b"gauge", 5):
        out[0] = 2
    elif text_is(word, b"histogram", 9):
        out[0] = 3
    elif text_is(word, b"gaugehistogram", 14):
        out[0] = 4
    elif text_is(word, b"summary", 7):
        out[0] = 5
    elif text_is(word, b"info", 4):
        out[0] = 6
    elif text_is(word, b"stateset", 8):
        out[0] = 7
    elif text_is(word, b"untyped", 7) or text_is(word, b"unknown", 7):
        out[0] = 0
    else:
        return COMMENT_WRONG
    return OK


cdef inline Status read_quoted(Cursor* cursor, LabelList* out, Text* text) noexcept nogil:
    """The text between the quote here and the next one, without its escapes: in place, or in the scratch."""
    cdef const uint8_t* at = cursor.at + 1
    cdef const uint8_t* end = closing_quote(at, cursor.end)
    cdef uint8_t* room = out.scratch + out.scratch_used
    cdef uint32_t size = 0
    if end == cursor.end:
        return STRING_OPEN
    cursor.at = end + 1
    text[0] = text_between(at, end)
    if find_byte(at, end, c'\\') == end:
        return OK
    if text.size > SCRATCH_BYTES - min(out.scratch_used, <uint32_t>SCRATCH_BYTES):
        out.scratch_used = SCRATCH_BYTES + 1
        return OK
    while at < end:
        if at[0] == c'\\' and end - at > 1 and (at[1] == c'\\' or at[1] == c'"' or at[1] == c'n'):
            at += 1
            room[size] = c'\n' if at[0] == c'n' else at[0]
        else:
            room[size] = at[0]
        size += 1
        at += 1
    text.at, text.size = room, size
    out.scratch_used += size
    return OK


cdef inline Status read_exemplar(Cursor* line) noexcept nogil:
    """``{labels} value time`` behind its ``#``, to the end of the line. Its labels are stepped over."""
    cdef double value = 0.0
    cdef int64_t ts_ms = 0
    cdef Status status
    skip_blanks(line)
    if not next_is(line, c'{'):
        return LINE_TRAILING
    line.at = closing_brace(line.at, line.end)
    if line.at == line.end:
        return LABELS_WRONG
    line.at += 1
    skip_blanks(line)
    status = read_value(line, &value)
    if status != OK:
        return status
    if line.at < line.end and line.at[0] != c' ' and line.at[0] != c'\t':
        return NUMBER_WRONG
    skip_blanks(line)
    if line.at < line.end:
        status = read_seconds(line, &ts_ms)
        if status != OK:
            return status
        skip_blanks(line)
    return OK if line.at == line.end else LINE_TRAILING


cdef inline Status read_rest(Cursor* line, bint openmetrics, int64_t* ts_ms, uint32_t* exemplars) noexcept nogil:
    """The rest of a line behind its value: a timestamp, an exemplar, or nothing. ts_ms: set by a timestamp alone."""
    cdef Status status
    if line.at == line.end:
        return OK
    if line.at[0] != c' ' and line.at[0] != c'\t':
        return NUMBER_WRONG
    skip_blanks(line)
    if line.at < line.end and not (openmetrics and line.at[0] == c'#'):
        status = read_seconds(line, ts_ms) if openmetrics else read_integer(line, ts_ms)
        if status != OK:
            return status
        if line.at < line.end and line.at[0] != c' ' and line.at[0] != c'\t':
            return TIME_WRONG
        skip_blanks(line)
    if line.at == line.end:
        return OK
    if not openmetrics or line.at[0] != c'#':
        return LINE_TRAILING
    exemplars[0] = 1
    line.at += 1
    return read_exemplar(line)


cdef inline Status read_pair(Cursor* cursor, LabelList* out, bint* named) noexcept nogil:
    """``name="value"``, ``"name"="value"``, or the metric's own name in quotes."""
    cdef Label label
    cdef bint quoted = next_is(cursor, c'"')
    cdef inline Status status
    if quoted:
        status = read_quoted(cursor, out, &label.name)
        if status != OK:
            return status
    else:
        label.name = text_between(cursor.at, name_end(cursor.at, cursor.end, False))
        if label.name.size == 0:
            return LABELS_WRONG
        cursor.at += label.name.size
    skip_blanks(cursor)
    if next_is(cursor, c'='):
        cursor.at += 1
        skip_blanks(cursor)
        if not next_is(cursor, c'"'):
            return LABELS_WRONG
        status = read_quoted(cursor, out, &label.value)
        if status != OK:
            return status
    elif quoted and not named[0]:
        named[0] = True
        label.value = label.name
        label.name.at = <const uint8_t*>b"__name__"
        label.name.size = 8
    else:
        return LABELS_WRONG
    add_label(out, label)
    return OK


cdef inline Status labels_of_exposition(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a series text, which was not parsed before."""
    cdef Cursor cursor = cursor_over(record.origin, record.origin_size)
    cdef Label label
    cdef bint named = not next_is(&cursor, c'{')
    cdef inline Status status
    if named:
        label.name.at = <const uint8_t*>b"__name__"
        label.name.size = 8
        label.value = text_between(cursor.at, name_end(cursor.at, cursor.end, True))
        if label.value.size == 0:
            return NAME_WRONG
        cursor.at += label.value.size
        add_label(out, label)
        if cursor.at == cursor.end:
            return OK
        skip_blanks(&cursor)
        if not next_is(&cursor, c'{'):
            return NAME_WRONG
    cursor.at += 1
    while True:
        skip_blanks(&cursor)
        if next_is(&cursor, c'}'):
            return OK if cursor.at + 1 == cursor.end else LABELS_WRONG
        status = read_pair(&cursor, out, &named)
        if status != OK:
            return status
        skip_blanks(&cursor)
        if next_is(&cursor, c','):
            cursor.at += 1
        elif not next_is(&cursor, c'}'):
            return LABELS_WRONG
        if out.count > LABELS_MAX or out.scratch_used > SCRATCH_BYTES:
            return OK
