"""Reading samples of selected series over blocks and head."""

import os
from pathlib import Path

import numpy as np
import pytest

import nissa
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.model.frame import Codec
from nissa.model.selector import read_selectors
from nissa.query.export import BATCH_ROWS_MAX, export_samples, read_batches
from nissa.query.export_form import ExportForm
from nissa.query.times import read_range
from nissa.service.clock import wall_ms
from oracle.backend_twin import BackendTwin, regular
from oracle.json_lines import read_json_lines

EVERYTHING = read_selectors('{__name__!=""}')
ALWAYS = read_range(None, None, 0)
LABELS = [{"__name__": "up", "job": "a"}, {"__name__": "up", "job": "b"}, {"__name__": "down"}]


def body_of(first_ms: int, names: str = "abc") -> bytes:
    request = WriteRequest()
    for name in names:
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=name)
        for at in range(50):
            series.samples.add(value=at, timestamp=first_ms + at)
    return request.SerializeToString()


def test_samples_come_by_series_in_order_of_time():
    """Rows that arrived in any order are sorted, and only selected ones in the range are given."""
    series = np.array([1, 0, 2, 1, 0], np.uint32)
    batch = SampleBatch(series, np.array([5, 9, 1, 2, 3]), np.arange(5.0))
    backend = BackendTwin(LABELS, batch)
    found = list(read_batches(backend, read_selectors("up"), (2, 9)))
    rows = [row for batch in found for row in zip(batch.series, batch.ts_ms, batch.value, strict=True)]
    assert rows == [(0, 3, 4.0), (1, 2, 3.0), (1, 5, 0.0)]
    assert not list(read_batches(backend, read_selectors("nowhere"), ALWAYS))


def test_batches_are_bounded_and_the_check_stops_between_them():
    """A long series comes in pieces; a check that raises ends the reading."""
    backend = BackendTwin(LABELS, regular(1, 300_000))
    sizes = [len(batch) for batch in read_batches(backend, EVERYTHING, ALWAYS)]
    assert sum(sizes) == 300_000
    assert max(sizes) <= BATCH_ROWS_MAX
    calls: list[int] = []

    def late(taken_bytes: int = 0, /) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(read_batches(backend, EVERYTHING, ALWAYS, late))


def test_head_and_blocks_are_one(tmp_path: Path):
    """Sealed and unsealed samples are exported as one series, each sample once."""
    first_ms = wall_ms()
    with nissa.Engine(tmp_path) as engine:
        engine.ingest(body_of(first_ms), Codec.REMOTE_WRITE_1)
        engine.flush()
        engine.ingest(body_of(first_ms + 25), Codec.REMOTE_WRITE_1)
        data = b"".join(export_samples(engine, read_selectors(["a", "c"]), ALWAYS, ExportForm.JSONL))
    lines = list(read_json_lines(data))
    assert [line.metric["__name__"] for line in lines] == ["a", "c"]
    assert [(line.timestamps - first_ms).tolist() for line in lines] == [list(range(75))] * 2


def test_damage_is_raised_or_told(tmp_path: Path):
    """A damaged block is never taken for sound: it raises, or is reported while the rest is read."""
    first_ms = wall_ms()
    with nissa.Engine(tmp_path) as engine:
        engine.ingest(body_of(first_ms), Codec.REMOTE_WRITE_1)
        engine.flush()
        engine.ingest(body_of(first_ms + 100), Codec.REMOTE_WRITE_1)
        (block,) = (tmp_path / "blocks").glob("raw-*.parquet")
        data = bytearray(block.read_bytes())
        data[40] ^= 1
        os.truncate(block, 0)
        block.write_bytes(data)
        with pytest.raises(Damaged):
            list(read_batches(engine, EVERYTHING, ALWAYS))
        told: list[Damaged] = []
        found = list(read_batches(engine, EVERYTHING, ALWAYS, on_damage=told.append))
    assert told
    assert sum(len(batch) for batch in found) == 150
