"""Sketches: quantiles of a window from counts by exponential bucket, which merge exactly.

    values          buckets                                    p50 of 4 values: between the 2nd and the 3rd,
    0.5 1.0 1.0 7   index  -32   0   90                        each read as the middle of its bucket
                    count    1   2    1

``buckets.pxd`` says which bucket a value is in and how they are counted; ``docs/format/ladder.md`` draws the bytes.
A quantile is the one PromQL and numpy compute of the values themselves, rank = q * (n - 1) with linear interpolation
between neighbours, made of the middles of buckets: of normal numbers at most 1.083 % off, infinities exact. Where the
smallest and the largest value are known they stand for the first and the last rank, and nothing lies beyond them.

This file knows no series, no time and no files.
"""

from libc.math cimport NAN, floor, isnan
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from nissa._fast.buckets cimport (BUCKETS_WORDS, INDEX_MIN, SIDE_PLACES, SKETCH_BUCKET, SKETCH_BYTES_BUCKET,
                                  SKETCH_BYTES_EMPTY, SKETCH_BYTES_SIDE, SKETCH_COUNT, SKETCH_FORM, SKETCH_HEADER,
                                  SKETCH_SOUND, Buckets, SketchFault, add_values, buckets_in, clear_buckets,
                                  list_places, middle_of, place_of, put_sketch, read_sketch)
from nissa._fast.sample cimport INFINITY_BITS, SIGN_BIT

import numpy as np

from nissa.model.errors import Malformed

# The buckets in use in ascending order of their numbers, and how many values lie in them and before.
cdef struct Ranks:
    double* middles             # room for 2 * SIDE_PLACES + 1 of each
    uint64_t* counts
    uint32_t* places
    size_t size
    uint64_t total
    double smallest             # NaN where not known
    double largest

FAULTS = {
    SKETCH_HEADER: "a header that is not of schema 5",
    SKETCH_BUCKET: "a bucket that no number falls into",
    SKETCH_FORM: "not the one form of its counts",
    SKETCH_COUNT: "more values than a sketch may hold",
}


# ---- Boundary --------------------------------------------------------------------------------------------------------

def bucket_indexes(const double[::1] values):
    """The bucket index (int32) of the absolute value of each number; -2^31 for zeros and NaN.

    GIL: released. Cost: 2 ns per value.
    """
    cdef size_t count = values.shape[0]
    out = np.empty(count, np.int32)
    cdef int32_t[::1] view = out
    if count:
        with nogil:
            index_values(&values[0], count, &view[0])
    return out


cdef class Sketch:
    """Values counted by bucket: add values, merge sketches, ask for quantiles, write the bytes."""

    cdef Buckets held
    cdef Ranks ranks
    cdef object memory

    def __init__(self):
        words, middles = np.zeros(BUCKETS_WORDS, np.uint64), np.empty(2 * SIDE_PLACES + 1, np.float64)
        counts, places = np.empty(2 * SIDE_PLACES + 1, np.uint64), np.empty(2 * SIDE_PLACES, np.uint32)
        self.memory = (words, middles, counts, places)  # pages never written cost nothing
        cdef uint64_t[::1] words_view = words
        cdef double[::1] middles_view = middles
        cdef uint64_t[::1] counts_view = counts
        cdef uint32_t[::1] places_view = places
        self.held = buckets_in(&words_view[0])
        self.ranks.middles, self.ranks.counts, self.ranks.places = &middles_view[0], &counts_view[0], &places_view[0]

    @property
    def count(self):
        """Number of values."""
        return self.held.total

    def add(self, const double[::1] values):
        """Count numbers; NaN are passed over. GIL: released. Cost: 2 ns per value, 0.2 µs per call."""
        cdef size_t count = values.shape[0]
        if count:
            with nogil:
                add_values(&self.held, <const uint64_t*>&values[0], count)

    def merge(self, const int32_t[::1] offsets, const uint8_t[::1] data):
        """Add sketches: the i-th is data[offsets[i]:offsets[i + 1]]. GIL: released. Cost: 3 to 5 ns per bucket.

        Raises: Malformed with the byte in data; nothing has been added then. ValueError for offsets outside of data.
        """
        cdef size_t count = check_offsets(offsets, data)
        cdef const uint8_t* stopped = NULL
        cdef SketchFault fault = SKETCH_SOUND
        cdef const uint8_t* at = &data[0] if data.shape[0] else NULL
        cdef uint64_t before
        if count:
            with nogil:
                before = self.held.total
                fault = add_sketches(&self.held, &offsets[0], at, count, False, &stopped)
                if fault != SKETCH_SOUND:
                    self.held.total = before
                    add_sketches(&self.held, &offsets[0], at, count, True, &stopped)
                    self.held.total = before
        if fault != SKETCH_SOUND:
            raise sketch_malformed(fault, stopped - at)

    def to_bytes(self):
        """The sketch in its one form. Cost: 3 ns per bucket."""
        cdef size_t buckets = list_places(&self.held, 0, self.ranks.places)
        buckets += list_places(&self.held, 1, self.ranks.places)
        out = np.empty(SKETCH_BYTES_EMPTY + 2 * SKETCH_BYTES_SIDE + SKETCH_BYTES_BUCKET * buckets, np.uint8)
        cdef uint8_t[::1] view = out
        cdef uint8_t* end = put_sketch(&self.held, self.ranks.places, &view[0], &view[0] + view.shape[0],
                                       False)
        return out[:end - &view[0]].tobytes()

    def quantiles(self, const double[::1] probabilities, double smallest=float("nan"), double largest=float("nan")):
        """The quantiles of all values (float64), NaN where there are none. probabilities: 0..1.

        smallest, largest: of all values, where known.
        """
        cdef size_t count = probabilities.shape[0]
        out = np.empty(count, np.float64)
        cdef double[::1] view = out
        if count:
            with nogil:
                rank_buckets(&self.held, &self.ranks, smallest, largest)
                answer_quantiles(&self.ranks, &probabilities[0], count, &view[0])
        return out

    def clear(self):
        """Forget all values."""
        clear_buckets(&self.held)


def quantiles_of(const int32_t[::1] offsets, const uint8_t[::1] data, const double[::1] probabilities,
                 const double[::1] smallest, const double[::1] largest):
    """Quantiles of many sketches: float64 of shape (sketches, probabilities).

    offsets, data: as for ``Sketch.merge``. smallest, largest: of each sketch's values, NaN where not known.
    Raises: Malformed, ValueError. GIL: released. Cost: 100 ns and 5 ns per bucket for each sketch.
    """
    cdef size_t count = check_offsets(offsets, data), asked = probabilities.shape[0], row
    cdef Sketch sketch = Sketch()
    cdef const uint8_t* stopped = NULL
    cdef SketchFault fault = SKETCH_SOUND
    cdef const uint8_t* at = &data[0] if data.shape[0] else NULL
    if <size_t>smallest.shape[0] != count or <size_t>largest.shape[0] != count:
        raise ValueError(f"{count} sketches, {smallest.shape[0]} smallest and {largest.shape[0]} largest values")
    out = np.empty((count, asked), np.float64)
    cdef double[:, ::1] view = out
    if count and asked:
        with nogil:
            for row in range(count):
                fault = add_sketches(&sketch.held, &offsets[row], at, 1, False, &stopped)
                if fault != SKETCH_SOUND:
                    break
                rank_buckets(&sketch.held, &sketch.ranks, smallest[row], largest[row])
                answer_quantiles(&sketch.ranks, &probabilities[0], asked, &view[row, 0])
                clear_buckets(&sketch.held)
    if fault != SKETCH_SOUND:
        raise sketch_malformed(fault, stopped - at)
    return out


def check_sketches(const int32_t[::1] offsets, const uint8_t[::1] data):
    """Number of values in each sketch (uint64). Raises: Malformed, ValueError. GIL: released."""
    cdef size_t count = check_offsets(offsets, data), row
    cdef Sketch sketch = Sketch()
    cdef const uint8_t* stopped = NULL
    cdef SketchFault fault = SKETCH_SOUND
    cdef const uint8_t* at = &data[0] if data.shape[0] else NULL
    out = np.empty(count, np.uint64)
    cdef uint64_t[::1] view = out
    with nogil:
        for row in range(count):
            fault = add_sketches(&sketch.held, &offsets[row], at, 1, False, &stopped)
            if fault != SKETCH_SOUND:
                break
            view[row] = sketch.held.total
            clear_buckets(&sketch.held)
    if fault != SKETCH_SOUND:
        raise sketch_malformed(fault, stopped - at)
    return out


cdef size_t check_offsets(const int32_t[::1] offsets, const uint8_t[::1] data) except? 0xFFFFFFFF:
    """Number of sketches. Raises: ValueError where offsets fall, or leave the data."""
    cdef size_t count = offsets.shape[0]
    if count == 0:
        raise ValueError("offsets need one entry more than there are sketches")
    if not offsets_inside(&offsets[0], count, data.shape[0]):
        raise ValueError(f"offsets of sketches do not rise inside of {data.shape[0]} bytes")
    return count - 1


cdef object sketch_malformed(SketchFault fault, size_t offset):
    return Malformed(f"sketch: {FAULTS.get(fault, 'it ends in the middle')}", offset)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void index_values(const double* values, size_t count, int32_t* out) noexcept nogil:
    cdef size_t row
    cdef uint64_t bits
    for row in range(count):
        memcpy(&bits, &values[row], 8)
        bits &= ~SIGN_BIT
        if bits == 0 or bits > INFINITY_BITS:
            out[row] = -0x7FFFFFFF - 1
        else:
            out[row] = <int32_t>place_of(bits) + INDEX_MIN


cdef bint offsets_inside(const int32_t* offsets, size_t count, size_t bytes_size) noexcept nogil:
    cdef size_t row
    if offsets[0] < 0 or <size_t>offsets[count - 1] > bytes_size:
        return False
    for row in range(1, count):
        if offsets[row] < offsets[row - 1]:
            return False
    return True


cdef SketchFault add_sketches(Buckets* held, const int32_t* offsets, const uint8_t* data, size_t count, bint undo,
                              const uint8_t** stopped) noexcept nogil:
    """Add sketches; undo: take away what the same call has added, up to the same fault."""
    cdef size_t row
    cdef uint64_t total = held.total
    cdef SketchFault fault
    for row in range(count):
        fault = read_sketch(data + offsets[row], offsets[row + 1] - offsets[row], held, undo, &total, stopped)
        if fault != SKETCH_SOUND:
            return fault
    return SKETCH_SOUND


cdef void rank_buckets(const Buckets* held, Ranks* ranks, double smallest, double largest) noexcept nogil:
    """Line up the buckets in use: negative numbers from the largest index down, zeros, positive numbers."""
    cdef uint32_t found, index
    cdef size_t size = 0
    cdef uint64_t total = 0
    found = list_places(held, 1, ranks.places)
    while found:
        found -= 1
        total += held.counts[SIDE_PLACES + ranks.places[found]]
        ranks.middles[size] = -middle_of(ranks.places[found])
        ranks.counts[size] = total
        size += 1
    if held.zeros:
        total += held.zeros
        ranks.middles[size] = 0.0
        ranks.counts[size] = total
        size += 1
    found = list_places(held, 0, ranks.places)
    for index in range(found):
        total += held.counts[ranks.places[index]]
        ranks.middles[size] = middle_of(ranks.places[index])
        ranks.counts[size] = total
        size += 1
    ranks.size, ranks.total = size, total
    ranks.smallest, ranks.largest = smallest, largest


cdef void answer_quantiles(const Ranks* ranks, const double* probabilities, size_t count, double* out) noexcept nogil:
    cdef size_t row
    for row in range(count):
        out[row] = quantile_at(ranks, probabilities[row])


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline double quantile_at(const Ranks* ranks, double probability) noexcept nogil:
    cdef double rank, low, share, before, after
    if ranks.total == 0:
        return NAN
    rank = probability * <double>(ranks.total - 1)
    low = floor(rank)
    share = rank - low
    before = value_at(ranks, <uint64_t>low)
    if share == 0.0:
        return before
    after = value_at(ranks, <uint64_t>low + 1)
    return before if before == after else before * (1.0 - share) + after * share


cdef inline double value_at(const Ranks* ranks, uint64_t rank) noexcept nogil:
    """Representative of the value of a rank, counted from 0 upwards."""
    cdef size_t low = 0, high = ranks.size - 1, middle
    cdef double value
    if rank == 0 and not isnan(ranks.smallest):
        return ranks.smallest
    if rank == ranks.total - 1 and not isnan(ranks.largest):
        return ranks.largest
    while low < high:
        middle = (low + high) // 2
        if ranks.counts[middle] > rank:
            high = middle
        else:
            low = middle + 1
    value = ranks.middles[low]
    if value < ranks.smallest:
        return ranks.smallest
    return ranks.largest if value > ranks.largest else value
