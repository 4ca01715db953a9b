"""Free space on the disk, and the minimum below which ingestion stops.

free   ─────────┬───────────────┬──────────────────┬───►
                floor           a quarter more     twice
       closed   │ opens again ► │                  │
       what may go goes, no merges                 │
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

from nissa.config.tree import Storage

RESUME_FACTOR = 1.25
LOW_FACTOR = 2
STAT_BLOCK_BYTES = 512  # of st_blocks


class Space(msgspec.Struct, frozen=True):
    """Free space of a disk. floor_bytes: that must stay free."""

    free_bytes: int
    floor_bytes: int

    @property
    def is_closed(self) -> bool:
        """True if nothing is taken in."""
        return self.free_bytes < self.floor_bytes

    @property
    def may_resume(self) -> bool:
        """True if ingestion that was closed for lack of space opens again."""
        return self.free_bytes >= self.floor_bytes * RESUME_FACTOR

    @property
    def is_low(self) -> bool:
        """True if everything that may be deleted must be deleted now."""
        return self.free_bytes < self.floor_bytes * LOW_FACTOR


def read_space(directory: Path, storage: Storage) -> Space:
    """The space of the disk that ``directory`` is on; a disk that does not say has none."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return Space(0, storage.free_bytes_min)
    share = found.f_blocks * found.f_frsize * storage.free_percent_min // 100
    return Space(found.f_bavail * found.f_frsize, max(storage.free_bytes_min, share))


def bytes_beside(directory: Path, folders: Collection[str]) -> int:
    """Bytes on disk of the files below ``directory``, but for those below these folders of it."""
    total = 0
    for place, below, files in os.walk(directory):
        if place == str(directory):
            below[:] = [name for name in below if name not in folders]
        for name in files:
            with suppress(OSError):  # it has gone since
                total += Path(place, name).lstat().st_blocks * STAT_BLOCK_BYTES
    return total
