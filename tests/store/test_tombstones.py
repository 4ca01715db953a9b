"""Tombstones: made, bounded, read back, and which blocks and rows they cover."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal, TierRow
from nissa.ingest.recover import read_directory
from nissa.model.columns import SeriesColumn
from nissa.model.errors import BadQuery
from nissa.model.ladder import DEFAULT_TIERS
from nissa.store.pins import drop_unpinned
from nissa.store.read import Snapshot
from nissa.store.tombstones import (
    Purge,
    Tombstone,
    Tombstones,
    covers_of,
    read_expired,
    read_tombstones,
    surviving,
    tiers_text,
)
from oracle.directory import Directory, batch_of, samples_of
from oracle.engine import HOUR_MS, NOW_MS, ONE, rows_in

GOLDENS = Path(__file__).parents[1] / "goldens"


def ids(*numbers: int) -> SeriesColumn:
    """Series ids as a column."""
    return np.array(numbers, np.uint32)


def tombstone(number: int = 7, lsn: int = 10) -> Tombstone:
    """Series 1 and 3 in [100, 200)."""
    return Tombstone(number, 100, 200, lsn, 0, ids(1, 3))


def test_a_deletion_outlives_the_process_and_ends_at_the_checkpoint(tmp_path: Path) -> None:
    """Tombstones are read back with the LSN of the checkpoint; a number is never given twice."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(9), (block(1),)))
    tombstones = Tombstones(catalogue)
    first, second = tombstones.add(ids(1, 70_000), -5, 20, 3), tombstones.add(ids(2), 0, 2**63 - 1, 4)
    assert (first.lsn, second.lsn) == (9, 9)
    tombstones.remove([second])
    third = tombstones.add(ids(2), 0, 1, 5)
    assert third.id > second.id
    decided = {"1m": (0, 60_000)}
    catalogue.commit_tiers([], completed=[(tiers_text(decided), first.id)])
    tombstones.complete({first.id: decided})
    catalogue.close()
    catalogue = Catalogue.open(tmp_path, readonly=True)
    found = read_tombstones(catalogue)
    assert [(one.id, one.start_ms, one.end_ms, one.lsn, one.created_ms, one.tiers) for one in found] == [
        (first.id, -5, 20, 9, 3, decided),
        (third.id, 0, 1, 9, 5, None),
    ]
    assert [one.series.tolist() for one in found] == [[1, 70_000], [2]]
    assert [one.tiers for one in tombstones.all] == [decided, None]
    catalogue.close()


def test_the_number_of_deletions_and_of_their_series_is_bounded(tmp_path: Path) -> None:
    """One over a bound is refused, naming the setting, and changes nothing."""
    catalogue = Catalogue.open(tmp_path)
    tombstones = Tombstones(catalogue, 2, 3)
    kept = tombstones.add(ids(1, 2), 0, 1, 0)
    with pytest.raises(BadQuery, match="tombstone_series_max"):
        tombstones.add(ids(1, 2), 0, 1, 0)
    tombstones.add(ids(9), 0, 1, 0)
    with pytest.raises(BadQuery, match="tombstones_max"):
        tombstones.add(ids(9), 0, 1, 0)
    assert len(read_tombstones(catalogue)) == 2
    tombstones.remove([kept])
    tombstones.add(ids(3), 0, 1, 0)
    catalogue.close()


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"last_lsn": 11}, False),  # rows that came later
        ({"tombstone": 7}, False),  # written without the deleted rows
        ({"tombstone": 6}, True),
        ({"min_ms": 200}, False),
        ({"max_ms": 99}, False),
        ({"series_min": 4}, False),
        ({"series_max": 0}, False),
        ({"kind": "events"}, False),
    ],
)
def test_a_tombstone_covers_older_blocks_of_its_series_and_times(changes: dict[str, int], covered: bool) -> None:
    """By LSN, by the tombstones already applied when the block was written, and by range."""
    row = msgspec.structs.replace(block(1), min_ms=150, max_ms=250, series_min=0, series_max=9, last_lsn=10)
    row = msgspec.structs.replace(row, **changes)
    assert bool(covers_of(row, [tombstone()])) == covered
    assert Purge([tombstone(), tombstone(5)]).stamp(row).tombstone == 7


def test_deleted_rows_are_left_out(tmp_path: Path) -> None:
    """Of these series, from the first moment on, before the last; the others stay, bit for bit and in order."""
    rows = [(0, 150, 1), (1, 99, 2), (1, 100, 3), (1, 199, 4), (1, 200, 5), (2, 150, 6), (3, 100, 7), (4, 150, 8)]
    row = msgspec.structs.replace(block(1), min_ms=99, max_ms=200, series_min=0, series_max=9, last_lsn=10)
    left = surviving(batch_of(rows), covers_of(row, [tombstone()]))
    assert samples_of(left) == [(0, 150, 1), (1, 99, 2), (1, 200, 5), (2, 150, 6), (4, 150, 8)]
    untouched = batch_of(rows[:2])
    assert surviving(untouched, covers_of(row, [tombstone()])) is untouched


def test_what_retention_drops_is_noted(tmp_path: Path) -> None:
    """The latest time dropped is noted by kind; a tier that comes into use later has it from the tier below."""
    catalogue = Catalogue.open(tmp_path)
    rows = [msgspec.structs.replace(block(number), max_ms=number * 100) for number in (1, 2, 3)]
    catalogue.commit_seal(Seal(Checkpoint(1), tuple(rows)))
    assert drop_unpinned(catalogue, [rows[1]], [])
    assert drop_unpinned(catalogue, [rows[0]], [])
    assert read_expired(catalogue) == {"raw": 200}
    catalogue.commit_tiers([TierRow(DEFAULT_TIERS[0])])
    tombstones = Tombstones(catalogue)
    tombstones.begin_tiers(DEFAULT_TIERS[:2])
    assert tombstones.expired == read_expired(catalogue) == {"raw": 200, "5m": 200}
    tombstones.expire([rows[2]])
    assert tombstones.expired["raw"] == 300
    catalogue.close()


def test_older_formats_have_no_deletions(tmp_path: Path) -> None:
    """Format 4 is read as it is, and opened for writing: nothing later than the end of its oldest block has expired."""
    shutil.copytree(GOLDENS / "directory-4", tmp_path, dirs_exist_ok=True)
    catalogue = Catalogue.open(tmp_path, readonly=True)
    expired = {"raw": min(one.max_ms for one in catalogue.blocks("raw"))}
    assert (read_tombstones(catalogue), read_expired(catalogue)) == ((), expired)
    assert {one.tombstone for one in catalogue.blocks()} == {0}
    catalogue.close()
    catalogue = Catalogue.open(tmp_path)
    assert read_expired(catalogue) == expired
    catalogue.close()
    assert Catalogue.open(tmp_path, readonly=True).check() == []


def test_deletions_of_this_format_are_read(tmp_path: Path) -> None:
    """Format 6, frozen: one deletion that the ladder has decided on, one that it has not, and a row that came later."""
    shutil.copytree(GOLDENS / "directory-6", tmp_path, dirs_exist_ok=True)
    read = read_directory(tmp_path)
    assert [(one.id, one.lsn, one.tiers is None) for one in read.tombstones] == [(1, 2, False), (2, 2, True)]
    heads = tuple(read.pipeline.head.snapshot())
    snapshot = Snapshot(tmp_path, read.blocks, heads, read.tiers, tombstones=read.tombstones, expired=read.expired)
    at_ms = NOW_MS // HOUR_MS * HOUR_MS - 2 * HOUR_MS
    expected = {(name, at_ms + turn * 20_000): ONE + turn for name in ("m0", "m1", "m2") for turn in range(12)}
    expected = {
        (name, ts_ms): bits
        for (name, ts_ms), bits in expected.items()
        if not (name == "m0" and at_ms + 30_000 <= ts_ms < at_ms + 150_000)
        and not (name == "m1" and ts_ms < at_ms + 70_000)
    }
    expected |= {("m2", at_ms + 90 * 60_000): ONE, ("m0", at_ms + 40_000): ONE + 99}
    assert rows_in(snapshot, read.pipeline.index) == expected
    assert len(Directory(tmp_path).blocks()) == 1
