"""Space on the disk: how much is free, and the floor under which nothing is taken in.

free   ─────────┬───────────────┬──────────────────┬───►
                floor           a quarter more     twice
       closed   │ opens again ► │                  │
       what may go goes, no merges                 │
"""

import os
from pathlib import Path

import msgspec

from nissa.config.tree import Storage

RESUME_FACTOR = 1.25
LOW_FACTOR = 2


class Space(msgspec.Struct, frozen=True):
    """What a disk has. floor_bytes: that must stay free."""

    free_bytes: int
    floor_bytes: int

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken in."""
        return self.free_bytes < self.floor_bytes

    @property
    def may_resume(self) -> bool:
        """Whether what was closed opens again."""
        return self.free_bytes >= self.floor_bytes * RESUME_FACTOR

    @property
    def is_low(self) -> bool:
        """Whether what may go must go now."""
        return self.free_bytes < self.floor_bytes * LOW_FACTOR


def read_space(directory: Path, storage: Storage) -> Space:
    """The space of the disk that ``directory`` is on; a disk that does not say has none."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return Space(0, storage.free_bytes_min)
    share = found.f_blocks * found.f_frsize * storage.free_percent_min // 100
    return Space(found.f_bavail * found.f_frsize, max(storage.free_bytes_min, share))
