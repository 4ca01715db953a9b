"""Restores a backup into an empty directory.

    LOCK taken ──► restore.unfinished ──► files, each checked, synced, renamed ──► catalogue.sqlite ──► marker removed

The catalogue comes last, and where the backup is damaged only if that is accepted. While the marker is there, a daemon
refuses the directory (``catalogue/lost_catalogue.py``). A restore that was interrupted is continued by the
same command: the marker names the backup, and files that are there under their names are whole.
"""

import os
from contextlib import closing
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, Final, cast

import google_crc32c
import msgspec

from nissa.backup.manifest import BackupFile, BackupManifest, backup_ids, read_backup
from nissa.files.checked_file import MISSING, sync_directory
from nissa.files.destinations import Destination, naming
from nissa.files.lock import LOCK_NAME, DirectoryLock
from nissa.files.names import CATALOGUE, JOURNAL, RESTORE_MARKER, SERIES, UNFINISHED
from nissa.model.errors import BadQuery, Damaged
from nissa.store.series_copy import write_copy

MODE: Final = 0o640
OTHERS: Final = frozenset({LOCK_NAME, "lost+found"})


class RestoreResult(msgspec.Struct, frozen=True):
    """A restored backup. damaged: path -> why it was not restored, of what the backup lacks, too.

    complete: False where the daemon refuses the directory, since files of the backup are damaged.
    """

    manifest: BackupManifest
    damaged: dict[str, str]
    complete: bool


def restore_backup(
    destination: Destination, directory: Path, backup: str = "", *, salvage: bool = False
) -> RestoreResult:
    """Restore a backup; the last one where none is named.

    directory: made where it is not there; else it must be empty, or an interrupted restore of the same backup.
    salvage: complete the restore without the files that are damaged in the destination.
    Raises: BadQuery; Damaged where the manifest or the catalogue is; DirectoryLocked, Unavailable, OSError.
    """
    ids = [backup] if backup else backup_ids(destination)[-1:]
    if not ids:
        raise BadQuery("there are no backups")
    manifest = _readable(destination, ids[0])
    if (directory.exists() or directory.is_symlink()) and not directory.is_dir():
        raise BadQuery(f"{directory} is not a directory")
    marker = directory / RESTORE_MARKER
    found = {path.name for path in directory.iterdir()} - OTHERS if directory.exists() else set()
    if found and (RESTORE_MARKER not in found or marker.read_text() != manifest.id):
        named = (
            f"an interrupted restore of {marker.read_text()[:40]}"
            if RESTORE_MARKER in found
            else f"it has {min(found)}"
        )
        raise BadQuery(f"{directory} is not empty: {named}")
    with closing(DirectoryLock(directory)):
        _write(marker, manifest.id.encode())
        damaged = _restore(destination, directory, manifest, salvage)
        complete = salvage or not damaged
        if complete:
            marker.unlink()
            sync_directory(directory)
    return RestoreResult(manifest, {**manifest.damaged, **damaged}, complete)


def _readable(destination: Destination, backup: str) -> BackupManifest:
    try:
        return read_backup(destination, backup)
    except Damaged as error:
        raise Damaged(error.path, f"{error.what}; restore another backup (--backup, see nissa backup --list)") from None


def _restore(destination: Destination, directory: Path, manifest: BackupManifest, salvage: bool) -> dict[str, str]:
    damaged: dict[str, str] = {}
    (directory / JOURNAL).mkdir(mode=0o750, exist_ok=True)
    for file in sorted(manifest.files, key=lambda file: file.path == CATALOGUE):
        if file.path == CATALOGUE and damaged and not salvage:
            continue
        target = directory / file.path
        target.parent.mkdir(mode=0o750, exist_ok=True)
        if not target.exists() and (fault := _fetch(destination, file, target)):
            damaged[file.path] = fault
            if file.path == CATALOGUE:
                raise Damaged(file.name, f"{fault}; restore another backup")
        elif file.path.startswith(f"{SERIES}/"):
            write_copy(directory, file.path)
    return damaged


def _fetch(destination: Destination, file: BackupFile, target: Path) -> str:
    """Restore one file; returns why it could not be, or an empty text."""
    fresh = target.with_name(target.name + UNFINISHED)
    with closing(_SummedFile(fresh)) as written:
        there = destination.fetch(file.name, cast("BinaryIO", written))
        fault = "" if there else MISSING
        if there and (written.bytes, written.crc) != (file.bytes, file.crc):
            fault = f"it has {written.bytes} bytes with CRC-32C {written.crc:08x} in the backup"
        if not fault:
            written.sync()
    if fault:
        fresh.unlink()
        return fault
    fresh.rename(target)
    sync_directory(target.parent)
    return ""


class _SummedFile(RawIOBase):
    """A new file whose bytes are counted and summed as they are written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._file = path, -1
        with naming(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        self.bytes = self.crc = 0

    def write(self, data: object) -> int:
        """Append ``data``, whole."""
        piece = bytes(data)  # type: ignore[call-overload]  # the same object, where it is of bytes
        self.bytes += len(piece)
        self.crc = google_crc32c.extend(self.crc, piece)
        left = memoryview(piece)
        with naming(self._path):
            while left:
                left = left[os.write(self._file, left) :]
        return len(piece)

    def sync(self) -> None:
        """Make what was written durable."""
        with naming(self._path):
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        if not self.closed and self._file >= 0:
            os.close(self._file)
        super().close()


def _write(path: Path, content: bytes) -> None:
    with closing(_SummedFile(path)) as file:
        file.write(content)
        file.sync()
    sync_directory(path.parent)
