"""Prometheus remote read: requests read, answers written. ``proto/prometheus/remote_read.proto`` draws the messages.

read_request(body)                                    →  queries, and the form that the client prefers
series_field(labels, ts_ms, value), result_field(…)   →  the pieces of a ReadResponse, before compression
frames(labels, ts_ms, value, query)                   →  chunks of one series, each with length and checksum
"""

from collections.abc import Iterator, Sequence

import google_crc32c
import msgspec
from cramjam import snappy
from google.protobuf.message import DecodeError

from nissa._fast.remote_read import sample_fields, xor_chunk
from nissa._proto.remote_read_pb2 import Chunk, ChunkedReadResponse, ChunkedSeries, LabelMatcher, Query, ReadRequest
from nissa._proto.remote_write_v1_pb2 import Label, TimeSeries
from nissa.codec.decompress import Decompressor
from nissa.model.columns import TimeColumn, ValueColumn
from nissa.model.errors import BadQuery, Malformed, TooLarge
from nissa.model.frame import Encoding
from nissa.model.matcher import Matcher, MatchOp, Selector

REQUEST_BYTES_MAX = 1024 * 1024  # decompressed
QUERIES_MAX = 256
MATCHERS_MAX = 1_024
CHUNK_ROWS = 120  # as Prometheus cuts its chunks
FRAME_BYTES = 1024 * 1024  # a frame ends at the chunk that passes it
SAMPLES_TYPE = "application/x-protobuf"
CHUNKS_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

Labels = Sequence[tuple[str, str]]

_OPS = {
    LabelMatcher.Type.EQ: MatchOp.EQUAL,
    LabelMatcher.Type.NEQ: MatchOp.NOT_EQUAL,
    LabelMatcher.Type.RE: MatchOp.FITS,
    LabelMatcher.Type.NRE: MatchOp.NOT_FITS,
}
_RESULT_TAG = b"\x0a"  # field 1 of both ReadResponse and QueryResult


class ReadQuery(msgspec.Struct, frozen=True):
    """Series that meet all matchers, from start to end, both inside."""

    selector: Selector
    start_ms: int
    end_ms: int


class ReadQueries(msgspec.Struct, frozen=True):
    """streamed: whether the client prefers chunks to samples."""

    queries: tuple[ReadQuery, ...]
    streamed: bool


def read_request(body: bytes) -> ReadQueries:
    """A request as it came, a snappy block. Raises: BadQuery."""
    try:
        message = ReadRequest.FromString(bytes(Decompressor(REQUEST_BYTES_MAX).decompress(body, Encoding.SNAPPY)))
    except (Malformed, TooLarge, DecodeError) as error:
        raise BadQuery(f"invalid read request: {error}") from None
    if len(message.queries) > QUERIES_MAX:
        raise BadQuery(f"{len(message.queries)} queries are over the limit of {QUERIES_MAX}")
    known = [kind for kind in message.accepted_response_types if kind in ReadRequest.ResponseType.values()]
    streamed = bool(known) and known[0] == ReadRequest.ResponseType.STREAMED_XOR_CHUNKS
    return ReadQueries(tuple(map(_query, message.queries)), streamed)


def series_field(labels: Labels, ts_ms: TimeColumn, value: ValueColumn) -> bytes:
    """Encode one series of a QueryResult.

    labels: sorted by name. ts_ms: Unix milliseconds, ascending. value: float64, as long as ts_ms.
    """
    head = TimeSeries(labels=[Label(name=name, value=text) for name, text in labels]).SerializeToString()
    samples = sample_fields(ts_ms, value)
    return _RESULT_TAG + _varint(len(head) + len(samples)) + head + samples


def compressed_response(results: Sequence[Sequence[bytes]]) -> bytes:
    """A ReadResponse of the series of each query, as a snappy block."""
    parts: list[bytes] = []
    for series in results:
        parts += [_RESULT_TAG, _varint(sum(map(len, series))), *series]
    return bytes(snappy.compress_raw(b"".join(parts)))


def frames(labels: Labels, ts_ms: TimeColumn, value: ValueColumn, query: int) -> Iterator[bytes]:
    """Encode one series as frames of a streamed answer.

    labels: sorted by name. ts_ms: Unix milliseconds, ascending. value: float64, as long as ts_ms. query: index of the
    query in the request.
    """
    shown = [Label(name=name, value=text) for name, text in labels]
    chunks: list[Chunk] = []
    size = 0
    for first in range(0, len(ts_ms), CHUNK_ROWS):
        own = slice(first, first + CHUNK_ROWS)
        chunks.append(_chunk(ts_ms[own], value[own]))
        size += len(chunks[-1].data)
        if size >= FRAME_BYTES:
            yield _frame(shown, chunks, query)
            chunks, size = [], 0
    if chunks:
        yield _frame(shown, chunks, query)


def _query(message: Query) -> ReadQuery:
    if len(message.matchers) > MATCHERS_MAX:
        raise BadQuery(f"{len(message.matchers)} matchers are over the limit of {MATCHERS_MAX}")
    matchers = []
    for one in message.matchers:
        if one.type not in _OPS:
            raise BadQuery(f"the matcher of {one.name[:80]!r} is of no known type: {one.type}")
        matchers.append(Matcher(one.name, _OPS[one.type], one.value))
    return ReadQuery(tuple(matchers), message.start_timestamp_ms, message.end_timestamp_ms)


def _chunk(ts_ms: TimeColumn, value: ValueColumn) -> Chunk:
    data = xor_chunk(ts_ms, value)
    return Chunk(min_time_ms=int(ts_ms[0]), max_time_ms=int(ts_ms[-1]), type=Chunk.Encoding.XOR, data=data)


def _frame(labels: list[Label], chunks: list[Chunk], query: int) -> bytes:
    series = ChunkedSeries(labels=labels, chunks=chunks)
    data = ChunkedReadResponse(chunked_series=[series], query_index=query).SerializeToString()
    checksum: int = google_crc32c.value(data)
    return _varint(len(data)) + checksum.to_bytes(4, "big") + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
