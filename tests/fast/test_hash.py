"""The keyed hash, seen through the identities of series and the symbols of an index."""

import random

import numpy as np
import pytest

from nissa._fast.series_restore import fingerprints_of
from oracle.bodies import SECRET, Rig, series
from oracle.keyed_hash import DOMAIN_IDENTITY, canonical, fingerprint, secret_words
from oracle.series import identity


def identities(values: list[str], secret: bytes = SECRET) -> np.ndarray:
    """Fingerprints of ``m{v="…"}`` for each value, as uint64 (n, 2)."""
    rig = Rig(secret)
    rig.decode(b"".join(series([("__name__", "m"), ("v", value)]) for value in values))
    assert rig.index.series_count == len(set(values))
    return fingerprints_of(rig.index, 0, rig.index.series_count)


def test_identities_are_those_of_the_twin() -> None:
    """Fingerprints stand on disk: they are what the twin computes, for every length around the block size."""
    rng = random.Random(5)
    sets = [[("__name__", "n" * size)] for size in range(1, 90)]
    sets += [[("__name__", "m"), ("v", "".join(rng.choices("aé日𝄞", k=size)))] for size in range(1, 80)]
    rig = Rig()
    rig.decode(b"".join(map(series, sets)))
    words = secret_words(SECRET)
    expected = [fingerprint(words, canonical(identity(labels)), DOMAIN_IDENTITY) for labels in sets]
    assert [tuple(row) for row in fingerprints_of(rig.index, 0, len(sets)).tolist()] == expected


def test_another_secret_gives_other_fingerprints() -> None:
    """Without the secret nobody can prepare label sets that collide: hashes of two directories share nothing."""
    values = [f"v{number}" for number in range(2_000)]
    here, there = identities(values), identities(values, bytes(31) + b"\x01")
    assert not np.any(here == there)
    flipped = np.unpackbits((here ^ there).view(np.uint8)).mean()
    assert 0.49 < flipped < 0.51


def test_one_bit_changes_half_of_the_fingerprint() -> None:
    """Avalanche: any bit of a text moves every bit of both lanes with even chances."""
    rng = random.Random(6)
    for size in (2, 7, 15, 16, 17, 40, 90):
        base = "".join(rng.choices("abcdefgh", k=size))
        others = [base[:at] + chr(ord(base[at]) ^ 1 << bit) + base[at + 1 :] for at in range(size) for bit in range(6)]
        first, *rest = identities([base, *(other for other in others if "\x7f" not in other)])
        flipped = np.unpackbits((np.array(rest) ^ first).view(np.uint8), axis=None).reshape(len(rest), 128)
        assert 0.45 < flipped.mean() < 0.55, size
        assert flipped.sum(axis=1).min() > 32, size


@pytest.mark.slow
def test_fingerprints_spread_evenly() -> None:
    """The bits that choose a slot are even over counted-up names: chi-square of 1,024 buckets, in both lanes."""
    both = identities([f"host-{number:06}" for number in range(102_400)])
    for lane in (0, 1):
        for shift in (0, 20, 54):
            buckets = np.bincount(
                ((both[:, lane] >> np.uint64(shift)) & np.uint64(1023)).astype(np.int64), minlength=1024
            )
            chi_square = float(((buckets - 100) ** 2 / 100).sum())
            assert 800 < chi_square < 1_260, (lane, shift)  # mean 1,023, standard deviation 45


def test_short_texts_are_told_apart() -> None:
    """All texts of one and two characters, and runs of zeros of every length, are symbols of their own."""
    texts = [chr(a) for a in range(128)] + [chr(a) + chr(b) for a in range(128) for b in range(128)]
    texts += ["\0" * size for size in range(3, 200)] + ["\0" * size + "a" for size in range(2, 200)]
    rig = Rig()
    rig.decode(b"".join(series([("__name__", text)]) for text in texts))
    assert rig.index.series_count == len(texts)
    assert rig.index.symbol_count == len(texts) + 1


def test_prefixes_do_not_meet() -> None:
    """The length is part of the hash: no text meets one that only goes on, with zeros or with itself."""
    text = "abcdefgh" * 40
    values = [text[:size] for size in range(1, len(text))] + [text[:32] + "\0" * size for size in range(1, 100)]
    prints = identities(list(dict.fromkeys(values)))
    assert len(np.unique(prints[:, 0])) == len(np.unique(prints[:, 1])) == len(prints)


def test_a_text_cannot_stand_for_a_domain() -> None:
    """No change of a text's words makes up for another domain."""
    words = secret_words(SECRET)
    for size in (1, 3, 4, 8, 12, 16, 31, 32, 33, 64, 100):
        text = bytes(range(size))
        spoofs = {fingerprint(words, text, 1)}
        for at in range(size):
            spoofs.add(fingerprint(words, text[:at] + bytes([text[at] ^ 1 ^ 0x11]) + text[at + 1 :], 0x11))
        assert len(spoofs) == size + 1


def test_flooding_needs_the_secret() -> None:
    """Names whose plain sums and hashes are equal fall into different slots: no slot has many of them."""
    pairs = [("ab", "ba"), ("Aa", "BB")]  # equal under sums, and under the 31-fold hash
    texts = [""]
    for _ in range(14):
        texts = [text + piece for text in texts for piece in pairs[1]]
    prints = identities(texts)
    slots = np.bincount((prints[:, 0] & np.uint64(16_383)).astype(np.int64))
    assert slots.max() <= 10
