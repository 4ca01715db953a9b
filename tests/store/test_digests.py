"""Digests: whatever changes the catalogue behind Nissa's back is told, before anything is read or written."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store.test_catalogue import block, segment

from nissa.model.columns import Metadata
from nissa.model.errors import Damaged, NissaError
from nissa.model.ladder import DEFAULT_TIERS
from nissa.store.catalogue import Catalogue, Checkpoint, Seal, TierRow
from nissa.store.clock_guard import Sighting, write_sighting
from nissa.store.digests import KEYS
from nissa.store.pins import add_pin, drop_unpinned, remove_pin
from nissa.store.quarantine import put_aside, read_quarantine
from nissa.store.scrub import note_turn, read_turns

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
    catalogue.set_cursor("forwarder", 6)
    pins = [add_pin(catalogue, name, 0, 10, 1) for name in ("one", "two")]
    remove_pin(catalogue, pins[0].id)
    assert drop_unpinned(catalogue, (block(8),), pins[1:])
    put_aside(catalogue, block(4), "hit", 9, block(9))
    write_sighting(catalogue, Sighting(5, "", 0))
    for number in (9, 4):
        note_turn(catalogue, block(number).path, 1)
    read_turns(catalogue)
    return catalogue


def behind_its_back(path: Path, sql: str) -> None:
    """Change the catalogue as only damage does."""
    with closing(sqlite3.connect(path / "catalogue.sqlite", isolation_level=None)) as db:
        assert db.execute(sql).rowcount > 0, sql


def test_what_is_written_has_its_digests(tmp_path: Path) -> None:
    """After every kind of change nothing is wrong, here and for who opens the directory."""
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
    "cursor": "UPDATE cursor SET lsn = 7",
    "metadata": "UPDATE metadata SET help = 'Whether it is uq.'",
    "tier": "UPDATE tier SET lsn = 2 WHERE place IS NOT NULL",
    "pin": "UPDATE pin SET end_ms = 11",
    "quarantine": "DELETE FROM quarantine",
    "scrub": "UPDATE scrub SET checked_ms = 2",
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
    behind_its_back(tmp_path, "UPDATE digest SET crc = x'00ff' WHERE name = 'tier'")
    with pytest.raises(Damaged, match="table tier has"):
        Catalogue.open(tmp_path)


def test_whoever_deletes_the_digests_takes_it_as_it_is(tmp_path: Path) -> None:
    """Without digests a directory opens, and has them again."""
    filled(tmp_path).close()
    behind_its_back(tmp_path, CHANGES["block"])
    behind_its_back(tmp_path, "DELETE FROM digest")
    Catalogue.open(tmp_path, readonly=True).close()
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.blocks()[0].min_ms == 1
    catalogue.close()
    behind_its_back(tmp_path, CHANGES["cursor"])
    with pytest.raises(Damaged, match="table cursor"):
        Catalogue.open(tmp_path)


def test_no_bit_of_it_is_flipped_unseen(tmp_path: Path) -> None:
    """A flipped bit is told, or what is read is what was written."""
    filled(tmp_path).close()
    path = tmp_path / "catalogue.sqlite"
    sound, rng = path.read_bytes(), random.Random(17)

    def content() -> object:
        catalogue = Catalogue.open(tmp_path, readonly=True)
        try:
            return (
                (catalogue.secret, catalogue.blocks(), catalogue.series_segments(), catalogue.checkpoint()),
                (catalogue.tiers(), catalogue.tiers(unused=True), catalogue.metadata(), catalogue.cursors()),
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
    """A log that a reader held, then a kill: what is served is the state behind some commit, never parts of several."""
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
    """Until then they are read without."""
    shutil.copytree(GOLDENS / f"directory-{number}", tmp_path / "old")
    catalogue = Catalogue.open(tmp_path / "old", readonly=True)
    assert (catalogue.format, catalogue.check()) == (number, [])
    catalogue.close()
    Catalogue.open(tmp_path / "old").close()
    behind_its_back(tmp_path / "old", "UPDATE checkpoint SET lsn = lsn + 1")
    with pytest.raises(Damaged, match="table checkpoint"):
        Catalogue.open(tmp_path / "old")
