"""Raw blocks: samples as Parquet, sorted by metric, series and time within bands, one row per series and time.

    blocks/raw-<id>.parquet
    series   ts_ms           value          row group 0   cpu of series  0 … 4,166       64 to 128 Ki rows each
         0   1763700000000   0.5            row group 1   mem of series  0 … 4,166       ts_ms: its own smallest
         0   1763700010000   0.7            …                                            and largest
         3   1763700000000   12.0

series uint32, ts_ms int64 (Unix milliseconds), value float64, all required; value keeps every bit, NaN payloads
included. Statistics of series and ts_ms let a reader pass by row groups; there are none of value, whose order NaN has
no place in.

Encodings are the cheapest measured on real and synthetic loads: series as deltas (long runs of zeros), in bands where a
series has many rows plain (the ids of a metric are no even steps apart), ts_ms plain, value split into its eight bytes
(integers and slow floats share their high ones), all under zstd: level 1 fresh, level 3 when merged. Rows are seldom
read before they are merged, and every sample pays for the first writing.
Row groups of merged blocks grow with their block, as those of windows do: a question about one series reads little.

Blocks of builds before bands, and those written without keys of metrics, are sorted by series and time (``bands.py``).

This file knows which rows stand in one file; ``read.py`` knows what several files and the head say together.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.row_groups import RowGroup
from nissa._fast.selection import select_rows
from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import arrow_column
from nissa.files.names import RAW_KIND, locate
from nissa.model.columns import SampleBatch, SeriesColumn, TimeColumn, ValueColumn
from nissa.model.errors import Damaged
from nissa.store.bands import (
    METRICS_KEY,
    Band,
    BandCollector,
    BandSorter,
    KeysOf,
    RowOrder,
    in_series_order,
    keys_of_blocks,
    order_of,
)
from nissa.store.block_file import BlockFile
from nissa.store.block_footer import BlockFooter, read_footer
from nissa.store.parquet_block import OpenFiles, ParquetBlock
from nissa.store.row_groups import row_group

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 128 * 1024
# Of fresh blocks in bands: a question about one metric reads one or two of each band. In small row groups the times of
# many targets, which a metric brings together, take more room: merged blocks have large ones from the first.
GROUP_ROWS_BANDED = 64 * 1024
GROUP_ROWS_MERGED_MIN = 16 * 1024  # of the first row groups of a merged block
COLUMNS = ("series", "ts_ms", "value")
RUN_ROWS_PLAIN = 64  # rows of a series in the first band
ZSTD_FRESH = 1
ZSTD_MERGED = 3


class SeriesChoice(msgspec.Struct, frozen=True):
    """A set of series. ids: sorted uint32. mask: by series id, nonzero for members."""

    ids: SeriesColumn
    mask: npt.NDArray[np.uint8]


def choose_series(ids: SeriesColumn) -> SeriesChoice:
    """A choice of these series, in any order, repeated or not."""
    distinct = np.unique(np.asarray(ids, np.uint32))
    mask = np.zeros(int(distinct[-1]) + 1 if len(distinct) else 0, np.uint8)
    mask[distinct] = 1
    return SeriesChoice(distinct, mask)


class BlockWriter:
    """One raw block being written, of rows in ascending order of (series, ts_ms)."""

    def __init__(
        self,
        directory: Path,
        number: int,
        *,
        level: int,
        created_ms: int,
        kind: str = RAW_KIND,
        keys_of: KeysOf | None = None,
    ) -> None:
        """The file is made at once.

        number: a new id of the catalogue. level: 0 for sealed heads, above for merged blocks. kind: raw or import.
        keys_of: keys of the metrics of series, by which bands are sorted (``bands.py``); None: the block is sorted by
        series.
        """
        self._file = BlockFile(directory, number, kind, level=level, created_ms=created_ms)
        self._sorter = None if keys_of is None else BandSorter(keys_of)
        self._order = BandCollector()
        self._group_rows_max = GROUP_ROWS if keys_of is None or level else GROUP_ROWS_BANDED
        self._group_rows_min = GROUP_ROWS_MERGED_MIN if level and keys_of is None else self._group_rows_max
        self._schema = _schema()
        self._zstd = ZSTD_MERGED if level else ZSTD_FRESH
        self._begun = False
        if keys_of is None:
            self._begin("DELTA_BINARY_PACKED")

    @property
    def rows(self) -> int:
        """Number of rows written so far."""
        return self._file.rows + (0 if self._sorter is None else self._sorter.rows)

    def write(self, *batches: SampleBatch) -> None:
        """Add rows that come after all rows so far, one batch behind the other.

        Each call is at least one row group of a block sorted by series.
        """
        import pyarrow as pa

        if self._sorter is not None:
            for batch in batches:
                if len(batch):
                    self._write_bands(self._sorter.add(batch))
            return
        parts = []
        for batch in batches:
            if not len(batch):
                continue
            times, series = batch.ts_ms, batch.series
            self._file.note(len(batch), int(times.min()), int(times.max()), series)
            parts.append(self._record_batch(batch))
        self._file.write_groups(pa.Table.from_batches(parts, self._schema), self._group_rows_min, GROUP_ROWS)

    def finish(self, first_lsn: int, last_lsn: int, sources: Sequence[int] = ()) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue.

        first_lsn, last_lsn: frames of its rows. sources: ids of the blocks it was merged from. Raises: OSError.
        """
        if self._sorter is not None:
            self._write_bands(self._sorter.finish())
            self._file.add_text(METRICS_KEY, self._order.finish())
        return self._file.finish(first_lsn, last_lsn, sources)

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        self._file.discard()

    def _begin(self, series_encoding: str) -> None:
        self._begun = True
        self._file.begin(
            self._schema,
            compression="zstd",
            compression_level=self._zstd,
            use_dictionary=False,
            column_encoding={"series": series_encoding, "ts_ms": "PLAIN", "value": "BYTE_STREAM_SPLIT"},
            write_statistics=["series", "ts_ms"],
            write_page_checksum=True,
        )

    def _write_bands(self, bands: Iterable[Band]) -> None:
        import pyarrow as pa

        for band in bands:
            if not self._begun:
                long_runs = len(band) >= RUN_ROWS_PLAIN * len(band.series)
                self._begin("PLAIN" if long_runs else "DELTA_BINARY_PACKED")
            self._file.note(len(band), band.min_ms, band.max_ms, band.series)
            self._order.add_band(band)
            at = 0
            while at < len(band):
                end = at + self._file.next_group_rows(len(band) - at, self._group_rows_min, self._group_rows_max)
                rows, first, last = band.cut(at, end)
                self._order.add_group(first, last)
                self._file.write_group(pa.Table.from_batches([self._record_batch(rows)], self._schema))
                at = end

    def _record_batch(self, batch: SampleBatch) -> "pa.RecordBatch":
        import pyarrow as pa

        values: tuple[Any, ...] = (batch.series, batch.ts_ms, batch.value)
        columns = [arrow_column(column, field.type) for column, field in zip(values, self._schema, strict=True)]
        return pa.record_batch(columns, schema=self._schema)


class OpenBlock:
    """A raw block that is read. Raises: FileGone where its file is not there any more; Damaged."""

    def __init__(self, directory: Path, block: BlockRow, files: OpenFiles | None = None) -> None:
        """files: those that one question has open; without it the file stays open until it is closed."""
        self.block = block
        self._groups: tuple[SeriesChoice | None, int, int, npt.NDArray[np.int64]] | None = None  # asked for last
        self._file = ParquetBlock(directory, block, files, pages_checked=True)
        self._footer = self._file.footer
        if self._footer.names != COLUMNS:
            self._file.close()
            raise Damaged(block.path, f"columns {self._footer.names}, expected {COLUMNS}")
        try:
            self.order = order_of(locate(directory, block.path), block.seal, self._footer)
        except Damaged:
            self._file.close()
            raise

    def groups(self, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Numbers of the row groups that may hold rows of the chosen series in [start_ms, end_ms)."""
        asked = choice, start_ms, end_ms
        if self._groups is None or self._groups[0] is not choice or self._groups[1:3] != asked[1:]:
            ids = None if choice is None else choice.ids
            self._groups = *asked, groups_of(self._footer, self.order, ids, start_ms, end_ms)
        return self._groups[3]

    def bands(self, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> list[list[int]]:
        """The same, those of a band together: all rows of one come before all rows of the next."""
        groups = self.groups(choice, start_ms, end_ms)
        if self.order is None:
            return [[group] for group in groups.tolist()]
        borders = np.flatnonzero(np.diff(self.order.band[groups])) + 1
        return [part.tolist() for part in np.split(groups, borders) if len(part)]

    def rows_in(self, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> int:
        """Number of rows in the row groups that may hold rows of the chosen series in [start_ms, end_ms)."""
        return int(self._footer.rows[self.groups(choice, start_ms, end_ms)].sum())

    def group_rows(self, group: int) -> int:
        """Number of rows in a row group."""
        return int(self._footer.rows[group])

    def read_group(self, group: int, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> SampleBatch:
        """Read the selected rows of one row group.

        group: its index. choice: series; None: all. start_ms, end_ms: half-open interval, Unix milliseconds. Raises:
        FileGone, if it had to be opened again; Damaged.
        """
        series, ts_ms, value = self._columns(group)
        footer = self._footer
        inside = start_ms <= footer.time_min[group] and footer.time_max[group] < end_ms
        if choice is None and inside:
            return SampleBatch(series, ts_ms, value)
        mask = np.ones(int(footer.series_max[group]) + 1, np.uint8) if choice is None else choice.mask
        return SampleBatch(*select_rows(series, ts_ms, value, mask, start_ms, end_ms))

    def row_group(self, group: int) -> RowGroup:
        """One row group, whole, sorted by series and time, as the cache keeps it. Raises as ``read_group``."""
        rows = SampleBatch(*self._columns(group))
        ordered = next(self.by_series([rows], len(rows)), rows)
        return row_group(ordered.series, ordered.ts_ms, ordered.value)

    def by_series(self, parts: Sequence[SampleBatch], rows_aim: int = GROUP_ROWS) -> Iterator[SampleBatch]:
        """Wanted rows of row groups of one band, by series and time, in batches of about so many rows; none empty."""
        if self.order is not None:
            return in_series_order(parts, rows_aim)
        return (part for part in parts if len(part))

    def _columns(self, group: int) -> tuple[SeriesColumn, TimeColumn, ValueColumn]:
        table = self._file.read_group(group)
        return _column(table, 0), _column(table, 1), _column(table, 2)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def groups_of(
    footer: BlockFooter, order: RowOrder | None, ids: SeriesColumn | None, start_ms: int, end_ms: int
) -> npt.NDArray[np.int64]:
    """Numbers of the row groups that may hold rows of these series, ascending, None for all, in [start_ms, end_ms)."""
    if order is None or ids is None:
        return footer.groups(ids, start_ms, end_ms)
    return np.flatnonzero(footer.overlaps(start_ms, end_ms) & order.holds(ids))


def read_keys(directory: Path, blocks: Iterable[BlockRow]) -> KeysOf | None:
    """Keys of metrics as the footers of raw blocks have them; None where all are sorted by series.

    Raises: FileGone, Damaged.
    """
    orders = []
    for block in blocks:
        path = locate(directory, block.path)
        orders.append(order_of(path, block.seal, read_footer(str(path), block.seal)))
    return keys_of_blocks(orders)


def read_block(
    directory: Path, block: BlockRow, series: SeriesColumn | None, start_ms: int, end_ms: int
) -> Iterator[SampleBatch]:
    """Read the selected rows of one block, one batch per row group that has any.

    directory: the data directory. block: its row. series: ids, ascending; None: all. start_ms, end_ms: half-open
    interval, Unix milliseconds. Raises: FileGone, Damaged.
    """
    choice = None if series is None else choose_series(series)
    opened = OpenBlock(directory, block)
    try:
        for group in opened.groups(choice, start_ms, end_ms).tolist():
            batch = opened.read_group(group, choice, start_ms, end_ms)
            yield from opened.by_series([batch], len(batch))
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
