"""Content encodings against their limits: round trips, damage, bombs."""

import gzip
import random
import tracemalloc

import cramjam
import pytest

from nissa.codec.decompress import (
    CHECKED,
    GZIP_MEMBERS_MAX,
    POISON,
    SNAPPY_RATIO_MAX,
    Decompressor,
    decompress,
    release,
)
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Encoding
from nissa.model.units import MIB

COMPRESS = {
    Encoding.IDENTITY: bytes,
    Encoding.SNAPPY: lambda raw: bytes(cramjam.snappy.compress_raw(raw)),
    Encoding.ZSTD: lambda raw: bytes(cramjam.zstd.compress(raw)),
    Encoding.GZIP: gzip.compress,
}
COMPRESSED = [Encoding.SNAPPY, Encoding.ZSTD, Encoding.GZIP]
STREAMED = [Encoding.ZSTD, Encoding.GZIP]


def _some_bytes(seed: int) -> bytes:
    print("seed", seed)
    draw = random.Random(seed)
    words = [draw.randbytes(draw.randrange(1, 40)) for _ in range(50)]
    return b"".join(draw.choice(words) for _ in range(draw.randrange(0, 2_000)))


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("seed", range(8))
def test_round_trip(encoding: Encoding, seed: int) -> None:
    """Compressed bytes are decompressed to the same bytes."""
    raw = _some_bytes(seed)
    assert decompress(COMPRESS[encoding](raw), encoding, MIB) == raw


@pytest.mark.parametrize("encoding", list(Encoding))
def test_limit_is_inclusive(encoding: Encoding) -> None:
    """A body of exactly the limit passes; one byte more is TooLarge and names the setting."""
    body = COMPRESS[encoding](b"a" * 1_000)
    assert len(decompress(body, encoding, 1_000)) == 1_000
    with pytest.raises(TooLarge, match=r"ingest\.decompressed_size_max") as caught:
        decompress(body, encoding, 999)
    assert caught.value.limit == 999


@pytest.mark.parametrize("encoding", list(Encoding))
def test_empty_content(encoding: Encoding) -> None:
    """The compressed form of nothing is nothing."""
    assert decompress(COMPRESS[encoding](b""), encoding, MIB) == b""


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_empty_body_is_malformed(encoding: Encoding) -> None:
    """An empty body is no compressed body."""
    with pytest.raises(Malformed):
        decompress(b"", encoding, MIB)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_every_truncation_is_malformed(encoding: Encoding) -> None:
    """No proper prefix of a body passes for a body."""
    body = COMPRESS[encoding](_some_bytes(3)[:3_000])
    for length in range(len(body)):
        with pytest.raises(Malformed):
            decompress(body[:length], encoding, MIB)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_damage_never_escapes(encoding: Encoding) -> None:
    """A body with flipped bits decompresses to something within the limit, or raises one of the two typed errors."""
    seed = 11
    print("seed", seed)
    draw = random.Random(seed)
    body = COMPRESS[encoding](_some_bytes(4)[:2_000])
    for _ in range(3_000):
        damaged = bytearray(body)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        try:
            assert len(decompress(bytes(damaged), encoding, 4_000)) <= 4_000
        except (Malformed, TooLarge):
            continue


@pytest.mark.parametrize("encoding", [Encoding.SNAPPY, Encoding.GZIP])
def test_trailing_bytes_are_malformed(encoding: Encoding) -> None:
    """Bytes behind a whole body are not passed over in silence."""
    with pytest.raises(Malformed):
        decompress(COMPRESS[encoding](b"abc" * 100) + b"rest of it", encoding, MIB)


@pytest.mark.parametrize("encoding", STREAMED)
def test_many_members(encoding: Encoding) -> None:
    """Members and frames behind one another are one body."""
    body = COMPRESS[encoding](b"abc") * 50
    assert decompress(body, encoding, MIB) == b"abc" * 50


def test_gzip_members_have_a_maximum() -> None:
    """A body of countless tiny gzip members is refused before any of them is read."""
    with pytest.raises(Malformed, match="members"):
        decompress(gzip.compress(b"") * (GZIP_MEMBERS_MAX + 1), Encoding.GZIP, MIB)


def test_gzip_checksum_is_checked() -> None:
    """A wrong CRC in the gzip trailer is Malformed."""
    body = bytearray(gzip.compress(b"abc" * 100))
    body[-6] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        decompress(bytes(body), Encoding.GZIP, MIB)


@pytest.mark.parametrize("encoding", STREAMED)
def test_bomb_stops_at_the_limit(encoding: Encoding) -> None:
    """A bomb of 64 MiB is TooLarge, and Python's memory never holds more than the limit."""
    bomb = COMPRESS[encoding](bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(bomb, encoding, MIB)
        assert tracemalloc.get_traced_memory()[1] <= 2 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\xff\xff\xff\xff\x0f" + b"a" * 10, TooLarge),  # declares 4 GiB
        (b"\x80\x80\x80\x80\x10" + b"a" * 10, Malformed),  # declares 2^32
        (b"\xff" * 12, Malformed),  # no varint
        (b"\xff\xff\x3f" + b"a" * 10, Malformed),  # declares 1 MiB - 1 in 13 bytes
        (b"\xff\x06\x00\x00sNaPpY" + b"a" * 10, Malformed),  # framed format
        (b"\x05\x01\x00", Malformed),  # copy from before the start
        (b"\x05\x08abc", Malformed),  # literal longer than the body
        (b"\x02\x08abc", Malformed),  # literal longer than declared
    ],
)
def test_hostile_snappy(body: bytes, error: type[Exception]) -> None:
    """Lying snappy headers and elements raise the typed error, before any allocation of what they declare."""
    with pytest.raises(error):
        decompress(body, Encoding.SNAPPY, MIB)


def test_the_densest_snappy_body_passes() -> None:
    """The ratio check refuses nothing that snappy can really produce."""
    body = bytes(cramjam.snappy.compress_raw(bytes(MIB)))
    assert MIB / len(body) <= SNAPPY_RATIO_MAX
    assert decompress(body, Encoding.SNAPPY, MIB) == bytes(MIB)


def test_the_scratch_is_reused() -> None:
    """A Decompressor's view is overwritten by its next call: callers must not keep it."""
    decompressor = Decompressor(MIB)
    first = decompressor.decompress(COMPRESS[Encoding.SNAPPY](b"first"), Encoding.SNAPPY)
    assert bytes(first) == b"first"
    decompressor.decompress(COMPRESS[Encoding.ZSTD](b"other"), Encoding.ZSTD)
    assert bytes(first) == b"other"


def test_what_is_done_with_is_poisoned() -> None:
    """A piece of a body kept past its release reads as 0xDD in the builds that look closer."""
    if not CHECKED:
        pytest.skip("a release build trusts: only sanitize builds overwrite what is done with")
    decompressor = Decompressor(MIB)
    body = decompressor.decompress(COMPRESS[Encoding.SNAPPY](b"abc" * 100), Encoding.SNAPPY)
    kept = body[10:20]
    release(body)
    assert bytes(kept) == bytes([POISON]) * 10
    whole = decompressor.decompress(b"not compressed", Encoding.IDENTITY)
    release(whole)
    assert whole == b"not compressed"
