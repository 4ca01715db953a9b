# Rules that rewrite or drop the labels of series before they are looked up: metric_relabel_configs of a scrape.
#
#   records ──known by raw form──────────────────────────────────────────────► as they are
#           ├─known as dropped────────────────────────────────────────────► leave the batch, counted
#           └─unknown ──labels, those of the context included──► rules ─┬─► labels rewritten
#                                                                       └─► dropped, and remembered as such
#
# A raw form is known under the rules and the context it came in: its key is chained with theirs.

from libc.stdint cimport uint8_t, uint32_t

from nissa._fast.batch cimport Batch
from nissa._fast.probe cimport Table
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport ContextLabels, LabelList, Record, Status

cdef enum: AS_IT_IS = 0xFFFFFFFF    # a place: the labels stand in the body

# The rewritten labels of a batch: of record i at held + place[i], as count, and a size and bytes for each text.
cdef struct Judged:
    ContextLabels context   # of the frame; while rules hold, the batch has none
    const Record* records
    size_t count
    uint32_t* place         # by record
    size_t capacity
    const uint8_t* held

# Raw forms that rules have dropped.
cdef class DroppedForms:
    cdef Table table
    cdef readonly size_t entries_max

cdef class ExpositionRules:
    cdef object rules
    cdef bytes text
    cdef bytearray held
    cdef DroppedForms dropped
    cdef Judged judged

    cdef size_t judge(self, Batch batch, SeriesIndex index) except? 0xFFFFFFFF
    cdef bint judge_unknown(self, const Record* record, size_t at) except? False
    cdef void give_back(self, Batch batch) noexcept nogil

cdef Status labels_of_judged(void* codec, const Record* record, LabelList* out) noexcept nogil
