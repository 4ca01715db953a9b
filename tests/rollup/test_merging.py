"""Folding while merging: the windows are those of all samples, and the rows kept are those of the merged blocks."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rollup.walks import image, rows_between

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import block_path
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup import merging
from nissa.rollup.fold import fold_raw
from nissa.rollup.merging import BLOCKS_MIN, MergeWriter, fold_merging, plan_span_merge
from nissa.rollup.windows import join_windows
from nissa.store import read
from nissa.store.blocks import read_block
from nissa.store.read import Snapshot, read_samples
from nissa.store.tombstones import Purge, Tombstone
from oracle.columns import STALE_BITS, Sample
from oracle.directory import ALWAYS, Directory

TIERS = DEFAULT_TIERS[:2]
START_MS = 500_000 * HOUR_MS
SPAN = (START_MS, START_MS + HOUR_MS)


def block(number: int, first_minute: int, last_minute: int, rows: int = 100, kind: str = "raw") -> BlockRow:
    """A block of that stretch of the hour."""
    first_ms, last_ms = START_MS + first_minute * MINUTE_MS, START_MS + last_minute * MINUTE_MS
    return BlockRow(number, kind, 0, block_path(kind, number), rows, first_ms, last_ms, 0, 0, 1, 1, 1, 1, 1, b"")


def planned(*blocks: BlockRow) -> list[int]:
    """Ids of the blocks to merge."""
    return [one.id for one in plan_span_merge(blocks, *SPAN)]


def test_what_belongs_to_the_span_is_merged() -> None:
    """Blocks that reach far out of the span, or hold windows, are not merged; and only if it is worth it."""
    inside = [block(number, 15 * number, 15 * number + 14) for number in range(4)]
    assert planned(*reversed(inside)) == [0, 1, 2, 3]
    others = [block(7, 50, 60), block(8, -16, 3), block(9, -60, -1), block(10, 0, 9, kind="1m")]
    assert planned(*inside, *others, block(11, -15, 3)) == [0, 1, 2, 3, 11]
    assert planned(*inside[: BLOCKS_MIN - 1]) == []
    assert planned(*inside[1:], block(12, 0, 14, rows=301)) == []
    assert planned(*inside[1:], block(12, 0, 14, rows=300)) == [1, 2, 3, 12]
    assert planned(*(block(number, 0, 1, rows=merging.ROWS_MAX // 4 + 1) for number in range(4))) == []


def some_samples(chance: random.Random, first_minute: int, last_minute: int, count: int) -> list[Sample]:
    """Samples of a stretch, some of them twice, some NaN, some stale."""
    return [
        (
            chance.randrange(6),
            START_MS + chance.randrange(first_minute * 60, last_minute * 60) * 1_000,
            chance.choice([int(np.float64(chance.gauss(50, 20)).view(np.uint64)), STALE_BITS, 0x7FF8000000000000]),
        )
        for _ in range(count)
    ]


def filled(path: Path, seed: int) -> Directory:
    """Blocks of an hour, late samples among them, and of what lies about it."""
    chance = random.Random(seed)
    directory = Directory(path)
    for minute in range(-10, 75, 10):
        directory.seal(some_samples(chance, max(minute - 12, -12), minute + 10, 400))
    return directory


def folded(directory: Directory, kept: list[SampleBatch], purge: Purge | None = None) -> list[WindowBatch]:
    """Both tiers of the hour, folded while merging."""
    blocks = directory.blocks()
    merged = plan_span_merge(blocks, *SPAN)
    assert BLOCKS_MIN <= len(merged) < len(blocks)
    steps = list(fold_merging(directory.path, blocks, merged, TIERS, SPAN, kept.append, purge))
    return [join_windows(parts) for parts in zip(*steps, strict=True)]


def check(directory: Directory, *tombstones: Tombstone) -> None:
    """Check that windows and kept rows equal those without a merge, less deleted rows."""
    kept: list[SampleBatch] = []
    purge = Purge(tombstones)
    windows = folded(directory, kept, purge)
    snapshot = msgspec.structs.replace(directory.snapshot(), tombstones=tombstones)
    expected = fold_raw([rows_between(read_samples(snapshot, None, *ALWAYS), *SPAN)], TIERS)
    assert [image(one) for one in windows] == [image(one) for one in expected]
    merged = plan_span_merge(directory.blocks(), *SPAN)
    wanted = read_samples(Snapshot(directory.path, merged, tombstones=tombstones), None, *ALWAYS)
    for name in ("series", "ts_ms", "value"):
        got = np.concatenate([getattr(batch, name) for batch in kept])
        assert got.tobytes() == getattr(wanted, name).tobytes()
    rows = [rows for one in merged for rows in read_block(directory.path, one, None, *ALWAYS)]
    without = [rows for one in merged for rows in purge.samples(one, read_block(directory.path, one, None, *ALWAYS))]
    assert 2 * (sum(map(len, rows)) - sum(map(len, without))) == purge.rows


@pytest.mark.parametrize("seed", range(6))
def test_windows_and_rows_are_those_without_a_merge(tmp_path: Path, seed: int) -> None:
    """Overlapping blocks, samples that stand in several, series that go on from step to step."""
    check(filled(tmp_path, seed))


@pytest.mark.parametrize("seed", range(3))
def test_deleted_rows_are_neither_folded_nor_kept(tmp_path: Path, seed: int) -> None:
    """Deleted rows of merged blocks and of those beside them are left out; rows of later frames stay."""
    directory, series = filled(tmp_path, seed), np.array([1, 4], np.uint32)
    middle_ms = START_MS + 25 * MINUTE_MS
    for lsn in (directory.lsn, directory.lsn - 4):
        check(directory, Tombstone(1, ALWAYS[0], middle_ms, lsn, 0, series), Tombstone(2, *ALWAYS, 3, 0, series[:1]))


def test_a_merge_that_leaves_no_row_leaves_no_block(tmp_path: Path) -> None:
    """If all rows were deleted, no block takes the place of the merged ones."""
    directory = filled(tmp_path, 1)
    merged = plan_span_merge(directory.blocks(), *SPAN)
    writer = MergeWriter(tmp_path, 99, merged, 1)
    purge = Purge([Tombstone(1, *ALWAYS, directory.lsn, 0, np.arange(6, dtype=np.uint32))])
    assert list(fold_merging(tmp_path, merged, merged, TIERS, SPAN, writer.write, purge)) == []
    assert writer.finish() is None
    assert [path.name for path in (tmp_path / "blocks").iterdir() if "99" in path.name] == []


def test_series_longer_than_memory_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series that is handed out in pieces is cut between windows."""
    monkeypatch.setattr(read, "RUN_ROWS_MAX", 16)
    monkeypatch.setattr("nissa.store.blocks.GROUP_ROWS", 8)
    check(filled(tmp_path, 7))


def test_damage_ends_it(tmp_path: Path) -> None:
    """Damage is raised, as a merge must leave nothing out."""
    directory = filled(tmp_path, 8)
    path = tmp_path / plan_span_merge(directory.blocks(), *SPAN)[1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged):
        folded(directory, [])
