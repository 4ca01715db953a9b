"""Tier blocks: windows are read back bit for bit, and only wanted ones are read."""

import math
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, Catalogue, TierRow
from nissa.files.checked_file import FileGone, FileSeal, file_crc
from nissa.files.file_facts import BlockFacts, read_facts
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.model.ladder import ALL, DEFAULT_TIERS, SCALARS, Tier, WindowBatch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.fold import fold_raw
from nissa.rollup.windows import join_windows
from nissa.store import tier_blocks
from nissa.store.block_file import block_row
from nissa.store.block_series import series_in
from nissa.store.blocks import choose_series
from nissa.store.tier_blocks import KEYS, NUMBERS, columns_kept, read_tier_block, write_windows
from nissa.store.verify import verify_directory

ALWAYS = (-(2**63), 2**63 - 1)
GOLDENS = Path(__file__).parents[1] / "goldens"
NARROW, WIDE = DEFAULT_TIERS[:2]


def some_windows(series_count: int, samples: int, seed: int = 7) -> list[WindowBatch]:
    """One minute and five minute windows of random walks, some with NaN and infinities."""
    rng = np.random.default_rng(seed)
    series = np.repeat(np.arange(series_count, dtype=np.uint32) * 3, samples)
    ts_ms = np.tile(np.arange(samples, dtype=np.int64) * 10_000, series_count)
    value = np.round(np.cumsum(rng.normal(size=len(series))), 2)
    value[rng.random(len(value)) < 0.01] = np.nan
    value[rng.random(len(value)) < 0.01] = np.inf
    return fold_raw([SampleBatch(series, ts_ms, value)], DEFAULT_TIERS)


def written(path: Path, tier: Tier, windows: WindowBatch, number: int = 1) -> BlockRow:
    """A block of these windows."""
    (path / "blocks").mkdir(exist_ok=True)
    block = run_whole(write_windows(path, number, tier, [windows], 5, 77))
    assert block is not None
    return block


def bits_of(windows: WindowBatch) -> list[tuple[object, ...]]:
    """Rows as tuples that compare bit for bit."""
    keys = [getattr(windows, name).tolist() for name in KEYS]
    numbers = [np.ascontiguousarray(getattr(windows, name)).view(np.uint64).tolist() for name in NUMBERS]
    sketch = windows.sketch
    texts = (
        [sketch.data[sketch.offsets[at] : sketch.offsets[at + 1]].tobytes() for at in range(len(sketch))]
        if sketch
        else []
    )
    return list(zip(*keys, *numbers, *([texts] if sketch else []), strict=True))


@pytest.mark.parametrize("place", [0, 1])
def test_windows_come_back_bit_for_bit(tmp_path: Path, place: int) -> None:
    """Every column of every row, through several row groups; the catalogue's row has rows and ranges."""
    windows = some_windows(500, 600)[place]
    tier = DEFAULT_TIERS[place]
    block = written(tmp_path, tier, windows)
    assert (block.kind, block.rows, block.last_lsn) == (tier.name, len(windows), 5)
    assert (block.min_ms, block.max_ms) == (windows.start_ms.min(), windows.start_ms.max())
    assert (block.series_min, block.series_max) == (0, 499 * 3)
    read = [row for batch in read_tier_block(tmp_path, block, None, *ALWAYS) for row in bits_of(batch)]
    assert read == bits_of(windows)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """Some series of a range; sketches only where they are wanted."""
    windows = some_windows(40, 600)[1]
    block = written(tmp_path, WIDE, windows)
    choice = choose_series(np.array([6, 7, 60, 9_999], np.uint32))
    span = (2 * WIDE.interval_ms, 7 * WIDE.interval_ms)
    (read,) = read_tier_block(tmp_path, block, choice, *span, sketches=False)
    assert read.sketch is None
    assert set(zip(read.series.tolist(), read.start_ms.tolist(), strict=True)) == {
        (series, start) for series in (6, 60) for start in range(*span, WIDE.interval_ms)
    }
    assert list(read_tier_block(tmp_path, block, choose_series(np.empty(0, np.uint32)), *span)) == []
    assert list(read_tier_block(tmp_path, block, choice, 10**12, 10**13)) == []


@pytest.mark.parametrize("tier", [WIDE, Tier(MINUTE_MS, 0, ("sum", "min"))])
def test_one_series_is_the_rows_of_it(tmp_path: Path, tier: Tier) -> None:
    """Reading a range of one series, cut out of its row group, gives exactly its rows of all rows."""
    windows = some_windows(150, 600)[1]
    block = written(tmp_path, tier, windows)
    everything = [row for batch in read_tier_block(tmp_path, block, None, *ALWAYS) for row in bits_of(batch)]
    rng = np.random.default_rng(5)
    for series in [*range(0, 460, 9), 1, 2**32 - 1]:
        start_ms, end_ms = (int(at) * 60_000 for at in rng.integers(-5, 110, 2))
        choice = choose_series(np.array([series], np.uint32))
        read = [row for batch in read_tier_block(tmp_path, block, choice, start_ms, end_ms) for row in bits_of(batch)]
        assert read == [row for row in everything if row[0] == series and start_ms <= row[1] < end_ms]


@pytest.mark.parametrize(("interval_ms", "least"), [(5 * MINUTE_MS, 2_048), (HOUR_MS, 1_024), (DAY_MS, 512)])
def test_row_groups_grow_with_their_block(tmp_path: Path, interval_ms: int, least: int) -> None:
    """A small block is read in small pieces, a large one has few of them; none is tiny. Wide windows are in smaller."""
    windows = some_windows(2 * least, 600)[1]
    block = written(tmp_path, msgspec.structs.replace(WIDE, interval_ms=interval_ms), windows)
    metadata = pq.read_metadata(tmp_path / block.path)
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert rows[:17] == [least] * 16 + [2 * least]
    assert sum(rows) == len(windows) == block.rows
    assert least <= rows[-1] < 2 * 4 * least


def test_keys_are_compressed_fast_and_numbers_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block whose columns are all under zstd, as they once were, is read alike."""
    windows = some_windows(50, 600)[1]
    block = written(tmp_path, WIDE, windows)
    group = pq.read_metadata(tmp_path / block.path).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert {one.path_in_schema for one in columns if one.compression == "LZ4"} == {*KEYS}
    assert {one.path_in_schema for one in columns if one.compression == "ZSTD"} == {*NUMBERS, "sketch"}
    monkeypatch.setattr(tier_blocks, "_compression", lambda *_: {"compression": "zstd", "compression_level": 1})
    before = written(tmp_path, WIDE, windows, 2)
    assert [
        [row for batch in read_tier_block(tmp_path, one, None, *ALWAYS) for row in bits_of(batch)]
        for one in (block, before)
    ] == [bits_of(windows)] * 2


def test_a_tier_keeps_the_columns_its_aggregates_need(tmp_path: Path) -> None:
    """Columns that are not kept read as NaN; an aggregate computed from several columns keeps all of them."""
    assert columns_kept(Tier(MINUTE_MS, MINUTE_MS, ())) == KEYS
    assert columns_kept(Tier(MINUTE_MS, MINUTE_MS, ("stddev",))) == (*KEYS, "sum", "min", "max", "m2", "carry")
    assert columns_kept(Tier(MINUTE_MS, MINUTE_MS, SCALARS)) == (*KEYS, *NUMBERS)
    assert columns_kept(Tier(MINUTE_MS, MINUTE_MS, ALL)) == (*KEYS, *NUMBERS, "sketch")
    windows = some_windows(3, 60)[0]
    block = written(tmp_path, Tier(MINUTE_MS, MINUTE_MS, ("sum",)), windows)
    (read,) = read_tier_block(tmp_path, block, None, *ALWAYS)
    assert np.array_equal(read.sum, windows.sum, equal_nan=True)
    assert np.isnan(read.min).all()


def test_nothing_makes_no_block(tmp_path: Path) -> None:
    """Without windows no file is made."""
    (tmp_path / "blocks").mkdir()
    assert run_whole(write_windows(tmp_path, 1, NARROW, [], 1, 1)) is None
    assert list((tmp_path / "blocks").iterdir()) == []


def test_a_block_given_up_leaves_nothing(tmp_path: Path) -> None:
    """An error between two batches deletes the file."""
    (tmp_path / "blocks").mkdir()
    windows = some_windows(3, 60)[0]

    def broken() -> object:
        yield windows
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        run_whole(write_windows(tmp_path, 1, NARROW, broken(), 1, 1))  # type: ignore[arg-type]
    assert list((tmp_path / "blocks").iterdir()) == []


def test_damage_is_told(tmp_path: Path) -> None:
    """A flipped bit, a missing file, and a file of something else."""
    windows = some_windows(30, 60)[1]
    block = written(tmp_path, WIDE, windows)
    path = tmp_path / block.path
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(Damaged, match="5m-"):
        list(read_tier_block(tmp_path, block, None, *ALWAYS))
    path.unlink()
    with pytest.raises(FileGone):
        list(read_tier_block(tmp_path, block, None, *ALWAYS))
    other = msgspec.structs.replace(block, path="../elsewhere")
    with pytest.raises(Damaged, match="no file name of Nissa"):
        list(read_tier_block(tmp_path, other, None, *ALWAYS))


def test_verifying_reads_them_too(tmp_path: Path) -> None:
    """A sound block is sound; one whose row in the catalogue says otherwise is not."""
    catalogue = Catalogue.open(tmp_path)
    windows = some_windows(30, 60)[1]
    block = written(tmp_path, WIDE, windows, catalogue.new_id())
    catalogue.commit_tiers([TierRow(WIDE)], added=[block])
    assert verify_directory(tmp_path).sound
    wrong = msgspec.structs.replace(block, series_max=block.series_max + 1)
    catalogue.commit_tiers([TierRow(WIDE)], added=[wrong], gone=[block])
    (report,) = verify_directory(tmp_path).files
    assert "the catalogue says" in report.damage


def test_the_catalogue_keeps_the_ladder(tmp_path: Path) -> None:
    """Rows and blocks change together; a tier that is not in use any more is remembered apart."""
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.tiers() == []
    catalogue.commit_tiers([TierRow(tier) for tier in DEFAULT_TIERS])
    assert [row.tier for row in catalogue.tiers()] == list(DEFAULT_TIERS)
    assert {(row.written_until_ms, row.lsn) for row in catalogue.tiers()} == {(NEVER_MS, 0)}
    block = written(tmp_path, NARROW, some_windows(3, 60)[0], catalogue.new_id())
    rows = [TierRow(NARROW, 3_600_000, 9), TierRow(DEFAULT_TIERS[2])]
    catalogue.commit_tiers(rows, added=[block])
    assert catalogue.tiers() == rows
    assert [row.tier.name for row in catalogue.tiers(unused=True)] == ["1d", "5m"]
    assert catalogue.blocks("1m") == [block]
    catalogue.commit_tiers(rows, gone=[block])
    assert catalogue.blocks() == []


def placed(path: Path, source: Path) -> BlockRow:
    """A golden block, copied where its facts say that it belongs."""
    size, crc = file_crc(source)
    facts = read_facts(source)
    assert isinstance(facts, BlockFacts)
    row = block_row(facts, FileSeal(size, crc, crc.to_bytes(4, "little")))  # of one page
    (path / "blocks").mkdir(exist_ok=True)
    shutil.copy(source, path / row.path)
    return row


def test_a_block_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A frozen one: sums of numbers that cancel, that overflow and that repeat, beside what they lack."""
    block = placed(tmp_path, GOLDENS / "windows-5m.parquet")
    (windows,) = read_tier_block(tmp_path, block, None, *ALWAYS)
    assert windows.series.tolist() == series_in(tmp_path, block)[[0, 0, 1, 2, 2]].tolist() == [0, 0, 2, 9, 9]
    assert windows.count.tolist() == [3, 1, 2, 10, 2]
    assert windows.sum.tolist() == [1e16 + 2, -1e16, math.inf, 1.0, 4.0]
    assert windows.carry.tolist() == [-0.5, 0.0, 1.7e308 * 2.0**-31, 5.551115123125783e-17, 0.0]


def test_blocks_of_earlier_builds_have_no_carry(tmp_path: Path) -> None:
    """A missing carry reads as NaN, and stays NaN if the row is written again beside newer ones."""
    shutil.copytree(GOLDENS / "directory-3", tmp_path, dirs_exist_ok=True)
    catalogue = Catalogue.open(tmp_path)
    (block,) = catalogue.blocks("1m")
    (old,) = read_tier_block(tmp_path, block, None, *ALWAYS)
    assert np.isnan(old.carry).all()
    assert np.isfinite(old.sum).all()
    fresh = fold_raw([SampleBatch(np.array([7_000], np.uint32), np.zeros(1, np.int64), np.ones(1))], DEFAULT_TIERS)[0]
    again = written(tmp_path, NARROW, join_windows([old, fresh]), catalogue.new_id())
    (read,) = read_tier_block(tmp_path, again, None, *ALWAYS)
    assert np.isnan(read.carry).tolist() == [True] * len(old) + [False]
    assert bits_of(read)[: len(old)] == bits_of(old)
