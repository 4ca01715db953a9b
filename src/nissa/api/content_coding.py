"""Content codings of answers: gzip or zstd, as the client accepts them, or none.

    Accept-Encoding: gzip, zstd          zstd       where both weigh the same
    Accept-Encoding: gzip;q=1, zstd;q=0  gzip
    Accept-Encoding: identity, or none   as it is

The thread that computes a body compresses it, piece by piece, at a fast level.
"""

import zlib
from collections.abc import Generator, Iterable

import cramjam

CODINGS = ("zstd", "gzip")  # the better one first
GZIP_LEVEL = 1
ZSTD_LEVEL = 1
PLAIN_BYTES_MAX = 1_024  # of a whole body that is not worth compressing
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_ITEMS_MAX = 32


def choose_coding(accepted: str) -> str:
    """The coding for a client that sent this Accept-Encoding; empty for none."""
    weights: dict[str, float] = {}
    for item in accepted.lower().split(",", _ITEMS_MAX)[:_ITEMS_MAX]:
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = _weight(parameter)
    offered = {coding: weights.get(coding, weights.get("*", 0.0)) for coding in CODINGS}
    best = max(CODINGS, key=offered.__getitem__)
    return best if offered[best] > 0 and offered[best] >= weights.get("identity", 0.0) else ""


def encode(chunks: Iterable[bytes], coding: str) -> Generator[bytes, None, None]:
    """``chunks`` as one stream of a coding; as they are where it is empty."""
    if coding == "gzip":
        return _gzip(chunks)
    return _zstd(chunks) if coding == "zstd" else _plain(chunks)


def _weight(parameter: str) -> float:
    name, _, value = parameter.replace(" ", "").partition("=")
    if name != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def _plain(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    yield from chunks


def _gzip(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _zstd(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    compressor = cramjam.zstd.Compressor(level=ZSTD_LEVEL)
    for chunk in chunks:
        compressor.compress(chunk)
        yield bytes(compressor.flush())
    yield bytes(compressor.finish())
