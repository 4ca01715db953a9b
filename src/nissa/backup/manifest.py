"""Backups in a destination: one manifest each, over files that all of them share.

    instance.txt                                      which data directory the backups are of
    files/blocks/raw-00000000000000000007.parquet.6f1a09c2      the file, and its CRC-32C
    files/catalogue.sqlite.9e3779b9
    backups/20260101T080000.250Z.json                 written last: what it names is there

A backup exists when its manifest does. A manifest is one line of JSON and one line with the CRC-32C of the first. As
names of files end in their checksum, a file is copied once, whatever backups it is in.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import google_crc32c
import msgspec

from nissa.files.destinations import Destination
from nissa.model.errors import BadQuery, Damaged, UnknownFormat
from nissa.model.units import SECOND_MS

FORMAT: Final = 1
OWNER: Final = "instance.txt"
FILES: Final = "files/"
BACKUPS: Final = "backups/"
SUFFIX: Final = ".json"
_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z")
_PATH = re.compile(r"(?:(?:blocks|series|journal|dead-letters)/)?[A-Za-z0-9_][\w.~-]*")


class BackupFile(msgspec.Struct, frozen=True):
    """One file. path: in the data directory. bytes, crc: of its content (CRC-32C)."""

    path: str
    bytes: int
    crc: int

    @property
    def name(self) -> str:
        """Its name in the destination."""
        return f"{FILES}{self.path}.{self.crc:08x}"


class BackupManifest(msgspec.Struct, frozen=True):
    """A backup. moment_ms: what was acknowledged before is in it. damaged: path -> why the file is not in it.

    nissa: the version that wrote it. catalogue_format: of the directory.
    """

    format: int
    id: str
    nissa: str
    instance: str
    moment_ms: int
    catalogue_format: int
    checkpoint_lsn: int
    files: tuple[BackupFile, ...]
    damaged: dict[str, str] = {}

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def backup_id(moment_ms: int) -> str:
    """The name of a backup; names sort as moments do."""
    moment = datetime.fromtimestamp(moment_ms // SECOND_MS, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment_ms % SECOND_MS:03d}Z"


def encode_manifest(manifest: BackupManifest) -> bytes:
    """Content of its file."""
    line = msgspec.json.encode(manifest)
    return b"%s\n%08x\n" % (line, google_crc32c.value(line))


def backup_ids(destination: Destination) -> list[str]:
    """All backups there, oldest first. Raises: Unavailable."""
    names = destination.names(BACKUPS)
    found = (name.removeprefix(BACKUPS).removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(one for one in found if _ID.fullmatch(one))


def next_id(earlier: list[str], moment_ms: int) -> str:
    """A name behind all earlier ones: that of the moment, unless the clock was set back."""
    found = backup_id(moment_ms)
    if not earlier or found > earlier[-1]:
        return found
    last = datetime.strptime(earlier[-1], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return backup_id((last - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1) + 1)


def manifest_name(backup: str) -> str:
    """The name of a manifest in the destination."""
    return f"{BACKUPS}{backup}{SUFFIX}"


def read_backup(destination: Destination, backup: str) -> BackupManifest:
    """The manifest of a backup. Raises: BadQuery where there is none; Damaged, UnknownFormat, Unavailable."""
    name = manifest_name(backup)
    content = destination.read(name)
    if content is None:
        raise BadQuery(f"there is no backup {backup}")
    line, _, crc = content.rstrip(b"\n").rpartition(b"\n")
    if b"%08x" % google_crc32c.value(line) != crc:
        raise Damaged(name, "its checksum does not fit")
    found = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get("format")
    if found is None or bytes(found) != b"%d" % FORMAT:
        raise UnknownFormat(f"{name}: format {bytes(found or b'?').decode()}, this version reads {FORMAT}")
    manifest = msgspec.json.decode(line, type=BackupManifest)
    strange = [file.path for file in manifest.files if _PATH.fullmatch(file.path) is None]
    if strange:
        raise Damaged(name, f"it names the file {strange[0][:80]!r}, which is no file of a data directory")
    return manifest
