"""Files that are written once, with checksums of all their bytes stored in the catalogue.

    file      |  page 0: 64 KiB  |  page 1: 64 KiB  |  page 2: the rest  |
    seal      crc of all  +  crc of page 0, page 1, page 2                      CRC-32C, 4 bytes per page

A writer makes a file that did not exist, under a name that ends in ``.unfinished``, and sums its pages as they go by.
Once all bytes are synced the file gets its own name, and it is finished when its directory is synced: an incomplete
file never has its own name. A reader returns only bytes of pages whose checksum it has verified as they were read, so
damage in Parquet's footer and page headers is found too, which Parquet's own checksums do not cover. The last pages are
cached: the columns of a small row group are in one or two.

This file does not know what the bytes mean.
"""

import errno
import io
import os
from pathlib import Path

import google_crc32c
import msgspec

from nissa.files.names import UNFINISHED
from nissa.model.errors import Damaged
from nissa.model.units import KIB

Crcs = bytes  # ``bytes`` means a size inside FileSeal

PAGE_BYTES = 64 * KIB
HELD_BYTES = 8 * PAGE_BYTES
KEPT_BYTES_MAX = 4 * PAGE_BYTES
MISSING = "the file is missing"


class FileGone(Damaged):
    """A file the catalogue named is not there.

    To the process that writes the directory that is damage like any other (``block_set.py``). Whoever reads it from
    outside cannot tell it from a file that was merged or expired meanwhile, and looks at the catalogue again.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, MISSING)


class FileSeal(msgspec.Struct, frozen=True):
    """Size and checksums, which tell a whole file from a damaged one. page_crcs: 4 bytes per page, little endian."""

    bytes: int
    crc: int
    page_crcs: Crcs


class CheckedWriter(io.RawIOBase):
    """A new file, sequential, written in large pieces: whoever writes Parquet brings it in small ones.

    Raises: FileExistsError where there is one already.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._unfinished = path.with_name(path.name + UNFINISHED)
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self._unfinished, flags, 0o640)
        self._held: list[bytes] = []  # not written yet: what came, piece by piece
        self._held_bytes = 0
        self._bytes = 0  # written
        self._crc = 0
        self._page_crcs = bytearray()

    def write(self, data: object) -> int:
        """Append ``data``, whole."""
        piece = bytes(data)  # type: ignore[call-overload]  # the same object, where it is of bytes
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= HELD_BYTES:
            self._spill(self._held_bytes // PAGE_BYTES * PAGE_BYTES)
        return len(piece)

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes appended so far."""
        return self._bytes + self._held_bytes

    def finish(self) -> FileSeal:
        """Sync the file, give it its name, sync its directory. Only after this does the file count."""
        self._spill(self._held_bytes)
        os.fsync(self._fd)
        self._close()
        self._unfinished.rename(self.path)
        sync_directory(self.path.parent)
        return FileSeal(self._bytes, self._crc, bytes(self._page_crcs))

    def discard(self) -> None:
        """Give the file up; called again, or after ``finish``, it only deletes."""
        self._close()
        for path in (self._unfinished, self.path):
            path.unlink(missing_ok=True)

    def _spill(self, count: int) -> None:
        """Write what is held, up to ``count`` bytes: whole pages, or all of it at the end."""
        held = b"".join(self._held)
        for at in range(0, count, PAGE_BYTES):
            page = held[at : min(at + PAGE_BYTES, count)]
            self._crc = google_crc32c.extend(self._crc, page)
            self._page_crcs += google_crc32c.value(page).to_bytes(4, "little")
        self._held, self._held_bytes = [held[count:]], len(held) - count
        self._bytes += count
        view, written = memoryview(held)[:count], 0
        while written < count:
            written += os.write(self._fd, view[written:])

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class CheckedReader(io.RawIOBase):
    """Reads a finished file.

    Raises: FileGone where there is none; Damaged where size or a page differ from the seal.
    """

    def __init__(self, path: Path, seal: FileSeal) -> None:
        super().__init__()
        self.path = path
        self.damage: Damaged | None = None  # what a library in between may have turned into an error of its own
        self._seal = seal
        self._at = 0
        self._kept, self._kept_at = b"", 0  # verified pages, and where they stand in the file
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise FileGone(str(path)) from None
        except OSError as error:
            raise Damaged(str(path), f"cannot be opened: {error.strerror}") from error
        size = os.fstat(self._fd).st_size
        if size != seal.bytes or len(seal.page_crcs) != 4 * -(-seal.bytes // PAGE_BYTES):
            self.close()
            raise Damaged(str(path), f"it has {size} bytes, expected {seal.bytes}")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset of the next read, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset`` from the start, the current position or the end."""
        base = 0 if whence == os.SEEK_SET else {os.SEEK_CUR: self._at, os.SEEK_END: self._seal.bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` verified bytes."""
        end = self._seal.bytes if size is None or size < 0 else min(self._at + size, self._seal.bytes)
        if self._at >= end:
            return b""
        data, first = self._kept, self._kept_at
        if not first <= self._at <= end <= first + len(data):
            first = self._at // PAGE_BYTES * PAGE_BYTES
            last = min(-(-end // PAGE_BYTES) * PAGE_BYTES, self._seal.bytes)
            data = self._verified(first, last)
            if len(data) <= KEPT_BYTES_MAX:
                self._kept, self._kept_at = data, first
        out = data[self._at - first : end - first]
        self._at = end
        return out

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        super().close()

    def _verified(self, first: int, last: int) -> bytes:
        data = self._pread(first, last)
        for at in range(first, last, PAGE_BYTES):
            page = at // PAGE_BYTES
            expected = int.from_bytes(self._seal.page_crcs[4 * page : 4 * page + 4], "little")
            crc = google_crc32c.value(data[at - first : at - first + PAGE_BYTES])
            if crc != expected:
                raise self._damaged(f"page {page} at byte {at} has CRC-32C {crc:08x}, expected {expected:08x}")
        return data

    def _pread(self, first: int, last: int) -> bytes:
        parts = []
        while first < last:
            try:
                part = os.pread(self._fd, last - first, first)
            except OSError as error:
                raise self._damaged(f"byte {first} cannot be read: {error.strerror}") from error
            if not part:
                raise self._damaged(f"it ends at byte {first}, expected {self._seal.bytes} bytes")
            parts.append(part)
            first += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _damaged(self, what: str) -> Damaged:
        self.damage = Damaged(str(self.path), what)
        return self.damage


def file_crc(path: Path) -> tuple[int, int]:
    """(bytes, CRC-32C) of a file as it lies on disk. Raises: FileNotFoundError."""
    crc = size = 0
    with path.open("rb") as file:
        while data := file.read(16 * PAGE_BYTES):
            crc = google_crc32c.extend(crc, data)
            size += len(data)
    return size, crc


def read_seal(path: Path) -> FileSeal:
    """The checksums of a file as it lies on disk. Raises: OSError."""
    crc = size = 0
    page_crcs = bytearray()
    with path.open("rb") as file:
        while page := file.read(PAGE_BYTES):
            crc = google_crc32c.extend(crc, page)
            page_crcs += google_crc32c.value(page).to_bytes(4, "little")
            size += len(page)
    return FileSeal(size, crc, bytes(page_crcs))


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
