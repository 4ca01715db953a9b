# Lines of a text body that are refused, wholly or in part: recorded while the body is read, reported in the answer.
#
# The first FAULTS_MAX of a body are recorded; the caller counts all of them.

from libc.stdint cimport int64_t, uint8_t, uint32_t

from nissa._fast.types cimport Status

cdef enum:
    FAULTS_MAX = 64         # lines at fault that are named to the sender

cdef struct Fault:
    const uint8_t* at       # where the line begins
    int64_t ts_ms           # its time, where that is outside of the acceptance window
    int reason              # a Refusal
    Status status           # why its bytes are not of their form; OK otherwise

cdef struct Faults:
    uint32_t count
    Fault[FAULTS_MAX] fault

cdef list line_faults(const Faults* faults, const uint8_t* body, size_t size)


cdef inline void note_fault(Faults* faults, const uint8_t* at, int reason, Status status, int64_t ts_ms) noexcept nogil:
    cdef Fault* fault
    if faults.count == <uint32_t>FAULTS_MAX:
        return
    fault = &faults.fault[faults.count]
    fault.at, fault.reason, fault.status, fault.ts_ms = at, reason, status, ts_ms
    faults.count += 1
