"""Content codings, as clients accept them."""

import gzip

import cramjam
import pytest

from nissa.api.content_coding import choose_coding, encode

PARTS = [b"abc" * 1_000, b"", b"d" * 5_000]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("identity", ""),
        ("br", ""),
        ("gzip", "gzip"),
        ("gzip, deflate, zstd", "zstd"),
        ("GZIP;q=1, zstd;q=0", "gzip"),
        ("gzip;q=0.2 , zstd; q=0.1", "gzip"),
        ("identity;q=1, gzip;q=0.5", ""),
        ("*", "zstd"),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=nonsense", ""),
        ("gzip;q=0.000", ""),
    ],
)
def test_the_coding_that_the_client_prefers(accepted, coding):
    """The heavier one, zstd where both weigh the same, none where none is accepted."""
    assert choose_coding(accepted) == coding


def test_a_stream_of_a_coding_reads_back():
    """All parts together, whatever they are cut into; each part can be read when it has come."""
    whole = b"".join(PARTS)
    assert b"".join(encode(PARTS, "")) == whole
    assert gzip.decompress(b"".join(encode(PARTS, "gzip"))) == whole
    assert bytes(cramjam.zstd.decompress(b"".join(encode(PARTS, "zstd")))) == whole
