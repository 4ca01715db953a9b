"""Makes backups: holds the files of a directory, copies those that are not there yet, writes the manifest last.

    data directory ──HeldFiles──► files ──► files/…  those whose name (path and checksum) is not there
                                                 ──► backups/ID.json     from here on the backup exists
                                                 ──► older backups than the last ``keep``, and files only they name

A file that is damaged in the directory is not copied; a sound copy of an earlier backup stands in for it.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import msgspec

from nissa.backup.held_files import HeldFile, HeldFiles
from nissa.backup.manifest import (
    FILES,
    FORMAT,
    OWNER,
    BackupFile,
    BackupManifest,
    backup_ids,
    encode_manifest,
    manifest_name,
    next_id,
    read_backup,
)
from nissa.catalogue.catalogue import BlockRow, SeriesSegment
from nissa.files.destinations import Destination
from nissa.files.names import BLOCKS, DEAD_LETTERS, JOURNAL, SERIES
from nissa.model.errors import ConfigInvalid, Damaged, Unavailable, UnknownFormat

ROOMS = (f"{BLOCKS}/", f"{SERIES}/", f"{JOURNAL}/", f"{DEAD_LETTERS}/", "")
RETRY_S = 60


class BackupResult(msgspec.Struct, frozen=True):
    """A backup that was made. copied_files, copied_bytes: those that were not in the destination before.

    deleted: backups that were given up, oldest first. kept_for: why none was, where it is not for their number.
    """

    manifest: BackupManifest
    copied_files: int
    copied_bytes: int
    deleted: tuple[str, ...] = ()
    kept_for: str = ""


def make_backup(
    directory: Path,
    destination: Destination,
    now_ms: int,
    version: str,
    keep: int = 0,
) -> BackupResult:
    """Back up a data directory, which a daemon may be writing.

    now_ms: the moment; everything acknowledged before is in the backup. version: of Nissa, for the manifest. keep:
    backups that stay, this one included; 0 keeps all.
    Raises: ConfigInvalid where the destination has backups of another directory; Damaged (the catalogue); Unavailable.
    """
    with _alone(directory), tempfile.TemporaryDirectory(prefix="nissa-backup-") as scratch:
        there = _names(destination)
        with HeldFiles(directory, Path(scratch), lambda row: there.get(_name_of(row)) == row.bytes) as held:
            _own(destination, held.instance)
            copied = _Copied(destination, there)
            files = [_file_of(row) for row in held.known]
            damaged = dict(held.lost)
            for one in held.files:
                copied.add(one, files, damaged)
            manifest = BackupManifest(
                FORMAT,
                next_id(backup_ids(destination), now_ms),
                version,
                held.instance,
                now_ms,
                held.catalogue_format,
                held.checkpoint_lsn,
                tuple(sorted(files, key=lambda file: file.path)),
                damaged,
            )
        destination.put(manifest_name(manifest.id), BytesIO(encode_manifest(manifest)))
        deleted: tuple[str, ...] = ()
        kept_for = ""
        try:
            deleted = _delete_older(destination, keep) if keep else ()
        except (Damaged, UnknownFormat) as error:  # of a manifest that stays: its files are not known
            kept_for = str(error)
    return BackupResult(manifest, copied.files, copied.bytes, deleted, kept_for)


class _Copied:
    """Files that this backup has copied."""

    def __init__(self, destination: Destination, there: dict[str, int]) -> None:
        self._destination, self._there = destination, there
        self.files = self.bytes = 0

    def add(self, held: HeldFile, files: list[BackupFile], damaged: dict[str, str]) -> None:
        """Copy a file if it is not there yet, and note it in ``files``; where it is damaged, in ``damaged``."""
        size, crc = held.sum()
        if held.crc is not None and (size, crc) != (held.bytes, held.crc):
            damaged[held.path] = (
                f"it has {size} bytes with CRC-32C {crc:08x}, expected {held.bytes} with {held.crc:08x}"
            )
            return
        file = BackupFile(held.path, size, crc)
        if self._there.get(file.name) != size:  # also one that was cut off in the destination
            self._destination.put(file.name, held.file)
            self.files, self.bytes = self.files + 1, self.bytes + size
        files.append(file)


def _names(destination: Destination) -> dict[str, int]:
    """Name -> bytes of all files in the destination that backups may share."""
    return {name: size for room in ROOMS for name, size in destination.names(f"{FILES}{room}").items()}


def _file_of(row: BlockRow | SeriesSegment) -> BackupFile:
    return BackupFile(row.path, row.bytes, row.crc)


def _name_of(row: BlockRow | SeriesSegment) -> str:
    return _file_of(row).name


def _own(destination: Destination, instance: str) -> None:
    """Mark the destination as one of this directory. Raises: ConfigInvalid where it is one of another."""
    found = destination.read(OWNER)
    if found is None:
        destination.put(OWNER, BytesIO(f"{instance}\n".encode()))
    elif found.decode("utf-8", "replace").strip() != instance:
        raise ConfigInvalid("destination", f"it holds backups of another data directory ({OWNER})")


def _delete_older(destination: Destination, keep: int) -> tuple[str, ...]:
    """Delete all backups but the last ``keep``, manifests first, then the files that no manifest names any more."""
    ids = backup_ids(destination)
    needed = {file.name for one in ids[-keep:] for file in read_backup(destination, one).files}
    for one in ids[:-keep]:
        destination.delete(manifest_name(one))
    for name in _names(destination).keys() - needed:
        destination.delete(name)
    return tuple(ids[:-keep])


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One backup of a directory at a time, by a lock on the directory itself. Raises: Unavailable, ConfigInvalid."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigInvalid("storage.data_dir", f"{directory} is not a directory") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"{directory}: another backup of it is running", RETRY_S) from None
    finally:
        os.close(fd)
