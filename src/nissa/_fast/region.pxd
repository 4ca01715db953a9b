# Regions: memory that grows without ever moving, so that readers on other threads need no lock.
#
#   | spilled: pages of a file | in memory, never changed again | in memory, being written | reserved |
#   start                      start + spilled                  start + final
#
# What will not change again can be spilled: it is written to a file, and the file's pages take the place of the memory.
# Readers see the same bytes all along; the kernel lets go of such pages and reads them again as it sees fit.

from libc.stdint cimport int64_t, uint8_t

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void* data, size_t size, int64_t offset)

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void* address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_SHARED, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE
    void* MAP_FAILED

# Address space reserved at once and filled from the front: what is written never moves, so readers need no lock.
cdef struct Region:
    uint8_t* start
    size_t reserved
    size_t spilled      # bytes from the start, a multiple of SPILL_BYTES

cdef enum: SPILL_BYTES = 0x10000    # a multiple of any page size there is


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


cdef inline bint write_whole(int fd, const uint8_t* data, size_t size, int64_t offset) noexcept nogil:
    cdef size_t written = 0
    cdef ssize_t count
    while written < size:
        count = pwrite(fd, data + written, size - written, offset + <int64_t>written)
        if count <= 0:
            return False
        written += <size_t>count
    return True


cdef inline bint spill(Region* region, size_t final, int fd, int64_t* file_end) noexcept nogil:
    """Spill what of the first ``final`` bytes is in memory, whole SPILL_BYTES of it; False, and nothing has changed,
    where the file takes no more. file_end: where the file ends, a multiple of SPILL_BYTES."""
    cdef size_t size = (final - region.spilled) // SPILL_BYTES * SPILL_BYTES
    cdef uint8_t* at = region.start + region.spilled
    if final < region.spilled + SPILL_BYTES:
        return True
    if not write_whole(fd, at, size, file_end[0]):
        return False
    if mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, file_end[0]) == MAP_FAILED:
        return False
    region.spilled += size
    file_end[0] += <int64_t>size
    return True
