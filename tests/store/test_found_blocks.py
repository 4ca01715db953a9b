"""Blocks without a catalogue: the facts in each, and blocks that hold the rows of others."""

import os
import shutil
from pathlib import Path

import msgspec
from pyarrow import parquet as pq
from store.test_event_blocks import events_of

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import block_path
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.slices import run_whole
from nissa.store.compaction import merge_blocks
from nissa.store.found_blocks import FoundBlock, find_block, find_blocks, superseded
from oracle.directory import Directory
from oracle.event_blocks import write_events

GOLDENS = Path(__file__).parents[1] / "goldens"


def test_a_block_says_what_its_row_said(tmp_path: Path) -> None:
    """Its row with checksums, sources and tier; a block of an earlier build what its rows are."""
    directory = Directory(tmp_path)
    for turn in range(2):
        directory.seal([(1, 10 + turn, 0), (2, 20, 0)])
    before = directory.blocks()
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, before, 5))
    (found,) = find_blocks(tmp_path)
    assert (found.row, found.damage, found.sources) == (merged, "", tuple(one.id for one in before))
    assert not found.silent
    shutil.copytree(GOLDENS / "directory-6" / "blocks", tmp_path / "golden" / "blocks")
    tiers = {one.path: one.tier for one in find_blocks(tmp_path / "golden") if one.tier}
    assert set(tiers.values()) == {DEFAULT_TIERS[0], DEFAULT_TIERS[1]}
    shutil.copytree(GOLDENS / "directory-3" / "blocks", tmp_path / "old" / "blocks")
    os.utime(tmp_path / "old" / block_path("raw", 2), (7, 7))
    old = {one.path: one for one in find_blocks(tmp_path / "old")}
    assert all(one.silent and not one.damage for one in old.values())
    row = old[block_path("raw", 2)].row
    assert row is not None
    assert (row.id, row.created_ms, row.last_lsn, row.rows > 0) == (2, 7_000, 0, True)


def test_damage_is_named(tmp_path: Path) -> None:
    """A page, a cut end, another file's name."""
    directory = Directory(tmp_path)
    directory.seal([(1, 10, 0)])
    (path,) = (block.path for block in directory.blocks())
    data = bytearray((tmp_path / path).read_bytes())
    other = tmp_path / block_path("raw", 9)
    other.write_bytes(data)
    assert find_block(tmp_path, block_path("raw", 9)).damage == "it has the name of another file"
    column = pq.read_metadata(tmp_path / path).row_group(0).column(2)
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1  # of a page, which Parquet's checksum covers
    (tmp_path / path).write_bytes(data)
    found = find_block(tmp_path, path)
    assert found.damage
    assert found.row is not None
    (tmp_path / path).write_bytes(data[:-3])
    found = find_block(tmp_path, path)
    assert "truncated or not a Parquet file" in found.damage
    assert found.row is None


def events(number: int, level: int, times: tuple[int, int], lsns: tuple[int, int], rows: int = 1) -> FoundBlock:
    """A block of events."""
    row = BlockRow(number, "events", level, block_path("events", number), rows, *times, 0, 0, *lsns, 5, 1, 1, b"")
    return FoundBlock(row.path, row)


def test_sources_are_in_what_they_were_merged_into() -> None:
    """Sources are found by their ids; if the merged block is damaged, they count themselves."""
    old, new = events(1, 0, (0, 9), (1, 2)), events(3, 0, (50, 60), (7, 9))
    new = msgspec.structs.replace(new, sources=(1, 2))
    assert superseded([old, new]) == {old.path: new.path}
    assert superseded([old, msgspec.structs.replace(new, damage="hit")]) == {}


def test_events_within_a_merged_block_are_in_it() -> None:
    """A merged block covers events by frames and times. Slices of one head have the same frames, but other times."""
    merged = events(9, 2, (0, 99), (1, 80))
    inside, later, beside = (
        events(1, 0, (5, 50), (1, 10)),
        events(2, 0, (5, 50), (81, 85)),
        events(3, 0, (200, 201), (1, 10)),
    )
    assert superseded([merged, inside, later, beside]) == {inside.path: merged.path}
    level = events(4, 2, (5, 50), (2, 9))
    assert superseded([merged, level]) == {}


def test_a_block_cut_into_slices(tmp_path: Path) -> None:
    """All parts stand for it; some of them do not."""
    wide = events(1, 1, (0, 99), (1, 80), 3)
    first, second = events(5, 1, (0, 9), (1, 80), 1), events(6, 1, (90, 99), (1, 80), 2)
    assert superseded([wide, first, second]) == {wide.path: first.path}
    assert superseded([wide, first]) == {first.path: wide.path}
    write_events(Directory(tmp_path).path, 7, [events_of([5])], 1, 2, 1)
    assert superseded(list(find_blocks(tmp_path))) == {}
