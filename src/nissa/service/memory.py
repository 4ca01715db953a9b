"""Configures malloc to keep freed memory in the process.

A head fills, becomes a block, is freed, and the next one fills. By default the C library gives such memory back to the
kernel every time, and each page of it is faulted in and zeroed anew: on virtual machines that costs more than decoding
what goes into it. With these settings freed memory is reused by the next allocation of its size. Resident memory is the
peak use plus fragmentation.

There is one arena, because the seal thread frees memory that the engine thread allocates again. Threads that work
without the GIL allocate little, so they rarely contend for it.

This affects glibc only.
"""

import ctypes
from typing import Final

from nissa.model.units import MIB

# mallopt(3), malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

KEPT_BYTES_MAX: Final = 256 * MIB  # free memory at the end of the heap above which it is given back
LARGE_BYTES: Final = 32 * MIB  # larger allocations come from the kernel and go back to it; glibc allows no more


def tune_malloc() -> bool:
    """Set the allocator of this process; call it before threads start. False where there is no glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wanted = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES_MAX))
    return all(mallopt(name, value) == 1 for name, value in wanted)
