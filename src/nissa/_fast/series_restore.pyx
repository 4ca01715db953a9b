"""Series read back from the series table, brought into a new index.

    names    places by label ──┐   dictionary ──intern──► symbols
    values   places by label ──┴──────────────────────► pairs ──text──► canonical bytes ──hash──► as on disk?
                                                                                                     │ yes
                                                                         fingerprint, pairs, minute ─┴► next id

Text comes as dictionaries, as Parquet keeps it, so a text that many labels share is interned once per piece and not
once per label. That every fingerprint is that of its labels is looked at all the same: it tells a table of another
directory, or one whose text was damaged before it was summed.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from nissa._fast.arrow_text cimport offsets_ascend, text_at
from nissa._fast.probe cimport find
from nissa._fast.series cimport Pair, SeriesIndex
from nissa._fast.types cimport LABELS_MAX, NO_MEMORY, OK, SERIES_NONE, Fingerprint, LabelList, Status

from nissa.model.errors import InvariantBroken

cdef extern from *:
    """
    #define nissa_prefetch(place) __builtin_prefetch(place, 0, 3)
    """
    void nissa_prefetch(const void* place) nogil

cdef enum: AHEAD = 12       # series between the prefetch of a slot and its probe

# What is wrong with a series of the table.
cdef enum Flaw:
    SOUND = 0
    LABELS_MANY = 1
    OTHER_LABELS = 2
    THERE_ALREADY = 3
    MEMORY_SHORT = 4


# ---- Boundary --------------------------------------------------------------------------------------------------------

def restore_series(SeriesIndex index not None, const uint64_t[:, ::1] fingerprints not None,
                   int64_t[::1] starts not None, const uint32_t[::1] name_places not None,
                   int64_t[::1] name_offsets not None, const uint8_t[::1] names not None,
                   const uint32_t[::1] value_places not None, int64_t[::1] value_offsets not None,
                   const uint8_t[::1] values not None, uint32_t minute):
    """Register series in the order of their ids, as idle or (minute > 0) active.

    fingerprints: (n, 2). starts: (n + 1,), series i owns labels [starts[i], starts[i + 1]), sorted by name. places: of
    each label's text in its dictionary, which is Arrow text. Raises InvariantBroken where a fingerprint does not belong
    to its labels, or is there already. GIL: released. Cost: about 350 ns per series of 11 labels.
    """
    cdef size_t count = fingerprints.shape[0], done = 0
    cdef Flaw flaw = SOUND
    cdef const uint32_t[::1] name_symbols, value_symbols
    if fingerprints.shape[1] != 2 or not (
            offsets_ascend(starts, count + 1, min(name_places.shape[0], value_places.shape[0]))
            and offsets_ascend(name_offsets, 1, len(names)) and offsets_ascend(value_offsets, 1, len(values))):
        raise InvariantBroken("offsets of series on disk do not ascend within their data")
    if (not places_within(name_places, <uint32_t>(name_offsets.shape[0] - 1))
            or not places_within(value_places, <uint32_t>(value_offsets.shape[0] - 1))):
        raise InvariantBroken("labels of series on disk name texts that are not there")
    if count == 0:
        return
    name_symbols = symbols_of(index, name_offsets, names)
    value_symbols = symbols_of(index, value_offsets, values)
    with nogil:
        flaw = restore_each(index, <const Fingerprint*>&fingerprints[0, 0], count, starts, name_places, name_symbols,
                            value_places, value_symbols, minute)
    if flaw == MEMORY_SHORT:
        raise MemoryError("series index")
    if flaw == LABELS_MANY:
        raise InvariantBroken(f"series {index.series_total} on disk has more than {LABELS_MAX} labels")
    if flaw == OTHER_LABELS:
        raise InvariantBroken(f"series {index.series_total} on disk: its fingerprint is not that of its labels")
    if flaw == THERE_ALREADY:
        raise InvariantBroken(f"series {index.series_total} on disk has the labels of an earlier one")


cdef symbols_of(SeriesIndex index, int64_t[::1] offsets, const uint8_t[::1] data):
    """Symbols of the texts of a dictionary."""
    cdef size_t place, count = offsets.shape[0] - 1
    cdef Status status = OK
    out = np.empty(count, np.uint32)
    cdef uint32_t[::1] view = out
    with nogil:
        for place in range(count):
            status = index.symbol_of(text_at(offsets, data, place), &view[place])
            if status != OK:
                break
    if status != OK:
        raise MemoryError("series index")
    return out


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef bint places_within(const uint32_t[::1] places, uint32_t count) noexcept nogil:
    cdef Py_ssize_t index
    cdef uint32_t largest = 0
    for index in range(places.shape[0]):
        largest = max(largest, places[index])
    return places.shape[0] == 0 or largest < count


cdef Flaw restore_each(SeriesIndex index, const Fingerprint* fingerprints, size_t count, int64_t[::1] starts,
                       const uint32_t[::1] name_places, const uint32_t[::1] name_symbols,
                       const uint32_t[::1] value_places, const uint32_t[::1] value_symbols,
                       uint32_t minute) noexcept nogil:
    """Register all, up to the first that has a flaw."""
    cdef LabelList labels
    cdef Fingerprint identity
    cdef Pair* pairs
    cdef uint32_t series
    cdef size_t at
    cdef int64_t label
    labels.scratch_used = 0
    for at in range(count):
        if at + AHEAD < count:
            nissa_prefetch(&index.identities.slots[fingerprints[at + AHEAD].low & index.identities.mask])
        if starts[at + 1] - starts[at] > LABELS_MAX:
            return LABELS_MANY
        labels.count = 0
        pairs = index.room_for(<uint32_t>(starts[at + 1] - starts[at]))
        if pairs == NULL:
            return MEMORY_SHORT
        for label in range(starts[at], starts[at + 1]):
            pairs[labels.count].name = name_symbols[name_places[label]]
            pairs[labels.count].value = value_symbols[value_places[label]]
            labels.label[labels.count].name = index.text_of_symbol(pairs[labels.count].name)
            labels.label[labels.count].value = index.text_of_symbol(pairs[labels.count].value)
            labels.count += 1
        if index.identity_of(&labels, &identity) != OK:
            return MEMORY_SHORT
        if identity.low != fingerprints[at].low or identity.high != fingerprints[at].high:
            return OTHER_LABELS
        if find(&index.identities, identity.low, <uint32_t>identity.high) != SERIES_NONE:
            return THERE_ALREADY
        if index.enter(&identity, labels.count, minute, &series) == NO_MEMORY:
            return MEMORY_SHORT
    return SOUND
