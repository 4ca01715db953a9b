"""Backups hold everything acknowledged, copy only new files, and can be deleted one by one."""

import fcntl
import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.backup.backup import BackupResult, make_backup
from nissa.backup.manifest import backup_ids
from nissa.backup.restore import restore_backup
from nissa.cli.main import app
from nissa.config.database import DatabaseSettings
from nissa.database.database import open_database
from nissa.files.destinations import BucketDestination, Destination, FolderDestination
from nissa.model.errors import ConfigInvalid, Unavailable
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, Rig, rows_in

SIZE_MAX = 40 << 10


def back_up(rig: Rig, destination: Destination, keep: int = 0) -> BackupResult:
    """A backup at the rig's time."""
    rig.now_ms += 1000
    return make_backup(rig.path, destination, rig.now_ms, "0", keep)


def rows_of(path: Path) -> dict[tuple[str, int], int]:
    """Everything that an engine finds in a restored directory."""
    found = Rig(path)
    try:
        return rows_in(found.engine.snapshot(), found.engine.index)
    finally:
        found.engine.close()


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_a_backup_has_blocks_and_journal(tmp_path: Path, kind: str) -> None:
    """While the engine runs: sealed and unsealed samples; the next one copies only what is new."""
    rig = Rig(tmp_path / "d")
    place: Destination = FolderDestination(tmp_path / "b") if kind == "folder" else BucketDestination("memory:///", "s")
    open_database(DatabaseSettings(), rig.path).close()
    (rig.path / "dead-letters").mkdir()
    (rig.path / "dead-letters" / "far.jsonl").write_text("{}\n")
    rig.keep([(f"m{number}", NOW_MS + number, ONE + number) for number in range(50)])
    rig.engine.flush()
    rig.keep([("unsealed", NOW_MS, ONE)])
    first = back_up(rig, place)
    assert first.copied_files == len(first.manifest.files)
    kept = dict(rig.rows)
    rig.keep([("later", NOW_MS, ONE)])
    second = back_up(rig, place)
    had = {file.name for file in first.manifest.files}
    copied = [file.path for file in second.manifest.files if file.name not in had]
    assert len(copied) == second.copied_files
    assert [path for path in copied if path.startswith("journal/")]  # the segment that is written
    assert not [path for path in copied if path.startswith(("blocks/raw", "series/"))]
    rig.engine.close()
    for backup, rows in ((first, kept), (second, rig.rows)):
        target = tmp_path / backup.manifest.id
        assert restore_backup(place, target, backup.manifest.id).damaged == {}
        assert verify_directory(target).sound
        assert (target / "dead-letters" / "far.jsonl").read_text() == "{}\n"
        assert (target / "copies").is_dir()
        assert not (target / "restore.unfinished").exists()
        open_database(DatabaseSettings(), target).close()
        assert rows_of(target) == rows


def test_only_the_last_backups_are_kept(tmp_path: Path) -> None:
    """Files of given up backups go; those that others share stay, and each left can be restored."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    made = []
    for number in range(4):
        rig.keep([(f"m{number}", NOW_MS + number, ONE)])
        rig.engine.flush()
        made.append(back_up(rig, place, keep=2))
    assert made[-1].deleted == (made[1].manifest.id,)
    assert backup_ids(place) == [one.manifest.id for one in made[2:]]
    named = {file.name for one in made[2:] for file in one.manifest.files}
    found = {str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b" / "files").rglob("*") if path.is_file()}
    assert found == named
    rig.engine.close()
    assert len(restore_backup(place, tmp_path / "r", made[2].manifest.id).manifest.files) == len(made[2].manifest.files)
    assert len(rows_of(tmp_path / "r")) == 3


def test_nothing_is_deleted_while_a_kept_manifest_is_damaged(tmp_path: Path) -> None:
    """For its files are not known; the backup is made, the damage told, and the list has the others."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    made = [back_up(rig, place) for _ in range(3)]
    rig.engine.close()
    (tmp_path / "b" / "backups" / "notes.json").write_text("of somebody else")
    (tmp_path / "b" / "backups" / f"{made[-1].manifest.id}.json").write_text("cut")
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "b"), str(rig.path), "--keep", "2"])
    assert done.exit_code == 1
    assert f"no older backup was deleted: backups/{made[-1].manifest.id}.json" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("backup ")
    assert len(backup_ids(place)) == 4
    done = CliRunner().invoke(app, ["backup", "--list", str(tmp_path / "b")])
    assert done.exit_code == 1
    assert "backups (3)" in done.stdout
    assert "its checksum does not fit" in done.stdout


def test_a_backup_is_the_last_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """So it is the one that is kept and restored."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    rig.keep([("m", NOW_MS, ONE)])
    first = back_up(rig, place)
    second = make_backup(rig.path, place, rig.now_ms - 3_600_000, "0", keep=1)
    assert second.manifest.id > first.manifest.id
    assert backup_ids(place) == [second.manifest.id]
    rig.engine.close()


def test_a_backup_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Files and folders have no rights for others."""
    rig = Rig(tmp_path / "d")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    rig.engine.close()
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "b"), str(rig.path)])
    assert done.exit_code == 0, done.output
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "b").rglob("*") if path.is_file()}
    rooms = {path.stat().st_mode & 0o777 for path in [tmp_path / "b", *(tmp_path / "b").rglob("*")] if path.is_dir()}
    assert (modes, rooms) == ({0o600}, {0o700})


def test_a_damaged_file_is_taken_from_an_earlier_backup_or_left_out(tmp_path: Path) -> None:
    """Damage never gets into a backup, and is named."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    back_up(rig, place)
    rig.keep([("n", NOW_MS, ONE)])
    rig.engine.flush()
    rig.engine.close()
    first, second = sorted((rig.path / "blocks").glob("raw-*"))
    for path in (first, second):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    made = make_backup(rig.path, place, rig.now_ms + 1, "0")
    assert list(made.manifest.damaged) == [f"blocks/{second.name}"]
    assert "expected" in made.manifest.damaged[f"blocks/{second.name}"]
    second.unlink()
    made = make_backup(rig.path, place, rig.now_ms + 2, "0")
    assert made.manifest.damaged == {f"blocks/{second.name}": "the file is missing"}
    done = restore_backup(place, tmp_path / "r")
    assert list(done.damaged) == [f"blocks/{second.name}"]
    assert [file.path for file in verify_directory(tmp_path / "r").files if file.damage] == [f"blocks/{second.name}"]


def test_a_destination_is_of_one_directory(tmp_path: Path) -> None:
    """Another directory is refused, and so is what is none, and a second backup at a time."""
    place = FolderDestination(tmp_path / "b")
    rigs = [Rig(tmp_path / name) for name in ("a", "c")]
    back_up(rigs[0], place)
    with pytest.raises(ConfigInvalid, match="backups of another data directory"):
        back_up(rigs[1], place)
    assert len(backup_ids(place)) == 1
    fd = os.open(rigs[0].path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Unavailable, match="another backup of it is running"):
        back_up(rigs[0], place)
    os.close(fd)
    for rig in rigs:
        rig.engine.close()
    (tmp_path / "empty").mkdir()
    for path, reason in ((tmp_path / "empty", "has no catalogue"), (tmp_path / "none", "is not a directory")):
        with pytest.raises(ConfigInvalid, match=reason):
            make_backup(path, place, NOW_MS, "0")


def test_a_file_that_is_cut_off_in_the_destination_is_copied_again(tmp_path: Path) -> None:
    """Its name alone does not count."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    rig.engine.close()
    back_up(rig, place)
    block, catalogue = (next((tmp_path / "b" / "files").glob(name)) for name in ("blocks/raw-*", "catalogue.sqlite.*"))
    for path in (block, catalogue):
        os.truncate(path, path.stat().st_size // 2)
    assert back_up(rig, place).copied_files == 2
    assert restore_backup(place, tmp_path / "r").damaged == {}


@pytest.mark.parametrize("name", ["", "blocks", "new/one", "../link/new"])
def test_a_folder_in_the_data_directory_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever it is called; nothing is written into it."""
    Rig(tmp_path / "d").engine.close()
    (tmp_path / "link").symlink_to(tmp_path / "d")
    before = sorted((tmp_path / "d").rglob("*"))
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "d" / name), str(tmp_path / "link")])
    assert done.exit_code == 2
    assert "outside of it" in done.output
    assert sorted((tmp_path / "d").rglob("*")) == before


def test_a_limit_of_the_size_of_files_is_named_with_the_file(tmp_path: Path) -> None:
    """Of a copy that the backup makes of what changes, and of a restored file; both go on once it is raised."""
    rig, place = Rig(tmp_path / "d"), FolderDestination(tmp_path / "b")
    for first in range(0, 2000, 500):
        names = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(first, first + 500)]  # snappy-proof
        rig.keep([(f"m{name}", NOW_MS, ONE) for name in names])
    named = r"nissa-backup-.*\.journal: File too large.*ulimit -f"
    with file_size_max(SIZE_MAX), pytest.raises(Unavailable, match=named):
        back_up(rig, place)
    made = back_up(rig, place)
    rig.engine.close()
    assert max(file.bytes for file in made.manifest.files) > SIZE_MAX
    with file_size_max(SIZE_MAX), pytest.raises(Unavailable, match=r"/r/.*\.unfinished: File too large.*ulimit -f"):
        restore_backup(place, tmp_path / "r")
    assert restore_backup(place, tmp_path / "r").complete


@contextmanager
def file_size_max(size: int) -> Iterator[None]:
    """No file of this process may grow over ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
