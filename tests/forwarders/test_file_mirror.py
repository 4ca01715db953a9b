"""A mirror of a directory is a directory: it has the same sealed rows, and nothing that is gone here."""

from pathlib import Path

import pytest

import nissa
from nissa.files.destinations import BucketDestination, FolderDestination
from nissa.forwarders.file_mirror import FileMirror, MirrorResult
from nissa.model.errors import ConfigInvalid
from nissa.model.receipt import Receipt
from oracle.engine import NOW_MS, ONE, Rig
from oracle.log_frames import logs_frame


def mirror(rig: Rig, folder: Path) -> MirrorResult:
    """One run."""
    return FileMirror(rig.path, FolderDestination(folder), "sinks.s.url").run(lambda: True)


def rows_of(folder: Path) -> dict[tuple[str, int], float]:
    """(metric name, ts_ms) -> value of everything in a directory."""
    with nissa.open(folder) as data:
        table = data.samples('{__name__=~".+"}', start=0, end=NOW_MS / 500)
    times = [time.timestamp() * 1000 for time in table.column("timestamp").to_pylist()]
    keys = zip(table.column("name").to_pylist(), map(round, times), strict=True)
    return dict(zip(keys, table.column("value").to_pylist(), strict=True))


def test_a_mirror_is_read_like_the_directory(tmp_path: Path) -> None:
    """Samples, events and windows; the next run copies new files and deletes merged or expired ones."""
    rig, folder = Rig(tmp_path / "d"), tmp_path / "mirror"
    for minute in range(3):
        rig.keep([(f"m{number}", NOW_MS + minute * 60_000, ONE) for number in range(20)])
        rig.now_ms += 60_000
        assert isinstance(rig.submit_frame(logs_frame(["order"])).get(timeout=60), Receipt)
        rig.engine.flush()
        mirror(rig, folder)
        assert rows_of(folder).keys() == rig.rows.keys()
    rig.keep([("not_sealed", rig.now_ms, ONE)])
    again = mirror(rig, folder)
    assert (again.files, again.damaged) == (0, 0)
    assert ("not_sealed", rig.now_ms) not in rows_of(folder)
    with nissa.open(folder) as data:
        assert len(data.events(start=0, end=NOW_MS / 500)) == 3
    left = {path.name for path in (folder / "blocks").iterdir()}
    assert left <= {path.name for path in (rig.path / "blocks").iterdir()}
    rig.engine.close()


def test_what_the_catalogue_does_not_name_is_deleted(tmp_path: Path) -> None:
    """Files are deleted after the catalogue is copied, so that a reader finds its files until then."""
    rig, folder = Rig(tmp_path / "d"), tmp_path / "mirror"
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    mirror(rig, folder)
    old = folder / "blocks" / "raw-00000000000000009999.parquet"
    old.write_bytes(b"merged")
    assert FileMirror(rig.path, FolderDestination(folder), "s").run(lambda: False) == MirrorResult()
    assert old.exists()
    assert mirror(rig, folder).deleted == 1
    assert not old.exists()
    rig.engine.close()


def test_a_damaged_file_is_not_copied(tmp_path: Path) -> None:
    """The rest is, and a file that was cut off there is copied again."""
    rig, folder = Rig(tmp_path / "d"), tmp_path / "mirror"
    for number in range(2):
        rig.keep([(f"m{number}", NOW_MS + number, ONE)])
        rig.engine.flush()
    first, second = sorted((rig.path / "blocks").glob("raw-*"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    found = mirror(rig, folder)
    assert found.damaged == 1
    assert not (folder / "blocks" / first.name).exists()
    (folder / "blocks" / second.name).write_bytes(b"cut")
    assert mirror(rig, folder).files == 1
    assert (folder / "blocks" / second.name).read_bytes() == second.read_bytes()
    rig.engine.close()


def test_a_destination_belongs_to_one_directory(tmp_path: Path) -> None:
    """Another one changes nothing there."""
    rigs = [Rig(tmp_path / name) for name in ("a", "b")]
    mirror(rigs[0], tmp_path / "mirror")
    before = (tmp_path / "mirror" / "catalogue.sqlite").read_bytes()
    with pytest.raises(ConfigInvalid, match=r"sinks\.s\.url: holds the files of another data directory"):
        mirror(rigs[1], tmp_path / "mirror")
    assert (tmp_path / "mirror" / "catalogue.sqlite").read_bytes() == before
    for rig in rigs:
        rig.engine.close()


def test_a_data_directory_is_no_destination(tmp_path: Path) -> None:
    """Neither its own nor another one, whatever it holds: files would be deleted there."""
    rigs = [Rig(tmp_path / name) for name in ("a", "b")]
    for rig in rigs:
        rig.keep([("m", NOW_MS, ONE)])
        rig.engine.flush()
    (tmp_path / "link").symlink_to(rigs[0].path)
    for folder in (rigs[0].path, rigs[1].path, tmp_path / "link"):
        before = {path: path.stat() for path in folder.rglob("*")}
        with pytest.raises(ConfigInvalid, match=r"sinks\.s\.url: is a data directory, and files would be deleted"):
            mirror(rigs[0], folder)
        assert {path: path.stat().st_ino for path in folder.rglob("*")} == {
            path: facts.st_ino for path, facts in before.items()
        }
    mirror(rigs[0], tmp_path / "mirror")
    (tmp_path / "mirror" / "LOCK").touch()  # Nissa has been started on the copy
    with pytest.raises(ConfigInvalid, match="is a data directory"):
        mirror(rigs[0], tmp_path / "mirror")
    for rig in rigs:
        rig.engine.close()


def test_an_object_store_gets_the_same_files(tmp_path: Path) -> None:
    """Byte for byte."""
    rig, bucket = Rig(tmp_path / "d"), BucketDestination("memory:///", "s")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    found = FileMirror(rig.path, bucket, "s").run(lambda: True)
    assert found.files >= 2
    for name in (*bucket.names("blocks/"), *bucket.names("series/"), "settings.json"):
        assert bucket.read(name) == (rig.path / name).read_bytes()
    rig.engine.close()
