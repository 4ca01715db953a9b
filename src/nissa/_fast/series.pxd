# The index of series: raw forms and identities to dense ids, and ids to labels.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from nissa._fast.batch cimport Batch
from nissa._fast.hash cimport Secret
from nissa._fast.label_set cimport LabelRules
from nissa._fast.offenders cimport Offenders
from nissa._fast.probe cimport FrozenTables, Table
from nissa._fast.publish cimport nissa_publish
from nissa._fast.region cimport Region
from nissa._fast.types cimport Fingerprint, Label, LabelList, LabelsOf, Record, Status, Text

cdef struct Pair:           # one label of one series
    uint32_t name           # symbol
    uint32_t value          # symbol

cdef class SeriesIndex:
    cdef object __weakref__
    cdef Secret secret
    # limits
    cdef readonly size_t active_max
    cdef size_t ids_max         # a new series that would be beyond is refused
    cdef LabelRules rules
    # probe tables: the writer's alone
    cdef Table raw
    cdef Table identities
    cdef Table symbol_table
    cdef FrozenTables identities_frozen     # spilled
    cdef FrozenTables symbols_frozen
    # by place, in order of ids: readers may look, up to known_total
    cdef Region ids             # uint32: whose place this is; a series without a place was dropped before
    cdef Region fingerprints    # Fingerprint
    cdef Region pair_starts     # uint64: the series at a place owns pairs [starts[place], starts[place + 1])
    cdef Region pairs           # Pair
    cdef Region dropped         # uint8: 1 once the series was dropped
    # by series id
    cdef Region starts_ms       # int64: start of the counter, as last sent by remote write 2.0; 0 where it was not sent
    cdef Region seen_minutes    # uint32: minute of the last sample; 0 where idle
    cdef Region active          # uint32: the ids of the active_count series that are not idle, in no order
    # by symbol id
    cdef Region symbol_starts   # uint64
    cdef Region texts
    cdef size_t series_total    # ids given out so far
    cdef size_t known_total     # places
    cdef readonly size_t dropped_total  # of these
    cdef size_t symbol_total
    cdef readonly size_t active_count
    cdef readonly size_t refused_total      # records refused because of active_max
    cdef uint8_t* canonical                 # scratch: the bytes an identity is the hash of
    cdef size_t canonical_capacity
    cdef int64_t spill_end                  # bytes in the file that is spilled to
    cdef size_t spilled_places              # how many there were when it was done last
    cdef Offenders offenders                # whose records were refused because of active_max

    # the one entry for decoders: give every record of the batch its series
    cdef Status resolve(self, Batch batch, LabelsOf labels_of, void* codec, uint32_t minute,
                        size_t admit_max) noexcept nogil

    cdef Status resolve_missing(self, Batch batch, LabelsOf labels_of, void* codec, uint32_t minute, size_t admit_max,
                                size_t first) noexcept nogil
    cdef Status resolve_record(self, Batch batch, Record* record, LabelList* labels, uint32_t minute,
                               size_t admit_max) noexcept nogil
    cdef Status identity_of(self, const LabelList* labels, Fingerprint* out) noexcept nogil
    cdef Status register(self, const Fingerprint* identity, const LabelList* labels, uint32_t minute,
                         uint32_t* out) noexcept nogil
    cdef bint has_room(self, const LabelList* labels) noexcept nogil
    cdef void activate(self, uint32_t series, uint32_t minute) noexcept nogil
    # a series whose identity is known: write its pairs there, then give it the next id
    cdef Pair* room_for(self, uint32_t labels) noexcept nogil
    cdef Status enter(self, const Fingerprint* identity, uint32_t labels, uint32_t minute,
                      uint32_t* out) noexcept nogil
    cdef bint has_place(self, size_t series, size_t* place) noexcept nogil
    cdef size_t place_of(self, size_t series) noexcept nogil
    cdef Status symbol_of(self, Text text, uint32_t* out) noexcept nogil
    cdef Text text_of_symbol(self, size_t symbol) noexcept nogil


cdef inline void append(SeriesIndex index, const Fingerprint* identity, uint32_t labels, uint32_t minute,
                        uint32_t* out) noexcept nogil:
    """``enter`` for a series that is not found by its identity."""
    cdef size_t series = index.series_total, place = index.known_total
    cdef uint64_t* starts = <uint64_t*>index.pair_starts.start
    (<uint32_t*>index.ids.start)[place] = <uint32_t>series
    (<Fingerprint*>index.fingerprints.start)[place] = identity[0]
    starts[place + 1] = starts[place] + labels
    if minute:
        index.activate(<uint32_t>series, minute)
    out[0] = <uint32_t>series
    nissa_publish(&index.known_total, place + 1)
    nissa_publish(&index.series_total, series + 1)


cdef inline void drop(SeriesIndex index, size_t series) noexcept nogil:
    """Drop a series that is there and idle: its id is in no answer any more. By the writer."""
    cdef size_t place = index.place_of(series)
    if not index.dropped.start[place]:
        index.dropped.start[place] = 1
        index.dropped_total += 1
