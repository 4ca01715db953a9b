"""One process per data directory: an flock on the file LOCK, and a fencing epoch that rises with every taking.

LOCK holds one line, ``pid=<number> epoch=<number>``, padded with spaces to 64 bytes and written in one piece. The
kernel releases the lock when the process ends, so a leftover file has no effect.

The lock is on the file, not on its name: if somebody deletes LOCK while it is held, another process can take a new one.
``still_held`` finds that out; a writer that woke from a long pause asks it before it goes on.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import Self

from nissa.model.errors import DirectoryLocked

LOCK_NAME = "LOCK"
_LINE = re.compile(rb"pid=(\d+) epoch=(\d+) *\n")
_LINE_BYTES = 64


class DirectoryLock:
    """The exclusive right to write a data directory, from construction to ``close``.

    epoch: how often the directory was taken, this time included.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lock at once or not at all. Raises: DirectoryLocked, naming the process that holds it."""
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._path = directory / LOCK_NAME
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid, _ = _read_line(self._fd)
            os.close(self._fd)
            owner = f"process {pid}" if pid else "another process"
            raise DirectoryLocked(f"{directory}: in use by {owner} ({LOCK_NAME} is locked)") from error
        except OSError:
            os.close(self._fd)
            raise
        _, epoch = _read_line(self._fd)
        self.epoch = epoch + 1
        self._write_line()

    def still_held(self) -> bool:
        """True if LOCK is still the file that was locked, with this epoch in it."""
        try:
            held, named = os.fstat(self._fd), self._path.stat(follow_symlinks=False)
        except OSError:
            return False
        return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino) and _read_line(self._fd)[1] == self.epoch

    def close(self) -> None:
        """Give the lock back. The file stays, for its epoch."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_line(self) -> None:
        line = f"pid={os.getpid()} epoch={self.epoch}".encode().ljust(_LINE_BYTES - 1) + b"\n"
        # On a full disk the lock still holds; only the epoch and the name in the message are stale.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, line, 0)
            os.fsync(self._fd)


def _read_line(fd: int) -> tuple[int, int]:
    """pid and epoch in a LOCK file; zeros where it holds none."""
    match = _LINE.match(os.pread(fd, _LINE_BYTES, 0))
    return (int(match[1]), int(match[2])) if match else (0, 0)
