"""Prometheus' XOR chunks and streamed frames read bit by bit, slowly: the twin of ``_fast/remote_read.pyx``."""

import struct
from collections.abc import Iterator

import google_crc32c

from nissa._proto.remote_read_pb2 import ChunkedReadResponse


class Bits:
    """A reader of single bits."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, count: int) -> int:
        """The next bits as a number."""
        taken = self._text[self.at : self.at + count]
        if len(taken) < count:
            raise EOFError
        self.at += count
        return int(taken, 2) if count else 0

    def varint(self) -> int:
        """The next whole bytes as an unsigned varint."""
        number = shift = 0
        while True:
            byte = self.take(8)
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7


def read_chunk(data: bytes) -> list[tuple[int, int]]:
    """(time, bits of the value) of each sample."""
    bits = Bits(data)
    count = bits.take(16)
    zigzag = bits.varint()
    ts_ms, value = (zigzag >> 1) ^ -(zigzag & 1), bits.take(64)
    found = [(ts_ms, value)]
    delta = leading = trailing = 0
    for at in range(1, count):
        delta = bits.varint() if at == 1 else delta + _distance(bits)
        ts_ms += delta
        if bits.take(1):
            if bits.take(1):
                leading = bits.take(5)
                trailing = 64 - leading - (bits.take(6) or 64)
            value ^= bits.take(64 - leading - trailing) << trailing
        found.append((ts_ms, value))
    return found


def _distance(bits: Bits) -> int:
    for size in (0, 14, 17, 20):
        if not bits.take(1):
            number = bits.take(size)
            return number - (1 << size) if size and number > 1 << (size - 1) else number
    number = bits.take(64)
    return number - (1 << 64) if number >= 1 << 63 else number


def read_frames(data: bytes) -> Iterator[ChunkedReadResponse]:
    """The messages of a stream, their checksums checked."""
    at = 0
    while at < len(data):
        size = shift = 0
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        (checksum,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 4 + size]
        assert google_crc32c.value(body) == checksum
        yield ChunkedReadResponse.FromString(body)
        at += 4 + size
