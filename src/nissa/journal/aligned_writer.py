"""Appending to a file in whole blocks, past the page cache where the file system allows it.

    commit 1        commit 2             commit 3
    [aaaaaaaa|aaa.] [aaab|bbb.]          [bbbc|cccc|cc..]          | block border   . zeros
               └───────▲ └──────────────────▲                      the last block is written again

A journal is read only after a crash, so a copy of it in the page cache has only costs. Direct writes need whole blocks
at block boundaries from aligned memory. Bytes are therefore buffered here; a block that is not full yet is kept and
written again with the bytes that follow. Its earlier bytes do not change, so a power loss during that write damages
nothing that was durable.

Knows blocks and bytes. Knows no frames.
"""

import errno
import mmap
import os
from collections.abc import Sequence
from typing import Final

from nissa.model.units import KIB, MIB

BLOCK_BYTES: Final = 4 * KIB
STAGING_BYTES: Final = MIB
DIRECT: Final = getattr(os, "O_DIRECT", 0)
_ZEROS: Final = bytes(BLOCK_BYTES)


class AlignedWriter:
    """Memory through which one file at a time is appended to."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, STAGING_BYTES))  # aligned, and touched as far as it is used
        self._start = 0  # where in the file the memory begins
        self._held = 0  # bytes of the last block, not full yet, at the beginning of the memory

    def restart(self) -> None:
        """The next append goes to the beginning of another file."""
        self._start = self._held = 0

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        """Append ``buffers``; returns the offset of their end. Raises: OSError."""
        memory, at = self._memory, self._held
        for buffer in buffers:
            end = at + len(buffer)
            if end <= STAGING_BYTES:
                memory[at:end] = buffer
                at = end
            else:
                at = self._spill(fd, memoryview(buffer), at)
        padded = at + -at % BLOCK_BYTES
        memory[at:padded] = _ZEROS[: padded - at]
        write_whole(fd, memory[:padded], self._start)
        full = at - at % BLOCK_BYTES
        self._held = at - full
        self._start += full
        memory[: self._held] = memory[full:at]
        return self._start + self._held

    def _spill(self, fd: int, buffer: memoryview, at: int) -> int:
        """Bring in a buffer that does not fit, writing out the memory whenever it is full."""
        taken = 0
        while taken < len(buffer):
            if at == STAGING_BYTES:
                write_whole(fd, self._memory, self._start)
                self._start += at
                at = 0
            count = min(len(buffer) - taken, STAGING_BYTES - at)
            self._memory[at : at + count] = buffer[taken : taken + count]
            taken += count
            at += count
        return at


def write_whole(fd: int, data: memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``, however little the kernel takes at a time. Raises: OSError."""
    while data:
        try:
            written = os.pwritev(fd, [data], offset)
        except InterruptedError:
            continue
        if written <= 0:
            raise OSError(errno.EIO, "the file took no bytes")
        offset += written
        data = data[written:]
