"""Decompresses the body of a frame for its codec, never beyond a limit.

    snappy   block format only. The header declares the decompressed size: it is checked against the limit, and
             against what the body can hold at all, before a byte is written.
    zstd     any number of frames; stops where the limit is.
    gzip     any number of members up to GZIP_MEMBERS_MAX; stops where the limit is; every CRC is checked.
    identity the body itself.

All of them write into one scratch buffer as large as the limit. Its memory is reserved, not touched: unused parts cost
address space only, so the resident size is that of the largest body so far, and a decompression bomb stops at the
limit. The reader of a body calls ``release`` when it is done; sanitize builds then overwrite the buffer, so that a
reference kept by mistake is noticed.

Knows no sockets and no wire language.
"""

from typing import Final

import numpy as np
from cramjam import DecompressionError, gzip, snappy, zstd

from nissa._fast.build_mode import is_checked
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Encoding

SETTING: Final = "ingest.decompressed_size_max"

# The densest element of a snappy block is a 64-byte copy spelt in 3 bytes.
SNAPPY_RATIO_MAX: Final = 64 / 3

# A member costs microseconds however small it is: without a maximum 32 MiB of empty members would take seconds.
GZIP_MEMBERS_MAX: Final = 1_000
_GZIP_MEMBER_START: Final = b"\x1f\x8b\x08"

CHECKED: Final = is_checked()
POISON: Final = 0xDD

_SNAPPY_FRAMED_START: Final = b"\xff\x06\x00\x00sNaPpY"

# What cramjam says when its output is full; a test holds it to that.
_OUTPUT_FULL: Final = "failed to write whole buffer"


class Decompressor:
    """Undoes content encodings for one thread, into a buffer that the next call overwrites."""

    def __init__(self, bytes_max: int) -> None:
        """bytes_max: the most bytes a body may have once decompressed."""
        self._bytes_max = bytes_max
        self._scratch: memoryview | None = None

    def decompress(self, body: bytes, encoding: Encoding) -> bytes | memoryview:
        """``body`` without its encoding.

        Returns: the body itself for ``IDENTITY``; else a view into the scratch buffer, good until the next call.
        Raises: Malformed where the bytes are not of that encoding; TooLarge where they would pass the limit.
        """
        if encoding == Encoding.SNAPPY:
            return self._snappy(body)
        if encoding == Encoding.IDENTITY:
            if len(body) > self._bytes_max:
                raise self._too_large("identity", len(body))
            return body
        if encoding == Encoding.GZIP:
            return self._gzip(body)
        return self._zstd(body)

    def _snappy(self, body: bytes) -> memoryview:
        declared = _snappy_declared(body)
        if declared > self._bytes_max:
            raise self._too_large("snappy", declared)
        if declared > len(body) * SNAPPY_RATIO_MAX:
            raise Malformed(f"snappy: {len(body)} bytes cannot hold the {declared} they declare", 0)
        output = self._output()[:declared]
        try:
            snappy.decompress_raw_into(body, output)
        except DecompressionError as error:
            raise Malformed(_reason(error)) from None
        return output

    def _zstd(self, body: bytes) -> memoryview:
        output = self._output()
        try:
            count = zstd.decompress_into(body, output)
        except DecompressionError as error:
            raise self._stream_error("zstd", error) from None
        return output[:count]

    def _gzip(self, body: bytes) -> memoryview:
        if len(body) > GZIP_MEMBERS_MAX and body.count(_GZIP_MEMBER_START) > GZIP_MEMBERS_MAX:
            raise Malformed(f"gzip: more than {GZIP_MEMBERS_MAX} members in one body")
        output = self._output()
        try:
            count = gzip.decompress_into(body, output)
        except DecompressionError as error:
            raise self._stream_error("gzip", error) from None
        return output[:count]

    def _output(self) -> memoryview:
        if self._scratch is None:
            self._scratch = np.empty(self._bytes_max, np.uint8).data
        return self._scratch

    def _stream_error(self, name: str, error: DecompressionError) -> Malformed | TooLarge:
        if _OUTPUT_FULL in str(error):
            return self._too_large(name, self._bytes_max + 1)
        return Malformed(f"{name}: {error}")

    def _too_large(self, name: str, got: int) -> TooLarge:
        return TooLarge(f"{name} body decompressed", got=got, limit=self._bytes_max, setting=SETTING)


def release(body: bytes | memoryview) -> None:
    """Say that a body a Decompressor gave is done with. Nothing but in sanitize builds, which fill it with POISON."""
    if CHECKED and isinstance(body, memoryview):
        np.asarray(body)[:] = POISON


def decompress(body: bytes, encoding: Encoding, bytes_max: int) -> bytes:
    """``body`` without its encoding, as bytes of its own. For slow paths; ``Decompressor`` saves the allocation.

    Raises: Malformed, TooLarge as ``Decompressor.decompress``.
    """
    return bytes(Decompressor(bytes_max).decompress(body, encoding))


def _snappy_declared(body: bytes) -> int:
    """The decompressed size a snappy block declares."""
    if not body:
        raise Malformed("snappy: the body is empty", 0)
    if body.startswith(_SNAPPY_FRAMED_START):
        raise Malformed("snappy: got the framed format, expected the block format", 0)
    try:
        return int(snappy.decompress_raw_len(body))
    except DecompressionError as error:
        raise Malformed(_reason(error), 0) from None


def _reason(error: DecompressionError) -> str:
    text = str(error)
    return text if text.startswith("snappy") else f"snappy: {text}"
