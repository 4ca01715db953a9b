# Names of OTLP as names of Prometheus: the published rules of OpenTelemetry's compatibility specification, as
# Prometheus translates by default (underscores, with suffixes).
#
#   http.server.duration   ms   histogram     http_server_duration_milliseconds
#   jvm.cpu.time           s    counter       jvm_cpu_time_seconds_total
#   system.cpu.usage       1    gauge         system_cpu_usage_ratio
#   io.rate                By/s gauge         io_rate_bytes_per_second
#
# A name is split into words at everything but letters, digits and colons; words of the unit that it lacks are added,
# then ``total`` for a counter and ``ratio`` for a gauge of unit 1, each once and at the end. Everything is joined by
# underscores. In a label's name each other character becomes one underscore.

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp
from nissa._fast.cursor cimport no_text
from nissa._fast.fields cimport text_is
from nissa._fast.otlp_values cimport Writer, put_byte, put_bytes, put_text
from nissa._fast.types cimport Text

cdef enum: WORDS_MAX = 64   # of one name; more do not fit a label

cdef enum NameKind:
    OTHER_NAME = 0
    COUNTER_NAME = 1
    GAUGE_NAME = 2

cdef struct Words:
    uint32_t count          # WORDS_MAX + 1: too many
    Text[WORDS_MAX] word

cdef struct Unit:
    const char* code
    const char* word

cdef extern from *:
    """
    static const struct { const char* code; const char* word; } nissa_units[] = {
        {"d", "days"}, {"h", "hours"}, {"min", "minutes"}, {"s", "seconds"}, {"ms", "milliseconds"},
        {"us", "microseconds"}, {"ns", "nanoseconds"}, {"By", "bytes"}, {"KiBy", "kibibytes"}, {"MiBy", "mebibytes"},
        {"GiBy", "gibibytes"}, {"TiBy", "tibibytes"}, {"KBy", "kilobytes"}, {"kBy", "kilobytes"}, {"MBy", "megabytes"},
        {"GBy", "gigabytes"}, {"TBy", "terabytes"}, {"m", "meters"}, {"V", "volts"}, {"A", "amperes"}, {"J", "joules"},
        {"W", "watts"},
        {"g", "grams"}, {"Cel", "celsius"}, {"Hz", "hertz"}, {"1", ""}, {"%", "percent"}};
    static const struct { const char* code; const char* word; } nissa_per_units[] = {
        {"s", "second"}, {"m", "minute"}, {"h", "hour"}, {"d", "day"}, {"w", "week"}, {"mo", "month"}, {"y", "year"}};
    #define NISSA_UNITS 27
    #define NISSA_PER_UNITS 7
    """
    const Unit* UNITS "((const void*)nissa_units)"
    const Unit* PER_UNITS "((const void*)nissa_per_units)"
    const uint32_t UNIT_COUNT "NISSA_UNITS"
    const uint32_t PER_UNIT_COUNT "NISSA_PER_UNITS"
    size_t strlen(const char* text) nogil


cdef inline bint is_word_byte(uint8_t byte) noexcept nogil:
    return (c'a' <= byte <= c'z') or (c'A' <= byte <= c'Z') or (c'0' <= byte <= c'9') or byte == c':'


cdef inline Text words_text(const char* text) noexcept nogil:
    cdef Text out
    out.at, out.size = <const uint8_t*>text, <uint32_t>strlen(text)
    return out


cdef inline void add_word(Words* words, Text word) noexcept nogil:
    if words.count >= <uint32_t>WORDS_MAX:
        words.count = WORDS_MAX + 1
    else:
        words.word[words.count] = word
        words.count += 1


cdef inline bint has_word(const Words* words, Text word) noexcept nogil:
    cdef uint32_t index
    for index in range(min(words.count, <uint32_t>WORDS_MAX)):
        if text_is(words.word[index], <const char*>word.at, word.size):
            return True
    return False


cdef inline void move_to_end(Words* words, const char* word) noexcept nogil:
    """Take a word out wherever it stands, and add it once."""
    cdef uint32_t index, kept = 0
    cdef Text last = words_text(word)
    if words.count > <uint32_t>WORDS_MAX:
        return
    for index in range(words.count):
        if not text_is(words.word[index], word, last.size):
            words.word[kept] = words.word[index]
            kept += 1
    words.count = kept
    add_word(words, last)


cdef inline void split_words(Text name, Words* words) noexcept nogil:
    cdef uint32_t place = 0, begin
    cdef Text word
    words.count = 0
    while place < name.size:
        begin = place
        while place < name.size and is_word_byte(name.at[place]):
            place += 1
        if place > begin:
            word.at, word.size = name.at + begin, place - begin
            add_word(words, word)
        place += 1


cdef inline Text trimmed(Text text) noexcept nogil:
    """The text without white space at its ends."""
    while text.size and (text.at[0] == c' ' or c'\t' <= text.at[0] <= c'\r'):
        text.at += 1
        text.size -= 1
    while text.size and (text.at[text.size - 1] == c' ' or c'\t' <= text.at[text.size - 1] <= c'\r'):
        text.size -= 1
    return text


cdef inline Text unit_word(Text code, const Unit* units, uint32_t count) noexcept nogil:
    """The word for one unit, or the unit itself. One in braces is an annotation: no word."""
    cdef uint32_t index
    code = trimmed(code)
    for index in range(code.size):
        if code.at[index] == c'{' or code.at[index] == c'}':
            code.size = 0
            return code
    for index in range(count):
        if text_is(code, units[index].code, <uint32_t>strlen(units[index].code)):
            return words_text(units[index].word)
    return code


cdef inline Text put_unit(Writer* writer, const char* prefix, Text word) noexcept nogil:
    """A unit's word cleaned up: other characters are underscores, one at a time and none in front."""
    cdef Text out
    cdef uint32_t index
    cdef uint8_t byte
    cdef bint bare
    out.at = writer.at
    if word.size == 0:
        out.size = 0
        return out
    put_bytes(writer, <const uint8_t*>prefix, strlen(prefix))
    for index in range(word.size):
        byte = word.at[index]
        if is_word_byte(byte):
            put_byte(writer, byte)
            continue
        bare = writer.at == out.at                  # nothing in front
        if not bare and (writer.at - 1)[0] != c'_':
            put_byte(writer, c'_')
    out.size = <uint32_t>(writer.at - out.at)
    return out


cdef inline Text without_underscore(Text text) noexcept nogil:
    if text.size and text.at[text.size - 1] == c'_':
        text.size -= 1
    return text


cdef inline void read_unit(Writer* writer, Text unit, Text* main, Text* per) noexcept nogil:
    """The words of a unit: what is counted, and (behind a slash) per what."""
    cdef Text rest = no_text()
    cdef uint32_t place = 0
    while place < unit.size and unit.at[place] != c'/':
        place += 1
    if place < unit.size:
        rest.at, rest.size = unit.at + place + 1, unit.size - place - 1
    unit.size = place
    main[0] = put_unit(writer, b"", unit_word(unit, UNITS, UNIT_COUNT))
    per[0] = put_unit(writer, b"per_", unit_word(rest, PER_UNITS, PER_UNIT_COUNT))


cdef inline void add_unit(Writer* writer, Text unit, Words* words) noexcept nogil:
    cdef Text main, per
    read_unit(writer, unit, &main, &per)
    if has_word(words, main):
        main.size = 0
    per = no_text() if text_is(per, b"per_", 4) else without_underscore(per)
    if has_word(words, per):
        per.size = 0
    if per.size:
        main = without_underscore(main)
    if main.size:
        add_word(words, main)
    if per.size:
        add_word(words, per)


cdef inline Text put_unit_name(Writer* writer, Text unit) noexcept nogil:
    """A unit in words, as metadata has it: ``bytes_per_second``."""
    cdef Text main, per, out
    read_unit(writer, unit, &main, &per)
    main, per = without_underscore(main), without_underscore(per)
    if main.size == 0 or per.size == 0:
        return per if main.size == 0 else main
    out.at = writer.at
    put_text(writer, main)
    put_byte(writer, c'_')
    put_text(writer, per)
    out.size = <uint32_t>(writer.at - out.at)
    return out


cdef inline Text put_metric_name(Writer* writer, Text name, Text unit, NameKind kind,
                                 const char* suffix) noexcept nogil:
    """The name of a series; empty where nothing of the name can stand in one."""
    cdef Words words
    cdef Text out
    cdef uint32_t index
    split_words(name, &words)
    add_unit(writer, unit, &words)
    if kind == COUNTER_NAME:
        move_to_end(&words, b"total")
    if kind == GAUGE_NAME and text_is(unit, b"1", 1):
        move_to_end(&words, b"ratio")
    out.at, out.size = writer.at, 0
    if words.count > <uint32_t>WORDS_MAX:
        writer.full = True
        return out
    if words.count and c'0' <= words.word[0].at[0] <= c'9':
        put_byte(writer, c'_')
    for index in range(words.count):
        if index:
            put_byte(writer, c'_')
        put_text(writer, words.word[index])
    if words.count == 0:
        return out
    put_bytes(writer, <const uint8_t*>suffix, strlen(suffix))
    out.size = <uint32_t>(writer.at - out.at)
    return out


cdef inline Text put_label_name(Writer* writer, const char* prefix, Text key) noexcept nogil:
    """An attribute's key as a label's name: where it stands, or written. Empty where only underscores are left."""
    cdef Text out
    cdef uint32_t index, rest = <uint32_t>strlen(prefix)
    cdef uint8_t byte
    cdef bint plain = rest == 0 and key.size > 0 and not (c'0' <= key.at[0] <= c'9' or key.at[0] == c'_')
    for index in range(key.size):
        plain = plain and (not is_underscore(key, index) or key.at[index] == c'_')
    if plain:
        return key
    out.at, out.size = writer.at, 0
    if key.size == 0 and rest == 0:
        return out
    if rest == 0 and c'0' <= key.at[0] <= c'9':
        put_bytes(writer, <const uint8_t*>b"key_", 4)
    elif rest == 0 and is_underscore(key, 0) and not is_underscore(key, character_end(key, 0)):
        put_bytes(writer, <const uint8_t*>b"key", 3)
    put_bytes(writer, <const uint8_t*>prefix, rest)
    plain = writer.at != out.at or same_underscores(key)
    index = 0
    while index < key.size:
        byte = key.at[index]
        if is_underscore(key, index):
            put_byte(writer, c'_')
            index = character_end(key, index)
        else:
            put_byte(writer, byte)
            plain = True
            index += 1
    if not plain:
        return out
    out.size = <uint32_t>(writer.at - out.at)
    return out


cdef inline bint is_underscore(Text key, uint32_t place) noexcept nogil:
    """True where a character stands that becomes an underscore, or is one."""
    return place < key.size and (not is_word_byte(key.at[place]) or key.at[place] == c':')


cdef inline uint32_t character_end(Text key, uint32_t place) noexcept nogil:
    """Return the place of the character that follows the one at ``place``, which may take several bytes."""
    place += 1
    while place < key.size and (key.at[place] & 0xC0) == 0x80:
        place += 1
    return place


cdef inline bint same_underscores(Text key) noexcept nogil:
    """True for a key that is underscores already."""
    cdef uint32_t index
    for index in range(key.size):
        if key.at[index] != c'_':
            return False
    return True
