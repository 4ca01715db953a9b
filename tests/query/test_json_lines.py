"""The JSON lines form: what it says, and that reading it back gives the same bits."""

import json
import random
import struct

import numpy as np
import pytest

from nissa.model.columns import STALE_BITS, SampleBatch
from nissa.model.errors import Malformed
from nissa.query.json_lines import read_json_lines, word_of, write_json_lines
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
    back = np.concatenate([line.values for line in read_json_lines(data)])
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
    """No samples, no bytes."""
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
    """Words are told from bits alone."""
    assert word_of(struct.unpack("<Q", struct.pack("<d", float("inf")))[0]) == "Infinity"
    assert word_of(0x7FF8000000000001) is None
