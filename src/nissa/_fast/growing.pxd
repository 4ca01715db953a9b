# Arrays that grow with need, by doubling.

from libc.stddef cimport size_t
from libc.stdlib cimport realloc

from nissa._fast.types cimport NO_MEMORY, OK, Status


cdef inline Status room_for_one(void** items, size_t count, size_t* capacity, size_t item_bytes) noexcept nogil:
    """Room for one more item of an array that grows."""
    cdef void* grown
    cdef size_t more
    if count < capacity[0]:
        return OK
    more = capacity[0] * 2 + 16
    grown = realloc(items[0], more * item_bytes)
    if grown == NULL:
        return NO_MEMORY
    items[0] = grown
    capacity[0] = more
    return OK
