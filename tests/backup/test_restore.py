"""A restore fills an empty directory only, checks every byte, and is continued after it was interrupted."""

from pathlib import Path
from typing import BinaryIO

import pytest
from typer.testing import CliRunner

from nissa.backup.backup import make_backup
from nissa.backup.restore import restore_backup
from nissa.catalogue.catalogue import Catalogue
from nissa.cli.main import app
from nissa.files.destinations import FolderDestination
from nissa.model.errors import BadQuery, Damaged, DirectoryLocked, NissaError
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, Rig


@pytest.fixture
def backup(tmp_path: Path) -> FolderDestination:
    """A backup of two blocks and a journal."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    for number in range(2):
        rig.keep([(f"m{number}", NOW_MS, ONE)])
        rig.engine.flush()
    make_backup(rig.path, place, rig.now_ms, "0")
    rig.engine.close()
    return place


class Interrupted(FolderDestination):
    """Fails after so many files."""

    def __init__(self, folder: Path, files: int) -> None:
        super().__init__(folder)
        self.left = files

    def fetch(self, name: str, target: BinaryIO) -> bool:
        """As the folder, and then not at all."""
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().fetch(name, target)


def test_an_interrupted_restore_is_no_data_directory_and_is_continued(
    tmp_path: Path, backup: FolderDestination
) -> None:
    """Wherever it stopped. Files that are there are not fetched again."""
    files = len(restore_backup(backup, tmp_path / "whole").manifest.files)
    for stopped in range(files):
        target = tmp_path / f"r{stopped}"
        with pytest.raises(KeyboardInterrupt):
            restore_backup(Interrupted(tmp_path / "b", stopped), target)
        with pytest.raises(Damaged, match=r"restore.unfinished: the restore into this directory is not complete"):
            Catalogue.open(target)
        restore_backup(Interrupted(tmp_path / "b", files - stopped), target)
        assert verify_directory(target).sound
        assert sorted(path.name for path in target.rglob("*")) == sorted(
            path.name for path in (tmp_path / "whole").rglob("*")
        )


def test_a_directory_with_anything_in_it_is_refused(tmp_path: Path, backup: FolderDestination) -> None:
    """Nothing is changed there; neither is one that a process has locked, or of another backup."""
    target = tmp_path / "r"
    target.mkdir()
    (target / "note").write_text("mine")
    with pytest.raises(BadQuery, match=r"r is not empty: it has note"):
        restore_backup(backup, target)
    assert [path.name for path in target.iterdir()] == ["note"]
    (target / "restore.unfinished").write_text("another")
    with pytest.raises(BadQuery, match="an interrupted restore of another"):
        restore_backup(backup, target)
    with pytest.raises(BadQuery, match="there are no backups"):
        restore_backup(FolderDestination(tmp_path / "none"), tmp_path / "x")
    rig = Rig(tmp_path / "running")
    (rig.path / "restore.unfinished").write_text("20250916T052000.000Z")
    with pytest.raises((DirectoryLocked, BadQuery)):
        restore_backup(backup, rig.path)
    rig.engine.close()


def test_what_is_no_directory_is_refused(tmp_path: Path, backup: FolderDestination) -> None:
    """A file, a symbolic link to nothing, and a place in the backup itself."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(BadQuery, match=f"{name} is not a directory"):
            restore_backup(backup, tmp_path / name)
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "b"), str(tmp_path / "b" / "files" / "r")])
    assert (done.exit_code, "is in the backup" in done.stderr) == (2, True)


def test_an_older_backup_is_named_where_the_last_is_damaged(tmp_path: Path, backup: FolderDestination) -> None:
    """The manifest of the last one does not fit its checksum."""
    (tmp_path / "b" / "backups" / "20990101T000000.000Z.json").write_text("cut")
    with pytest.raises(Damaged, match="its checksum does not fit; restore another backup"):
        restore_backup(backup, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_damaged_backup_is_restored_on_demand(tmp_path: Path, backup: FolderDestination) -> None:
    """A block that is damaged or missing is named, the daemon refuses the directory unless ``salvage`` is asked for."""
    first, second = sorted((tmp_path / "b" / "files" / "blocks").glob("raw-*"))
    first.write_bytes(b"x" + first.read_bytes()[1:])
    second.unlink()
    refused = restore_backup(backup, tmp_path / "r")
    assert not refused.complete
    assert not (tmp_path / "r" / "catalogue.sqlite").exists()
    with pytest.raises(NissaError):
        Rig(tmp_path / "r")
    done = restore_backup(backup, tmp_path / "r", salvage=True)
    assert done.complete
    assert done.damaged == refused.damaged
    assert sorted(done.damaged.values()) == sorted(
        ["the file is missing", next(text for text in done.damaged.values() if "in the backup" in text)]
    )
    assert not list((tmp_path / "r" / "blocks").iterdir())
    next((tmp_path / "b" / "files").glob("catalogue*")).write_bytes(b"x")
    with pytest.raises(Damaged, match="restore another backup"):
        restore_backup(backup, tmp_path / "s", salvage=True)
    assert not (tmp_path / "s" / "catalogue.sqlite").exists()
