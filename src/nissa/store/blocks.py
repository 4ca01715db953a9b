"""Raw blocks: samples as Parquet, sorted by series, then time, one row per series and time.

    blocks/raw-<id>.parquet
    series   ts_ms           value          row group 0   series   0 …  327     about 128 Ki rows each
         0   1763700000000   0.5            row group 1   series 327 …  655     ts_ms: its own smallest and largest
         0   1763700010000   0.7            …
         1   1763700000000   12.0

series uint32, ts_ms int64 (Unix milliseconds), value float64, all required; value keeps every bit, NaN payloads
included. Statistics of series and ts_ms let a reader pass by row groups; there are none of value, whose order NaN has
no place in.

Encodings are the cheapest measured on real and synthetic loads: series as deltas (long runs of zeros), ts_ms plain,
value split into its eight bytes (integers and slow floats share their high ones), all under zstd: level 1 fresh,
level 3 when merged. Rows are seldom read before they are merged, and every sample pays for the first writing.
Row groups of merged blocks grow with their block, as those of windows do: a question about one series reads little.

This file knows which rows stand in one file; ``read.py`` knows what several files and the head say together.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.selection import select_rows
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.store.arrow_columns import arrow_column, one_thread
from nissa.store.block_file import BlockFile
from nissa.store.block_footer import as_damaged, read_footer
from nissa.store.catalogue import BlockRow
from nissa.store.checked_file import CheckedReader
from nissa.store.names import RAW_KIND, locate

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 128 * 1024
GROUP_ROWS_MERGED_MIN = 16 * 1024  # of the first row groups of a merged block
COLUMNS = ("series", "ts_ms", "value")
ZSTD_FRESH = 1
ZSTD_MERGED = 3


class SeriesChoice(msgspec.Struct, frozen=True):
    """Which series are wanted. ids: sorted uint32. mask: by series id, not 0 where wanted."""

    ids: SeriesColumn
    mask: npt.NDArray[np.uint8]


def choose_series(ids: SeriesColumn) -> SeriesChoice:
    """A choice of these series, in any order, repeated or not."""
    distinct = np.unique(np.asarray(ids, np.uint32))
    mask = np.zeros(int(distinct[-1]) + 1 if len(distinct) else 0, np.uint8)
    mask[distinct] = 1
    return SeriesChoice(distinct, mask)


class BlockWriter:
    """One raw block being written, row group by row group, in ascending order of (series, ts_ms)."""

    def __init__(self, directory: Path, number: int, *, level: int, created_ms: int) -> None:
        """The file is made at once.

        number: a new id of the catalogue. level: 0 for sealed heads, above for merged blocks.
        """
        self._file = BlockFile(directory, number, RAW_KIND, level=level, created_ms=created_ms)
        self._group_rows_min = GROUP_ROWS_MERGED_MIN if level else GROUP_ROWS
        self._schema = _schema()
        self._file.begin(
            self._schema,
            compression="zstd",
            compression_level=ZSTD_MERGED if level else ZSTD_FRESH,
            use_dictionary=False,
            column_encoding={"series": "DELTA_BINARY_PACKED", "ts_ms": "PLAIN", "value": "BYTE_STREAM_SPLIT"},
            write_statistics=["series", "ts_ms"],
            write_page_checksum=True,
        )

    @property
    def rows(self) -> int:
        """How many are written."""
        return self._file.rows

    def write(self, *batches: SampleBatch) -> None:
        """Add rows that come after all rows so far, one batch behind the other; each call is at least one row group."""
        import pyarrow as pa

        parts = []
        for batch in batches:
            if not len(batch):
                continue
            times, series = batch.ts_ms, batch.series
            self._file.note(len(batch), int(times.min()), int(times.max()), int(series[0]), int(series[-1]))
            values: tuple[Any, ...] = (batch.series, batch.ts_ms, batch.value)
            columns = [arrow_column(column, field.type) for column, field in zip(values, self._schema, strict=True)]
            parts.append(pa.record_batch(columns, schema=self._schema))
        self._file.write_groups(pa.Table.from_batches(parts, self._schema), self._group_rows_min, GROUP_ROWS)

    def finish(self, first_lsn: int, last_lsn: int) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue."""
        return self._file.finish(first_lsn, last_lsn)

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        self._file.discard()


class OpenBlock:
    """A raw block open for reading; it stays readable when the file is deleted meanwhile.

    Raises: FileGone where the file is not there any more (read the catalogue again); Damaged.
    """

    def __init__(self, directory: Path, block: BlockRow) -> None:
        import pyarrow.parquet as pq

        one_thread()
        self.block = block
        self._file = CheckedReader(locate(directory, block.path), block.seal)
        try:
            self._footer = read_footer(str(self._file.path), block.seal)
            if self._footer.names != COLUMNS:
                raise Damaged(block.path, f"columns {self._footer.names}, expected {COLUMNS}")
            self._parquet = pq.ParquetFile(
                self._file, metadata=self._footer.metadata, page_checksum_verification=True, pre_buffer=False
            )
        except BaseException as error:  # whatever the bytes made of Arrow; told as damage, or raised as it is
            self._file.close()
            raise as_damaged(self._file, error) from error

    def groups(self, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Numbers of the row groups that may hold rows of the chosen series in [start_ms, end_ms)."""
        return self._footer.groups(None if choice is None else choice.ids, start_ms, end_ms)

    def read_group(self, group: int, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> SampleBatch:
        """The rows of one row group that are wanted. Raises: Damaged."""
        try:
            table = self._parquet.read_row_group(group, use_threads=False)
        except Exception as error:  # whatever Arrow makes of bytes it cannot read
            raise as_damaged(self._file, error) from error
        series, ts_ms, value = (_column(table, index) for index in range(3))
        footer = self._footer
        inside = start_ms <= footer.time_min[group] and footer.time_max[group] < end_ms
        if choice is None and inside:
            return SampleBatch(series, ts_ms, value)
        mask = np.ones(int(footer.series_max[group]) + 1, np.uint8) if choice is None else choice.mask
        return SampleBatch(*select_rows(series, ts_ms, value, mask, start_ms, end_ms))

    def close(self) -> None:
        """Close the file."""
        self._parquet.close(force=True)
        self._file.close()


def read_block(
    directory: Path, block: BlockRow, series: SeriesColumn | None, start_ms: int, end_ms: int
) -> Iterator[SampleBatch]:
    """Wanted rows of one block, one batch per row group that has any.

    series: None for all. Raises: FileGone, Damaged.
    """
    choice = None if series is None else choose_series(series)
    opened = OpenBlock(directory, block)
    try:
        for group in opened.groups(choice, start_ms, end_ms).tolist():
            batch = opened.read_group(group, choice, start_ms, end_ms)
            if len(batch):
                yield batch
    finally:
        opened.close()


def _column(table: "pa.Table", index: int) -> Any:
    """A column without nulls as a numpy view."""
    column = table.column(index)
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return np.frombuffer(chunk.buffers()[1], _TYPES[index], len(chunk), chunk.offset * _TYPES[index].itemsize)


_TYPES = (np.dtype(np.uint32), np.dtype(np.int64), np.dtype(np.float64))


@lru_cache(maxsize=1)
def _schema() -> "pa.Schema":
    import pyarrow as pa

    columns = (("series", pa.uint32()), ("ts_ms", pa.int64()), ("value", pa.float64()))
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns])
