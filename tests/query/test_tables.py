"""Arrow tables and the table forms, as other programs read them."""

import csv
import io
import json
import random

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from nissa.model.columns import STALE_BITS, SampleBatch
from nissa.query.tables import sample_record_batch, table_schema, write_arrow, write_csv, write_parquet
from oracle.series_twin import SeriesTwin

LABELS = [
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "up", "job": 'd"b\n, x'},
    {"__name__": "größe", "path": "日本😀"},
]
INDEX = SeriesTwin(LABELS)


def batches(seed: int = 1) -> list[SampleBatch]:
    chance = random.Random(seed)
    bits = np.array(
        [chance.getrandbits(64) for _ in range(596)] + [STALE_BITS, 0x7FF8000000000001, 0xFFF8000000000000, 1 << 63],
        np.uint64,
    )
    series = np.repeat(np.arange(3, dtype=np.uint32), 200)
    ts_ms = np.tile(np.arange(200, dtype=np.int64) * 1_000 + 1_732_190_000_000, 3)
    value = bits.view(np.float64)
    return [
        SampleBatch(series[part], ts_ms[part], value[part])
        for part in (slice(0, 150), slice(150, 450), slice(450, 600))
    ]


def all_bits() -> list[int]:
    return np.concatenate([batch.value for batch in batches()]).view(np.uint64).tolist()


def bits_of(table: pa.Table) -> list[int]:
    return table["value"].to_numpy().view(np.uint64).tolist()


def test_a_table_has_names_labels_times_and_values():
    """The columns say which series, when and what; labels are JSON without the name."""
    table = pa.Table.from_batches([sample_record_batch(INDEX, batch) for batch in batches()])
    assert table.schema.equals(table_schema())
    first, last = table.slice(0, 1).to_pylist()[0], table.slice(599, 1).to_pylist()[0]
    assert first["name"] == "up"
    assert json.loads(first["labels"]) == {"job": "api", "instance": "a:1"}
    assert first["timestamp"].isoformat() == "2024-11-21T11:53:20+00:00"
    assert last["name"] == "größe"
    assert bits_of(table) == all_bits()


def test_labels_can_have_columns_of_their_own():
    """A label asked for is a column, null where a series lacks it."""
    table = pa.Table.from_batches([sample_record_batch(INDEX, batch, ["job", "path"]) for batch in batches()])
    assert table.column_names == ["name", "labels", "job", "path", "timestamp", "value"]
    assert table["job"].to_pylist()[::200] == ["api", 'd"b\n, x', None]
    assert table["path"].to_pylist()[::200] == [None, None, "日本😀"]


def test_parquet_is_read_by_others_bit_for_bit():
    """pyarrow, polars and DuckDB read the same rows; NaN payloads survive."""
    data = b"".join(write_parquet(INDEX, batches()))
    assert bits_of(parquet.read_table(io.BytesIO(data))) == all_bits()
    frame = pl.read_parquet(io.BytesIO(data))
    assert frame["value"].to_numpy().view(np.uint64).tolist() == all_bits()
    assert frame["labels"].cast(pl.String).str.json_path_match("$.job").unique().drop_nulls().sort().to_list() == [
        "api",
        'd"b\n, x',
    ]
    samples = parquet.read_table(io.BytesIO(data))
    sql = "select name, labels->>'job' as job, count(*) from samples group by all order by 1, 2"
    counted = duckdb.from_arrow(samples).query("samples", sql).fetchall()
    assert counted == [("größe", None, 200), ("up", "api", 200), ("up", 'd"b\n, x', 200)]


def test_an_arrow_stream_is_read_by_others_bit_for_bit():
    """The stream gives all batches, their dictionaries replaced as they change."""
    table = pa.ipc.open_stream(b"".join(write_arrow(INDEX, batches()))).read_all()
    assert bits_of(table) == all_bits()
    assert table["name"].to_pylist()[::200] == ["up", "up", "größe"]


def test_csv_is_read_by_the_standard_library():
    """Rows quote what needs it; values that are no numbers have words; numbers read back the same."""
    rows = list(csv.DictReader(io.StringIO(b"".join(write_csv(INDEX, batches())).decode(), newline="")))
    assert [json.loads(row["labels"]) for row in rows[::200]] == [
        {name: value for name, value in labels.items() if name != "__name__"} for labels in LABELS
    ]
    assert [row["value"] for row in rows[596:599]] == ["StaleNaN", "NaN", "NaN:fff8000000000000"]
    finite = [(row["value"], bits) for row, bits in zip(rows, all_bits(), strict=True) if (bits >> 52) & 0x7FF != 0x7FF]
    assert len(finite) > 500
    for text, bits in finite:
        assert int(np.float64(text).view(np.uint64)) == bits
    assert rows[0]["timestamp_ms"] == "1732190000000"


@pytest.mark.parametrize("write", [write_arrow, write_parquet])
def test_an_empty_export_is_a_table_of_no_rows(write):
    """No samples still make a file with its columns."""
    data = b"".join(write(INDEX, []))
    table = parquet.read_table(io.BytesIO(data)) if write is write_parquet else pa.ipc.open_stream(data).read_all()
    assert table.num_rows == 0
    assert table.column_names == ["name", "labels", "timestamp", "value"]
