"""Blocks in bands: rows of a metric lie together in the file, and readers get the rows that a block by series has."""

import random
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.slices import run_whole
from nissa.store import bands, blocks
from nissa.store.bands import Band, RowOrder, decode_order, in_series_order
from nissa.store.block_rows import rows_fault
from nissa.store.block_series import series_in
from nissa.store.blocks import BlockWriter, OpenBlock, choose_series, read_block
from nissa.store.compaction import merge_blocks
from nissa.store.expected import expected_rows
from nissa.store.read import read_samples, stream_samples
from nissa.store.row_groups import RowGroupCache
from nissa.store.salvage import save_sound_rows
from nissa.store.tombstones import Tombstone
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, Directory, batch_of, samples_of

SERIES = 23
KEYS = np.array([7, 900, 7, 0, 2**32 - 1], np.uint32)  # of the metrics of series 0, 1, 2, 3, 4, 0, …


def keys_of(series: SeriesColumn) -> np.ndarray:
    """Metrics come in turn; two of them have one key."""
    return KEYS[series % 5]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands and row groups of a few rows."""
    monkeypatch.setattr(bands, "BAND_ROWS", 60)
    for name in ("GROUP_ROWS", "GROUP_ROWS_BANDED", "GROUP_ROWS_MERGED_MIN"):
        monkeypatch.setattr(blocks, name, 8)


def some_samples(chance: random.Random, rows: int = 300) -> list[Sample]:
    """Samples of some series; now and then most of them of one, which then goes on from band to band."""
    often = chance.choice([None, None, chance.randrange(SERIES)])
    found = []
    for _ in range(rows):
        series = often if often is not None and chance.random() < 0.8 else chance.randrange(SERIES)
        found.append((series, chance.randrange(400), chance.choice([0x3FF << 52, 0x7FF8000000000ABC, 1])))
    return found


def file_rows(directory: Path, path: str) -> list[tuple[int, int]]:
    """Series and time of all rows, as any reader of Parquet gets them."""
    table = pq.read_table(directory / path)
    return list(zip(table["series"].to_pylist(), table["ts_ms"].to_pylist(), strict=True))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_readers_get_what_the_twin_says(tmp_path: Path, seed: int) -> None:
    """Blocks in bands and blocks by series, a head beside them, before and after merges, with and without a cache."""
    chance = random.Random(seed)
    directory = Directory(tmp_path)
    written = []
    for _ in range(4):
        directory.keys_of = chance.choice([None, keys_of])
        written += (samples := some_samples(chance))
        directory.seal(samples)
    head = some_samples(chance, 50)
    everything = resolve(written + head)[0]
    for merged in (False, True):
        if merged:
            one = run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks()[:3], 1))
            assert one is not None
        for block in directory.blocks():
            assert rows_fault(tmp_path, block) == ""
        cache = chance.choice([None, RowGroupCache(3_000), RowGroupCache(1 << 20)])
        snapshot = msgspec.structs.replace(directory.snapshot([head]), row_groups=cache)
        for _ in range(12):
            ids = chance.choice([None, [chance.randrange(SERIES)], chance.sample(range(SERIES + 3), 9)])
            start_ms, end_ms = chance.randint(-2, 400), chance.randint(0, 402)
            asked = None if ids is None else np.array(ids, np.uint32)
            expected = select(everything, set(range(SERIES)) if ids is None else set(ids), start_ms, end_ms)
            assert samples_of(read_samples(snapshot, asked, start_ms, end_ms)) == expected
            streamed = stream_samples(snapshot, asked, start_ms, end_ms, chance.choice([1, 10, 10_000]))
            assert [sample for batch in streamed for sample in samples_of(batch)] == expected


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_a_metric_lie_together(tmp_path: Path, seed: int) -> None:
    """By metric, series and time within a band; bands follow one another in order of series, and hold whole ones."""
    directory = Directory(tmp_path, keys_of)
    chance = random.Random(seed)
    samples = [(series, at, 0) for series in range(SERIES) for at in range(chance.randrange(1, 25))]
    block = directory.seal(samples).blocks[0]
    opened = OpenBlock(tmp_path, block)
    order = opened.order
    assert order is not None
    groups = [pq.ParquetFile(tmp_path / block.path).read_row_group(at) for at in range(len(order.band))]
    rows = file_rows(tmp_path, block.path)
    by_band: dict[int, list[tuple[int, int]]] = {}
    for band, group in zip(order.band.tolist(), groups, strict=True):
        by_band.setdefault(band, []).extend(zip(group["series"].to_pylist(), group["ts_ms"].to_pylist(), strict=True))
    assert len(by_band) > 1
    assert [row for band in by_band.values() for row in band] == rows
    ordered = [row for band in by_band.values() for row in sorted(band, key=lambda row: (KEYS[row[0] % 5], row))]
    assert ordered == rows
    assert [row for band in by_band.values() for row in sorted(band)] == [(one, at) for one, at, _ in samples]
    opened.close()


def test_one_metric_reads_its_own_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of other metrics with neighbouring series ids are skipped."""
    monkeypatch.setattr(blocks, "GROUP_ROWS_BANDED", 500)
    samples = [(series, at, 0) for series in range(1_000) for at in range(10)]
    directory = Directory(tmp_path, lambda ids: ids % np.uint32(20))
    opened = OpenBlock(tmp_path, directory.seal(samples).blocks[0])
    assert len(opened.groups(None, *ALWAYS)) == 20
    wanted = choose_series(np.arange(7, 1_000, 20, dtype=np.uint32))
    assert opened.groups(wanted, *ALWAYS).tolist() == [7]
    assert opened.groups(choose_series(np.array([1_000], np.uint32)), *ALWAYS).tolist() == []
    opened.close()


@pytest.mark.usefixtures("small")
def test_keys_go_from_block_to_block(tmp_path: Path) -> None:
    """A merge takes them from its sources; series of blocks sorted by series have none, and are no less there."""
    directory = Directory(tmp_path, keys_of)
    directory.seal([(series, at, 0) for series in range(10) for at in range(9)])
    directory.keys_of = None
    directory.seal([(series, at, 0) for series in (3, 12) for at in range(9, 20)])
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    assert merged is not None
    opened = OpenBlock(tmp_path, merged)
    assert opened.order is not None
    keys = dict(zip(opened.order.series.tolist(), opened.order.keys.tolist(), strict=True))
    assert keys == {series: int(KEYS[series % 5]) for series in range(10)} | {12: 0}
    assert series_in(tmp_path, merged).tolist() == [*range(10), 12]
    opened.close()


@pytest.mark.usefixtures("small")
def test_late_rows_are_found_in_bands(tmp_path: Path) -> None:
    """Samples that come again are duplicates, those with another value conflicts."""
    directory = Directory(tmp_path, keys_of)
    samples = [(series, at, 0) for series in range(SERIES) for at in range(9)]
    directory.seal(samples)
    again = directory.seal([(series, at, bits) for series, at, _ in samples for bits in ((0,) if at % 2 else (1,))])
    assert len(again.duplicates) == len(samples)
    assert int(again.conflicts.sum()) == sum(at % 2 == 0 for _, at, _ in samples)
    assert directory.export() == [(series, at, at % 2 ^ 1) for series, at, _ in samples]


@pytest.mark.usefixtures("small")
def test_deleted_rows_are_left_out(tmp_path: Path) -> None:
    """Deleted rows are left out for series of any metric."""
    directory = Directory(tmp_path, keys_of)
    samples = [(series, at, 0) for series in range(SERIES) for at in range(9)]
    directory.seal(samples)
    gone = Tombstone(1, 2, 6, 1, 1, np.array([1, 5, 6, 20], np.uint32))
    snapshot = msgspec.structs.replace(directory.snapshot(), tombstones=(gone,))
    left = [one for one in samples if not (one[0] in (1, 5, 6, 20) and 2 <= one[1] < 6)]
    assert [one for batch in stream_samples(snapshot, None, *ALWAYS, 1_000) for one in samples_of(batch)] == left


@pytest.mark.usefixtures("small")
def test_damage_costs_its_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are read and saved, in bands again."""
    directory = Directory(tmp_path, keys_of)
    samples = [(series, at, 0) for series in range(SERIES) for at in range(9)]
    block = directory.seal(samples).blocks[0]
    read = OpenBlock._columns

    def broken(opened: OpenBlock, group: int) -> object:
        if group == 2 and opened.block.id == block.id:
            raise Damaged(opened.block.path, "hit")
        return read(opened, group)

    monkeypatch.setattr(OpenBlock, "_columns", broken)
    opened = OpenBlock(tmp_path, block)
    lost = {tuple(row) for row in file_rows(tmp_path, block.path)[16:24]}
    told: list[Damaged] = []
    batches = stream_samples(directory.snapshot(), None, *ALWAYS, 1_000, told.append)
    left = [one for one in samples if one[:2] not in lost]
    assert [one for batch in batches for one in samples_of(batch)] == left
    assert len(told) == 1
    saved = run_whole(save_sound_rows(tmp_path, directory.catalogue, block))
    assert saved is not None
    assert rows_fault(tmp_path, saved) == ""
    assert saved.rows == len(left)
    again = OpenBlock(tmp_path, saved)
    assert again.order is not None
    for one in (opened, again):
        one.close()


def test_rows_elsewhere_than_the_footer_says_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of some series would miss them."""
    directory = Directory(tmp_path, keys_of)
    block = directory.seal([(series, at, 0) for series in range(SERIES) for at in range(9)]).blocks[0]
    in_file = RowOrder.in_file
    monkeypatch.setattr(RowOrder, "in_file", lambda order: in_file(order)[::-1])
    assert rows_fault(tmp_path, block) == "row group 0 has other series than the footer says"


def test_expected_rows_are_those_of_the_metric(tmp_path: Path) -> None:
    """Series by series, though the row groups of a metric lie between others."""
    directory = Directory(tmp_path, keys_of)
    directory.seal([(series, at, 0) for series in range(SERIES) for at in range(100)])
    ids = np.array([0, 4, 22, 30], np.uint32)
    assert expected_rows(directory.snapshot(), ids, 0, 100).tolist() == [100.0, 100.0, 100.0, 0.0]
    assert expected_rows(directory.snapshot(), ids[:0], 0, 100).tolist() == []


@pytest.mark.parametrize(
    "change",
    [
        {"bands": []},
        {"bands": [(0, 5)]},
        {"bands": [(3, 2)]},
        {"bands": [(-1, 2)]},
        {"groups": [(1, 0, 0)]},
        {"groups": [(0, 0, 9)]},
        {"groups": [(0, -1, 0)]},
        {"metrics": "?"},
        {"keys": ""},
    ],
)
def test_footers_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    """Bands and row groups of series that are not there; text that is none."""
    series = np.arange(3, dtype=np.uint32)
    collector = bands.BandCollector()
    collector.add_band(Band([batch_of([(one, 1, 0) for one in range(3)])], keys_of))
    collector.add_group(0, 2)
    sound = collector.finish()
    assert decode_order(series, sound).in_file().tolist() == [0, 2, 1]
    with pytest.raises(ValueError):
        decode_order(series, msgspec.json.encode(msgspec.json.decode(sound) | change))


def test_damaged_orders_are_damage_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening the block reports the damage."""
    monkeypatch.setattr(bands.BandCollector, "finish", lambda _: b"{}")
    block = Directory(tmp_path, keys_of).seal([(1, 2, 0)]).blocks[0]
    with pytest.raises(Damaged, match=r"nissa\.metrics of the footer"):
        OpenBlock(tmp_path, block)


@pytest.mark.usefixtures("small")
def test_a_block_given_up_leaves_no_file(tmp_path: Path) -> None:
    """Rows that wait for their band go with it."""
    (tmp_path / "blocks").mkdir()
    writer = BlockWriter(tmp_path, 1, level=0, created_ms=1, keys_of=keys_of)
    writer.write(batch_of([(1, 2, 0), (2, 2, 0)]))
    assert writer.rows == 2
    writer.discard()
    assert list((tmp_path / "blocks").iterdir()) == []


@pytest.mark.usefixtures("small")
def test_row_groups_are_each_sorted(tmp_path: Path) -> None:
    """Each row group is sorted, for comparison with one row group after the other."""
    directory = Directory(tmp_path, keys_of)
    samples = [(series, at, 0) for series in range(SERIES) for at in range(9)]
    block = directory.seal(samples).blocks[0]
    batches = [samples_of(batch) for batch in read_block(tmp_path, block, None, *ALWAYS)]
    assert all(batch == sorted(batch) for batch in batches)
    assert sorted(one for batch in batches for one in batch) == samples


def test_batches_in_order_are_not_copied() -> None:
    """Batches with one metric, or rows of one series, are returned as they are."""
    parts = [batch_of([(1, 1, 0), (2, 1, 0)]), SampleBatch(*(np.empty(0, kind) for kind in ("u4", "i8", "f8")))]
    assert next(in_series_order(parts)) is parts[0]
    assert len(list(in_series_order(parts))) == 1


GOLDEN = Path(__file__).parents[1] / "goldens" / "directory-8"
FROZEN = [(series, at * 10, (0x3FF << 52) + series) for series in range(SERIES) for at in range(series % 4 + 9)]


def write_golden(path: Path) -> None:
    """Write the golden directory, with the constants of ``small``. Not run by tests: the directory is committed."""
    directory = Directory(path)
    directory.seal([one for one in FROZEN if one[1] >= 60])  # as builds before bands wrote it
    directory.keys_of = keys_of
    directory.seal([one for one in FROZEN if one[1] < 60])
    directory.catalogue.close()


@pytest.mark.usefixtures("small")
def test_a_directory_of_this_format_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Format 8, frozen: a block by series, and one in bands; a merge makes one in bands of them."""
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    directory = Directory(tmp_path)
    by_series, in_bands = directory.blocks()
    assert [rows_fault(tmp_path, block) for block in (by_series, in_bands)] == ["", ""]
    assert directory.export() == FROZEN
    rows = file_rows(tmp_path, in_bands.path)
    assert rows[:12] == [(3, at * 10) for at in range(6)] + [(8, at * 10) for at in range(6)]
    assert file_rows(tmp_path, by_series.path) == [(one, at) for one, at, _ in FROZEN if at >= 60]
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    assert merged is not None
    assert directory.export() == FROZEN
    assert file_rows(tmp_path, merged.path) != [(one, at) for one, at, _ in FROZEN]


def test_a_directory_of_the_format_before_is_merged_with_bands(tmp_path: Path) -> None:
    """Format 7, frozen: its block and one in bands answer as before, and as one block after a merge."""
    shutil.copytree(GOLDEN.with_name("directory-7"), tmp_path, dirs_exist_ok=True)
    directory = Directory(tmp_path, keys_of)
    old = directory.export()
    assert len(old) == 3
    first = old[0]
    directory.seal([(series, first[1] + 1_000, 0) for series in range(5)])
    expected = sorted([*old, *((series, first[1] + 1_000, 0) for series in range(5))])
    assert len(directory.blocks()) == 2
    assert directory.export() == expected
    merged = run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    assert merged is not None
    assert rows_fault(tmp_path, merged) == ""
    assert directory.export() == expected


@pytest.mark.parametrize(("rows", "encoding"), [(63, "DELTA_BINARY_PACKED"), (64, "PLAIN")])
def test_ids_of_long_runs_are_plain(tmp_path: Path, rows: int, encoding: str) -> None:
    """Ids are plain from 64 rows per series of the first band on."""
    block = Directory(tmp_path, keys_of).seal([(series, at, 0) for series in range(9) for at in range(rows)]).blocks[0]
    encodings = pq.read_metadata(tmp_path / block.path).row_group(0).column(0).encodings
    assert ("DELTA_BINARY_PACKED" in encodings) == (encoding == "DELTA_BINARY_PACKED")
    assert samples_of(next(iter(read_block(tmp_path, block, None, *ALWAYS))))[:2] == [(0, 0, 0), (0, 1, 0)]
