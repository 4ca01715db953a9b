"""The JSON lines form: what it says, and that reading it back gives the same bits."""

import json
import random
import struct
from typing import Any

import numpy as np
import pytest

from nissa.model.columns import STALE_BITS, SampleBatch
from nissa.model.errors import BadQuery, Malformed
from nissa.query.json_lines import Stale, read_stale, word_of, write_json_lines
from oracle.json_lines import read_json_lines
from oracle.series_twin import SeriesTwin


def batch_of(*rows: tuple[int, int, float]) -> SampleBatch:
    series, ts_ms, value = zip(*rows, strict=True)
    return SampleBatch(np.array(series, np.uint32), np.array(ts_ms, np.int64), np.array(value, np.float64))


def from_bits(*bits: int) -> np.ndarray:
    return np.array(bits, np.uint64).view(np.float64)


def test_a_line_per_series():
    """Each series is one line of its labels, times and values."""
    index = SeriesTwin([{"__name__": "up", "job": "a"}, {"__name__": "down"}])
    data = b"".join(write_json_lines(index, [batch_of((0, 1_000, 1.0), (0, 2_000, 0.5), (1, -5, -0.0))]))
    assert [json.loads(line) for line in data.splitlines()] == [
        {"metric": {"__name__": "up", "job": "a"}, "timestamps": [1000, 2000], "values": [1.0, 0.5]},
        {"metric": {"__name__": "down"}, "timestamps": [-5], "values": [-0.0]},
    ]


def test_lines_are_bounded():
    """A series of many samples takes several lines, in order."""
    index = SeriesTwin([{"__name__": "up"}])
    data = b"".join(write_json_lines(index, [batch_of(*((0, at, at) for at in range(7)))], line_samples_max=3))
    assert [line.timestamps.tolist() for line in read_json_lines(data)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_values_that_json_has_no_number_for():
    """NaN is null, the staleness marker and infinities have words, other NaNs show their bits."""
    index = SeriesTwin([{"__name__": "up"}])
    bits = [
        0x7FF8000000000001,
        0x7FF8000000000000,
        STALE_BITS,
        0x7FF0000000000000,
        0xFFF0000000000000,
        0xFFF8000000000000,
    ]
    values = from_bits(*bits)
    batch = SampleBatch(np.zeros(6, np.uint32), np.arange(6, dtype=np.int64), values)
    (line,) = b"".join(write_json_lines(index, [batch])).splitlines()
    assert json.loads(line)["values"] == [None, None, "StaleNaN", "Infinity", "-Infinity", "NaN:fff8000000000000"]


@pytest.mark.parametrize(
    ("stale", "lines"),
    [
        (Stale.DROP, [([0, 2, 5], [1, 2, 3])]),
        (Stale.NULL, [([0, 1, 2, 3, 4, 5], [1, None, 2, None, "Infinity", 3])]),
        (Stale.SPLIT, [([0, 2, 5], [1, 2, 3]), ([1, 3, 4], ["StaleNaN", None, "Infinity"])]),
    ],
)
def test_what_is_not_finite_is_dropped_null_or_apart(stale: Stale, lines: list[Any]) -> None:
    """A line of a reader that takes numbers only has numbers only."""
    nan, infinity = float("nan"), float("inf")
    values = np.array([1, 0, 2, nan, infinity, 3], np.float64)
    values.view(np.uint64)[1] = STALE_BITS
    batch = SampleBatch(np.zeros(6, np.uint32), np.arange(6, dtype=np.int64), values)
    written = b"".join(write_json_lines(SeriesTwin([{"__name__": "up"}]), [batch], stale=stale)).splitlines()
    assert [(json.loads(line)["timestamps"], json.loads(line)["values"]) for line in written] == lines


def test_a_series_of_markers_alone_has_no_line_where_they_are_dropped() -> None:
    """Rather than an empty one."""
    batch = SampleBatch(np.zeros(1, np.uint32), np.zeros(1, np.int64), from_bits(STALE_BITS))
    assert list(write_json_lines(SeriesTwin([{"__name__": "up"}]), [batch], stale=Stale.DROP)) == []


def test_an_unknown_treatment_is_refused() -> None:
    """The refusal names the known treatments."""
    with pytest.raises(BadQuery, match="drop, null, split"):
        read_stale("keep")


def test_every_bit_pattern_reads_back_the_same():
    """Random bit patterns round trip; of the two quiet NaNs, both come back as Prometheus' one."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    bits = [chance.getrandbits(64) for _ in range(3_000)]
    bits += [chance.choice([0x7FF, 0xFFF, 0x000, 0x800]) << 52 | chance.getrandbits(52) for _ in range(1_000)]
    bits += [0, 1 << 63, 1, STALE_BITS, 0x7FF8000000000001, 0x7FEFFFFFFFFFFFFF]
    batch = SampleBatch(np.zeros(len(bits), np.uint32), np.arange(len(bits), dtype=np.int64), from_bits(*bits))
    data = b"".join(write_json_lines(SeriesTwin([{"__name__": "up"}]), [batch]))
    lines = list(read_json_lines(data))
    order = np.argsort(np.concatenate([line.timestamps for line in lines]))  # values without a number come behind
    back = np.concatenate([line.values for line in lines])[order]
    quiet = {0x7FF8000000000000: 0x7FF8000000000001}
    assert back.view(np.uint64).tolist() == [quiet.get(one, one) for one in bits]


def test_weird_labels_round_trip():
    """Quotes, newlines, control characters and any Unicode in labels survive."""
    labels = {"__name__": 'a"b', "nl": "x\ny\r\n", "ctl": "\x00\x1f\x7f\u2028", "uni": "日本😀é", "slash": "\\n\\"}
    data = b"".join(write_json_lines(SeriesTwin([labels]), [batch_of((0, 1, 1.0))]))
    assert len(data.splitlines()) == 1
    assert next(read_json_lines(data)).metric == labels


def test_chunks_hold_whole_lines():
    """Every chunk ends at the end of a line, and all rows are in one."""
    index = SeriesTwin([{"__name__": f"m{at}"} for at in range(200)])
    batches = [batch_of(*((at, ts, ts / 3) for ts in range(500))) for at in range(200)]
    chunks = list(write_json_lines(index, batches))
    assert len(chunks) > 2
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert sum(len(line.values) for line in read_json_lines(b"".join(chunks))) == 100_000


def test_nothing_gives_nothing():
    """Without samples no bytes are written."""
    assert list(write_json_lines(SeriesTwin([]), [])) == []


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"metric":{},"timestamps":[1],"values":[]}',
        b'{"metric":{},"timestamps":[1],"values":["x"]}',
        b'{"metric":{},"timestamps":[1],"values":["NaN:3ff0000000000000"]}',
        b'{"metric":1,"timestamps":[],"values":[]}',
    ],
)
def test_what_is_not_the_form_is_refused_with_its_place(line):
    """A bad line is named by its byte offset."""
    good = b'{"metric":{},"timestamps":[1],"values":[1]}\n'
    with pytest.raises(Malformed) as caught:
        list(read_json_lines(good + line))
    assert caught.value.offset == len(good)


def test_words():
    """Words depend on the bits of a value alone."""
    assert word_of(struct.unpack("<Q", struct.pack("<d", float("inf")))[0]) == "Infinity"
    assert word_of(0x7FF8000000000001) is None
