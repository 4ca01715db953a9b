"""Samples as the text of JSON: ``[1435781430.781,"0.1"]``, values with the fewest digits that read back the same.

    at_ms     1435781430781 …        times are written once, and copied into each series
    values    0.1  NaN  ·            [[1435781430.781,"0.1"],[1435781445.781,"NaN"]]

How numbers are written stands in ``shortest.pxd``. This file knows no labels, no expression and no files.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.shortest cimport NUMBER_BYTES, POWER_LEAST, POWERS, PowerOfTen, put_digits, put_number

import numpy as np

cimport cython

cdef enum: TIME_BYTES = 28      # room for [seconds.millis,"


# ---- Boundary --------------------------------------------------------------------------------------------------------

def fill_powers():
    """The table of powers of ten, once."""
    for place in range(POWERS):
        power = place + POWER_LEAST
        if power >= 0:
            number, shift = 10 ** power, 0
        else:
            shift = 400 - 4 * power
            number = (1 << shift) // 10 ** -power
        bits = number.bit_length()
        exact = power >= 0 and bits <= 128
        scaled = number << (128 - bits) if bits <= 128 else number >> (bits - 128)
        scaled += 0 if exact else 1
        TENS[place].high, TENS[place].low = scaled >> 64, scaled & 0xFFFFFFFFFFFFFFFF


fill_powers()


def number_texts(const double[::1] values not None):
    """Each value as text, for labels and tests. Cost: 30 ns per value."""
    cdef uint8_t[32] text
    cdef uint8_t* end
    cdef size_t at
    found = []
    for at in range(<size_t>values.shape[0]):
        end = put_number(values[at], &TENS[0], &text[0])
        found.append((<const char*>&text[0])[:end - &text[0]].decode("ascii"))
    return found


cdef class TimeTexts:
    """Times as the beginnings of points, written once for many series."""

    cdef object memory
    cdef uint8_t[::1] text
    cdef int32_t[::1] ends
    cdef size_t count

    def __init__(self, const int64_t[::1] at_ms not None):
        self.count = at_ms.shape[0]
        self.memory = (np.empty(max(self.count, 1) * TIME_BYTES, np.uint8), np.empty(self.count + 1, np.int32))
        self.text, self.ends = self.memory
        if self.count:
            with nogil:
                write_times(&at_ms[0], self.count, &self.text[0], &self.ends[0])

    def points(self, const double[::1] values not None, const uint8_t[::1] present not None):
        """The points of one series that are there, as a JSON array. GIL: released. Cost: 30 to 45 ns per point."""
        cdef size_t size = 0
        if <size_t>values.shape[0] != self.count or <size_t>present.shape[0] != self.count:
            raise ValueError(f"{values.shape[0]} values and {present.shape[0]} marks for {self.count} times")
        out = bytearray(2 + self.count * (TIME_BYTES + NUMBER_BYTES + 3))
        cdef uint8_t[::1] view = out
        if not self.count:
            return b"[]"
        with nogil:
            size = write_points(&self.text[0], &self.ends[0], &values[0], &present[0], self.count, &view[0])
        return bytes(memoryview(out)[:size])


# ---- Loops -----------------------------------------------------------------------------------------------------------

@cython.overflowcheck(False)
cdef void write_times(const int64_t* at_ms, size_t count, uint8_t* text, int32_t* ends) noexcept nogil:
    cdef uint8_t* out = text
    cdef size_t at
    ends[0] = 0
    for at in range(count):
        out = put_time(at_ms[at], out)
        ends[at + 1] = <int32_t>(out - text)


cdef size_t write_points(const uint8_t* times, const int32_t* ends, const double* values, const uint8_t* present,
                         size_t count, uint8_t* text) noexcept nogil:
    cdef uint8_t* out = text + 1
    cdef size_t at, size
    text[0] = 91
    for at in range(count):
        if not present[at]:
            continue
        size = ends[at + 1] - ends[at]
        memcpy(out, times + ends[at], size)
        out = put_number(values[at], &TENS[0], out + size)
        memcpy(out, b"\"],", 3)
        out += 3
    if out > text + 1:
        out -= 1  # the last comma
    out[0] = 93
    return out + 1 - text


# ---- Steps -----------------------------------------------------------------------------------------------------------

@cython.overflowcheck(False)
cdef inline uint8_t* put_time(int64_t at_ms, uint8_t* out) noexcept nogil:
    """``[seconds,"`` or ``[seconds.millis,"``."""
    cdef uint64_t distance = <uint64_t>at_ms if at_ms >= 0 else <uint64_t>0 - <uint64_t>at_ms
    cdef uint64_t millis = distance % 1000
    out[0] = 91
    out += 1
    if at_ms < 0:
        out[0] = 45
        out += 1
    out = put_digits(distance // 1000, out)
    if millis:
        out[0], out[1] = 46, <uint8_t>(48 + millis // 100)
        out[2], out[3] = <uint8_t>(48 + millis // 10 % 10), <uint8_t>(48 + millis % 10)
        out += 4
    memcpy(out, b",\"", 2)
    return out + 2
