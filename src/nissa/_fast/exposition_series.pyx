"""The series of an exposition body, without a look at their labels: to see which went away since the body before.

    up{job="a"} 1          ──► key of ``up{job="a"}``       lines()      up{job="a"} 0
    up{job="b"} 1 1758…    ──► a timestamp of its own: not followed
    nonsense               ──► at fault: passed over

A key is half of the keyed hash of a series text as it stands.
"""

from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import hashlib

import numpy as np

from nissa._fast.cursor cimport Cursor, cursor_over
from nissa._fast.exposition_text cimport read_rest, read_value, series_end
from nissa._fast.hash cimport Secret, hash_bytes
from nissa._fast.text_cursor cimport find_byte, skip_blanks, text_between
from nissa._fast.types cimport OK, Text

cdef enum:
    DOMAIN_TEXT = 0x84      # name space of keys
    LINE_BYTES_MIN = 4      # of a sample and its line feed: ``a 1``

# What one line is.
cdef enum Kind:
    PASSED_OVER = 0
    FOLLOWED = 1
    STAMPED = 2             # a sample with a timestamp of its own


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class ExpositionSeries:
    """Keys of series, under one secret of at least 32 bytes. Safe from any thread."""

    cdef Secret secret

    def __cinit__(self, bytes secret not None):
        cdef bytes stretched
        if len(secret) < 32:
            raise ValueError(f"secret: expected at least 32 bytes, got {len(secret)}")
        stretched = hashlib.shake_256(secret).digest(sizeof(Secret))
        memcpy(&self.secret, <const char*>stretched, sizeof(Secret))

    def keys(self, const uint8_t[::1] body, bint openmetrics, bint own_times):
        """Keys of the series to follow, uint64 (n,), ascending, one for each line; and the number of samples.

        own_times: timestamps of the body hold, so that series with one are not followed.
        GIL: released. Cost: 50 ns per line, and sorting.
        """
        cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
        cdef size_t size = body.shape[0], samples = 0, count = 0
        out = np.empty(size // LINE_BYTES_MIN + 1, np.uint64)
        cdef uint64_t[::1] view = out
        with nogil:
            count = find_keys(&self.secret, cursor_over(start, size), openmetrics, own_times, &view[0], &samples)
        found = out[:count].copy()
        found.sort()
        return found, samples

    def lines(self, const uint8_t[::1] body, bint openmetrics, bint own_times, const uint64_t[::1] wanted not None):
        """The series of ``body`` whose key is among ``wanted`` (ascending), each as a line of text 0.0.4 of value 0.

        GIL: released. Cost: 100 ns per line.
        """
        cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
        cdef size_t size = body.shape[0], written = 0, count = wanted.shape[0]
        cdef const uint64_t* keys = &wanted[0] if count else NULL
        out = bytearray(size + size // LINE_BYTES_MIN + 4)
        cdef uint8_t[::1] view = out
        with nogil:
            written = write_lines(&self.secret, cursor_over(start, size), openmetrics, own_times, keys, count, &view[0])
        return bytes(memoryview(out)[:written])


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t find_keys(const Secret* secret, Cursor body, bint openmetrics, bint own_times, uint64_t* out,
                      size_t* samples) noexcept nogil:
    cdef size_t count = 0
    cdef Text series
    cdef Kind kind
    while body.at < body.end:
        kind = next_line(&body, openmetrics, &series)
        samples[0] += kind != PASSED_OVER
        if kind == FOLLOWED or (kind == STAMPED and not own_times):
            out[count] = hash_bytes(secret, series.at, series.size, DOMAIN_TEXT).low
            count += 1
    return count


cdef size_t write_lines(const Secret* secret, Cursor body, bint openmetrics, bint own_times, const uint64_t* wanted,
                        size_t wanted_count, uint8_t* out) noexcept nogil:
    """A line here is longer by a byte at most than the one it stands for, and the last one by two."""
    cdef uint8_t* at = out
    cdef Text series
    cdef Kind kind
    while body.at < body.end:
        kind = next_line(&body, openmetrics, &series)
        if kind == PASSED_OVER or (kind == STAMPED and own_times):
            continue
        if not is_among(wanted, wanted_count, hash_bytes(secret, series.at, series.size, DOMAIN_TEXT).low):
            continue
        memcpy(at, series.at, series.size)
        memcpy(at + series.size, b" 0\n", 3)
        at += series.size + 3
    return at - out


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline Kind next_line(Cursor* body, bint openmetrics, Text* series) noexcept nogil:
    """Step over one line. series: its text, where it is a sample."""
    cdef Cursor line
    cdef const uint8_t* at
    cdef double value = 0.0
    cdef int64_t ts_ms = INT64_MIN
    cdef uint32_t exemplars = 0
    line.at = body.at
    line.end = find_byte(body.at, body.end, c'\n')
    body.at = line.end + (line.end < body.end)
    skip_blanks(&line)
    if line.at == line.end or line.at[0] == c'#':
        return PASSED_OVER
    at = line.at
    line.at = series_end(&line, openmetrics)
    series[0] = text_between(at, line.at)
    skip_blanks(&line)
    if read_value(&line, &value) != OK or read_rest(&line, openmetrics, &ts_ms, &exemplars) != OK:
        return PASSED_OVER
    return FOLLOWED if ts_ms == INT64_MIN else STAMPED


cdef inline bint is_among(const uint64_t* sorted_keys, size_t count, uint64_t key) noexcept nogil:
    cdef size_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) >> 1
        if sorted_keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < count and sorted_keys[low] == key
