"""Remote read: requests read, samples and chunks written, compared with protobuf and with a slow reader of bits."""

import random

import cramjam
import numpy as np
import pytest

from nissa._fast.remote_read import sample_fields, xor_chunk
from nissa._proto.remote_read_pb2 import LabelMatcher, Query, ReadRequest, ReadResponse
from nissa._proto.remote_write_v1_pb2 import TimeSeries
from nissa.codec.remote_read import compressed_response, frames, read_request, series_field
from nissa.model.columns import STALE_BITS
from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp
from oracle.xor_twin import read_chunk, read_frames

LABELS = [("__name__", "up"), ("job", "日本")]
STEPS_MS = (0, 1, 15_000, 15_000, 15_000, 15_001, 8_192, 23_192, 80_000, 600_000, 2**40, 2**61)
VALUES = (0.0, -0.0, 1.0, 1.5, 0.1, 1e300, -5e-324, float("inf"), float("nan"))


def samples(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Times that ascend by anything, values of any bits."""
    rng = random.Random(seed)
    at = rng.choice((0, -5, 1_732_190_000_000, -(2**62)))
    ts_ms, bits = [], []
    for _ in range(count):
        ts_ms.append(at)
        at = min(at + rng.choice(STEPS_MS), 2**63 - 1)
        value = rng.choice(VALUES)
        bits.append(rng.choice((STALE_BITS, rng.getrandbits(64), int(np.float64(value).view(np.uint64)))))
    return np.array(ts_ms, np.int64), np.array(bits, np.uint64).view(np.float64)


def pairs(ts_ms: np.ndarray, value: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(200))
def test_chunks_read_back_bit_by_bit(seed):
    """Any times and any bits."""
    print("seed", seed)
    ts_ms, value = samples(seed, 1 + seed % 130)
    assert read_chunk(xor_chunk(ts_ms, value)) == pairs(ts_ms, value)


def test_a_chunk_has_a_bound():
    """A chunk has at least one sample, at most as many as its count holds, and equally many times and values."""
    with pytest.raises(ValueError, match="0 samples"):
        xor_chunk(np.empty(0, np.int64), np.empty(0))
    with pytest.raises(ValueError, match="65536 samples"):
        xor_chunk(np.zeros(65_536, np.int64), np.zeros(65_536))
    for write in (xor_chunk, sample_fields):
        with pytest.raises(ValueError, match="2 values for 1 times"):
            write(np.zeros(1, np.int64), np.zeros(2))


@pytest.mark.parametrize("seed", range(20))
def test_samples_are_what_protobuf_reads(seed):
    """A response of two queries, the second without series."""
    ts_ms, value = samples(seed, seed)
    body = compressed_response([[series_field(LABELS, ts_ms, value)], []])
    response = ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    assert len(response.results) == 2
    (series,) = response.results[0].timeseries
    assert [(label.name, label.value) for label in series.labels] == LABELS
    found = [(one.timestamp, int(np.float64(one.value).view(np.uint64))) for one in series.samples]
    assert found == pairs(ts_ms, value)
    assert TimeSeries.FromString(sample_fields(ts_ms, value)).samples == series.samples


def test_a_long_series_takes_several_frames():
    """Chunks of 120 samples; a frame ends where it is large enough; each has labels and the index of its query."""
    count = 200_000
    ts_ms, value = np.arange(count, dtype=np.int64), np.random.default_rng(5).normal(size=count)
    messages = list(read_frames(b"".join(frames(LABELS, ts_ms, value, 3))))
    assert len(messages) > 1
    found = []
    for message in messages:
        (series,) = message.chunked_series
        assert message.query_index == 3
        assert [(label.name, label.value) for label in series.labels] == LABELS
        for chunk in series.chunks:
            rows = read_chunk(chunk.data)
            assert (rows[0][0], rows[-1][0], chunk.type) == (chunk.min_time_ms, chunk.max_time_ms, 1)
            assert len(rows) <= 120
            found += rows
    assert found == pairs(ts_ms, value)
    assert list(frames(LABELS, ts_ms[:0], value[:0], 0)) == []


def request(**fields) -> bytes:
    return bytes(cramjam.snappy.compress_raw(ReadRequest(**fields).SerializeToString()))


def test_requests_are_read():
    """Matchers, both ends of the range, and the form that is preferred; samples where none is said."""
    kinds = ((0, MatchOp.EQUAL), (1, MatchOp.NOT_EQUAL), (2, MatchOp.FITS), (3, MatchOp.NOT_FITS))
    matchers = [LabelMatcher(type=kind, name="a", value="b") for kind, _ in kinds]
    query = Query(start_timestamp_ms=-5, end_timestamp_ms=7, matchers=matchers)
    asked = read_request(request(queries=[query], accepted_response_types=[1, 0]))
    assert asked.streamed
    assert (asked.queries[0].start_ms, asked.queries[0].end_ms) == (-5, 7)
    assert asked.queries[0].selector == tuple(Matcher("a", op, "b") for _, op in kinds)
    assert not read_request(request(accepted_response_types=[0, 1])).streamed
    assert not read_request(request()).streamed


@pytest.mark.parametrize(
    "body",
    [
        b"no snappy",
        bytes(cramjam.snappy.compress_raw(b"\xff\xff")),
        bytes(cramjam.snappy.compress_raw(bytes(2**21))),
        request(queries=[Query()] * 257),
        request(queries=[Query(matchers=[LabelMatcher(name="a")] * 1_025)]),
        request(queries=[Query(matchers=[LabelMatcher(type=9, name="a")])]),
    ],
)
def test_bad_requests_are_refused(body):
    """Bodies that are not snappy, not a request, over a limit, or with an unknown matcher."""
    with pytest.raises(BadQuery):
        read_request(body)
