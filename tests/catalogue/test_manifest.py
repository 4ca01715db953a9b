"""The manifest names the files of the catalogue, after every commit."""

from pathlib import Path

import pytest
from catalogue.test_catalogue import block, segment

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.catalogue.manifest import FORMAT, MANIFEST, FileEntry, Manifest, read_manifest


def paths(directory: Path) -> list[str]:
    """Paths in the manifest."""
    return [one.path for one in read_manifest(directory).files]


def test_the_manifest_follows_every_commit_that_changes_files(tmp_path: Path) -> None:
    """Seals and merges of blocks and of series segments; it never has a file twice, nor with the one it became."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(), (block(1), block(2, kind="events")), segment(3, 0)))
    assert read_manifest(tmp_path) == Manifest(
        FORMAT,
        (
            FileEntry(block(1).path, "raw", 1, 100, 0, 9, 0, 5),
            FileEntry(block(2, kind="events").path, "events", 1, 100, 0, 9, 0, 5),
            FileEntry(segment(3, 0).path, "series", 10, 100),
        ),
    )
    catalogue.replace_blocks([block(1)], [block(4)])
    assert paths(tmp_path) == [block(2, kind="events").path, block(4).path, segment(3, 0).path]
    catalogue.replace_series([segment(3, 0)], [segment(5, 0)])
    assert paths(tmp_path)[-1] == segment(5, 0).path
    assert read_manifest(tmp_path).files == tuple(catalogue.list_files())
    catalogue.close()
    assert not (tmp_path / MANIFEST).with_suffix(".new").exists()


def test_a_manifest_that_cannot_be_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit stands, nothing false stays, and the next commit writes it again."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(), (block(1),)))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        catalogue.replace_blocks([block(1)], [block(2)])
    assert not (tmp_path / MANIFEST).exists()
    assert catalogue.blocks() == [block(2)]
    catalogue.write_manifest()
    assert paths(tmp_path) == [block(2).path]
    catalogue.close()
