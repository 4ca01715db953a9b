"""Raw blocks: every bit is read back, only wanted rows are read, every damage is reported."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import FileGone
from nissa.files.names import BLOCKS
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.store.blocks import BlockWriter, OpenBlock, choose_series, read_block
from oracle.columns import Sample, select
from oracle.directory import ALWAYS, batch_of, samples_of

ODD = [0x7FF0000000000002, 0x7FF8000000000000, 0xFFF8000000000123, 0x7FF0000000000001, 1 << 63, 0, 1, 0x7FF << 52]


def write(directory: Path, groups: list[list[Sample]], number: int = 1, level: int = 0) -> BlockRow:
    """A block of these row groups."""
    (directory / BLOCKS).mkdir(exist_ok=True)
    writer = BlockWriter(directory, number, level=level, created_ms=5)
    for group in groups:
        writer.write(batch_of(group))
    return writer.finish(3, 4)


def grid(series: range, times: range) -> list[Sample]:
    """One sample per series and time, with odd bits among them."""
    return [(one, ts_ms, ODD[(one + ts_ms) % len(ODD)]) for one in series for ts_ms in times]


def read(directory: Path, block: BlockRow, ids: list[int] | None, start_ms: int, end_ms: int) -> list[Sample]:
    """Wanted samples of a block."""
    wanted = None if ids is None else np.array(ids, np.uint32)
    return [one for batch in read_block(directory, block, wanted, start_ms, end_ms) for one in samples_of(batch)]


@pytest.mark.parametrize("level", [0, 1])
def test_every_bit_comes_back(tmp_path: Path, level: int) -> None:
    """NaN payloads, stale markers, signed zeros, extreme ids and times are stored bit for bit."""
    edges = [(0, -(2**63), ODD[0]), (7, 0, ODD[1]), (2**32 - 1, 2**63 - 2, ODD[2])]
    samples = sorted(edges + grid(range(1, 7), range(40)))
    block = write(tmp_path, [samples], level=level)
    assert read(tmp_path, block, None, *ALWAYS) == samples
    assert (block.rows, block.min_ms, block.max_ms) == (len(samples), -(2**63), 2**63 - 2)
    assert (block.series_min, block.series_max, block.level) == (0, 2**32 - 1, level)
    assert (block.first_lsn, block.last_lsn, block.created_ms) == (3, 4, 5)
    assert block.bytes == (tmp_path / block.path).stat().st_size


def test_any_choice_of_series_and_times(tmp_path: Path) -> None:
    """Wanted series and half-open intervals, over several row groups, as the twin chooses them."""
    groups = [grid(range(first, first + 10), range(first, first + 50)) for first in range(0, 60, 10)]
    block = write(tmp_path, groups)
    everything = [sample for group in groups for sample in group]
    chance = random.Random(3)
    for _ in range(60):
        ids = chance.sample(range(70), chance.randint(0, 9))
        start_ms, end_ms = chance.randint(-5, 120), chance.randint(-5, 120)
        assert read(tmp_path, block, ids, start_ms, end_ms) == select(everything, set(ids), start_ms, end_ms)
        assert read(tmp_path, block, None, start_ms, end_ms) == select(everything, set(range(70)), start_ms, end_ms)


def test_row_groups_that_cannot_match_are_passed_by(tmp_path: Path) -> None:
    """Statistics of series and time leave only the row groups that may hold a wanted row."""
    block = write(tmp_path, [grid(range(n, n + 10), range(n, n + 50)) for n in range(0, 60, 10)])
    opened = OpenBlock(tmp_path, block)
    choices = [([15], 0, 1000), ([5, 55], 0, 1000), ([5, 55], 0, 50), ([60], 0, 1000), ([9, 10], 59, 60)]
    groups = [opened.groups(choose_series(np.array(ids, np.uint32)), *times).tolist() for ids, *times in choices]
    assert groups == [[1], [0, 5], [0], [], [1]]
    assert opened.groups(None, 99, 200).tolist() == [5]
    opened.close()


@pytest.mark.parametrize(
    ("level", "groups"),
    [(0, [131_072, 131_072, 237_856]), (1, [16_384] * 16 + [32_768] * 6 + [41_248])],
)
def test_large_batches_become_several_row_groups(tmp_path: Path, level: int, groups: list[int]) -> None:
    """One write of many rows is cut, that of a merged block into pieces of which a question of one series reads few."""
    rows = 500_000
    (tmp_path / BLOCKS).mkdir()
    writer = BlockWriter(tmp_path, 1, level=level, created_ms=0)
    batch = SampleBatch(np.arange(rows, dtype=np.uint32), np.zeros(rows, np.int64), np.ones(rows))
    writer.write(batch)
    block = writer.finish(1, 1)
    footer = pq.read_metadata(tmp_path / block.path)
    assert [footer.row_group(at).num_rows for at in range(footer.num_row_groups)] == groups
    assert read(tmp_path, block, [0, rows - 1], *ALWAYS) == [(0, 0, 0x3FF << 52), (rows - 1, 0, 0x3FF << 52)]


def test_other_readers_see_plain_columns(tmp_path: Path) -> None:
    """The file is Parquet with three required columns that any reader of Parquet understands."""
    samples = grid(range(5), range(30))
    block = write(tmp_path, [samples])
    table = pq.read_table(tmp_path / block.path)
    assert [(field.name, str(field.type), field.nullable) for field in table.schema] == [
        ("series", "uint32", False),
        ("ts_ms", "int64", False),
        ("value", "double", False),
    ]
    assert table.column("value").to_numpy().view(np.uint64).tolist() == [sample[2] for sample in samples]


def test_every_flipped_bit_is_damage(tmp_path: Path) -> None:
    """A flip anywhere, also in footer and page headers, is reported as damage of this file, never read as data."""
    block = write(tmp_path, [grid(range(20), range(20))])
    path = tmp_path / block.path
    data = path.read_bytes()
    chance = random.Random(1)
    for bit in [0, 8 * len(data) - 1, *(chance.randrange(8 * len(data)) for _ in range(300))]:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"raw-.*CRC-32C"):
            read(tmp_path, block, None, *ALWAYS)
    path.write_bytes(data[:-1])
    with pytest.raises(Damaged, match="bytes, expected"):
        read(tmp_path, block, None, *ALWAYS)


def test_sound_bytes_that_are_no_block_are_damage(tmp_path: Path) -> None:
    """A file whose sums are right but whose bytes are no raw block is damage too, not a crash."""
    block = write(tmp_path, [grid(range(2), range(2))])
    other = write(tmp_path, [grid(range(3), range(3))], number=2)
    (tmp_path / block.path).write_bytes(b"PAR1" + bytes(60))
    from nissa.files.checked_file import CheckedWriter

    (tmp_path / "blocks" / "x").unlink(missing_ok=True)
    file = CheckedWriter(tmp_path / "blocks" / "x")
    file.write(b"PAR1" + bytes(60))
    seal = file.finish()
    fake = msgspec.structs.replace(other, bytes=seal.bytes, crc=seal.crc, page_crcs=seal.page_crcs)
    (tmp_path / "blocks" / "x").rename(tmp_path / other.path)
    with pytest.raises(Damaged, match="not a block"):
        read(tmp_path, fake, None, *ALWAYS)


def test_a_missing_file_is_gone_and_an_open_one_stays(tmp_path: Path) -> None:
    """A deleted block raises what a caller can retry on; a block opened before stays readable."""
    block = write(tmp_path, [grid(range(2), range(2))])
    opened = OpenBlock(tmp_path, block)
    (tmp_path / block.path).unlink()
    assert samples_of(opened.read_group(0, None, *ALWAYS)) == grid(range(2), range(2))
    opened.close()
    with pytest.raises(FileGone):
        read(tmp_path, block, None, *ALWAYS)


def test_a_discarded_block_leaves_no_file(tmp_path: Path) -> None:
    """Giving up, before or after rows were written, leaves nothing behind."""
    (tmp_path / BLOCKS).mkdir()
    for groups in ([], [grid(range(2), range(2))]):
        writer = BlockWriter(tmp_path, 1, level=0, created_ms=0)
        for group in groups:
            writer.write(batch_of(group))
        writer.discard()
        del writer
    assert list((tmp_path / BLOCKS).iterdir()) == []
