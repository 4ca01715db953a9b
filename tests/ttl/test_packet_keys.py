"""Keys of packets and requests against the twin of the keyed hash."""

import numpy as np
import pytest

from nissa._fast.packet_keys import Keys
from oracle.keyed_hash import fingerprint, fold, secret_words

SECRET = bytes(range(32))


def test_keys_are_keyed_hashes_of_both_parts() -> None:
    """A packet's key is that of the twin; other sources, ids, epochs and secrets give other keys, and none meet."""
    keys = Keys(SECRET)
    words = secret_words(SECRET)
    low, high = fingerprint(words, b"tolaria", 0x41)
    id_low, id_high = fingerprint(words, b"p-1", 0x42)
    wanted = [[fold(low ^ id_low, words[4] ^ id_high), fold(high ^ id_high, words[5] ^ id_low)]]
    assert keys.of_packet(b"tolaria", b"p-1").tolist() == wanted
    sources, ids = ["", "a", "ab", "abc"], ["", "a", "bc", "c"]
    made = [tuple(keys.of_packet(s.encode(), i.encode())[0]) for s in sources for i in ids]
    made += [tuple(keys.of_request(epoch, i.encode())[0]) for epoch in (0, 1, 2**63) for i in ids]
    made += [tuple(Keys(bytes(32)).of_packet(b"a", b"a")[0])]
    assert len(set(made)) == len(made)
    offsets = [np.cumsum([0, *map(len, texts)]) for texts in (sources, ids)]
    many = keys.of_packets(offsets[0], "".join(sources).encode(), offsets[1], "".join(ids).encode())
    assert [tuple(key) for key in many] == [made[place * 5] for place in range(4)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Keys(b"short"), "32 bytes"),
        (lambda: Keys(SECRET).of_packets(np.array([0, 9]), b"abc", np.array([0, 1]), b"a"), "ascend"),
        (lambda: Keys(SECRET).of_packets(np.array([0]), b"abc", np.array([0, 1]), b"a"), "ascend"),
    ],
)
def test_what_cannot_be_is_refused(call: object, message: str) -> None:
    """A secret too short, offsets past their data or too few of them."""
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
