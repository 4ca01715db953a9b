# Regions: memory that grows without ever moving, so that readers on other threads need no lock.

from libc.stdint cimport int64_t, uint8_t

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void* address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE
    void* MAP_FAILED

# Address space reserved at once and filled from the front: what is written never moves, so readers need no lock.
cdef struct Region:
    uint8_t* start
    size_t reserved


cdef inline int reserve(Region* region, size_t size) except -1:
    """Address space without memory behind it; pages come, zeroed, as they are touched."""
    cdef int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    cdef void* start = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0)
    if start == MAP_FAILED:
        raise MemoryError(f"reserving {size} bytes of address space for the series index")
    region.start = <uint8_t*>start
    region.reserved = size
    return 0


cdef inline void release(Region* region) noexcept:
    if region.start != NULL:
        munmap(region.start, region.reserved)
        region.start = NULL
