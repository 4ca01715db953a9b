"""Samples as Arrow tables, and as the table forms made of them: Parquet, Arrow stream and CSV.

    name        dictionary<string>      the metric's name
    labels      dictionary<string>      the other labels as JSON, sorted by name: {"instance":"a:1","job":"api"}
    timestamp   timestamp[ms, UTC]
    value       float64                 bits as received, staleness markers and NaN payloads too

A dictionary keeps each text once per table and is what pandas calls a category; a map column would repeat every label
with every sample. DuckDB reads one label with ``labels->>'job'``, polars with ``json_path_match("$.job")``;
``label_columns`` of ``Reader.samples`` gives labels columns of their own.

pyarrow is imported inside functions: it takes a fifth of a second and must not delay the daemon's start.
"""

from collections.abc import Generator, Iterable, Sequence
from io import IOBase
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from nissa.model.columns import SampleBatch
from nissa.model.matcher import NAME_LABEL
from nissa.query.json_lines import word_of
from nissa.series.select import SeriesView

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 512 * 1024


def table_schema(label_columns: Sequence[str] = ()) -> "pa.Schema":
    """The columns of a table of samples."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    fields = [pa.field("name", text), pa.field("labels", text)]
    fields += [pa.field(label, text) for label in label_columns]
    return pa.schema(
        [*fields, pa.field("timestamp", pa.timestamp("ms", tz="UTC")), pa.field("value", pa.float64())],
        metadata={"nissa.form": "samples"},
    )


def sample_record_batch(index: SeriesView, batch: SampleBatch, label_columns: Sequence[str] = ()) -> "pa.RecordBatch":
    """Convert one batch of samples to Arrow. Columns of samples are shared, not copied.

    index: names the series. batch: sorted by series. label_columns: labels that get a column of their own.
    """
    import pyarrow as pa

    series, codes = np.unique(batch.series, return_inverse=True)
    labels = [dict(index.labels(int(one))) for one in series]
    names = [one.pop(NAME_LABEL, "") for one in labels]
    columns: list[Any] = [
        _text_column(names, codes),
        _text_column([orjson.dumps(one).decode() for one in labels], codes),
    ]
    columns += [_text_column([one.get(label) for one in labels], codes) for label in label_columns]
    columns.append(pa.array(batch.ts_ms).cast(pa.timestamp("ms", tz="UTC")))
    columns.append(pa.array(batch.value, from_pandas=False))
    return pa.record_batch(columns, schema=table_schema(label_columns))


def _text_column(texts: Sequence[str | None], codes: Any) -> "pa.DictionaryArray[Any, Any]":
    """A text per series, spread over its rows: each distinct text once, and a missing label is null."""
    import pyarrow as pa

    places: dict[str, int] = {}
    code_of = np.array([-1 if text is None else places.setdefault(text, len(places)) for text in texts], np.int32)
    spread = code_of[codes] if len(code_of) else np.empty(0, np.int32)
    indices = pa.array(spread, mask=spread < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def write_arrow(index: SeriesView, batches: Iterable[SampleBatch]) -> Generator[bytes, None, None]:
    """An Arrow IPC stream, dictionaries replaced from batch to batch."""
    return arrow_chunks(table_schema(), (sample_record_batch(index, batch) for batch in batches))


def write_parquet(index: SeriesView, batches: Iterable[SampleBatch]) -> Generator[bytes, None, None]:
    """A Parquet file, zstd; its row groups leave as they are made, only the footer waits for the end."""
    return parquet_chunks(table_schema(), (sample_record_batch(index, batch) for batch in batches), ("name", "labels"))


def write_csv(index: SeriesView, batches: Iterable[SampleBatch]) -> Generator[bytes, None, None]:
    """CSV with a header line. Values that are no finite number have the words of ``json_lines``, and NaN is ``NaN``."""
    return csv_chunks(table_schema(), (sample_record_batch(index, batch) for batch in batches))


def arrow_chunks(schema: "pa.Schema", batches: Iterable["pa.RecordBatch"]) -> Generator[bytes, None, None]:
    """Batches as an Arrow IPC stream."""
    import pyarrow as pa

    sink: Any = ChunkSink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def parquet_chunks(
    schema: "pa.Schema", batches: Iterable["pa.RecordBatch"], repeating: Sequence[str]
) -> Generator[bytes, None, None]:
    """Write batches as a Parquet file, in chunks.

    schema: of all batches. batches: read as chunks are requested. repeating: names of columns with few distinct texts,
    which are dictionary-encoded.
    """
    from pyarrow import parquet

    sink: Any = ChunkSink()
    options: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": list(repeating),  # a dictionary of floats would take NaNs of different bits for one
        "column_encoding": {"timestamp": "DELTA_BINARY_PACKED"},
        "write_page_checksum": True,
    }
    with parquet.ParquetWriter(sink, schema, **options) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
            yield sink.take()
    yield sink.take()


def csv_chunks(schema: "pa.Schema", batches: Iterable["pa.RecordBatch"]) -> Generator[bytes, None, None]:
    """Batches as CSV: ``timestamp`` is ``timestamp_ms``, a number; what is null is empty."""
    names = ["timestamp_ms" if name == "timestamp" else name for name in schema.names]
    yield (",".join(names) + "\n").encode()
    for batch in batches:
        yield _csv_rows(names, batch)


def _csv_rows(names: Sequence[str], batch: "pa.RecordBatch") -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    rows = pa.table([_csv_column(column) for column in batch.columns], names=list(names))
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return bytes(sink.getvalue())


def _csv_column(column: Any) -> "pa.Array":
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.dictionary_decode()
    if pa.types.is_timestamp(kind):
        return column.cast(pa.int64())
    if not pa.types.is_float64(kind) or column.null_count == len(column):
        return column
    numbers = column.fill_null(0.0).to_numpy() if column.null_count else column.to_numpy()
    special = np.flatnonzero(~np.isfinite(numbers))
    if not len(special):
        return column
    texts = column.cast(pa.string()).to_pylist()
    bits = numbers.view(np.uint64)
    for at in special.tolist():
        texts[at] = word_of(int(bits[at])) or "NaN"
    return pa.array(texts, pa.string())


class ChunkSink(IOBase):
    """A file to write to whose bytes are taken away between writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Bytes written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing waits anywhere."""

    def close(self) -> None:
        """Taking goes on: the last bytes are written while closing."""
