"""Tier blocks: windows as Parquet, sorted by series, then start, one row per series and window.

    blocks/5m-<id>.parquet
    series   start_ms        count nans  sum  min  max  first last  m2   resets  sketch
         0   1763700000000      30    0  …    —    —    1.0   7.0   …     0.0     5 a3 …
         0   1763700300000      30    0       2.0  —    7.0   9.0
         1   1763700000000      30    0

``docs/decisions/0006-the-ladder.md`` defines the columns, ``docs/format/ladder.md`` the sketches. A tier without an
aggregate lacks the columns that only this one needs; readers fill them with NaN. If two blocks of a tier have the same
series and start, the one with the higher id is valid: it was recomputed after late samples.

A null of ``min`` stands for the smaller of ``first`` and ``last``, one of ``max`` for the larger: so it is with most
windows, and what goes one way only has no other numbers there. Numbers are split into their bytes, of which neighbours
share the high ones. Rows of narrow tiers are many and live for a day, so they are under LZ4; the wider, the more rows
are read and the longer they are kept. Keys repeat so much that LZ4 does for them in every tier. Row groups grow with
their block: of a small one a question about one series reads little, and the footer of a large one stays small.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nissa._fast.rollup import explicit_extrema
from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import arrow_column
from nissa.model.columns import SeriesColumn, TimeColumn, ValueColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import Aggregate, SketchColumn, Tier, WindowBatch
from nissa.model.slices import Slices
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.store.block_file import BlockFile
from nissa.store.blocks import SeriesChoice
from nissa.store.parquet_block import OpenFiles, ParquetBlock

if TYPE_CHECKING:
    import pyarrow as pa

# Of the first row groups of a block. Wide windows have more bytes: sketches.
GROUP_ROWS_MIN = ((DAY_MS, 512), (HOUR_MS, 1024), (5 * MINUTE_MS, 2 * 1024))
GROUP_ROWS = 32 * 1024
ZSTD_LEVEL = 1  # 3 takes half as much time again for 4 % of the size
ZSTD_LEVEL_WIDE = 6
ZSTD_FROM_MS = 5 * MINUTE_MS  # narrower windows are under LZ4: a third less time, a fifth more bytes
WIDE_FROM_MS = HOUR_MS
KEYS = ("series", "start_ms", "count", "nans")
NUMBERS = ("sum", "min", "max", "first", "last", "m2", "resets", "carry")
SKETCH = "sketch"
INCREASE = "increase"  # in the place of resets, in blocks of builds before 0.1.0
EDGES = {"min": np.less, "max": np.greater}  # nullable; how ``last`` stands to ``first`` where it takes its place
# Further columns needed to read a column: those that nulls stand for, and those that older builds wrote in its place.
STANDS_FOR = {**dict.fromkeys(EDGES, ("first", "last")), "resets": ("first", "last", INCREASE)}
# The columns from which an aggregate is computed or folded further.
NEEDED = {
    Aggregate.SUM: ("sum", "carry"),
    Aggregate.MIN: ("min",),
    Aggregate.MAX: ("max",),
    Aggregate.FIRST: ("first",),
    Aggregate.LAST: ("last",),
    Aggregate.STDDEV: ("sum", "carry", "min", "max", "m2"),
    Aggregate.INCREASE: ("first", "last", "resets"),
    Aggregate.QUANTILES: ("min", "max", SKETCH),
}
_FLOAT64 = np.dtype(np.float64)
_TYPES: dict[str, np.dtype[Any]] = {"series": np.dtype(np.uint32), "start_ms": np.dtype(np.int64)}
_TYPES |= dict.fromkeys(("count", "nans"), np.dtype(np.uint32))


def columns_kept(tier: Tier) -> tuple[str, ...]:
    """The columns of a tier's blocks, in their order."""
    needed = {name for word in tier.aggregates for name in NEEDED[Aggregate(word)]}
    return (*KEYS, *(name for name in (*NUMBERS, SKETCH) if name in needed))


class TierWriter:
    """One block of windows being written, in ascending order of (series, start_ms)."""

    def __init__(
        self, directory: Path, number: int, tier: Tier, created_ms: int, kind: str = "", tombstone: int = 0
    ) -> None:
        """The file is made at once.

        number: a new id of the catalogue. kind: of the block, else the tier's. tombstone: the windows are what
        tombstones up to this id leave; a catalogue that is made again must not apply them to windows computed again.
        """
        kind = kind or tier.name
        self._file = BlockFile(directory, number, kind, level=0, created_ms=created_ms, tombstone=tombstone)
        self._tier = tier
        self._names = columns_kept(tier)
        self._schema = _schema(self._names)
        self._spares_edges = {"first", "last"} <= {*self._names}
        self._group_rows_min = next((rows for ms, rows in GROUP_ROWS_MIN if tier.interval_ms >= ms), GROUP_ROWS)
        self._file.begin(
            self._schema,
            **_compression(tier, self._names),
            use_dictionary=False,
            column_encoding={name: "BYTE_STREAM_SPLIT" if name in NUMBERS else "PLAIN" for name in self._names},
            write_statistics=["series", "start_ms"],
        )
        self._pending: list[pa.RecordBatch] = []  # less than a row group; small ones would cost more than their rows

    @property
    def path(self) -> str:
        """Path of the file within the directory."""
        return self._file.path

    def write(self, windows: WindowBatch) -> None:
        """Add rows that come after all rows so far."""
        import pyarrow as pa

        if not len(windows):
            return
        times, series = windows.start_ms, windows.series
        self._file.note(len(windows), int(times.min()), int(times.max()), series)
        columns = [self._column(windows, name) for name in self._names]
        self._pending.append(pa.record_batch(columns, schema=self._schema))
        if sum(len(batch) for batch in self._pending) >= GROUP_ROWS:
            self._write_pending(last=False)

    def finish(self, last_lsn: int) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue."""
        self._write_pending(last=True)
        return self._file.finish(0, last_lsn, tier=self._tier)

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        self._file.discard()

    def _write_pending(self, *, last: bool) -> None:
        """Write full row groups; last: also the remaining rows."""
        import pyarrow as pa

        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending)
        left = self._file.write_groups(table, self._group_rows_min, GROUP_ROWS, last=last)
        self._pending = left.to_batches()

    def _column(self, windows: WindowBatch, name: str) -> "pa.Array":
        if name == SKETCH:
            return _arrow_sketch(windows.sketch)
        column = getattr(windows, name)
        if name in EDGES and self._spares_edges:
            return _arrow_edges(column, windows, name)
        return arrow_column(column, self._schema.field(name).type)


def write_windows(
    directory: Path,
    number: int,
    tier: Tier,
    batches: Iterable[WindowBatch],
    last_lsn: int,
    created_ms: int,
    kind: str = "",
    tombstone: int = 0,
) -> Slices[BlockRow | None]:
    """Write and sync a block of windows; None if there are none. A slice is a batch. On an error no file is left.

    directory: the data directory. number: its id. tier: of the windows. batches: sorted by series and start. last_lsn:
    last frame of their samples. created_ms: Unix milliseconds. kind: of the block, if a policy applies.
    tombstone: as ``TierWriter`` takes it. Raises: OSError.
    """
    writer: TierWriter | None = None
    try:
        for windows in batches:
            if len(windows):
                writer = writer or TierWriter(directory, number, tier, created_ms, kind, tombstone)
                writer.write(windows)
            yield 0.0
        return None if writer is None else writer.finish(last_lsn)
    except BaseException:  # raised again; the file must not stay
        if writer is not None:
            writer.discard()
        raise


class OpenTierBlock:
    """A tier block that is read. Raises: FileGone where its file is not there any more; Damaged."""

    def __init__(self, directory: Path, block: BlockRow, files: OpenFiles | None = None) -> None:
        """files: those that one question has open; without it the file stays open until it is closed."""
        self._file = ParquetBlock(directory, block, files)
        self._footer = self._file.footer
        names = self._footer.names
        if names[:4] != KEYS or not {*names[4:]} <= {*NUMBERS, SKETCH, INCREASE}:
            self._file.close()
            raise Damaged(block.path, f"columns {names}, expected those of windows")

    @property
    def has_sketches(self) -> bool:
        """True if its windows have them."""
        return SKETCH in self._footer.names

    def groups(self, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Numbers of the row groups that may hold windows of the chosen series that start in [start_ms, end_ms)."""
        return self._footer.groups(None if choice is None else choice.ids, start_ms, end_ms)

    def few_groups(self, groups: Iterable[int]) -> Iterator[list[int]]:
        """The same numbers, so many at a time that their rows are about ``GROUP_ROWS``: early row groups are small."""
        held: list[int] = []
        rows = 0
        for group in groups:
            if held and rows + self.group_rows(group) > GROUP_ROWS:
                yield held
                held, rows = [], 0
            held.append(group)
            rows += self.group_rows(group)
        if held:
            yield held

    def group_rows(self, group: int) -> int:
        """Number of rows in a row group."""
        return int(self._footer.metadata.row_group(group).num_rows)

    def read_group(
        self, group: int, choice: SeriesChoice | None, start_ms: int, end_ms: int, *, sketches: bool
    ) -> WindowBatch:
        """Read the selected rows of one row group.

        group: its index. choice: series; None: all. start_ms, end_ms: half-open interval of starts, Unix milliseconds.
        sketches: read them too. Errors as ``read_groups``.
        """
        return self.read_groups([group], choice, start_ms, end_ms, sketches=sketches)

    def read_groups(
        self,
        groups: Sequence[int],
        choice: SeriesChoice | None,
        start_ms: int,
        end_ms: int,
        *,
        sketches: bool,
        numbers: frozenset[str] | None = None,
    ) -> WindowBatch:
        """The rows of row groups, ascending, that are wanted. sketches: read them, where there are any.

        numbers: those of ``NUMBERS`` that are used, others may be NaN; None for all.
        Raises: FileGone, where it had to be opened again; Damaged.
        """
        names = [name for name in self._footer.names if sketches or name != SKETCH]
        if numbers is not None:
            there = {*KEYS, SKETCH, *numbers, *(name for one in numbers for name in STANDS_FOR.get(one, ()))}
            names = [name for name in names if name in there]
        table = self._file.read_groups(groups, names)
        try:
            batch = _one_batch(table)
            columns = batch.columns
            series, starts = (_numbers(columns[at], name) for at, name in enumerate(KEYS[:2]))
            if choice is not None and len(choice.ids) == 1:
                return _windows(names, columns, _stretch(series, starts, choice.ids[0], start_ms, end_ms))
            wanted = (starts >= start_ms) & (starts < end_ms)
            if choice is not None and len(choice.mask):
                inside = np.minimum(series, len(choice.mask) - 1)
                wanted &= (choice.mask[inside] != 0) & (series == inside)
            rows = np.flatnonzero(wanted)
            if not len(rows):
                return _windows(names, columns, slice(0, 0))
            if rows[-1] - rows[0] < len(rows):  # a stretch of series: nothing is copied
                return _windows(names, columns, slice(int(rows[0]), int(rows[-1]) + 1))
            return _windows(names, batch.filter(_arrow_flags(wanted)).columns, slice(0, len(rows)))
        except Exception as error:  # any error of Arrow for bytes it cannot read
            raise self._file.damage_of(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_tier_block(
    directory: Path, block: BlockRow, choice: SeriesChoice | None, start_ms: int, end_ms: int, *, sketches: bool = True
) -> Iterator[WindowBatch]:
    """Read the selected rows of one block, one batch per row group that has any.

    directory: the data directory. block: its row. choice: series; None: all. start_ms, end_ms: half-open interval of
    starts, Unix milliseconds. sketches: read them too. Raises: FileGone, Damaged.
    """
    opened = OpenTierBlock(directory, block)
    try:
        for group in opened.groups(choice, start_ms, end_ms).tolist():
            windows = opened.read_group(group, choice, start_ms, end_ms, sketches=sketches)
            if len(windows):
                yield windows
    finally:
        opened.close()


def _stretch(series: SeriesColumn, starts: TimeColumn, one: np.uint32, start_ms: int, end_ms: int) -> slice:
    """Positions of the selected rows of one series: rows are sorted."""
    first, end = series.searchsorted(one, "left"), series.searchsorted(one, "right")
    begin, over = starts[first:end].searchsorted((start_ms, end_ms))
    return slice(int(first + begin), int(first + max(begin, over)))


def _windows(names: Sequence[str], arrays: Sequence["pa.Array"], rows: slice) -> WindowBatch:
    """Rows of a row group whose columns these are."""
    there = dict(zip(names, arrays, strict=True))
    columns = {name: _numbers(array, name)[rows] for name, array in there.items() if name != SKETCH}
    if not columns.keys() >= {*NUMBERS}:
        missing = np.full(rows.stop - rows.start, np.nan)
        columns = dict.fromkeys(NUMBERS, missing) | columns
    with np.errstate(invalid="ignore"):
        for name in EDGES:
            if name in there and there[name].null_count:
                columns[name] = _filled(there[name], columns, name, rows)
        if INCREASE in there:
            columns["resets"] = columns.pop(INCREASE) - (columns["last"] - columns["first"])
    return WindowBatch(**columns, sketch=_sketches(there[SKETCH], rows) if SKETCH in there else None)


def _numbers(array: "pa.Array", name: str) -> Any:
    """A column as a numpy view; values of nulls mean nothing."""
    kind = _TYPES.get(name, _FLOAT64)
    return np.frombuffer(array.buffers()[1] or b"", kind, len(array), array.offset * kind.itemsize)


def _filled(array: "pa.Array", numbers: dict[str, ValueColumn], name: str, rows: slice) -> ValueColumn:
    """Fills nulls with the value they stand for. Of zeros of both signs, and where there are no numbers, ``first``."""
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    begin, end = array.offset + rows.start, array.offset + rows.stop
    told = np.unpackbits(bits[begin // 8 : -(-end // 8)], bitorder="little")[begin % 8 :][: end - begin]
    first, last = numbers["first"], numbers["last"]
    return np.where(told, numbers[name], np.where(EDGES[name](last, first), last, first))


def _arrow_edges(column: ValueColumn, windows: WindowBatch, name: str) -> "pa.Array":
    import pyarrow as pa

    column = np.ascontiguousarray(column)
    bits, told = explicit_extrema(column, windows.first, windows.last, name == "max")
    buffers = [pa.py_buffer(bits), pa.py_buffer(column)]
    return pa.Array.from_buffers(pa.float64(), len(column), buffers, null_count=len(column) - told)


def _sketches(array: "pa.Array", rows: slice) -> SketchColumn:
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int32, rows.stop - rows.start + 1, (array.offset + rows.start) * 4)
    taken = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    return SketchColumn(offsets - offsets[0], taken)


def _one_batch(table: "pa.Table") -> "pa.RecordBatch":
    """Row groups as one batch, its columns in order."""
    batches = table.to_batches()
    return batches[0] if len(batches) == 1 else table.combine_chunks().to_batches()[0]


def _arrow_sketch(sketch: SketchColumn | None) -> "pa.Array":
    import pyarrow as pa

    if sketch is None:
        raise TypeError("windows of a tier that keeps quantiles have sketches")
    buffers = [
        None,
        pa.py_buffer(np.ascontiguousarray(sketch.offsets)),
        pa.py_buffer(np.ascontiguousarray(sketch.data)),
    ]
    return pa.Array.from_buffers(pa.binary(), len(sketch), buffers)


def _arrow_flags(flags: npt.NDArray[np.bool_]) -> "pa.Array":
    import pyarrow as pa

    bits = np.packbits(flags, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(bits)])


@lru_cache(maxsize=16)
def _schema(names: tuple[str, ...]) -> "pa.Schema":
    import pyarrow as pa

    kinds = {"series": pa.uint32(), "start_ms": pa.int64(), "count": pa.uint32(), "nans": pa.uint32()}
    kinds |= dict.fromkeys(NUMBERS, pa.float64()) | {SKETCH: pa.binary()}
    return pa.schema([pa.field(name, kinds[name], nullable=name in EDGES) for name in names])


def _compression(tier: Tier, names: tuple[str, ...]) -> dict[str, Any]:
    if tier.interval_ms < ZSTD_FROM_MS:
        return {"compression": "lz4"}
    level = ZSTD_LEVEL_WIDE if tier.interval_ms >= WIDE_FROM_MS else ZSTD_LEVEL
    return {
        "compression": {name: "lz4" if name in KEYS else "zstd" for name in names},
        "compression_level": {name: level for name in names if name not in KEYS},
    }
