"""Manifests of backups: encoded and read back, and refused where they are damaged, newer, or name other files."""

from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from nissa.backup.manifest import (
    BackupFile,
    BackupManifest,
    backup_id,
    backup_ids,
    encode_manifest,
    manifest_name,
    read_backup,
)
from nissa.files.destinations import FolderDestination
from nissa.model.errors import BadQuery, Damaged, UnknownFormat

FILES = (BackupFile("blocks/5m~30d-00000000000000000009.parquet", 7, 255), BackupFile("catalogue.sqlite", 9, 1))
MANIFEST = BackupManifest(1, backup_id(1_767_254_400_250), "0.1.0", "abcd", 1_767_254_400_250, 8, 3, FILES)


def stored(folder: Path, content: bytes) -> FolderDestination:
    """A destination with one manifest."""
    place = FolderDestination(folder)
    place.put(manifest_name(MANIFEST.id), BytesIO(content))
    return place


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    """Files in it have names that end in checksums; its own name sorts by time."""
    place = stored(tmp_path, encode_manifest(MANIFEST))
    assert backup_ids(place) == ["20260101T080000.250Z"]
    found = read_backup(place, MANIFEST.id)
    assert found == MANIFEST
    assert found.files[0].name == "files/blocks/5m~30d-00000000000000000009.parquet.000000ff"
    with pytest.raises(BadQuery, match="there is no backup 2025"):
        read_backup(place, "2025")


def test_a_damaged_or_newer_manifest_is_refused(tmp_path: Path) -> None:
    """Every flipped byte is noticed; a newer format is named."""
    content = encode_manifest(MANIFEST)
    for at in range(0, len(content) - 1, 7):
        flipped = bytearray(content)
        flipped[at] ^= 1
        with pytest.raises(Damaged):
            read_backup(stored(tmp_path, bytes(flipped)), MANIFEST.id)
    newer = msgspec.structs.replace(MANIFEST, format=2)
    with pytest.raises(UnknownFormat, match="format 2, this version reads 1"):
        read_backup(stored(tmp_path, encode_manifest(newer)), MANIFEST.id)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "blocks/../../x", "other/x", "blocks/"])
def test_a_manifest_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    """Files have names as in a data directory."""
    strange = msgspec.structs.replace(MANIFEST, files=(BackupFile(path, 1, 1),))
    with pytest.raises(Damaged, match="no file of a data directory"):
        read_backup(stored(tmp_path, encode_manifest(strange)), MANIFEST.id)
