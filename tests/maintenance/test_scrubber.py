"""Scrubbing: files are read back in turn, damaged ones are put aside or mended, all others stay."""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from store.test_series_table import SOME, rows_of

from nissa.catalogue.catalogue import Checkpoint, Seal
from nissa.files.checked_file import MISSING
from nissa.files.names import block_path, copy_path
from nissa.maintenance import scrubber
from nissa.maintenance.scrub import read_turns
from nissa.model.errors import BlocksChanged
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.store.quarantine import read_quarantine
from nissa.store.seal import HighWaterMarks, SealInput, write_seal
from oracle.house import NOW_MS, House, config_of


def test_a_missing_file_is_put_aside_within_a_minute(tmp_path: Path) -> None:
    """Without any reader; not where all of ``blocks/`` is away; and a file that comes back keeps its name."""
    house = House(tmp_path, [3, 2, 1])
    house.step()
    blocks, away = tmp_path / "blocks", tmp_path / "away"
    blocks.rename(away)
    house.pass_time(2 * MINUTE_MS, steps=4)
    assert not house.block_set.quarantine
    away.rename(blocks)
    lost = house.blocks[1]
    kept = (tmp_path / lost.path).read_bytes()
    (tmp_path / lost.path).unlink()
    house.pass_time(MINUTE_MS)
    assert [(row.path, row.damage) for row in house.block_set.quarantine] == [(lost.path, MISSING)]
    assert house.ages() == [3, 1]
    (tmp_path / lost.path).write_bytes(kept)
    assert [row.path for row in (house.open(), house.block_set)[1].quarantine] == [lost.path]
    assert (tmp_path / lost.path).read_bytes() == kept


def test_every_file_is_read_back_by_turns(tmp_path: Path) -> None:
    """One file per step once its time has come, and none again before."""
    house = House(tmp_path, [5, 4, 3], config_of(scrub_interval_ms=2 * HOUR_MS))
    for _ in range(9):
        house.step()
    assert house.scrubber.facts()["scrub"]["files"] == 3
    assert house.scrubber.facts()["scrub"]["bytes"] == sum(block.bytes for block in house.blocks)
    assert read_turns(house.directory.catalogue) == {block.path: NOW_MS for block in house.blocks}
    house.open()
    house.pass_time(2 * HOUR_MS - 9, steps=3)
    assert house.scrubber.facts()["scrub"]["files"] == 0


def test_a_damaged_block_is_put_aside(tmp_path: Path) -> None:
    """Read twice, then moved: not served, not deleted, named and counted, also by the next process."""
    house = House(tmp_path, [5, 4], config_of(scrub_interval_ms=HOUR_MS))
    hit = house.blocks[0]
    path = tmp_path / hit.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for _ in range(4):
        house.step()
    assert house.ages() == [4]
    assert (tmp_path / (hit.path + ".damaged")).read_bytes() == data
    for _ in range(2):
        (row,) = house.block_set.quarantine
        assert (row.path, row.rows) == (hit.path, 2)
        assert house.scrubber.facts()["quarantine"]["rows"] == 2
        house.open()
    assert read_quarantine(house.directory.catalogue) == [row]


def test_damage_costs_what_it_hit(tmp_path: Path) -> None:
    """Of a block with many row groups the sound ones are served on, with the block's age; the rest is counted lost."""
    house = House(tmp_path, [], config_of())
    rows = [(series, NOW_MS - HOUR_MS + at, 0) for series in range(3) for at in range(100_000)]
    hit = house.directory.seal(rows).blocks[0]
    house.block_set.replace((), (hit,))
    path = tmp_path / hit.path
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(data)
    house.scrubber.suspect(hit.path)
    house.step()
    (saved,) = house.blocks
    assert house.directory.catalogue.blocks() == [saved]
    (lost,) = house.block_set.quarantine
    assert 0 < lost.rows < 200_000
    assert saved.rows == hit.rows - lost.rows
    assert (saved.created_ms, saved.first_lsn, saved.last_lsn) == (hit.created_ms, hit.first_lsn, hit.last_lsn)
    assert set(house.directory.export()) < set(rows)
    assert path.with_name(path.name + ".damaged").read_bytes() == data


def test_damage_that_is_read_once_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails one reading and not the next has lost nothing."""
    house = House(tmp_path, [5], config_of(scrub_interval_ms=HOUR_MS))
    answers = ["it cannot be read", ""]

    def read_back(*_: object) -> Generator[int, None, str]:
        yield 1
        return answers.pop(0)

    monkeypatch.setattr(scrubber, "read_back", read_back)
    house.step()
    house.step()
    house.step()
    assert house.ages() == [5]
    assert not answers


def test_a_suspect_is_read_next(tmp_path: Path) -> None:
    """A suspect file is read back at once, long before its turn: a sound one stays, a damaged one is put aside."""
    house = House(tmp_path, [3, 2])
    first, second = house.blocks
    (tmp_path / second.path).write_bytes(b"")
    house.scrubber.suspect(first.path)
    house.scrubber.suspect(second.path)
    for _ in range(3):
        house.step()
    assert house.ages() == [3]
    assert house.scrubber.facts()["scrub"]["files"] == 2


def test_a_damaged_series_segment_is_told_and_stays(tmp_path: Path) -> None:
    """A segment is reported as damaged if neither its second copy nor memory has its labels."""
    house = House(tmp_path, [], config_of(scrub_interval_ms=HOUR_MS))
    catalogue = house.directory.catalogue
    rows = rows_of(SOME)
    sealed = write_seal(tmp_path, catalogue, HighWaterMarks([], 1), SealInput([], 1, 1, NOW_MS, rows))
    catalogue.commit_seal(Seal(Checkpoint(1, len(rows)), (), sealed.segment))
    assert sealed.segment is not None
    path, copy = tmp_path / sealed.segment.path, tmp_path / copy_path(sealed.segment.path)
    whole = path.read_bytes()
    for one in (path, copy):
        one.write_bytes(whole + b"x")
    for _ in range(5):
        house.step()
    assert list(house.scrubber.facts()["scrub"]["damaged_files"]) == [sealed.segment.path]
    assert house.scrubber.facts()["scrub"]["files"] == 2
    assert path.exists()
    assert catalogue.series_segments() == [sealed.segment]
    copy.write_bytes(whole)
    house.pass_time(2 * HOUR_MS, steps=2)
    assert house.scrubber.facts()["scrub"]["damaged_files"] == {}
    assert path.read_bytes() == whole


def test_a_missing_series_segment_or_copy_is_written_within_a_minute(tmp_path: Path) -> None:
    """The one from the other; with neither, out of memory; at its scrub a damaged copy too."""
    house = House(tmp_path, [], config_of(scrub_interval_ms=HOUR_MS))
    catalogue, rows = house.directory.catalogue, rows_of(SOME)
    sealed = write_seal(tmp_path, catalogue, HighWaterMarks([], 1), SealInput([], 1, 1, NOW_MS, rows))
    catalogue.commit_seal(Seal(Checkpoint(1, len(rows)), (), sealed.segment))
    assert sealed.segment is not None
    path, copy = tmp_path / sealed.segment.path, tmp_path / copy_path(sealed.segment.path)
    whole = path.read_bytes()
    for one in (path, copy, path):
        one.unlink()
        house.pass_time(MINUTE_MS)
        assert [path.read_bytes(), copy.read_bytes()] == [whole, whole]
    copy.write_bytes(whole[:-1])
    house.pass_time(2 * HOUR_MS, steps=2)
    assert copy.read_bytes() == whole
    for one in (path, copy):
        one.unlink()
    house.pass_time(MINUTE_MS)
    assert house.rewritten == [sealed.segment]


def test_a_damaged_catalogue_is_told(tmp_path: Path) -> None:
    """The catalogue is compared with its digests in its turn, and reported as long as it differs."""
    house = House(tmp_path, [3], config_of(scrub_interval_ms=DAY_MS))
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite", isolation_level=None)) as db:
        (lsn,) = db.execute("SELECT lsn FROM checkpoint").fetchone()
        for value, told in ((lsn + 1, ["catalogue.sqlite"]), (lsn, [])):
            db.execute("UPDATE checkpoint SET lsn = ?", (value,))
            house.pass_time(DAY_MS)
            assert list(house.scrubber.facts()["scrub"]["damaged_files"]) == told


def test_files_put_aside_at_a_start_are_told(tmp_path: Path) -> None:
    """Unclaimed files are counted until they are removed; other files are not."""
    house = House(tmp_path, [1])
    path = house.directory.path / block_path("raw", 99)
    for suffix in ("", ".unclaimed", ".unclaimed.1"):
        path.with_name(path.name + suffix).touch()
    assert house.scrubber.facts()["unclaimed"] == 0
    house.open()
    assert house.scrubber.facts()["unclaimed"] == 2
    path.with_name(path.name + ".unclaimed").unlink()
    assert house.scrubber.facts()["unclaimed"] == 1


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_block_that_is_merged_away_while_it_is_read_is_left_alone(tmp_path: Path, *, is_damaged: bool) -> None:
    """A file that was merged away is neither put aside nor noted as read: the merged file has its own turn."""
    house = House(tmp_path, [5], config_of(scrub_interval_ms=HOUR_MS))
    (block,) = house.blocks
    if is_damaged:
        (tmp_path / block.path).write_bytes(bytes(block.bytes))
        house.scrubber.suspect(block.path)
    scrub = house.scrubber.run()
    next(scrub)
    house.block_set.exchange((block,), ())
    house.block_set.delete_unheld()
    run_whole(scrub)
    assert house.scrubber.files == 1
    assert (house.block_set.quarantine, read_turns(house.directory.catalogue)) == ((), {})


def test_a_block_that_is_merged_away_while_it_is_salvaged_is_not_put_aside(tmp_path: Path) -> None:
    """Its sound rows are in another block already: the copy goes again."""
    house = House(tmp_path, [])
    rows = [(series, NOW_MS - HOUR_MS + at, 0) for series in range(3) for at in range(100_000)]
    (block,) = house.directory.seal(rows).blocks
    house.block_set.replace((), (block,))
    with (tmp_path / block.path).open("r+b") as file:
        file.seek(9)
        file.write(b"?")
    salvage = house.scrubber._put_aside(block, "hit", NOW_MS)
    next(salvage)
    house.block_set.exchange((block,), ())
    with pytest.raises(BlocksChanged):
        run_whole(salvage)
    house.block_set.delete_unheld()
    assert not list((tmp_path / "blocks").iterdir())
    assert house.block_set.quarantine == ()
