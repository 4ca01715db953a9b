"""Digests: every change of the catalogue from outside is reported before anything is read or written."""

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from catalogue.test_catalogue import block, segment

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal, TierRow
from nissa.catalogue.digests import COMPARED_ROWS_MAX, KEYS
from nissa.maintenance.clock_guard import ClockReading, write_clock_reading
from nissa.maintenance.scrub import note_turn, read_turns
from nissa.model.columns import Metadata
from nissa.model.errors import Damaged, NissaError
from nissa.model.ladder import DEFAULT_TIERS
from nissa.store.pins import add_pin, drop_unpinned, remove_pin
from nissa.store.quarantine import put_aside, read_quarantine
from nissa.store.tombstones import Tombstones

GOLDENS = Path(__file__).parents[1] / "goldens"


def filled(path: Path) -> Catalogue:
    """A catalogue with rows in every table, written by everything that writes there."""
    catalogue = Catalogue.open(path)
    note = Metadata("up", "gauge", "Whether it is up.", "")
    catalogue.commit_seal(Seal(Checkpoint(7, 10, {}, b"minutes"), (block(1), block(2)), segment(3, 0), (note,)))
    catalogue.commit_seal(Seal(Checkpoint(8, 20), (block(4), block(8)), segment(5, 10)))
    catalogue.replace_blocks((block(1), block(2)), (block(6),))
    catalogue.commit_tiers([TierRow(tier) for tier in DEFAULT_TIERS], (block(7, kind="1m"),), (block(6),))
    catalogue.commit_tiers([TierRow(DEFAULT_TIERS[0], 5, 3)])
    pins = [add_pin(catalogue, name, 0, 10, 1) for name in ("one", "two")]
    remove_pin(catalogue, pins[0].id)
    assert drop_unpinned(catalogue, (block(8),), pins[1:])
    put_aside(catalogue, block(4), "hit", 9, block(9))
    write_clock_reading(catalogue, ClockReading(5, "", 0))
    for number in (9, 4):
        note_turn(catalogue, block(number).path, 1)
    read_turns(catalogue)
    Tombstones(catalogue).add(np.array([1], np.uint32), 0, 10, 1)
    return catalogue


def behind_its_back(path: Path, sql: str) -> None:
    """Change the catalogue as only damage does."""
    with closing(sqlite3.connect(path / "catalogue.sqlite", isolation_level=None)) as db:
        assert db.execute(sql).rowcount > 0, sql


def test_what_is_written_has_its_digests(tmp_path: Path) -> None:
    """After every kind of change the digests fit, here and for a process that opens the directory."""
    catalogue = filled(tmp_path)
    assert catalogue.check() == []
    assert [one.id for one in catalogue.blocks()] == [7, 9]
    catalogue.close()
    for readonly in (True, False):
        catalogue = Catalogue.open(tmp_path, readonly=readonly)
        assert catalogue.check() == []
        catalogue.close()


CHANGES = {
    "meta": "UPDATE meta SET value = '00' || substr(value, 3) WHERE key = 'secret'",
    "block": "UPDATE block SET min_ms = min_ms + 1 WHERE id = 7",
    "series_segment": "DELETE FROM series_segment WHERE id = 5",
    "checkpoint": "UPDATE checkpoint SET seen_minutes = CAST(seen_minutes AS TEXT)",
    "metadata": "UPDATE metadata SET help = 'Whether it is uq.'",
    "tier": "UPDATE tier SET lsn = 2 WHERE place IS NOT NULL",
    "pin": "UPDATE pin SET end_ms = 11",
    "quarantine": "DELETE FROM quarantine",
    "scrub": "UPDATE scrub SET checked_ms = 2",
    "tombstone": "UPDATE tombstone SET end_ms = 11",
    "expired": "UPDATE expired SET until_ms = until_ms - 1",
    "sqlite_sequence": "UPDATE sqlite_sequence SET seq = 4 WHERE name = 'block'",
}


@pytest.mark.parametrize("table", KEYS)
def test_a_changed_table_is_named(tmp_path: Path, table: str) -> None:
    """Opening refuses it, for reading and for writing; so does whoever would change it; nothing is signed anew."""
    catalogue = filled(tmp_path)
    behind_its_back(tmp_path, CHANGES[table])
    with pytest.raises(Damaged, match=f"table {table} has"), catalogue.transaction(table):
        raise AssertionError("nobody comes here")
    assert len(catalogue.check()) == 1
    catalogue.close()
    for readonly in (True, False):
        with pytest.raises(Damaged, match=f"catalogue.sqlite: table {table} has . rows? with CRC-32C"):
            Catalogue.open(tmp_path, readonly=readonly)


def test_a_changed_digest_is_told(tmp_path: Path) -> None:
    """Whatever stands in it: damage there is damage of its table."""
    filled(tmp_path).close()
    behind_its_back(tmp_path, "UPDATE digest SET sum = x'00ff' WHERE name = 'tier'")
    with pytest.raises(Damaged, match="table tier has"):
        Catalogue.open(tmp_path)


def test_damage_of_a_long_table_is_never_signed(tmp_path: Path) -> None:
    """Damage in a table too long to be compared before each change is found after any later change."""
    catalogue = Catalogue.open(tmp_path)
    count = 3 * COMPARED_ROWS_MAX
    catalogue.commit_seal(Seal(Checkpoint(1), tuple(block(number) for number in range(1, count + 1))))
    behind_its_back(tmp_path, "UPDATE block SET min_ms = min_ms + 1 WHERE id = 7")
    damaged = next(one for one in catalogue.blocks() if one.id == 7)
    catalogue.commit_seal(Seal(Checkpoint(2), (block(count + 1),)))
    catalogue.replace_blocks((block(9),), (block(count + 2),))
    assert len(catalogue.check()) == 1
    catalogue.replace_blocks((damaged,), (block(count + 3),))  # the damaged row itself goes
    assert len(catalogue.check()) == 1
    catalogue.close()
    with pytest.raises(Damaged, match="table block has"):
        Catalogue.open(tmp_path)


def test_digests_follow_random_changes(tmp_path: Path) -> None:
    """Inserts, replacements, updates, deletions and roll-backs in any order: nothing is wrong, here and anew."""
    rng = random.Random(5)
    catalogue = Catalogue.open(tmp_path)
    for turn in range(120):
        with suppress(ZeroDivisionError), catalogue.transaction("scrub", "meta", "pin") as db:
            for _ in range(rng.randrange(6)):
                number = rng.randrange(90)
                db.execute(
                    rng.choice(
                        (
                            f"REPLACE INTO scrub VALUES ('p{number}', {turn})",
                            f"INSERT OR IGNORE INTO scrub VALUES ('p{number}', {turn})",
                            f"UPDATE scrub SET checked_ms = {turn} WHERE path > 'p{number}'",
                            f"DELETE FROM scrub WHERE path = 'p{number}'",
                            f"REPLACE INTO pin VALUES ({number}, 'n', 1, {turn}, 3)",
                            "DELETE FROM scrub" if rng.random() < 0.05 else "SELECT 1",
                        )
                    )
                )
            if rng.random() < 0.2:
                raise ZeroDivisionError
        assert catalogue.check() == []
    catalogue.close()
    Catalogue.open(tmp_path).close()


def test_whoever_deletes_the_digests_takes_it_as_it_is(tmp_path: Path) -> None:
    """A directory without digests opens, and has them again."""
    filled(tmp_path).close()
    behind_its_back(tmp_path, CHANGES["block"])
    behind_its_back(tmp_path, "DELETE FROM digest")
    Catalogue.open(tmp_path, readonly=True).close()
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.blocks()[0].min_ms == 1
    catalogue.close()
    behind_its_back(tmp_path, CHANGES["pin"])
    with pytest.raises(Damaged, match="table pin"):
        Catalogue.open(tmp_path)


def test_no_bit_of_it_is_flipped_unseen(tmp_path: Path) -> None:
    """A flipped bit is reported as damage, or the rows are read as they were written."""
    filled(tmp_path).close()
    path = tmp_path / "catalogue.sqlite"
    sound, rng = path.read_bytes(), random.Random(17)

    def content() -> object:
        catalogue = Catalogue.open(tmp_path, readonly=True)
        try:
            return (
                (catalogue.secret, catalogue.blocks(), catalogue.series_segments(), catalogue.checkpoint()),
                (catalogue.tiers(), catalogue.tiers(unused=True), catalogue.metadata()),
                read_quarantine(catalogue),
            )
        finally:
            catalogue.close()

    expected, told = content(), 0
    for _ in range(400):
        data, bit = bytearray(sound), rng.randrange(8 * len(sound))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            assert content() == expected, bit
        except NissaError as error:
            assert isinstance(error, Damaged) or "format" in str(error), (bit, error)
            told += 1
    assert told > 10


def test_a_flip_in_the_log_leaves_a_state_that_was(tmp_path: Path) -> None:
    """With a flipped bit in a log left by a kill, the state is that after one commit, never parts of several."""
    first, killed = tmp_path / "first", tmp_path / "killed"
    catalogue = Catalogue.open(first)
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1),)))
    with closing(sqlite3.connect(first / "catalogue.sqlite", isolation_level=None)) as reader:
        for number in range(2, 6):
            if number == 3:
                reader.execute("BEGIN")
                assert reader.execute("SELECT count(*) FROM block").fetchone() == (2,)
            catalogue.commit_seal(Seal(Checkpoint(number), (block(number),)))
        shutil.copytree(first, killed, ignore=shutil.ignore_patterns("*-shm"))
    catalogue.close()
    file, log = killed / "catalogue.sqlite", killed / "catalogue.sqlite-wal"
    sound_file, sound_log, rng = file.read_bytes(), log.read_bytes(), random.Random(18)
    fates = set()
    for _ in range(60):
        data, bit = bytearray(sound_log), rng.randrange(8 * len(sound_log))
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(sound_file)
        log.write_bytes(data)
        try:
            catalogue = Catalogue.open(killed)
        except Damaged:
            fates.add("refused")
            continue
        lsn = catalogue.checkpoint().lsn
        assert [one.id for one in catalogue.blocks()] == [*range(1, lsn + 1)], bit
        fates.add(str(lsn))
        catalogue.close()
    assert {"2", "3", "4"} <= fates <= {"2", "3", "4", "5", "refused"}


@pytest.mark.parametrize("number", [1, 2])
def test_older_directories_get_them_when_they_are_opened_for_writing(tmp_path: Path, number: int) -> None:
    """Until then such directories are read without digests."""
    shutil.copytree(GOLDENS / f"directory-{number}", tmp_path / "old")
    catalogue = Catalogue.open(tmp_path / "old", readonly=True)
    assert (catalogue.format, catalogue.check()) == (number, [])
    catalogue.close()
    Catalogue.open(tmp_path / "old").close()
    behind_its_back(tmp_path / "old", "UPDATE checkpoint SET lsn = lsn + 1")
    with pytest.raises(Damaged, match="table checkpoint"):
        Catalogue.open(tmp_path / "old")
