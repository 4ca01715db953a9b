# Top offenders of the series limit: the metric names refused most often, in constant memory (Misra and Gries, 1982).
#
#     a name is refused …      its counter is there       + 1
#                              a counter is free          it takes it
#                              neither                    every counter - 1: this name cancels one of each other
#
# A name that was refused more than total / (COUNTERS + 1) times is always among them, and no counter says more than
# there was: it says too little by at most the number of cancellations, the same for all. Cost: one look at COUNTERS
# keys; the walk that cancels is paid for by the refusals that raised the counters.
#
# The writer is the engine thread. Readers on other threads copy the table, and keep the copy if `version` was even
# before it and is the same behind it. The writer is at it for nanoseconds; a reader that meets it TRIES_MAX times says
# nothing.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from nissa._fast.hash cimport Secret, hash_bytes
from nissa._fast.publish cimport nissa_observe, nissa_publish, nissa_settle
from nissa._fast.types cimport LabelList, Text

cdef enum:
    COUNTERS = 32
    SHOWN_BYTES = 112           # of a name; longer ones are distinguished by their hash and shown cut off
    DOMAIN_OFFENDER = 3
    TRIES_MAX = 100

cdef struct Offender:           # free where refused is 0
    uint64_t key                # hash of the whole name
    uint64_t refused
    uint32_t size               # bytes of the name that are kept
    uint8_t name[SHOWN_BYTES]

cdef struct Offenders:
    size_t version              # odd while the writer is at it
    Offender counter[COUNTERS]


cdef inline list offenders_in(Offenders* offenders):
    """[(name, refused at least so often)], the worst first. Any thread."""
    cdef Offenders copy
    cdef uint32_t index
    cdef size_t version = 1
    for _ in range(TRIES_MAX):
        version = nissa_observe(&offenders.version)
        memcpy(&copy, offenders, sizeof(Offenders))
        nissa_settle()
        if version % 2 == 0 and nissa_observe(&offenders.version) == version:
            break
    else:
        return []
    found = []
    for index in range(COUNTERS):
        if copy.counter[index].refused:
            name = (<const char*>copy.counter[index].name)[:copy.counter[index].size].decode(errors="ignore")
            found.append((name, copy.counter[index].refused))
    found.sort(key=lambda one: (-one[1], one[0]))
    return found


cdef inline void note_offender(Offenders* offenders, const Secret* secret, const LabelList* labels) noexcept nogil:
    """Count one more refusal of the metric these arranged labels name."""
    cdef Text name = name_of(labels)
    cdef uint64_t key = hash_bytes(secret, name.at, name.size, DOMAIN_OFFENDER).low
    cdef Offender* unused = NULL
    cdef uint32_t index
    nissa_publish(&offenders.version, offenders.version + 1)
    nissa_settle()
    for index in range(COUNTERS):
        if offenders.counter[index].refused == 0:
            unused = &offenders.counter[index]
        elif offenders.counter[index].key == key:
            offenders.counter[index].refused += 1
            break
    else:
        if unused != NULL:
            unused.key = key
            unused.refused = 1
            unused.size = min(name.size, <uint32_t>SHOWN_BYTES)
            memcpy(unused.name, name.at, unused.size)
        else:
            for index in range(COUNTERS):
                offenders.counter[index].refused -= 1
    nissa_publish(&offenders.version, offenders.version + 1)


cdef inline Text name_of(const LabelList* labels) noexcept nogil:
    """The metric name of arranged labels, which always have one."""
    cdef uint32_t index
    for index in range(labels.count):
        if labels.label[index].name.size == 8 and not memcmp(labels.label[index].name.at, b"__name__", 8):
            return labels.label[index].value
    return Text(NULL, 0)
