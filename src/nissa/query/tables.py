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


def record_batch(index: SeriesView, batch: SampleBatch, label_columns: Sequence[str] = ()) -> "pa.RecordBatch":
    """One batch of samples as Arrow. Columns of samples are shared, not copied."""
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
    import pyarrow as pa

    sink: Any = ChunkSink()
    with pa.ipc.new_stream(sink, table_schema()) as writer:
        for batch in batches:
            writer.write_batch(record_batch(index, batch))
            yield sink.take()
    yield sink.take()


def write_parquet(index: SeriesView, batches: Iterable[SampleBatch]) -> Generator[bytes, None, None]:
    """A Parquet file, zstd; its row groups leave as they are made, only the footer waits for the end."""
    from pyarrow import parquet

    sink: Any = ChunkSink()
    options: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": ["name", "labels"],  # a dictionary of floats would take NaNs of different bits for one
        "column_encoding": {"timestamp": "DELTA_BINARY_PACKED"},
        "write_page_checksum": True,
    }
    with parquet.ParquetWriter(sink, table_schema(), **options) as writer:
        for batch in batches:
            writer.write_batch(record_batch(index, batch), row_group_size=ROW_GROUP_ROWS)
            yield sink.take()
    yield sink.take()


def write_csv(index: SeriesView, batches: Iterable[SampleBatch]) -> Generator[bytes, None, None]:
    """CSV with a header line. Values that are no finite number have the words of ``json_lines``, and NaN is ``NaN``."""
    yield b"name,labels,timestamp_ms,value\n"
    for batch in batches:
        yield _csv_rows(index, batch)


def _csv_rows(index: SeriesView, batch: SampleBatch) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    batch_texts: Any = record_batch(index, batch)
    value: Any = pa.array(batch.value, from_pandas=False)
    special = np.flatnonzero(~np.isfinite(batch.value))
    if len(special):
        texts = value.cast(pa.string()).to_pylist()
        bits = batch.value.view(np.uint64)
        for at in special.tolist():
            texts[at] = word_of(int(bits[at])) or "NaN"
        value = pa.array(texts, pa.string())
    columns = [
        batch_texts["name"].dictionary_decode(),
        batch_texts["labels"].dictionary_decode(),
        pa.array(batch.ts_ms),
        value,
    ]
    rows = pa.table(columns, names=["name", "labels", "timestamp_ms", "value"])
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return bytes(sink.getvalue())


class ChunkSink(IOBase):
    """A file to write to whose bytes are taken away between writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """What was written since the last call."""
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
