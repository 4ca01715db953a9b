"""The series table: labels by series id, as Parquet. Each seal with new series adds a segment.

    series/series-<id>.parquet
    series   fingerprint (16 B)   name    labels: map<string, string>, sorted by name, __name__ among them
       327   5f0c…                up      {__name__: up, instance: a:9090, job: node}

Ids ascend within a segment and from one to the next. An id that stands nowhere is that of a series that was dropped.
Segments never change; neighbours are merged, and written again without what was dropped (``series_merge.py``). ``name``
repeats ``__name__`` for whoever queries the file by hand. Text is written from the index's
symbols as Arrow dictionaries, so a label that many series share is stored, hashed and compressed once per row group.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.catalogue.catalogue import SeriesSegment
from nissa.files.arrow_columns import arrow_column, arrow_text
from nissa.files.checked_file import CheckedReader, CheckedWriter
from nissa.files.file_facts import SeriesFacts, add_facts
from nissa.files.names import copy_path, locate, series_path
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.slices import Slices, run_whole
from nissa.store.block_footer import as_damaged
from nissa.store.series_copy import delete_segment, write_copy

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 128 * 1024
DICTIONARY_BYTES_MAX = 64 * 1024 * 1024  # above it Parquet would write every label out
ZSTD_LEVEL = 3
NAME_LABEL = "__name__"
_KEYS, _ITEMS = "labels.key_value.key", "labels.key_value.value"


class SeriesRows(msgspec.Struct, frozen=True):
    """Series as the index holds them.

    series: ids, ascending. fingerprints: uint64 (n, 2), low and high. starts: uint64 (n + 1,), series i owns
    pairs ``starts[i] - starts[0] : starts[i + 1] - starts[0]``. pairs: uint32 (m, 2), symbols of name and value.
    symbol_offsets: int64 (symbols + 1,) into symbol_text, UTF-8.
    """

    series: SeriesColumn
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

    series: ids, ascending. fingerprints: uint64 (n, 2). starts: int64 (n + 1,) into labels.
    """

    series: SeriesColumn
    fingerprints: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    names: Texts
    values: Texts

    def __len__(self) -> int:
        return len(self.fingerprints)


def write_series(directory: Path, number: int, rows: SeriesRows, last_lsn: int = 0) -> SeriesSegment:
    """Write and sync one segment. Nothing stays of it where this raises.

    number: a new id of the catalogue. last_lsn: of the frames that brought the series.
    """
    return write_pieces(directory, number, (rows,), last_lsn)


def write_pieces(
    directory: Path, number: int, pieces: Iterable[SeriesRows], last_lsn: int = 0, sources: Sequence[int] = ()
) -> SeriesSegment:
    """Write a segment of series that come in pieces, at least one; ids ascend over all pieces.

    directory: the data directory. number: its id. pieces: of series. last_lsn: last frame that added one. sources: ids
    of the segments it was merged from. Raises: OSError.
    """
    return run_whole(write_pieces_in_slices(directory, number, pieces, last_lsn, sources))


def write_pieces_in_slices(
    directory: Path, number: int, pieces: Iterable[SeriesRows], last_lsn: int = 0, sources: Sequence[int] = ()
) -> Slices[SeriesSegment]:
    """The same, a slice for each piece."""
    import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

    path = series_path(number)
    file = CheckedWriter(locate(directory, path))
    first_series, last_series, count = 0, -1, 0
    try:
        with ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for rows in pieces:
                batch = _record_batch(rows)
                if writer is None:
                    first_series = int(rows.series[0])
                    writer = stack.enter_context(
                        pq.ParquetWriter(
                            file,
                            batch.schema,
                            compression="zstd",
                            compression_level=ZSTD_LEVEL,
                            dictionary_pagesize_limit=DICTIONARY_BYTES_MAX,
                            write_statistics=["series"],
                            write_page_checksum=True,
                            store_schema=False,
                            use_dictionary=["name", _KEYS, _ITEMS],
                        )
                    )
                writer.write_batch(batch, row_group_size=GROUP_ROWS)
                count += len(rows)
                last_series = int(rows.series[-1])
                yield 0.0
            if writer is not None:
                add_facts(writer, SeriesFacts(number, first_series, count, last_lsn, tuple(sources), last_series))
        seal = file.finish()
        write_copy(directory, path)
    except BaseException:  # raised again; the file must not stay
        file.discard()
        delete_segment(directory, path)
        raise
    return SeriesSegment(number, path, first_series, count, seal.bytes, seal.crc, seal.page_crcs, last_series)


def read_series(
    directory: Path, segment: SeriesSegment, on_damage: Callable[[Damaged], None] | None = None
) -> Iterator[SeriesLabels]:
    """The series of a segment, in order, one piece per row group; from its second copy where it cannot be read itself.

    on_damage: called with why it could not. Raises: Damaged, where neither can be read.
    """
    given, first = 0, None
    for path in (segment.path, copy_path(segment.path)):
        try:
            for number, piece in enumerate(_pieces(locate(directory, path), segment)):
                if number == given:
                    given += 1
                    yield piece
        except Damaged as error:
            if first is not None:
                raise first from None
            first = error
            continue
        if first is not None and on_damage is not None:
            on_damage(first)
        return


def _pieces(path: Path, segment: SeriesSegment) -> Iterator[SeriesLabels]:
    import pyarrow.parquet as pq

    with CheckedReader(path, segment.seal) as file:
        count, last = 0, segment.first_series - 1
        try:
            parquet = pq.ParquetFile(file, read_dictionary=[_KEYS, _ITEMS])  # the reader verifies every byte
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=["series", "fingerprint", "labels"], use_threads=False)
                labels = _labels_of(table, last)
                if len(labels):
                    last = int(labels.series[-1])
                    count += len(labels)
                    yield labels
        except Exception as error:  # any error of Arrow for bytes it cannot read
            raise as_damaged(file, error) from error
        if (count, last) != (segment.rows, segment.last_series):
            expected = f"expected {segment.rows} up to {segment.last_series}"
            raise Damaged(str(file.path), f"it has {count} series up to {last}, {expected}")


def take_labels(labels: SeriesLabels, chosen: npt.NDArray[np.bool_]) -> SeriesLabels:
    """The chosen series; texts that they do not use stay among the texts."""
    kept = np.repeat(chosen, np.diff(labels.starts))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(labels.starts)[chosen])])
    names, values = (msgspec.structs.replace(one, places=one.places[kept]) for one in (labels.names, labels.values))
    return SeriesLabels(labels.series[chosen], labels.fingerprints[chosen], starts, names, values)


def rows_of_labels(pieces: Sequence[SeriesLabels]) -> SeriesRows:
    """Series read back, neighbours in order, as rows to be written: each text once."""
    import pyarrow as pa
    import pyarrow.compute  # ``dictionary_encode`` is in there

    texts = [one for piece in pieces for one in (piece.names, piece.values)]
    counts = np.array([len(one.offsets) - 1 for one in texts], np.int64)
    bases = np.cumsum(counts) - counts
    encoded = pa.concat_arrays(
        [arrow_text(one.offsets, one.text.tobytes(), pa.large_string()) for one in texts]
    ).dictionary_encode()
    symbols = np.frombuffer(encoded.indices.buffers()[1], np.int32)[: len(encoded)].astype(np.uint32)
    pairs = [
        np.stack(
            [
                symbols[bases[at] : bases[at] + counts[at]][piece.names.places],
                symbols[bases[at + 1] : bases[at + 1] + counts[at + 1]][piece.values.places],
            ],
            axis=1,
        )
        for at, piece in zip(range(0, len(texts), 2), pieces, strict=True)
    ]
    sizes = [np.diff(piece.starts) for piece in pieces]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))]).astype(np.uint64)
    _, offsets, text = encoded.dictionary.buffers()
    return SeriesRows(
        np.concatenate([piece.series for piece in pieces]),
        np.concatenate([piece.fingerprints for piece in pieces]),
        starts,
        np.concatenate(pairs),
        np.frombuffer(offsets, np.int64)[: len(encoded.dictionary) + 1],
        b"" if text is None else text.to_pybytes(),
    )


def _record_batch(rows: SeriesRows) -> "pa.RecordBatch":
    import pyarrow as pa

    base = int(rows.starts[0]) if len(rows.starts) else 0
    offsets = (rows.starts.astype(np.int64) - base).astype(np.int32)
    symbols = arrow_text(rows.symbol_offsets.astype(np.int64, copy=False), rows.symbol_text, pa.large_string())
    keys = _dictionary(rows.pairs[:, 0], symbols)
    items = _dictionary(rows.pairs[:, 1], symbols)
    fingerprints = np.ascontiguousarray(rows.fingerprints, "<u8")
    columns: dict[str, Any] = {
        "series": arrow_column(rows.series, pa.uint32()),
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


def _labels_of(table: "pa.Table", last_series: int) -> SeriesLabels:
    """last_series: of the piece before."""
    count = table.num_rows
    series = _chunk(table.column("series")).to_numpy()
    if count and (int(series[0]) <= last_series or not bool(np.all(series[1:] > series[:-1]))):
        raise ValueError(f"series ids are not ascending after {last_series}")
    fingerprint, labels = _chunk(table.column("fingerprint")), _chunk(table.column("labels"))
    starts = labels.offsets.to_numpy().astype(np.int64)
    names, values = _texts_of(labels.keys[int(starts[0]) :]), _texts_of(labels.items[int(starts[0]) :])
    low_high = np.frombuffer(fingerprint.buffers()[1], "<u8", 2 * count, 16 * fingerprint.offset).reshape(count, 2)
    return SeriesLabels(series.astype(np.uint32), low_high.astype(np.uint64), starts - starts[0], names, values)


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
