"""Remote write bodies from plain values, byte by byte where Google's classes would not write such bytes."""

import struct
from collections.abc import Sequence
from typing import Any

from nissa._fast.batch import Batch
from nissa._fast.remote_write_1 import decode_remote_write_1
from nissa._fast.remote_write_2 import decode_remote_write_2
from nissa._fast.series import SeriesIndex
from nissa._proto.remote_write_v2_pb2 import Request
from oracle.wire import BYTES, FIXED64, VARINT, varint

SECRET = bytes(range(32))
Pairs = Sequence[tuple[Any, Any]]


def field(number: int, value: bytes | float) -> bytes:
    """One field: bytes, a varint or a double, by the type of ``value``."""
    if isinstance(value, bytes):
        return varint(number << 3 | BYTES) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | FIXED64) + struct.pack("<d", value)
    return varint(number << 3 | VARINT) + varint(value % (1 << 64))


def label(name: str | bytes, value: str | bytes) -> bytes:
    texts = [text.encode() if isinstance(text, str) else text for text in (name, value)]
    return field(1, field(1, texts[0]) + field(2, texts[1]))


def sample(value: float = 1.0, ts_ms: int = 60_000) -> bytes:
    return field(2, field(1, value) + field(2, ts_ms))


def series(pairs: Pairs, *parts: bytes) -> bytes:
    """One timeseries field of 1.0: labels, then the parts, or else one sample."""
    return field(1, b"".join(label(*pair) for pair in pairs) + b"".join(parts or (sample(),)))


def request_2(*some: Pairs, value: float = 1.0, ts_ms: int = 60_000) -> bytes:
    """A 2.0 body: each label set with one sample."""
    message = Request(symbols=[""])
    for pairs in some:
        one = message.timeseries.add()
        for text in (text for pair in pairs for text in pair):
            if text not in message.symbols:
                message.symbols.append(text)
            one.labels_refs.append(list(message.symbols).index(text))
        one.samples.add(value=value, timestamp=ts_ms)
    return message.SerializeToString()


class Rig:
    """An index and a batch to decode into."""

    def __init__(
        self, secret: bytes = SECRET, *limits: int, rows_max: int = 4_000_000, records_max: int = 1_000_000
    ) -> None:
        self.index = SeriesIndex(secret, *limits)
        self.batch = Batch(rows_max, records_max)

    def decode(self, body: bytes, version: int = 1, **terms: int) -> list[Any]:
        """Decode under terms that refuse nothing, but for those given. Returns the metadata."""
        open_terms = {"minute": 1, "admit_max": 1 << 40, "oldest_ms": -(2**63), "newest_ms": 2**63 - 1}
        decode = decode_remote_write_1 if version == 1 else decode_remote_write_2
        return decode(body, self.index, self.batch, **(open_terms | terms))

    def labels(self) -> list[list[tuple[str, str]]]:
        """Labels of every series, by id."""
        return [self.index.labels(each) for each in range(self.index.series_count)]

    def rows(self) -> list[tuple[str, int, float]]:
        """(metric name, ts_ms, value) of the batch's rows."""
        columns = (column.tolist() for column in self.batch.columns())
        return [
            (dict(self.index.labels(one))["__name__"], ts_ms, value) for one, ts_ms, value in zip(*columns, strict=True)
        ]

    def size(self) -> tuple[int, int, int]:
        return self.index.series_count, self.index.symbol_count, self.index.active_count


def request_with(*parts: bytes, refs: bytes = b"\x01\x02", symbols: tuple[str, ...] = ("", "__name__", "up")) -> bytes:
    """A 2.0 body with one series: packed references, then the parts."""
    return Request(symbols=symbols).SerializeToString() + field(5, field(1, refs) + b"".join(parts))
