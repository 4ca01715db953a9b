"""Folding while merging: the windows are those of all samples, and what is kept is what the merged blocks held."""

import random
from pathlib import Path

import numpy as np
import pytest
from rollup.walks import image, rows_between

from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup import merging
from nissa.rollup.fold import fold_raw
from nissa.rollup.merging import BLOCKS_MIN, fold_merging, plan_span_merge
from nissa.rollup.windows import join_windows
from nissa.store import read
from nissa.store.catalogue import BlockRow
from nissa.store.names import block_path
from nissa.store.read import Snapshot, read_samples
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
    """The ids of what is to be merged."""
    return [one.id for one in plan_span_merge(blocks, *SPAN)]


def test_what_belongs_to_the_span_is_merged() -> None:
    """Not what goes on behind it, reaches far back, or holds windows; and only where it is worth it."""
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


def folded(directory: Directory, kept: list[SampleBatch]) -> list[WindowBatch]:
    """Both tiers of the hour, folded while merging."""
    blocks = directory.blocks()
    merged = plan_span_merge(blocks, *SPAN)
    assert BLOCKS_MIN <= len(merged) < len(blocks)
    steps = list(fold_merging(directory.path, blocks, merged, TIERS, SPAN, kept.append))
    return [join_windows(parts) for parts in zip(*steps, strict=True)]


def check(directory: Directory) -> None:
    """Windows and kept rows as they are without a merge."""
    kept: list[SampleBatch] = []
    windows = folded(directory, kept)
    expected = fold_raw([rows_between(read_samples(directory.snapshot(), None, *ALWAYS), *SPAN)], TIERS)
    assert [image(one) for one in windows] == [image(one) for one in expected]
    merged = plan_span_merge(directory.blocks(), *SPAN)
    wanted = read_samples(Snapshot(directory.path, merged), None, *ALWAYS)
    for name in ("series", "ts_ms", "value"):
        got = np.concatenate([getattr(batch, name) for batch in kept])
        assert got.tobytes() == getattr(wanted, name).tobytes()


@pytest.mark.parametrize("seed", range(6))
def test_windows_and_rows_are_those_without_a_merge(tmp_path: Path, seed: int) -> None:
    """Overlapping blocks, samples that stand in several, series that go on from step to step."""
    check(filled(tmp_path, seed))


def test_series_longer_than_memory_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series that is handed out in pieces is cut between windows."""
    monkeypatch.setattr(read, "RUN_ROWS_MAX", 16)
    monkeypatch.setattr("nissa.store.blocks.GROUP_ROWS", 8)
    check(filled(tmp_path, 7))


def test_damage_ends_it(tmp_path: Path) -> None:
    """Whatever is damaged is raised: a merge must leave nothing out."""
    directory = filled(tmp_path, 8)
    path = tmp_path / plan_span_merge(directory.blocks(), *SPAN)[1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged):
        folded(directory, [])
