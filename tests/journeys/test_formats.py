"""The same samples in every form that they are given out in, bit for bit, from a running daemon and from its directory.

sent (odd values, odd labels; half of it sealed in blocks, half in the head)
  ├─ GET /api/v1/export?format=…       of the running daemon
  ├─ nissa export DIR --format …       while it runs
  └─ nissa.open(DIR).samples(…)        while it runs, and when it has stopped
"""

import csv
import io
import json
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import cramjam
import numpy as np
import pyarrow as pa
from journeys.rig import Daemon, Export, bits_of_export, connect, nissa_command, parse_export, post, running
from pyarrow import parquet

import nissa
from nissa._proto import remote_write_v1_pb2 as pb
from nissa.query.reader import Reader

MATCH: Final = '{job="forms"}'
SAMPLES_EACH: Final = 40
SEED: Final = int(os.environ.get("NISSA_SEED", "20261121"))
TEXTS: Final = (
    "plain",
    "with, comma",
    'with "quotes"',
    "two\nlines",
    "tab\tand\\slash",
    "Grüße, 世界 🎉",
    "{}[]:;'`",
    " ",
)
BITS: Final = {
    "stale": 0x7FF0000000000002,
    "a NaN as programs make it": 0x7FF8000000000000,
    "a NaN as Prometheus writes it": 0x7FF8000000000001,
    "a NaN with payload and sign": 0xFFF0DEADBEEF0001,
    "infinite": 0x7FF0000000000000,
    "minus infinite": 0xFFF0000000000000,
    "minus zero": 0x8000000000000000,
    "zero": 0,
    "the smallest": 1,
    "the largest": 0x7FEFFFFFFFFFFFFF,
    "a tenth": 0x3FB999999999999A,
    "2^53 + 1 is not": 0x4340000000000000,
}
QUIET_NANS: Final = {0x7FF8000000000000: 0x7FF8000000000001}  # the two plain NaNs are one word in text


def samples_to_send(now_ms: int) -> Export:
    """A series for each odd text, with values of odd and of random bits."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    odd = list(BITS.values())
    found: Export = {}
    for number, text in enumerate(TEXTS):
        labels = (("__name__", f"forms_{number}"), ("job", "forms"), ("text", text))
        bits = [odd[place] if place < len(odd) else draw.getrandbits(64) for place in range(SAMPLES_EACH)]
        found[labels] = {now_ms - 60_000 + place * 7 + number: each for place, each in enumerate(bits)}
    return found


def body_of(samples: Export, part: slice) -> bytes:
    """Remote write of these samples of each series."""
    request = pb.WriteRequest()
    for labels, series in samples.items():
        sent = request.timeseries.add()
        for name, value in labels:
            sent.labels.add(name=name, value=value)
        for ts_ms, bits in list(series.items())[part]:
            sent.samples.add(timestamp=ts_ms, value=struct.unpack("<d", struct.pack("<Q", bits))[0])
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def in_text(samples: Export) -> Export:
    """``samples`` as text forms give them: with one quiet NaN."""
    return {
        labels: {ts_ms: QUIET_NANS.get(bits, bits) for ts_ms, bits in series.items()}
        for labels, series in samples.items()
    }


def read_csv(body: bytes) -> Export:
    """A CSV export read back."""
    found: Export = {}
    for row in csv.DictReader(io.StringIO(body.decode(), newline="")):
        text = row["value"]
        word: Any = None if text == "NaN" else text
        if word and word != "StaleNaN" and not word.startswith("NaN:"):
            word = float(text)
        add(found, row["name"], row["labels"], int(row["timestamp_ms"]), bits_of_export(word))
    return found


def read_table(table: pa.Table) -> Export:
    """A table of samples read back."""
    assert table.schema.names == ["name", "labels", "timestamp", "value"]
    times = table["timestamp"].cast(pa.int64()).to_pylist()
    bits = np.frombuffer(table["value"].combine_chunks().buffers()[1], np.uint64, len(table)).tolist()
    found: Export = {}
    for name, labels, ts_ms, each in zip(
        table["name"].to_pylist(), table["labels"].to_pylist(), times, bits, strict=True
    ):
        add(found, name, labels, ts_ms, each)
    return found


def add(found: Export, name: str, labels: str, ts_ms: int, bits: int) -> None:
    """Put one row where it belongs; a row that is there already is a fault."""
    key = tuple(sorted({"__name__": name, **json.loads(labels)}.items()))
    series = found.setdefault(key, {})
    assert ts_ms not in series
    series[ts_ms] = bits


READ: Final[dict[str, Callable[[bytes], Export]]] = {
    "jsonl": parse_export,
    "csv": read_csv,
    "parquet": lambda body: read_table(parquet.read_table(io.BytesIO(body))),
    "arrow": lambda body: read_table(pa.ipc.open_stream(body).read_all()),
}


def assert_same(given: Callable[[str], bytes], sent: Export) -> None:
    """Check that ``given`` returns the samples sent, in each form."""
    for form, read in READ.items():
        expected = sent if form in {"parquet", "arrow"} else in_text(sent)
        assert read(given(form)) == expected, form


def by_http(daemon: Daemon, **span: str) -> Callable[[str], bytes]:
    """Exports of the control API."""

    def given(form: str) -> bytes:
        question = urlencode({"match[]": MATCH, "format": form, "stale": "split", **span})
        status, body = daemon.request("GET", f"/api/v1/export?{question}")
        assert status == 200
        return body

    return given


def by_command(directory: Path) -> Callable[[str], bytes]:
    """Exports of ``nissa export``: texts to standard output, tables to a file."""

    def given(form: str) -> bytes:
        arguments = ("export", directory, "--match", MATCH, "--format", form, "--stale", "split")
        if form in {"jsonl", "csv"}:
            return nissa_command(*arguments)
        output = directory.parent / f"export.{form}"
        assert nissa_command(*arguments, "--output", output) == b""
        return output.read_bytes()

    return given


def in_python(data: Reader, **span: str) -> Callable[[str], bytes]:
    """Exports of an opened directory."""

    def given(form: str) -> bytes:
        sink = io.BytesIO()
        data.export(sink, MATCH, form=form, stale="split", **span)
        return sink.getvalue()

    return given


@contextmanager
def sealed_and_not(directory: Path) -> Iterator[tuple[Daemon, Export]]:
    """A daemon with half of every series in blocks, the other half in its head."""
    sent = samples_to_send(int(time.time() * 1000))
    with running(directory, environment={"NISSA_STORAGE__SEAL_INTERVAL": "200ms"}) as daemon:
        assert post(connect(daemon.ingest_url), body_of(sent, slice(0, None, 2))) == 204
        daemon.wait_sealed()
        assert daemon.stop() == 0
    with running(directory, environment={"NISSA_STORAGE__SEAL_INTERVAL": "3600000ms"}) as daemon:
        assert post(connect(daemon.ingest_url), body_of(sent, slice(1, None, 2))) == 204
        status = daemon.get("/api/status")
        assert status["blocks"]["samples"] == status["head"]["samples"] == len(TEXTS) * SAMPLES_EACH / 2
        yield daemon, sent


def test_every_form_says_the_same_bits(tmp_path: Path) -> None:
    """Every form has the samples sent: over HTTP, by command and in Python, with and without a daemon."""
    directory = tmp_path / "data"
    with sealed_and_not(directory) as (daemon, sent):
        assert_same(by_http(daemon), sent)
        assert_same(by_command(directory), sent)
        with nissa.open(directory) as data:
            assert read_table(data.samples(MATCH)) == sent
            assert_same(in_python(data), sent)
        assert daemon.stop() == 0
    with nissa.open(directory) as data:
        assert read_table(data.samples(MATCH)) == sent
        assert_same(in_python(data), sent)
        assert {tuple(sorted(labels.items())) for labels in data.series(MATCH)} == sent.keys()


def test_a_range_of_time_is_the_same_in_every_form(tmp_path: Path) -> None:
    """``start`` and ``end`` cut the same samples out of every form, both moments included."""
    directory = tmp_path / "data"
    with sealed_and_not(directory) as (daemon, sent):
        times = sorted(ts_ms for series in sent.values() for ts_ms in series)
        first_ms, last_ms = times[len(times) // 4], times[len(times) // 2]
        span = {"start": f"{first_ms / 1000:.3f}", "end": f"{last_ms / 1000:.3f}"}
        expected = {
            labels: {ts_ms: bits for ts_ms, bits in series.items() if first_ms <= ts_ms <= last_ms}
            for labels, series in sent.items()
        }
        assert_same(by_http(daemon, **span), expected)
        with nissa.open(directory) as data:
            assert_same(in_python(data, **span), expected)


def test_nothing_is_well_formed_in_every_form(tmp_path: Path) -> None:
    """If nothing is selected, the output of every form is valid and empty."""
    nissa.Engine(tmp_path / "data").close()
    with nissa.open(tmp_path / "data") as data:
        assert_same(in_python(data), {})
