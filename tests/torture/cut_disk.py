"""A disk whose power can be cut: ext4 on a loop device, shut down by its own ioctl in the midst of whatever it does.

    mount ──► work ──► EXT4_IOC_SHUTDOWN: from here on nothing reaches the device ──► kill ──► umount ──► mount ──► …

What the page cache held is gone, and of the file system's journal what had not been committed; the next mount replays
that journal as after a real cut. Before a cut a random part of the dirty pages may be written back, as a kernel does in
its own time. Needs root and a loop device.
"""

import ctypes
import fcntl
import os
import random
import subprocess
from pathlib import Path

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN: _IOR('X', 125, __u32)
LOG_FLUSH, NO_LOG_FLUSH = 1, 2  # its journal is committed before, or is not
WRITE = 2  # SYNC_FILE_RANGE_WRITE
IMAGE_BYTES = 96 << 20


class CutDisk:
    """An image in ``outside``, mounted at ``directory``."""

    def __init__(self, outside: Path, draw: random.Random, image_bytes: int = IMAGE_BYTES) -> None:
        """Raises: OSError, CalledProcessError where this machine cannot."""
        self.directory = outside / "disk"
        self._image = outside / "disk.img"
        self._draw = draw
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.directory.mkdir()
        with self._image.open("wb") as file:
            file.truncate(image_bytes)
        command = ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", str(self._image)]
        subprocess.run(command, check=True, capture_output=True)
        self._mount()

    def cut(self, flag: int) -> None:
        """Cut the power. Files stay open on a dead file system until their processes end."""
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, flag.to_bytes(4, "little"))
        finally:
            os.close(fd)

    def restart(self) -> None:
        """Power is back. No process may have a file open."""
        self.unmount()
        self._mount()

    def write_back_some(self) -> None:
        """Have the kernel write a random part of the dirty pages, in no order."""
        for path in self.directory.rglob("*"):
            if self._draw.random() < 0.5:
                try:
                    fd = os.open(path, os.O_RDONLY)
                except OSError:
                    continue  # merged or trimmed meanwhile
                offset, length = self._draw.randrange(8) * 4096, self._draw.randrange(1, 16) * 4096
                self._libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(length), WRITE)
                os.close(fd)

    def unmount(self) -> None:
        """Take it away."""
        subprocess.run(["umount", str(self.directory)], check=True, capture_output=True)

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.directory)], check=True, capture_output=True)


def why_not(outside: Path) -> str:
    """Why no power can be cut on this machine; empty where it can."""
    if os.geteuid() != 0:
        return "it needs root"
    try:
        disk = CutDisk(outside, random.Random(0))
        disk.cut(NO_LOG_FLUSH)
        disk.restart()
        disk.unmount()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no loop-mounted ext4 here: {error}"
    return ""
