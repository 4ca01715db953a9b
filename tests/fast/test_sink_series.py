"""Samples as bodies of remote write 1.0 and 2.0, compared with the protobuf classes and with plain Python."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.sink_series import SinkSeries
from nissa._proto.remote_write_v1_pb2 import TimeSeries, WriteRequest
from nissa._proto.remote_write_v2_pb2 import Request

GOLDENS = Path(__file__).parents[1] / "goldens" / "sinks"
LABELS = [
    {"__name__": "up", "job": "a"},
    {"__name__": "up", "job": "b" * 300},
    {"__name__": "size_bytes", "zone": "é"},
    {"__name__": "dropped"},
    {"__name__": "up", "instance": "up"},
]
SHARDS = 3
DROPPED = 3
TIMES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(1_700_000_000_000, 1_700_000_000_050))
BITS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from((0x7FF0000000000002, 0x8000000000000000)))
ROWS = st.lists(st.tuples(st.integers(0, len(LABELS) - 1), TIMES, BITS), max_size=40)
Columns = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def head(labels: dict[str, str]) -> bytes:
    """Labels as fields of a TimeSeries of 1.0."""
    series = TimeSeries()
    for name, value in sorted(labels.items()):
        series.labels.add(name=name, value=value)
    return series.SerializeToString()


def texts(labels: dict[str, str]) -> list[bytes]:
    """Names and values in turn."""
    return [text.encode() for pair in sorted(labels.items()) for text in pair]


def sink_series() -> SinkSeries:
    """All LABELS, the series of one of them dropped; one has metadata."""
    found = SinkSeries(SHARDS)
    for number, labels in enumerate(LABELS):
        if number == DROPPED:
            found.drop(number)
        else:
            found.add(number, head(labels), texts(labels), number % SHARDS)
    found.describe(2, 2, b"How large.", b"bytes")
    return found


def columns(rows: list[tuple[int, int, int]]) -> Columns:
    """Rows as arrays."""
    series, ts_ms, bits = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(series, np.uint32), np.array(ts_ms, np.int64), np.array(bits, np.uint64).view(np.float64)


def ordered_twin(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Rows by shard, first appearance of their series, time."""
    first = {series: number for number, (series, _, _) in reversed(list(enumerate(rows)))}
    kept = [row for row in rows if row[0] != DROPPED]
    return sorted(kept, key=lambda row: (row[0] % SHARDS, first[row[0]], row[1]))


def plain(found: Columns) -> list[tuple[int, int, int]]:
    """Arrays as rows."""
    series, ts_ms, value = found
    return list(zip(series.tolist(), ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True))


def runs(rows: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Neighbours of one series."""
    found: list[list[tuple[int, int, int]]] = []
    for row in rows:
        if found and found[-1][0][0] == row[0]:
            found[-1].append(row)
        else:
            found.append([row])
    return found


@given(ROWS)
def test_rows_are_ordered(rows: list[tuple[int, int, int]]) -> None:
    """Rows are sorted by shard, series and time, without dropped series; equal times keep their order."""
    *found, counts = sink_series().ordered(*columns(rows))
    expected = ordered_twin(rows)
    assert plain((found[0], found[1], found[2])) == expected
    assert counts.tolist() == [sum(row[0] % SHARDS == shard for row in expected) for shard in range(SHARDS)]


def test_long_series_are_ordered() -> None:
    """A series with many rows in any order costs no more than a sort, and its neighbours stay in place."""
    rows = [(0, -at, at) for at in range(300)] + [(1, 5, 5), (1, 4, 4)] + [(0, at % 7, at) for at in range(300)]
    *found, _ = sink_series().ordered(*columns(rows))
    assert plain((found[0], found[1], found[2])) == ordered_twin(rows)


@given(ROWS)
def test_bodies_of_1_0_are_read_back(rows: list[tuple[int, int, int]]) -> None:
    """Byte for byte the body that the protobuf classes write."""
    sent = ordered_twin(rows)
    twin = WriteRequest()
    for run in runs(sent):
        series = twin.timeseries.add()
        for name, value in sorted(LABELS[run[0][0]].items()):
            series.labels.add(name=name, value=value)
        for _, ts_ms, bits in run:
            one = series.samples.add(timestamp=ts_ms)
            one.value = np.uint64(bits).view(np.float64)
    body = sink_series().body_1(*columns(sent)).tobytes()
    assert parsed_1(body) == parsed_1(twin.SerializeToString(deterministic=True))


def parsed_1(body: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[int, bytes]]]]:
    """Labels and samples of each series, values as bytes: NaN and -0 count."""
    return [
        (
            [(label.name, label.value) for label in one.labels],
            [(sample.timestamp, np.float64(sample.value).tobytes()) for sample in one.samples],
        )
        for one in WriteRequest.FromString(body).timeseries
    ]


@given(ROWS, ROWS)
def test_bodies_of_2_0_are_read_back(first: list[tuple[int, int, int]], then: list[tuple[int, int, int]]) -> None:
    """Each has a symbol table of its own, without repetition, the empty string first; labels, samples, metadata."""
    series = sink_series()
    for rows in (ordered_twin(first), ordered_twin(then)):
        request = Request.FromString(series.body_2(*columns(rows)).tobytes())
        symbols = list(request.symbols)
        assert symbols[:1] == [""][: len(rows)]
        assert len(set(symbols)) == len(symbols)
        assert len(request.timeseries) == len(runs(rows))
        for one, run in zip(request.timeseries, runs(rows), strict=True):
            words = [symbols[ref] for ref in one.labels_refs]
            assert words == [text.decode() for text in texts(LABELS[run[0][0]])]
            found = [(sample.timestamp, np.float64(sample.value).tobytes()) for sample in one.samples]
            assert found == [(ts_ms, np.uint64(bits).tobytes()) for _, ts_ms, bits in run]
            about = one.metadata
            described = (about.type, symbols[about.help_ref], symbols[about.unit_ref])
            assert described == ((2, "How large.", "bytes") if run[0][0] == 2 else (0, "", ""))


def test_unknown_series_are_named_once() -> None:
    """Unknown series are named in order of appearance; sent and dropped ones are known."""
    series = sink_series()
    assert series.unknown(np.array([9, 0, 7, 9, 3, 7, 5000], np.uint32)).tolist() == [9, 7, 5000]
    assert series.unknown(np.array([9], np.uint32)).tolist() == [9]


def test_wrong_rows_are_refused() -> None:
    """Columns of different lengths, series that are not known or not sent, shards that there are not."""
    series = sink_series()
    one, number = np.array([1], np.int64), np.array([1.0])
    with pytest.raises(ValueError, match="1 rows with 0 times"):
        series.body_1(np.array([0], np.uint32), one[:0], number)
    for wrong in (99, 2**32 - 1):
        with pytest.raises(ValueError, match=f"row 0: series {wrong} is not known"):
            series.ordered(np.array([wrong], np.uint32), one, number)
    for body in (series.body_1, series.body_2):
        with pytest.raises(ValueError, match=f"series {DROPPED} is not sent"):
            body(np.array([DROPPED], np.uint32), one, number)
    with pytest.raises(ValueError, match="no shard 3"):
        series.add(1, b"", [], SHARDS)
    with pytest.raises(ValueError, match="0 shards"):
        SinkSeries(0)


def test_goldens() -> None:
    """The bytes of one request of each version."""
    rows = [(0, 1_700_000_000_000, 0x3FF8000000000000), (0, 1_700_000_001_000, 0x7FF0000000000002), (2, -1, 0)]
    series = sink_series()
    for name, body in (("body_1.hex", series.body_1(*columns(rows))), ("body_2.hex", series.body_2(*columns(rows)))):
        assert bytes.fromhex((GOLDENS / name).read_text()) == body.tobytes()
