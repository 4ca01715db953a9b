"""Escaped text columns, against an encoder of JSON."""

import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from nissa._fast.json_text import escaped_text

SEED = 20


def column_of(texts: list[bytes]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], bytes]:
    """Offsets and data of these strings."""
    return np.cumsum([0, *map(len, texts)]).astype(np.int32), b"".join(texts)


def strings_of(offsets: np.ndarray[tuple[int], np.dtype[np.int32]], data: bytes) -> list[bytes]:
    """The strings of a column."""
    return [data[first:end] for first, end in pairwise(offsets)]


def test_every_character_is_written_as_json_has_it() -> None:
    """All of ASCII, each by itself and among others, and characters of several bytes."""
    texts = [chr(code) for code in range(128)] + ["".join(map(chr, range(128))), "é€😀\x1f", "", '""', "\\\\"]
    found = escaped_text(*column_of([text.encode() for text in texts]))
    assert found is not None
    assert strings_of(*found) == [msgspec.json.encode(text)[1:-1] for text in texts]


def test_random_columns_equal_those_of_an_encoder() -> None:
    """Columns that begin behind the start of their data too."""
    rng = random.Random(SEED)
    for _ in range(300):
        alphabet = rng.choice(['ab"', "abcdefgh", "\n\x00\x07\\é", 'xyz"\t'])
        texts = ["".join(rng.choices(alphabet, k=rng.randrange(30))) for _ in range(rng.randrange(1, 40))]
        offsets, data = column_of([text.encode() for text in texts])
        first = rng.randrange(len(texts))
        found = escaped_text(offsets[first:].copy(), data)
        wanted = [msgspec.json.encode(text)[1:-1] for text in texts[first:]]
        if found is None:
            assert wanted == [text.encode() for text in texts[first:]]
        else:
            assert strings_of(*found) == wanted, SEED
            assert (int(found[0][0]), int(found[0][-1])) == (0, len(found[1]))


def test_clean_columns_are_not_written() -> None:
    """The answer says that nothing is to be escaped."""
    assert escaped_text(*column_of([b"plain", "é".encode(), b"\x7f"])) is None
    assert escaped_text(np.zeros(1, np.int32), b"") is None
    assert escaped_text(np.zeros(0, np.int32), b"") is None


@pytest.mark.parametrize("offsets", [[0, 3, 2], [-1, 2], [0, 5], [2, 1]])
def test_offsets_outside_of_their_data_are_refused(offsets: list[int]) -> None:
    """No byte outside of it is read."""
    with pytest.raises(ValueError, match="offsets do not ascend within their data"):
        escaped_text(np.array(offsets, np.int32), b'"""""'[:4])
