"""Blocks being written: their rows for the catalogue, and the removal of one that is given up."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nissa.files.checked_file import file_crc
from nissa.files.names import BLOCKS, locate
from nissa.store.block_file import BlockFile
from nissa.store.block_series import SERIES_KEY, decode_series

TABLE = pa.table({"time_ms": pa.array([5, 9], pa.int64())})


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> BlockFile:
    (tmp_path / BLOCKS).mkdir()
    return BlockFile(tmp_path, 7, "events", level=2, created_ms=11)


def test_the_row_says_what_was_noted(tmp_path: Path, file: BlockFile) -> None:
    """Times are the widest of all parts, series those of the first and the last; size and sum are those of the file."""
    writer = file.begin(TABLE.schema, compression="zstd")
    for rows, min_ms, max_ms, series in ((2, 20, 30, [1, 4]), (2, 10, 25, [4, 5]), (2, 15, 40, [6, 9])):
        writer.write_table(TABLE)
        file.note(rows, min_ms, max_ms, np.array(series, np.uint32))
    row = file.finish(3, 8)
    path = locate(tmp_path, row.path)
    assert (row.id, row.kind, row.level, row.created_ms, row.rows) == (7, "events", 2, 11, 6)
    assert (row.min_ms, row.max_ms, row.series_min, row.series_max) == (10, 40, 1, 9)
    assert (row.first_lsn, row.last_lsn) == (3, 8)
    assert file_crc(path) == (row.bytes, row.crc)
    assert pq.read_table(path).num_rows == 6
    assert decode_series(pq.read_metadata(path).metadata[SERIES_KEY]).tolist() == [1, 4, 5, 6, 9]


@pytest.mark.skipif(
    pa.__version__.startswith("22."), reason="pages of 20,000 rows at most, and no way to say otherwise"
)
def test_a_column_of_a_row_group_is_one_page(tmp_path: Path, file: BlockFile) -> None:
    """A column of up to 1 MiB is one page, for any number of rows: every page costs a context of compression."""
    table = pa.table({"time_ms": pa.array(range(100_000), pa.int64())})
    file.begin(table.schema, compression="none", use_dictionary=False, write_statistics=False).write_table(table)
    file.note(100_000, 0, 99_999)
    row = file.finish(1, 1)
    column = pq.read_metadata(locate(tmp_path, row.path)).row_group(0).column(0)
    assert column.total_uncompressed_size - 8 * 100_000 < 50  # one header


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_given_up_leaves_no_file(tmp_path: Path, file: BlockFile, *, begun: bool) -> None:
    """A discarded file is deleted, with or without rows written."""
    if begun:
        file.begin(TABLE.schema).write_table(TABLE)
    file.discard()
    assert not list((tmp_path / BLOCKS).iterdir())
