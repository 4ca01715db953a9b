"""Reading a directory from Python, with and without a writer at work."""

import io
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

import nissa
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.catalogue.catalogue import BlockRow
from nissa.codec.messages import MessageCodec
from nissa.config.tree import Config, Storage
from nissa.files.checked_file import FileGone
from nissa.model.errors import BadQuery, ConfigInvalid, Damaged
from nissa.model.frame import Codec
from nissa.model.slices import run_whole
from nissa.query import export as exporting
from nissa.query.reader import Reader
from nissa.service.clock import wall_ms
from nissa.store import blocks
from nissa.store.compaction import merge_blocks
from nissa.store.gone import ATTEMPTS_MAX
from nissa.store.parquet_block import OPEN_FILES_MAX
from nissa.store.read import Snapshot
from oracle.backend_twin import BackendTwin, regular
from oracle.directory import Directory
from oracle.json_lines import read_json_lines

BLOCK = BlockRow(1, "raw", 0, "blocks/raw-00000000000000000001.parquet", 9, 0, 9, 0, 0, 1, 1, 1, 9, 7, b"1234")


def write(engine: nissa.Engine, first_ms: int, count: int = 100) -> None:
    request = WriteRequest()
    for job in ("api", "db"):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value="up")
        series.labels.add(name="job", value=job)
        for at in range(count):
            series.samples.add(value=at / 4, timestamp=first_ms + at)
    engine.ingest(request.SerializeToString(), Codec.REMOTE_WRITE_1)


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, int]:
    """A directory with 100 samples of each of two series in a block and 100 more in the journal; and its first time."""
    first_ms = wall_ms() - 10_000
    with nissa.Engine(tmp_path) as engine:
        write(engine, first_ms)
        engine.flush()
        write(engine, first_ms + 100)
    return tmp_path, first_ms


def test_samples_are_a_table(filled):
    """Blocks and journal are one table; times may be text, seconds or datetimes, both ends inside."""
    directory, first_ms = filled
    with nissa.open(directory) as reader:
        assert reader.samples("up").num_rows == 400
        table = reader.samples('up{job="api"}', (first_ms + 50) / 1000, (first_ms + 149) / 1000, label_columns=["job"])
        assert table.num_rows == 100
        assert table["job"].unique().to_pylist() == ["api"]
        moment = datetime.fromtimestamp(first_ms // 1000, UTC)
        assert reader.samples("up", start=moment).num_rows == 400
        assert reader.samples("up", start="2001-01-01T00:00:00Z", end="2002-01-01T00:00:00Z").num_rows == 0
        with pytest.raises(BadQuery):
            reader.samples("up", label_columns=["value"])


def test_the_table_is_read_by_pandas_polars_and_duckdb(filled):
    """The same sums by all three."""
    directory, _ = filled
    with nissa.open(directory) as reader:
        samples = reader.samples("up")
    expected = 2 * sum(at / 4 for at in range(100))
    by_pandas: pd.DataFrame = samples.to_pandas()
    assert by_pandas.groupby("labels", observed=True)["value"].sum().tolist() == [expected, expected]
    by_polars = pl.from_arrow(samples).group_by(pl.col("labels").cast(pl.String)).agg(pl.col("value").sum())
    assert by_polars["value"].to_list() == [expected, expected]
    sql = "select labels->>'job' as job, sum(value) from samples group by 1 order by 1"
    assert duckdb.from_arrow(samples).query("samples", sql).fetchall() == [("api", expected), ("db", expected)]


def test_events_are_a_table(tmp_path):
    """Blocks and journal are one table that DuckDB reads; so are the event blocks by themselves."""
    now_ms = wall_ms()
    with nissa.Engine(tmp_path) as engine:
        for number in range(3):
            event = {"event_id": f"e{number}", "source": "s", "level": number and 3, "timestamp_ms": now_ms + number}
            engine.ingest(MessageCodec().encode_message("telemetry_event", event), Codec.NISSA_EVENT)
            if number == 1:
                engine.flush()
    with nissa.open(tmp_path) as reader:
        events = reader.events(level="error", start=now_ms / 1000)
        assert events["event_id"].to_pylist() == ["e1", "e2"]
        assert reader.events(source=["s"], text="E1", newest_first=True)["event_id"].to_pylist() == ["e1"]
        assert reader.events(source="nobody").num_rows == 0
        with pytest.raises(BadQuery):
            reader.events(level="fatal")
    assert duckdb.from_arrow(events).query("events", "select level, count(*) from events group by 1").fetchall() == [
        ("error", 2)
    ]
    sealed = duckdb.sql(f"select level, event_id from '{tmp_path}/blocks/events-*.parquet' order by time_ms")
    assert sealed.fetchall() == [(0, "e0"), (3, "e1")]


def test_names_and_series(filled):
    """Labels, values, series and batches, by selector and in all."""
    directory, _ = filled
    with nissa.open(directory) as reader:
        assert reader.labels() == ["__name__", "job"]
        assert reader.label_values("job") == ["api", "db"]
        assert reader.series('{job="db"}') == [{"__name__": "up", "job": "db"}]
        assert reader.series("up", end=5) == []
        assert sum(len(batch) for batch in reader.batches("up")) == 400


def test_export_writes_to_a_file(filled):
    """The number of bytes written is returned, and the bytes are those of the form."""
    directory, _ = filled
    sink = io.BytesIO()
    with nissa.open(directory) as reader:
        assert reader.export(sink, "up") == len(sink.getvalue())
        with pytest.raises(BadQuery):
            reader.export(sink, "up", form="xml")
    assert sum(len(line.values) for line in read_json_lines(sink.getvalue())) == 400


def test_a_refresh_shows_what_came_since(filled):
    """A reader keeps its view until it is refreshed, also while an engine writes."""
    directory, first_ms = filled
    with nissa.open(directory) as reader, nissa.Engine(directory) as engine:
        write(engine, first_ms + 200)
        assert reader.samples("up").num_rows == 400
        reader.refresh()
        assert reader.samples("up").num_rows == 600
        engine.flush()
        assert reader.samples("up").num_rows == 600


def test_reading_while_blocks_are_merged(tmp_path: Path):
    """A reader whose files were merged into others and deleted since it was opened still gives every sample."""
    first_ms = wall_ms() - 60_000
    with nissa.Engine(tmp_path, Config(storage=Storage(compaction_fan_in=2))) as engine:
        write(engine, first_ms)
        engine.flush()
        for turn in range(1, 9):
            with nissa.open(tmp_path) as reader:
                write(engine, first_ms + 100 * turn)
                engine.flush()
                assert reader.samples("up").num_rows >= 200 * turn
    with nissa.open(tmp_path) as reader:
        assert reader.samples("up").num_rows == 1_800


def test_a_directory_that_is_none_is_refused(tmp_path: Path):
    """An empty or missing directory is an error, and nothing is created there."""
    with pytest.raises(ConfigInvalid):
        nissa.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


LABELS = [{"__name__": "up", "job": "a"}]


def test_a_block_that_is_gone_leads_to_a_new_view() -> None:
    """A directory whose file was merged away is read anew, a few times."""

    class Moving(BackendTwin):
        gone = 0

        def snapshot(self) -> Snapshot:
            Moving.gone -= 1
            if Moving.gone >= 0:
                raise FileGone("blocks/raw-1.parquet")
            return super().snapshot()

    for gone, rows in ((3, 3), (ATTEMPTS_MAX - 1, 3)):
        Moving.gone = gone
        reader = Reader(lambda: Moving(LABELS, regular(1, 3)), wall_ms)
        assert sum(len(batch) for batch in reader.batches('{__name__!=""}')) == rows
    Moving.gone = ATTEMPTS_MAX
    with pytest.raises(FileGone):
        reader.batches('{__name__!=""}')


def test_a_file_that_is_gone_is_never_left_out() -> None:
    """With damage ignored too, the read is repeated if a file is gone: its rows are in another file now."""
    views = [Snapshot(Path("/nowhere"), (BLOCK,)), None, Snapshot(Path("/nowhere"), (BLOCK,)), None]

    class Moved(BackendTwin):
        def snapshot(self) -> Snapshot:
            return views.pop(0) or super().snapshot()

    told: list[Damaged] = []
    reader = Reader(lambda: Moved(LABELS, regular(1, 3, first_ms=0)), wall_ms)
    assert sum(len(batch) for batch in reader.batches("up", on_damage=told.append)) == 3
    assert reader.series("up", 0, 5) == LABELS
    assert (told, views) == ([], [])


def test_reading_goes_on_behind_the_last_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more blocks than may be open, some are merged while they are read: every row comes once, in order."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", 8)
    monkeypatch.setattr(exporting, "BATCH_ROWS_MAX", 10)
    directory = Directory(tmp_path)
    count, series = OPEN_FILES_MAX + 16, 24
    for number in range(count):
        directory.seal([(one, number, number) for one in range(series)])

    class Stored(BackendTwin):
        snapshots = 0

        def snapshot(self) -> Snapshot:
            Stored.snapshots += 1
            return directory.snapshot()

    reader = Reader(lambda: Stored([{"__name__": f"m{one}"} for one in range(series)], regular(1, 0)), wall_ms)
    rows: list[tuple[int, int]] = []
    for batch in reader.batches('{__name__!=""}'):
        rows += zip(batch.series.tolist(), batch.ts_ms.tolist(), strict=True)
        if len(rows) > 100 and len(directory.blocks()) == count:
            run_whole(merge_blocks(tmp_path, directory.catalogue, tuple(directory.blocks()), 1))
    assert rows == [(one, number) for one in range(series) for number in range(count)]
    assert (Stored.snapshots, len(directory.blocks())) == (2, 1)
