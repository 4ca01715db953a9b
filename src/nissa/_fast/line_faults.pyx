"""Faults of lines as Python values, while the body they point into is still there. How they are noted: the ``.pxd``."""

from operator import attrgetter

from libc.stdint cimport uint8_t

from nissa._fast.line_faults cimport Fault, Faults
from nissa._fast.text_cursor cimport find_byte, line_number
from nissa._fast.types cimport TOO_NEW, TOO_OLD

from nissa.model.refusal import Refusal
from nissa.model.text_faults import TEXT_FAULTS, LineFault

cdef enum:
    SHOWN_BYTES_MAX = 200   # of such a line


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef list line_faults(const Faults* faults, const uint8_t* body, size_t size):
    """The faults of a body of ``size`` bytes as LineFault, in the order of lines."""
    found = [fault_of(&faults.fault[place], body, size) for place in range(faults.count)]
    return sorted(found, key=attrgetter("offset"))


cdef fault_of(const Fault* fault, const uint8_t* body, size_t size):
    cdef size_t offset = fault.at - body
    cdef size_t end = find_byte(fault.at, body + min(size, offset + SHOWN_BYTES_MAX), c'\n') - body
    reason = Refusal(fault.reason)
    timed = fault.reason == TOO_OLD or fault.reason == TOO_NEW
    return LineFault(line_number(body, fault.at), offset, str(reason), TEXT_FAULTS.get(fault.status, ""),
                     fault.ts_ms if timed else None,
                     (<const char*>body)[offset:end].decode("utf-8", "replace").rstrip("\r"))
