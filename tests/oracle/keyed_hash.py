"""Slow obvious twin of ``_fast/hash.pxd``: the identity of a series, as it stands on disk."""

import hashlib

MASK = (1 << 64) - 1
DOMAIN_IDENTITY = 1


def secret_words(secret: bytes) -> list[int]:
    """The twelve words a data directory's secret is stretched to."""
    stretched = hashlib.shake_256(secret).digest(96)
    return [word(stretched, at) for at in range(0, 96, 8)]


def fingerprint(k: list[int], data: bytes, domain: int) -> tuple[int, int]:
    """(low, high) of ``data``."""
    place = len(data) ^ (domain << 32) & MASK
    if len(data) <= 32:
        w0, w1, w2, w3 = short_words(data)
        low = fold(w0 ^ k[0], w1 ^ k[8]) ^ fold(w2 ^ k[1], w3 ^ k[4])
        high = fold(w0 ^ k[2], w1 ^ k[9]) ^ fold(w2 ^ k[3], w3 ^ k[5])
    else:
        a, b, c, d = k[8], k[4], k[9], k[5]
        for at in [*range(0, len(data) - 32, 32), len(data) - 32]:
            w0, w1, w2, w3 = (word(data, at + 8 * lane) for lane in range(4))
            a, b = fold(w0 ^ k[0], w1 ^ a), fold(w2 ^ k[1], w3 ^ b)
            c, d = fold(w0 ^ k[2], w1 ^ c), fold(w2 ^ k[3], w3 ^ d)
        low, high = a ^ b, c ^ d
    return fold(low ^ k[6], place ^ k[1]), fold(high ^ k[7], place ^ k[0])


def short_words(data: bytes) -> tuple[int, int, int, int]:
    size = len(data)
    if size >= 16:
        return word(data, 0), word(data, 8), word(data, size - 16), word(data, size - 8)
    if size >= 8:
        return word(data, 0), word(data, size - 8), 0, 0
    if size >= 4:
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[-4:], "little"), 0, 0
    return (data[0] << 16 | data[size >> 1] << 8 | data[-1], 0, 0, 0) if size else (0, 0, 0, 0)


def canonical(labels: tuple[tuple[str, str], ...]) -> bytes:
    """The bytes an identity is the hash of: length and text of each name and value."""
    texts = [text.encode() for pair in labels for text in pair]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def fold(a: int, b: int) -> int:
    product = a * b
    return (product ^ product >> 64) & MASK


def word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
