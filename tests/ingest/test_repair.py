"""Repair: data with another source is restored, lost data is named until a repair is asked to forget it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest.test_engine_events import event_frame
from ingest.test_rebuild import blocks_of, everything, filled

from nissa.catalogue.catalogue import Catalogue
from nissa.files.checked_file import PAGE_BYTES
from nissa.ingest.repair import Repaired, repair_directory
from nissa.ingest.restored_series import LOST_NAME
from nissa.model.errors import DirectoryLocked
from nissa.model.selector import read_selectors
from nissa.store.quarantine import read_kept, read_quarantine
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A rig whose engine may have been closed already."""
    rig = Rig(tmp_path / "data")
    yield rig
    rig.engine.close()


def repaired(rig: Rig, **options: bool) -> Repaired:
    """Repair the directory of a closed rig."""
    return repair_directory(rig.path, lambda: rig.now_ms, **options)


def series_files(rig: Rig) -> list[Path]:
    """The segment of m0 and m, and its copy."""
    segments = sorted((rig.path / "series").iterdir())
    return [segments[0], rig.path / "copies" / segments[0].name]


def flip(path: Path, at: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_sound_directory_is_left_alone(rig: Rig) -> None:
    """A repair changes nothing; while a daemon has the directory it is refused."""
    with pytest.raises(DirectoryLocked):
        repaired(rig)
    filled(rig)
    assert repaired(rig) == Repaired()


@pytest.mark.parametrize("hurt", [0, 1])
def test_segments_come_back_from_one_another(rig: Rig, hurt: int) -> None:
    """A damaged segment from its copy, a missing copy from its segment."""
    filled(rig)
    places = series_files(rig)
    if hurt:
        places[1].unlink()
    else:
        flip(places[0])
    assert repaired(rig).mended == [str(places[hurt].relative_to(rig.path))]
    assert verify_directory(rig.path).sound
    rig.engine = rig._open()
    rig.check()


def test_pages_of_two_damaged_copies_make_one(rig: Rig) -> None:
    """Each is damaged at another page."""
    rig.keep([(f"m{at:05}_{hash(str(at)) % 2**60:x}", NOW_MS, ONE) for at in range(8_000)])
    rig.engine.flush()
    rig.engine.close()
    places = series_files(rig)
    assert places[0].stat().st_size > PAGE_BYTES
    flip(places[0], 3)
    flip(places[1], PAGE_BYTES + 3)
    assert len(repaired(rig).mended) == 2
    assert verify_directory(rig.path).sound
    rig.engine = rig._open()
    rig.check()


def test_labels_that_are_lost(rig: Rig) -> None:
    """Lost labels are named; when dropped, the samples keep substitute names and the damage is gone."""
    filled(rig)
    places = series_files(rig)
    for path in places:
        path.write_bytes(b"x")
    done = repaired(rig)
    assert list(done.lost.values()) == ["labels of 2 series"]
    done = repaired(rig, drop_lost=True)
    assert (len(done.dropped), done.lost) == (1, {})
    assert verify_directory(rig.path).sound
    assert repaired(rig) == Repaired()
    rig.engine = rig._open()
    index = rig.engine.index
    names = [dict(index.labels(at))["__name__"] for at in range(index.series_count)]
    assert names == [LOST_NAME, LOST_NAME, "m1", "m2", "m3", "m"]
    assert all(path.with_name(path.name + ".damaged").exists() for path in places)


def test_a_missing_block(rig: Rig) -> None:
    """A missing block is named until it is restored from a backup, or dropped."""
    filled(rig)
    lost = blocks_of(rig.path)[1]
    content = lost.read_bytes()
    lost.unlink()
    done = repaired(rig)
    assert list(done.aside) == list(done.lost) == [f"blocks/{lost.name}"]
    lost.write_bytes(b"other" + content)
    assert repaired(rig).back == []
    lost.write_bytes(content)
    assert repaired(rig) == Repaired(back=[f"blocks/{lost.name}"])
    assert repaired(rig) == Repaired()
    lost.unlink()
    repaired(rig)
    assert repaired(rig, drop_lost=True) == Repaired(dropped=[f"blocks/{lost.name}"])
    del rig.rows["m1", NOW_MS + 1], rig.rows["m", NOW_MS + 1]
    rig.engine = rig._open()
    rig.check_rows()
    assert rig.engine.snapshot().missing == ()


def test_a_damaged_block_that_fits_again(rig: Rig) -> None:
    """A bit flips back: the block leaves the quarantine, and the rows saved from it are deleted."""
    rig.submit_frame(event_frame(1)).get(timeout=60)
    filled(rig)
    before = everything(rig.path)
    hurt = [*blocks_of(rig.path)[:1], *(rig.path / "blocks").glob("events-*")]
    for path in hurt:
        flip(path, 9)
    done = repaired(rig)
    assert sorted(done.aside) == sorted(f"blocks/{path.name}" for path in hurt)
    assert len(done.lost) == 2
    assert repaired(rig, drop_lost=True).dropped == []  # the files are there
    for path in hurt:
        flip(path.with_name(path.name + ".damaged"), 9)
    assert sorted(repaired(rig).back) == sorted(done.aside)
    assert everything(rig.path) == before
    catalogue = Catalogue.open(rig.path)
    assert (read_quarantine(catalogue), read_kept(catalogue)) == ([], {})
    catalogue.close()
    assert verify_directory(rig.path).sound


def test_rows_deleted_since_do_not_come_back(rig: Rig) -> None:
    """A deletion that is carried out and forgotten covers a block in quarantine no more: it stays there."""
    filled(rig)
    lost = blocks_of(rig.path)[1]
    content = lost.read_bytes()
    lost.unlink()
    repaired(rig)
    rig.engine = rig._open()
    rig.engine.admin.delete_series(read_selectors("m0"), (0, 2**60))
    rig.engine.close()
    catalogue = Catalogue.open(rig.path)
    with catalogue.transaction("tombstone") as db:
        db.execute("DELETE FROM tombstone")
    catalogue.close()
    lost.write_bytes(content)
    assert repaired(rig).back == []


def test_a_file_that_a_start_put_aside(rig: Rig) -> None:
    """One that is named by the catalogue comes back; others are named with the way to have them again."""
    filled(rig)
    block, other = blocks_of(rig.path)[:2]
    block.rename(block.with_name(block.name + ".unclaimed"))
    aside = other.with_name("raw-00000000000000000077.parquet.unclaimed")
    aside.write_bytes(other.read_bytes())
    assert repaired(rig) == Repaired(back=[f"blocks/{block.name}"], unclaimed=[f"blocks/{aside.name}"])
    rig.engine = rig._open()
    rig.check()
