"""Blocks of late windows merged into those of their time: the same windows, in as many blocks as there need be."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nissa.catalogue.catalogue import BlockRow, Catalogue, TierRow
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.compaction import plan_merges, plan_neighbours, wide_ms, write_merged
from nissa.rollup.merge import merge_windows
from nissa.store.tier_blocks import read_tier_block, write_windows
from oracle.slices import end_after

TIER = DEFAULT_TIERS[0]
ALWAYS = (-(2**63), 2**63 - 1)


def windows_of(rows: list[tuple[int, int]], value: float | npt.NDArray[np.float64]) -> WindowBatch:
    """Windows at (series, start), every number of one the same."""
    series, starts = (np.array(column) for column in zip(*sorted(rows), strict=True))
    count = np.ones(len(rows), np.uint32)
    numbers = [np.full(len(rows), value, np.float64)] * 8
    return WindowBatch(series.astype(np.uint32), starts.astype(np.int64), count, count * 0, *numbers)


def written(path: Path, catalogue: Catalogue) -> list[BlockRow]:
    """Three hours of two series, and twelve blocks of late windows over two of them."""
    rng = np.random.default_rng(3)
    blocks = []
    every = [(series, minute * MINUTE_MS) for series in (1, 2) for minute in range(180)]
    for hour in range(3):
        rows = [row for row in every if row[1] // HOUR_MS == hour]
        blocks.append(run_whole(write_windows(path, catalogue.new_id(), TIER, [windows_of(rows, hour)], 1, 1)))
    for late in range(12):
        rows = [every[at] for at in set(rng.integers(0, 100, 20).tolist())] + [(1, 99 * MINUTE_MS)]
        blocks.append(
            run_whole(
                write_windows(path, catalogue.new_id(), TIER, [windows_of(list(set(rows)), 10 + late)], 2 + late, 1)
            )
        )
    return [block for block in blocks if block]


def read(path: Path, blocks: list[BlockRow]) -> list[tuple[int, int, float]]:
    """Rows as readers see them."""
    runs = [read_tier_block(path, block, None, *ALWAYS) for block in sorted(blocks, key=lambda one: one.id)]
    return [
        row
        for batch in merge_windows(runs)
        for row in zip(batch.series.tolist(), batch.start_ms.tolist(), batch.sum.tolist(), strict=True)
    ]


def test_merged_blocks_say_the_same(tmp_path: Path) -> None:
    """The two hours that overlap become two blocks, the third stays what it is."""
    catalogue = Catalogue.open(tmp_path)
    blocks = written(tmp_path, catalogue)
    before = read(tmp_path, blocks)
    (heap,) = plan_merges(blocks, HOUR_MS)
    assert len(heap.blocks) == 14
    assert heap.starts_ms == (0, HOUR_MS)
    added = run_whole(write_merged(tmp_path, catalogue, TIER, heap, 1))
    assert [(block.min_ms // HOUR_MS, block.max_ms // HOUR_MS) for block in added] == [(0, 0), (1, 1)]
    assert {block.last_lsn for block in added} == {13}
    rest = [block for block in blocks if block not in heap.blocks]
    assert len(rest) == 1
    assert read(tmp_path, [*rest, *added]) == before
    assert plan_merges([*rest, *added], HOUR_MS) == []
    catalogue.commit_tiers([TierRow(TIER)], added)


def test_few_are_left_alone_and_long_ones_are_cut_wider(tmp_path: Path) -> None:
    """Blocks side by side are no heap; a heap of a year becomes at most 24 blocks."""
    catalogue = Catalogue.open(tmp_path)
    blocks = written(tmp_path, catalogue)
    assert plan_merges(blocks[:10], HOUR_MS) == []
    year = [
        run_whole(
            write_windows(tmp_path, catalogue.new_id(), TIER, [windows_of([(1, 0), (1, 9_000 * HOUR_MS)], 1)], 1, 1)
        )
    ]
    (heap,) = plan_merges([block for block in year * 40 if block], HOUR_MS)
    assert len(heap.starts_ms) <= 24
    assert heap.length_ms % HOUR_MS == 0


def test_neighbours_are_merged_once_their_stretch_is_written(tmp_path: Path) -> None:
    """One block for each four hours behind which all is written; later ones, and those merged before, stay."""
    catalogue = Catalogue.open(tmp_path)
    rows = [[(series, hour * HOUR_MS) for series in (1, 2)] for hour in range(11)]
    made = [
        run_whole(write_windows(tmp_path, catalogue.new_id(), TIER, [windows_of(one, at)], 1, 1))
        for at, one in enumerate(rows)
    ]
    blocks = [block for block in made if block]
    before = read(tmp_path, blocks)
    heaps = plan_neighbours(blocks, HOUR_MS, 4 * HOUR_MS, 11 * HOUR_MS)
    assert [(heap.starts_ms, len(heap.blocks)) for heap in heaps] == [((0,), 4), ((4 * HOUR_MS,), 4)]
    for heap in heaps:
        added = run_whole(write_merged(tmp_path, catalogue, TIER, heap, 1))
        assert len(added) == 1
        blocks = [block for block in blocks if block not in heap.blocks] + added
    assert read(tmp_path, blocks) == before
    assert plan_neighbours(blocks, HOUR_MS, 4 * HOUR_MS, 11 * HOUR_MS) == []


def test_merged_blocks_stay_short_beside_their_retention() -> None:
    """A block goes when its last window is over: none spans more than an eighth of the retention."""
    hourly, daily = DEFAULT_TIERS[2:]
    assert wide_ms(hourly.retention_ms, 6 * HOUR_MS) == 2 * DAY_MS
    assert wide_ms(daily.retention_ms, 8 * DAY_MS) == 32 * DAY_MS
    assert wide_ms(daily.retention_ms, 100 * DAY_MS) == 100 * DAY_MS


def test_an_end_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """Ended between two slices, it leaves no file."""
    catalogue = Catalogue.open(tmp_path)
    blocks = written(tmp_path, catalogue)
    there = sorted(path.name for path in (tmp_path / "blocks").iterdir())
    (heap,) = plan_merges(blocks, HOUR_MS)
    end_after(write_merged(tmp_path, catalogue, TIER, heap, 1), 2)
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == there
