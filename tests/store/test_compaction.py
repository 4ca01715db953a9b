"""Merging blocks: neither a reader nor a crash sees a difference."""

import random
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from store.test_event_blocks import events_of, text
from store.test_read import random_samples

from nissa.catalogue.catalogue import BlockRow, Checkpoint, Seal
from nissa.files.checked_file import FileGone
from nissa.files.names import block_path, own_files
from nissa.model.errors import Damaged, Unavailable
from nissa.model.slices import run_whole
from nissa.model.units import MINUTE_MS
from nissa.query.events import EventRequest, read_page
from nissa.store import compaction, event_blocks
from nissa.store.blocks import GROUP_ROWS_MERGED_MIN
from nissa.store.compaction import EVENTS_BYTES_MAX, LEVEL_MAX, YOUNG_BLOCKS_MAX, merge_blocks, plan_compaction
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import read_samples, stream_samples
from nissa.store.verify import verify_directory
from oracle.directory import ALWAYS, Directory, samples_of
from oracle.event_blocks import write_events


def filled(path: Path, seed: int = 1, seals: int = 6) -> Directory:
    """A directory of overlapping blocks."""
    chance = random.Random(seed)
    directory = Directory(path)
    for _ in range(seals):
        directory.seal(random_samples(chance, 300))
    return directory


def test_the_export_does_not_change(tmp_path: Path) -> None:
    """Merging all blocks, in any grouping, leaves the export as it was, in fewer rows and one file."""
    for seed in range(4):
        directory = filled(tmp_path / str(seed), seed)
        before = directory.export()
        run_whole(merge_blocks(directory.path, directory.catalogue, directory.blocks()[1:4], 8))
        assert directory.export() == before
        merged = run_whole(merge_blocks(directory.path, directory.catalogue, directory.blocks(), 9))
        assert directory.export() == before
        assert directory.blocks() == [merged]
        assert own_files(directory.path) == [merged.path]
        assert (merged.rows, merged.level, merged.created_ms) == (len(before), 2, 9)
        assert (merged.first_lsn, merged.last_lsn) == (1, 6)


def row(number: int, level: int, kind: str = "raw") -> BlockRow:
    """A block of a level."""
    return BlockRow(number, kind, level, block_path(kind, number), 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, b"")


def test_the_oldest_of_the_lowest_full_level_are_next(tmp_path: Path) -> None:
    """A level is merged once it has fan_in blocks; the last level never is; events are a plan of their own."""
    assert plan_compaction([row(n, 0) for n in range(2)], 3) == ()
    plan = plan_compaction([row(9, 0), row(2, 1), row(3, 1), row(4, 1), row(8, 0)], 3)
    assert [block.id for block in plan] == [2, 3, 4]
    plan = plan_compaction([row(9, 0), row(8, 0), row(7, 0), row(6, 0), row(2, 1), row(3, 1), row(4, 1)], 3)
    assert [block.id for block in plan] == [6, 7, 8]
    assert plan_compaction([row(n, LEVEL_MAX) for n in range(9)], 3) == ()
    assert plan_compaction([row(n, 1) for n in range(8)], 3, fan_in_above=9) == ()
    assert len(plan_compaction([row(n, 1) for n in range(9)], 3, fan_in_above=9)) == 9
    assert len(plan_compaction([row(n, 0) for n in range(9)], 3, fan_in_above=9)) == 3
    assert plan_compaction([row(n, 0, "events") for n in range(9)], 3) == ()
    assert len(plan_compaction([row(n, 0, "events") for n in range(9)], 3, kind="events")) == 3


def test_events_are_merged_with_their_neighbours_only(tmp_path: Path) -> None:
    """A block in between that is damaged or of another level keeps events apart, but not samples."""
    for kind, expected in (("raw", [1, 2, 4]), ("events", [4, 5, 6])):
        blocks = [row(n, 0, kind) for n in range(1, 7)]
        blocks = [msgspec.structs.replace(one, first_lsn=one.id) for one in blocks]
        assert [one.id for one in plan_compaction(blocks[::-1], 3, kind=kind, passed_by={3})] == expected
    blocks = [msgspec.structs.replace(one, level=int(one.id == 3)) for one in blocks]
    assert [one.id for one in plan_compaction(blocks, 3, kind="events")] == [4, 5, 6]
    assert plan_compaction(blocks[:5], 3, kind="events") == ()
    blocks[4] = msgspec.structs.replace(blocks[4], bytes=EVENTS_BYTES_MAX)
    assert plan_compaction(blocks, 3, kind="events") == ()


@pytest.mark.parametrize("base_ms", [0, -(2**63), 2**63 - 280])
def test_events_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_ms: int) -> None:
    """Merged in any grouping of neighbours, pages and their cursors are what they were, every field as it was.

    Also at both ends of what an int64 holds.
    """
    chance = random.Random(5)
    monkeypatch.setattr(event_blocks, "GROUP_ROWS", 7)  # of some row groups each
    monkeypatch.setattr(compaction, "GROUP_BYTES", 2_000)
    directory = Directory(tmp_path)
    catalogue, numbers = directory.catalogue, iter(range(10_000))
    for lsn in range(1, 13):
        first_ms = base_ms + chance.choice([lsn * 20, 100, 250])
        batches = [
            events_of([first_ms + chance.randrange(30) for _ in range(chance.randrange(1, 12))]) for _ in range(2)
        ]
        batches = [  # each with an id of its own, also within a millisecond
            msgspec.structs.replace(batch, event_id=text([f"{next(numbers)}" for _ in range(len(batch))]))
            for batch in batches
        ]
        block = write_events(tmp_path, catalogue.new_id(), batches, lsn, lsn, 1)
        catalogue.commit_seal(Seal(Checkpoint(lsn), (block,)))

    def pages(newest_first: bool) -> list[object]:
        found: list[object] = []
        question = EventRequest(limit=61, newest_first=newest_first)
        while True:
            page = read_page(EventSnapshot(tmp_path, tuple(catalogue.blocks())), question)
            found.append((page.events, page.cursor, page.complete))
            if page.complete:
                return found
            question = msgspec.structs.replace(question, cursor=page.cursor)

    before = [pages(False), pages(True)]
    schemas = {pq.ParquetFile(tmp_path / block.path).schema for block in catalogue.blocks()}
    while chosen := plan_compaction(catalogue.blocks(), 3, kind="events"):
        merged = run_whole(merge_blocks(tmp_path, catalogue, chosen, 9))
        assert merged.rows == sum(block.rows for block in chosen)
        assert (merged.min_ms, merged.max_ms) == (
            min(block.min_ms for block in chosen),
            max(block.max_ms for block in chosen),
        )
        assert [pages(False), pages(True)] == before
    blocks = catalogue.blocks()
    assert [(block.level, block.first_lsn, block.last_lsn) for block in blocks] == [(1, 10, 12), (2, 1, 9)]
    assert own_files(tmp_path) == sorted(block.path for block in blocks)
    schemas |= {pq.ParquetFile(tmp_path / block.path).schema for block in blocks}
    assert all(schema.equals(next(iter(schemas))) for schema in schemas)
    assert verify_directory(tmp_path).sound


def test_blocks_that_would_span_too_much_are_passed_by(tmp_path: Path) -> None:
    """The next ones that fit are merged; blocks that are wide already may be merged into one twice as wide."""

    def spans(*pairs: tuple[int, int]) -> list[BlockRow]:
        return [msgspec.structs.replace(row(n, 0), min_ms=low, max_ms=high) for n, (low, high) in enumerate(pairs)]

    narrow = spans((0, 1), (50, 51), (52, 53), (54, 55))
    assert [block.id for block in plan_compaction(narrow, 3, 10)] == [1, 2, 3]
    assert plan_compaction(narrow, 3, 4) == ()
    assert [block.id for block in plan_compaction(narrow, 3)] == [0, 1, 2]
    assert len(plan_compaction(spans((0, 60), (5, 65), (10, 70)), 3, 10)) == 3


def test_blocks_that_are_too_young_wait() -> None:
    """Samples are merged once the newest is as old as the merged block is long, or if that is short, or many wait."""

    def ends(*minutes: float) -> list[BlockRow]:
        return [msgspec.structs.replace(row(n, 0), max_ms=int(at * MINUTE_MS)) for n, at in enumerate(minutes)]

    late = ends(0, 2, 4, 6)
    assert plan_compaction(late, 3, now_ms=8 * MINUTE_MS - 1) == ()
    assert [block.id for block in plan_compaction(late, 3, now_ms=8 * MINUTE_MS)] == [0, 1, 2]
    assert len(plan_compaction(ends(0, 0.5, 1), 3, now_ms=0)) == 3
    assert len(plan_compaction(ends(*range(0, 2 * YOUNG_BLOCKS_MAX, 2)), 3, now_ms=0)) == 0
    assert len(plan_compaction(ends(*range(0, 2 * YOUNG_BLOCKS_MAX + 2, 2)), 3, now_ms=0)) == 3
    events = [msgspec.structs.replace(one, kind="events") for one in late]
    assert len(plan_compaction(events, 3, kind="events", now_ms=0)) == 3


def test_a_damaged_block_stops_the_merge_and_nothing_is_lost(tmp_path: Path) -> None:
    """Damage is raised with the file's name; catalogue and files are as before."""
    directory = filled(tmp_path)
    blocks, files = directory.blocks(), own_files(tmp_path)
    path = tmp_path / blocks[2].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)
    with pytest.raises(Damaged, match=blocks[2].path):
        run_whole(merge_blocks(tmp_path, directory.catalogue, blocks, 1))
    assert (directory.blocks(), own_files(tmp_path)) == (blocks, files)


def test_a_merge_that_came_too_late_is_given_up(tmp_path: Path) -> None:
    """Blocks that were replaced meanwhile are not replaced again."""
    directory = filled(tmp_path)
    old = directory.blocks()
    copies = [(block.path, (tmp_path / block.path).read_bytes()) for block in old]
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, old, 1))
    for path, data in copies:
        (tmp_path / path).write_bytes(data)
    with pytest.raises(Unavailable, match="replaced meanwhile"):
        run_whole(merge_blocks(tmp_path, directory.catalogue, old, 1))
    assert directory.blocks() == [merged]


def test_readers_meet_the_old_or_the_new_blocks(tmp_path: Path) -> None:
    """A stream that began goes on; an old snapshot raises FileGone, so that a new one is taken."""
    directory = filled(tmp_path)
    before, old = directory.export(), directory.snapshot()
    stream = stream_samples(old, None, *ALWAYS, 50)
    got = samples_of(next(stream))
    run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    assert got + [one for batch in stream for one in samples_of(batch)] == before
    with pytest.raises(FileGone):
        read_samples(old, None, *ALWAYS)
    assert samples_of(read_samples(directory.snapshot(), None, *ALWAYS)) == before


def test_small_pieces_fill_row_groups(tmp_path: Path) -> None:
    """Blocks of unlike density are merged into full row groups, not into one per piece."""
    directory = Directory(tmp_path)
    directory.seal([(series, ts_ms, 0) for series in range(0, 4_000, 40) for ts_ms in range(2_000)])
    directory.seal([(series, 5_000, 0) for series in range(4_000)])
    before = directory.export()
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    groups = pq.read_metadata(tmp_path / merged.path)
    assert min(groups.row_group(at).num_rows for at in range(groups.num_row_groups)) >= GROUP_ROWS_MERGED_MIN
    assert directory.export() == before
