"""The plain part of YAML is read as text; the rest is refused with its line."""

import pytest

from nissa.config.document import BYTES_MAX, DEPTH_MAX, line_of, read_document
from nissa.model.errors import ConfigInvalid


def test_leaves_are_text() -> None:
    """Types are not guessed: yes, 010 and dates stay as written."""
    text = b"a: {b: yes, c: 010, d: 2024-01-01, e: [1, ~]}\nf:\n"
    assert read_document(text, "n") == {"a": {"b": "yes", "c": "010", "d": "2024-01-01", "e": ["1", "~"]}, "f": ""}


def test_an_empty_file_is_an_empty_mapping() -> None:
    """Nothing, and nothing but comments, mean no settings."""
    assert read_document(b"", "n") == {}
    assert read_document(b"# only this\n", "n") == {}


LAUGHS = b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10))
REFUSED = [
    (b"a: &x 1\nb: *y", "line 2: the alias 'y'"),
    (b"a: &x [*x]", "line 1: the alias 'x'"),
    (b"a: &x 1\nb: &x 2", "line 2: duplicate anchor 'x'"),
    (b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + LAUGHS, "aliases stand for more than 100000 values"),
    (b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, 30)), "nested deeper"),
    (b"a: 1\nb: !!python/object:os.system x", "line 2: the tag"),
    (b"a: 1\na: 2", "line 2: duplicate key 'a'"),
    (b"a: 1\n---\nb: 1", "second YAML document"),
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
    """Tags, endless aliases, doubled keys, depth and size are refused, naming file and line."""
    with pytest.raises(ConfigInvalid) as caught:
        read_document(text, "nissa.yaml")
    assert "nissa.yaml" in str(caught.value)
    assert words in str(caught.value)


def test_aliases_and_merges() -> None:
    """An alias is a copy of what its anchor has; ``<<`` puts sections below what is written."""
    text = b"a: &x {k: 1, l: &y [2, 3]}\nb: {<<: *x, k: 4}\nc: *y\nd: {<<: [*x, {l: 5, m: 6}]}\ne: {<<: word}\n"
    read = read_document(text, "f")
    assert read["b"] == {"k": "4", "l": ["2", "3"]}
    assert read["c"] == ["2", "3"]
    assert read["d"] == {"k": "1", "l": ["2", "3"], "m": "6"}
    assert read["e"] == {"<<": "word"}
    read["c"].append("7")
    assert read["a"]["l"] == ["2", "3"]
    assert line_of(text, "b.k") == 2


def test_lines_of_paths() -> None:
    """A path is found in blocks and in braces; one that leads nowhere has the line of the nearest parent."""
    text = b"# first\na:\n  - {b: 1}\n  - c: 2\n    d: [x,\n        y]\n"
    lines = {
        path: line_of(text, path) for path in ("a", "a[0].b", "a[1]", "a[1].d", "a[1].d[1]", "a[1].e", "z", "a[7]")
    }
    assert lines == {"a": 2, "a[0].b": 3, "a[1]": 4, "a[1].d": 5, "a[1].d[1]": 6, "a[1].e": 4, "z": 1, "a[7]": 2}
    assert line_of(b"", "a") == 1
