"""The plain part of YAML is read as text; the rest is refused with its line."""

import pytest

from nissa.config.document import BYTES_MAX, DEPTH_MAX, read_document
from nissa.model.errors import ConfigInvalid


def test_leaves_are_text() -> None:
    """Types are not guessed: yes, 010 and dates stay as written."""
    text = b"a: {b: yes, c: 010, d: 2024-01-01, e: [1, ~]}\nf:\n"
    assert read_document(text, "n") == {"a": {"b": "yes", "c": "010", "d": "2024-01-01", "e": ["1", "~"]}, "f": ""}


def test_an_empty_file_is_an_empty_mapping() -> None:
    """Nothing, and nothing but comments, mean no settings."""
    assert read_document(b"", "n") == {}
    assert read_document(b"# only this\n", "n") == {}


REFUSED = [
    (b"a: &x 1\nb: *x", "line 1: anchors"),
    (b"a: 1\nb: !!python/object:os.system x", "line 2: tag"),
    (b"a: 1\na: 2", "line 2: 'a' is written twice"),
    (b"a: 1\n---\nb: 1", "second document"),
    (b"- a", "expected a mapping"),
    (b"word", "expected a mapping"),
    (b"? [a]\n: b", "plain word"),
    (b"a: b: c", "not YAML"),
    (b"a: \xff", "not UTF-8"),
    (b"a: \x00", "not YAML"),
    (b"a: " + b"[" * (DEPTH_MAX + 2), "nested deeper"),
    (b"#" * (BYTES_MAX + 1), "over the limit"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_is_not_plain_is_refused(text: bytes, words: str) -> None:
    """Tags, anchors, doubled keys, depth and size are refused, naming file and line."""
    with pytest.raises(ConfigInvalid) as caught:
        read_document(text, "nissa.yaml")
    assert "nissa.yaml" in str(caught.value)
    assert words in str(caught.value)
