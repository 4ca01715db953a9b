"""The series table: who the series ids are, as Parquet. Each seal that met new series adds a segment.

    series/series-<id>.parquet
    series   fingerprint (16 B)   name    labels: map<string, string>, sorted by name, __name__ among them
       327   5f0c…                up      {__name__: up, instance: a:9090, job: node}

Segments follow one another without gap or overlap; row i of a segment is series ``first_series + i``. Segments
never change. ``name`` repeats ``__name__`` for whoever queries the file by hand. Text is written from the index's
symbols as Arrow dictionaries, so a label that many series share is stored, hashed and compressed once per row group.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.errors import Damaged
from nissa.store.arrow_columns import arrow_column, arrow_text
from nissa.store.block_footer import as_damaged
from nissa.store.catalogue import SeriesSegment
from nissa.store.checked_file import CheckedReader, CheckedWriter
from nissa.store.names import locate, series_path

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 128 * 1024
DICTIONARY_BYTES_MAX = 64 * 1024 * 1024  # above it Parquet would write every label out
ZSTD_LEVEL = 3
NAME_LABEL = "__name__"
_KEYS, _ITEMS = "labels.key_value.key", "labels.key_value.value"


class SeriesRows(msgspec.Struct, frozen=True):
    """New series as the index holds them.

    first_series: id of the first. fingerprints: uint64 (n, 2), low and high. starts: uint64 (n + 1,), series i owns
    pairs ``starts[i] - starts[0] : starts[i + 1] - starts[0]``. pairs: uint32 (m, 2), symbols of name and value.
    symbol_offsets: int64 (symbols + 1,) into symbol_text, UTF-8.
    """

    first_series: int
    fingerprints: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.uint64]
    pairs: npt.NDArray[np.uint32]
    symbol_offsets: npt.NDArray[np.int64]
    symbol_text: bytes

    def __len__(self) -> int:
        return len(self.fingerprints)


class Texts(msgspec.Struct, frozen=True):
    """One text per label, out of a dictionary.

    places: uint32 (labels,). offsets: int64 (texts + 1,). text: uint8, UTF-8.
    """

    places: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    text: npt.NDArray[np.uint8]


class SeriesLabels(msgspec.Struct, frozen=True):
    """Series read back, in the form ``restore_series`` takes: labels sorted by name.

    fingerprints: uint64 (n, 2). starts: int64 (n + 1,) into labels.
    """

    first_series: int
    fingerprints: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    names: Texts
    values: Texts

    def __len__(self) -> int:
        return len(self.fingerprints)


def write_series(directory: Path, number: int, rows: SeriesRows) -> SeriesSegment:
    """Write and sync one segment. Nothing stays of it where this raises. number: a new id of the catalogue."""
    import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

    path = series_path(number)
    file = CheckedWriter(locate(directory, path))
    try:
        batch = _record_batch(rows)
        with pq.ParquetWriter(
            file,
            batch.schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            dictionary_pagesize_limit=DICTIONARY_BYTES_MAX,
            write_statistics=["series"],
            write_page_checksum=True,
            store_schema=False,
            use_dictionary=["name", _KEYS, _ITEMS],
        ) as writer:
            writer.write_batch(batch, row_group_size=GROUP_ROWS)
        seal = file.finish()
    except BaseException:  # raised again; the file must not stay
        file.discard()
        raise
    return SeriesSegment(number, path, rows.first_series, len(rows), seal.bytes, seal.crc, seal.page_crcs)


def read_series(directory: Path, segment: SeriesSegment) -> Iterator[SeriesLabels]:
    """The series of a segment, in order, one piece per row group. Raises: FileGone, Damaged."""
    import pyarrow.parquet as pq

    with CheckedReader(locate(directory, segment.path), segment.seal) as file:
        first = segment.first_series
        try:
            parquet = pq.ParquetFile(file, read_dictionary=[_KEYS, _ITEMS])  # the reader verifies every byte
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=["series", "fingerprint", "labels"], use_threads=False)
                labels = _labels_of(table, first)
                first += len(labels)
                yield labels
        except Exception as error:  # whatever Arrow makes of bytes it cannot read
            raise as_damaged(file, error) from error
        if first != segment.first_series + segment.rows:
            raise Damaged(str(file.path), f"it has {first - segment.first_series} series, expected {segment.rows}")


def _record_batch(rows: SeriesRows) -> "pa.RecordBatch":
    import pyarrow as pa

    count, base = len(rows), int(rows.starts[0]) if len(rows.starts) else 0
    offsets = (rows.starts.astype(np.int64) - base).astype(np.int32)
    symbols = arrow_text(rows.symbol_offsets.astype(np.int64, copy=False), rows.symbol_text, pa.large_string())
    keys = _dictionary(rows.pairs[:, 0], symbols)
    items = _dictionary(rows.pairs[:, 1], symbols)
    fingerprints = np.ascontiguousarray(rows.fingerprints, "<u8")
    columns: dict[str, Any] = {
        "series": arrow_column(np.arange(rows.first_series, rows.first_series + count, dtype=np.uint32), pa.uint32()),
        "fingerprint": arrow_column(fingerprints, pa.binary(16)),
        "name": _names(rows, offsets, symbols),
        "labels": pa.MapArray.from_arrays(arrow_column(offsets, pa.int32()), keys, items),
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    return pa.record_batch(list(columns.values()), schema=pa.schema(fields))


def _names(rows: SeriesRows, offsets: npt.NDArray[np.int32], symbols: "pa.Array") -> "pa.Array":
    """The value of the label ``__name__`` of each series; the empty string where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = NAME_LABEL.encode()
    name_symbol = pc.index(symbols, arrow_text(np.array([0, len(wanted)]), wanted, symbols.type)[0]).as_py()
    at = np.flatnonzero(rows.pairs[:, 0] == name_symbol) if name_symbol >= 0 else np.empty(0, np.int64)
    owner = np.searchsorted(offsets, at, "right") - 1
    named = np.full(len(rows), len(symbols), np.int64)
    named[owner] = rows.pairs[at, 1]
    with_empty = pa.concat_arrays([symbols, arrow_text(np.zeros(2, np.int64), b"", symbols.type)])
    return _dictionary(named, with_empty)


def _dictionary(ids: npt.NDArray[Any], symbols: "pa.Array") -> "pa.DictionaryArray":
    """Symbol ids as a dictionary array of just the symbols in use."""
    import pyarrow as pa

    used = np.zeros(len(symbols), np.bool_)
    used[ids] = True
    places = np.cumsum(used, dtype=np.int32) - 1
    dictionary = symbols.take(arrow_column(np.flatnonzero(used), pa.int64())).cast(pa.string())
    return pa.DictionaryArray.from_arrays(arrow_column(places[ids].astype(np.int32), pa.int32()), dictionary)


def _labels_of(table: "pa.Table", first_series: int) -> SeriesLabels:
    count = table.num_rows
    series = _chunk(table.column("series")).to_numpy()
    if count and (int(series[0]) != first_series or not bool(np.all(np.diff(series.astype(np.int64)) == 1))):
        raise ValueError(f"series ids do not go on from {first_series}")
    fingerprint, labels = _chunk(table.column("fingerprint")), _chunk(table.column("labels"))
    starts = labels.offsets.to_numpy().astype(np.int64)
    names, values = _texts_of(labels.keys[int(starts[0]) :]), _texts_of(labels.items[int(starts[0]) :])
    low_high = np.frombuffer(fingerprint.buffers()[1], "<u8", 2 * count, 16 * fingerprint.offset).reshape(count, 2)
    return SeriesLabels(first_series, low_high.astype(np.uint64), starts - starts[0], names, values)


def _texts_of(column: "pa.DictionaryArray") -> Texts:
    """The buffers as they are: Arrow's casts would load all its compute functions first."""
    texts, places = column.dictionary, column.indices
    _, offsets, text = texts.buffers()
    bounds = np.zeros(1, np.int32) if offsets is None else np.frombuffer(offsets, np.int32)[texts.offset :]
    bounds = bounds[: len(texts) + 1].astype(np.int64)
    used = b"" if text is None else memoryview(text)[int(bounds[0]) : int(bounds[-1])]
    found = np.frombuffer(places.buffers()[1], np.uint32)[places.offset :][: len(places)]
    return Texts(found, bounds - bounds[0], np.frombuffer(used, np.uint8))


def _chunk(column: "pa.ChunkedArray") -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
