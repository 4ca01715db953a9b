"""Expected rows: by the footers of blocks, about what a reading finds."""

from pathlib import Path

import msgspec
import numpy as np

from nissa.model.columns import SampleBatch
from nissa.store.blocks import BlockWriter
from nissa.store.expected import expected_rows
from nissa.store.read import Snapshot, read_samples


def filled(directory: Path) -> Snapshot:
    """Two blocks of an hour: 40 series of 360 rows each, ids 100 to 139, and a series of 7,200 rows, id 500."""
    (directory / "blocks").mkdir()
    blocks = []
    for number in range(2):
        times = np.arange(360, dtype=np.int64) * 10_000 + number * 3_600_000
        many = np.arange(7_200, dtype=np.int64) * 500 + number * 3_600_000
        ids = np.repeat(np.arange(100, 140, dtype=np.uint32), 360)
        writer = BlockWriter(directory, number + 1, level=0, created_ms=1)
        writer.write(SampleBatch(ids, np.tile(times, 40), np.ones(len(ids))))
        writer.write(SampleBatch(np.full(7_200, 500, np.uint32), many, np.ones(7_200)))
        blocks.append(writer.finish(1, 1))
    return Snapshot(directory, tuple(blocks))


def test_rows_are_expected_where_they_are_found(tmp_path: Path) -> None:
    """Series by series, for ranges within and across blocks; none for series and times without rows."""
    snapshot = filled(tmp_path)
    ids = np.array([3, 100, 120, 139, 141, 500, 900], np.uint32)
    for start_ms, end_ms in [(0, 7_200_000), (1_800_000, 5_400_000), (0, 60_000), (10**9, 10**10)]:
        found = read_samples(snapshot, ids, start_ms, end_ms)
        counts = np.array([np.count_nonzero(found.series == one) for one in ids])
        assert np.allclose(expected_rows(snapshot, ids, start_ms, end_ms), counts, rtol=0.02, atol=1.0)


def test_blocks_that_cannot_be_read_count_nothing(tmp_path: Path) -> None:
    """The reading that follows reports them."""
    snapshot = filled(tmp_path)
    gone = msgspec.structs.replace(snapshot.blocks[0], path="blocks/gone.parquet")
    some = expected_rows(Snapshot(tmp_path, (gone, snapshot.blocks[1])), np.array([100], np.uint32), 0, 7_200_000)
    assert np.allclose(some, [360.0], rtol=0.02)


def test_few_rows_are_spread_evenly(tmp_path: Path) -> None:
    """Up to ``few`` rows are spread evenly, and are no fewer than are read; more are estimated for each series."""
    snapshot = filled(tmp_path)
    ids = np.array([100, 120, 500], np.uint32)
    found = read_samples(snapshot, ids, 0, 7_200_000)
    some = expected_rows(snapshot, ids, 0, 7_200_000, 10**9)
    assert np.allclose(some, some[0])
    assert len(found) <= some.sum() <= sum(block.rows for block in snapshot.blocks)
    each = expected_rows(snapshot, ids, 0, 7_200_000, some.sum() - 1)
    assert np.allclose(each, expected_rows(snapshot, ids, 0, 7_200_000))
    assert each[2] > 10 * each[0]
