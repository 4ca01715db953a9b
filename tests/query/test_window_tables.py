"""Windows as CSV, Parquet and Arrow: the columns of the lines, as other programs read them."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, MINUTE_MS
from nissa.query.export_form import ExportForm
from nissa.query.resolution import WindowSelection, read_selected
from nissa.query.window_tables import export_windows, window_schema
from oracle.engine import NOW_MS, Rig, config_of

START_MS = NOW_MS // DAY_MS * DAY_MS
EVER = (-(2**63), 2**63 - 1)


def bits(value: float) -> int:
    """A value as its bits."""
    return int(np.float64(value).view(np.uint64))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Half an hour of a counter, and of a gauge whose first window holds nothing but NaN."""
    rig = Rig(tmp_path_factory.mktemp("tables") / "data", config_of(acceptance={"past_ms": 3 * DAY_MS}))
    rig.now_ms = START_MS + DAY_MS // 2
    times = range(START_MS, START_MS + 30 * MINUTE_MS, 10_000)
    rig.keep([("total", ts_ms, bits(ts_ms // 10_000 % 500)) for ts_ms in times])
    rig.keep([("level", ts_ms, bits(math.nan if ts_ms < START_MS + 5 * MINUTE_MS else math.inf)) for ts_ms in times])
    rig.engine.flush()
    yield rig
    rig.engine.close()


def exported(rig: Rig, form: ExportForm, wanted: WindowSelection, span: tuple[int, int] = EVER) -> bytes:
    """All windows in one form."""
    return b"".join(export_windows(rig.engine, read_selectors('{__name__=~".+"}'), span, form, wanted))


def lines(rig: Rig, wanted: WindowSelection) -> dict[str, Any]:
    """The same as lines, by name."""
    return {
        line["metric"]["__name__"]: line
        for line in map(json.loads, exported(rig, ExportForm.JSONL, wanted).splitlines())
    }


@pytest.mark.parametrize("form", [ExportForm.PARQUET, ExportForm.ARROW])
def test_tables_say_what_lines_say(rig: Rig, form: ExportForm) -> None:
    """Row by row and column by column; what a tier does not keep is null."""
    for wanted in (read_selected("5m", "", "0.9"), read_selected("1m")):
        data = exported(rig, form, wanted)
        table = (
            parquet.read_table(io.BytesIO(data)) if form is ExportForm.PARQUET else pa.ipc.open_stream(data).read_all()
        )
        assert table.column_names == window_schema(wanted).names
        assert set(table["resolution"].to_pylist()) == {wanted.resolution}
        for name, line in lines(rig, wanted).items():
            rows = [row for row in table.to_pylist() if row["name"] == name]
            assert [int(row["timestamp"].timestamp() * 1000) for row in rows] == line["timestamps"]
            for column in ("count", "mean", "increase", "p90", "p99", "exact"):
                told = [row.get(column) for row in rows]
                if column not in line:
                    assert told == [None] * len(rows)
                    continue
                assert [one for one in told if one == one and one not in (math.inf, -math.inf)] == [
                    one for one in line[column] if one is not None and not isinstance(one, str)
                ]
            assert [row["nans"] for row in rows] == line.get("nans", [0] * len(rows))


def test_csv_is_read_by_the_standard_library(rig: Rig) -> None:
    """Non-finite numbers are words; columns that are not kept are empty."""
    wanted = read_selected("1m", "", "")
    rows = list(csv.DictReader(io.StringIO(exported(rig, ExportForm.CSV, wanted).decode(), newline="")))
    assert list(rows[0]) == [name.replace("timestamp", "timestamp_ms") for name in window_schema(wanted).names]
    level = [row for row in rows if row["name"] == "level"]
    assert (level[0]["count"], level[0]["nans"], level[0]["mean"], level[0]["p99"]) == ("0", "6", "NaN", "")
    assert (level[9]["count"], level[9]["max"], level[9]["exact"]) == ("6", "Infinity", "")
    assert level[0]["timestamp_ms"] == str(START_MS)
    whole = list(csv.DictReader(io.StringIO(exported(rig, ExportForm.CSV, read_selected("5m")).decode(), newline="")))
    assert [row["exact"] for row in whole if row["name"] == "total"] == ["true"] * 6


def test_samples_of_a_stitched_answer_are_rows_too(rig: Rig) -> None:
    """Their resolution is raw and their value the last."""
    table = parquet.read_table(io.BytesIO(exported(rig, ExportForm.PARQUET, read_selected("auto", "10s"))))
    assert table.num_rows == 360
    assert set(table["resolution"].to_pylist()) == {"raw"}
    assert table["count"].null_count == 360
    counted = duckdb.from_arrow(table).query("samples", "select name, count(last) from samples group by all order by 1")
    assert counted.fetchall() == [("level", 180), ("total", 180)]


@pytest.mark.parametrize("form", [ExportForm.PARQUET, ExportForm.ARROW, ExportForm.CSV])
def test_nothing_is_a_table_of_no_rows(rig: Rig, form: ExportForm, tmp_path: Path) -> None:
    """An empty table has its columns."""
    data = exported(rig, form, WindowSelection("5m"), (0, MINUTE_MS))
    if form is ExportForm.CSV:
        assert data.count(b"\n") == 1
        return
    table = parquet.read_table(io.BytesIO(data)) if form is ExportForm.PARQUET else pa.ipc.open_stream(data).read_all()
    assert (table.num_rows, table.column_names) == (0, window_schema(WindowSelection("5m")).names)
