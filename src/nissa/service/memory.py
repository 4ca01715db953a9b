"""Memory that a daemon has touched once stays with it.

A head fills, becomes a block, is freed, and the next one fills. By default the C library gives such memory back to the
kernel every time, and each page of it is faulted in and zeroed anew: on virtual machines that costs more than decoding
what goes into it. With these settings freed memory goes to the next allocation of its size instead. Resident memory
stands at the most that was ever in use at once, plus fragments.

One arena: what the engine thread allocates, the sealer thread frees, and the engine takes again. Threads that work
without the GIL allocate little, so they do not stand in line for it.

Only glibc is spoken to; elsewhere nothing changes.
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


def keep_memory() -> bool:
    """Set the allocator of this process; call it before threads start. False where there is no glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wanted = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES_MAX))
    return all(mallopt(name, value) == 1 for name, value in wanted)
