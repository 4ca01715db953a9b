# The index of series: raw forms and identities to dense ids, and ids to labels.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from nissa._fast.batch cimport Batch
from nissa._fast.hash cimport Secret
from nissa._fast.label_set cimport LabelRules
from nissa._fast.offenders cimport Offenders
from nissa._fast.probe cimport Table
from nissa._fast.region cimport Region
from nissa._fast.types cimport Fingerprint, Label, LabelList, LabelsOf, Record, Status, Text

cdef struct Pair:           # one label of one series
    uint32_t name           # symbol
    uint32_t value          # symbol

cdef class SeriesIndex:
    cdef Secret secret
    # limits
    cdef readonly size_t active_max
    cdef LabelRules rules
    # probe tables: the writer's alone
    cdef Table raw
    cdef Table identities
    cdef Table symbol_table
    # by series id: readers may look, up to series_published
    cdef Region fingerprints    # Fingerprint
    cdef Region pair_starts     # uint64: series i owns pairs [starts[i], starts[i + 1])
    cdef Region pairs           # Pair
    cdef Region seen_minutes    # uint32: minute of the last sample; 0 where idle
    # by symbol id
    cdef Region symbol_starts   # uint64
    cdef Region texts
    cdef size_t series_total
    cdef size_t symbol_total
    cdef readonly size_t active_count
    cdef readonly size_t refused_total      # records refused because of active_max
    cdef uint8_t* canonical                 # scratch: the bytes an identity is the hash of
    cdef size_t canonical_capacity
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
    # a series whose identity is known: write its pairs there, then give it the next id
    cdef Pair* room_for(self, uint32_t labels) noexcept nogil
    cdef Status enter(self, const Fingerprint* identity, uint32_t labels, uint32_t minute,
                      uint32_t* out) noexcept nogil
    cdef Status symbol_of(self, Text text, uint32_t* out) noexcept nogil
    cdef Text text_of_symbol(self, size_t symbol) noexcept nogil
