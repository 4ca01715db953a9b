"""Series read back from the series table, brought into a new index.

    names    places by label ──┐   dictionary ──intern──► symbols
    values   places by label ──┴──────────────────────► pairs ──text──► canonical bytes ──hash──► as on disk?
                                                                                                     │ yes
                                                                         fingerprint, pairs, minute ─┴► next id

Text comes as dictionaries, as Parquet keeps it, so a text that many labels share is interned once per piece and not
once per label. Every fingerprint is nevertheless checked against its labels: this detects a table of another
directory, or one whose text was damaged before its checksum was taken. Where there are no fingerprints, or their key
is lost with the catalogue, they are computed again.

Ids ascend and may have gaps. Where two series have the same labels the later one counts: the other one had been dropped
when it came (``series_drop.pyx``), and was still on disk.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

from nissa._fast.arrow_text cimport check_range, offsets_ascend, text_at
from nissa._fast.probe cimport find_in_all
from nissa._fast.publish cimport nissa_observe, nissa_publish
from nissa._fast.series cimport Pair, SeriesIndex, append, drop
from nissa._fast.types cimport LABELS_MAX, NO_MEMORY, OK, SERIES_NONE, Fingerprint, LabelList, Status, Text

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
    OUT_OF_ORDER = 3
    MEMORY_SHORT = 4


# ---- Boundary --------------------------------------------------------------------------------------------------------

def restore_series(SeriesIndex index not None, const uint32_t[::1] series not None,
                   const uint64_t[:, ::1] fingerprints not None,
                   int64_t[::1] starts not None, const uint32_t[::1] name_places not None,
                   int64_t[::1] name_offsets not None, const uint8_t[::1] names not None,
                   const uint32_t[::1] value_places not None, int64_t[::1] value_offsets not None,
                   const uint8_t[::1] values not None, uint32_t minute, bint signed=True, bint known=True):
    """Register series under their ids, as idle or (minute > 0) active.

    series: ids (n,), ascending, none below ``series_count``. fingerprints: (n, 2). starts: (n + 1,), series i owns
    labels [starts[i], starts[i + 1]), sorted by name. places: of each label's text in its dictionary, which is Arrow
    text. signed: fingerprints are compared; else they are made of the labels. known: new samples with these labels
    belong to them; else they keep their ids beside new series with the same labels. Raises InvariantBroken where a
    fingerprint does not belong to its labels, or ids do not ascend. GIL: released. Cost: about 350 ns per series of 11
    labels.
    """
    cdef size_t count = fingerprints.shape[0]
    cdef Flaw flaw = SOUND
    cdef const uint32_t[::1] name_symbols, value_symbols
    if fingerprints.shape[1] != 2 or <size_t>series.shape[0] != count or not (
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
        flaw = restore_each(index, &series[0], <const Fingerprint*>&fingerprints[0, 0], count, starts, name_places,
                            name_symbols, value_places, value_symbols, minute, signed, known)
    if flaw == MEMORY_SHORT:
        raise MemoryError("series index")
    if flaw == LABELS_MANY:
        raise InvariantBroken(f"series {index.series_total} on disk has more than {LABELS_MAX} labels")
    if flaw == OTHER_LABELS:
        raise InvariantBroken(f"series {index.series_total} on disk: its fingerprint is not that of its labels")
    if flaw == OUT_OF_ORDER:
        raise InvariantBroken(f"ids of series on disk do not ascend behind {index.series_total}")


def give_out_ids(SeriesIndex index not None, size_t count):
    """Leave ids below ``count`` to the series that have them: the next new one has at least this id."""
    if count > index.ids_max:
        raise InvariantBroken(f"{count} series ids are more than there are")
    nissa_publish(&index.series_total, max(count, index.series_total))


def restore_seen(SeriesIndex index not None, const uint32_t[::1] series not None,
                 const uint32_t[::1] minutes not None):
    """Set when these series were last seen; all others become idle. series: each once. For a new index only.

    Raises: IndexError for a series that is not there, or one that was never seen.
    """
    cdef Py_ssize_t at
    cdef size_t place
    cdef uint32_t* seen = <uint32_t*>index.seen_minutes.start
    if series.shape[0] != minutes.shape[0]:
        raise IndexError("as many minutes as series are expected")
    for place in range(index.active_count):
        seen[(<uint32_t*>index.active.start)[place]] = 0
    index.active_count = 0
    for at in range(series.shape[0]):
        if series[at] >= index.series_total or minutes[at] == 0 or seen[series[at]] != 0:
            raise IndexError(f"series {series[at]} cannot have been seen in minute {minutes[at]}")
        index.activate(series[at], minutes[at])


def forget_starts(SeriesIndex index not None):
    """Forget when counters began: these times may not be durable. The next sample with a start time sets it again."""
    cdef size_t place
    cdef uint32_t* ids = <uint32_t*>index.ids.start
    cdef int64_t* starts_ms = <int64_t*>index.starts_ms.start
    for place in range(index.known_total):
        if starts_ms[ids[place]]:               # memory that was never written stays so
            starts_ms[ids[place]] = 0


def active_series(SeriesIndex index not None):
    """Series that are not idle, in no order, and the minute each was last seen: two uint32 arrays.

    For the thread that writes to the index. Cost: a few ns per active series.
    """
    cdef size_t at
    cdef uint32_t* active = <uint32_t*>index.active.start
    cdef uint32_t* seen = <uint32_t*>index.seen_minutes.start
    series, minutes = np.empty(index.active_count, np.uint32), np.empty(index.active_count, np.uint32)
    cdef uint32_t[::1] series_view = series, minutes_view = minutes
    for at in range(index.active_count):
        series_view[at] = active[at]
        minutes_view[at] = seen[active[at]]
    return series, minutes


def seen_minutes_of(SeriesIndex index not None):
    """uint32 by series id: minute of the last sample, 0 where idle."""
    cdef size_t count = nissa_observe(&index.series_total)
    out = np.empty(count, np.uint32)
    cdef uint32_t[::1] view = out
    if count:
        memcpy(&view[0], index.seen_minutes.start, count * sizeof(uint32_t))
    return out


def fingerprints_of(SeriesIndex index not None, size_t first, size_t count):
    """Identities of series [first, first + count), all of which must be there: uint64 (count, 2), low and high."""
    check_range(first, count, nissa_observe(&index.series_total))
    cdef size_t place = index.place_of(first)
    if index.place_of(first + count) - place != count:
        raise IndexError(f"not all series from {first} to {first + count} are there")
    out = np.empty((count, 2), np.uint64)
    cdef uint64_t[:, ::1] view = out
    if count:
        memcpy(&view[0, 0], index.fingerprints.start + place * sizeof(Fingerprint), count * sizeof(Fingerprint))
    return out


def texts_of(SeriesIndex index not None, const uint32_t[::1] symbols not None):
    """Texts of some symbols as Arrow lays them out, for a segment of the table: (offsets int64 (n + 1,), data bytes).

    Any thread.
    """
    cdef Py_ssize_t at, count = symbols.shape[0]
    cdef size_t known = nissa_observe(&index.symbol_total)
    cdef Text text
    offsets = np.zeros(count + 1, np.int64)
    cdef int64_t[::1] view = offsets
    for at in range(count):
        if symbols[at] >= known:
            raise IndexError(f"no symbol {symbols[at]}")
        view[at + 1] = view[at] + index.text_of_symbol(symbols[at]).size
    data = bytearray(offsets[count])
    cdef uint8_t[::1] out = data
    for at in range(count):
        text = index.text_of_symbol(symbols[at])
        if text.size:
            memcpy(&out[view[at]], text.at, text.size)
    return offsets, bytes(data)


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


cdef Flaw restore_each(SeriesIndex index, const uint32_t* ids, const Fingerprint* fingerprints, size_t count,
                       int64_t[::1] starts, const uint32_t[::1] name_places, const uint32_t[::1] name_symbols,
                       const uint32_t[::1] value_places, const uint32_t[::1] value_symbols,
                       uint32_t minute, bint signed, bint known) noexcept nogil:
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
        if signed and (identity.low != fingerprints[at].low or identity.high != fingerprints[at].high):
            return OTHER_LABELS
        if ids[at] < index.series_total or ids[at] >= index.ids_max:
            return OUT_OF_ORDER
        index.series_total = ids[at]
        if not known:
            append(index, &identity, labels.count, minute, &series)
            continue
        series = find_in_all(&index.identities, &index.identities_frozen, identity.low, <uint32_t>identity.high)
        if series != SERIES_NONE:
            drop(index, series)
        if index.enter(&identity, labels.count, minute, &series) == NO_MEMORY:
            return MEMORY_SHORT
    return SOUND
