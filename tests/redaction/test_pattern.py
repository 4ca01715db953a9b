"""Patterns over whole columns: nothing that fits a string is overlooked, whatever its neighbours are."""

import numpy as np
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.redaction import PATTERN_RULES
from nissa.model.columns import TextColumn
from nissa.model.errors import ConfigInvalid
from nissa.redaction.pattern import WINDOW_BYTES, ColumnPattern, borderless, literal_of

borders = [r"\b", r"\B", "^", "$", r"\A", r"\z"]
classes = ["[ab]", "[^a]", "[]a]", r"[\]b]", "[[:alpha:]]", r"\d", r"\pL", "."]
odd = [r"\x61", r"\x{62}", r"\.", r"\@", "(?i:A)", "[a-", "[[:x]"]
atoms = st.sampled_from(["a", "b", "@", "é", *borders, *classes, *odd])
counts = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{0,1}", "*?", "{,2}"])
patterns = st.recursive(
    st.lists(st.tuples(atoms, counts), min_size=1, max_size=5).map(lambda parts: "".join(a + c for a, c in parts)),
    lambda inner: (
        st.builds(lambda x, y, z: f"{x}({y}){z}", inner, inner, counts)
        | st.builds(lambda x, y: f"{x}|{y}", inner, inner)
        | inner.map(lambda x: f"(?i){x}")
    ),
    max_leaves=4,
)
strings = st.lists(st.text("abAB@. é1", max_size=6), max_size=6)


def text(values: list[str]) -> TextColumn:
    """Strings as a column."""
    parts = [value.encode() for value in values]
    return TextColumn(np.cumsum([0, *(len(part) for part in parts)]).astype(np.int32), b"".join(parts))


@settings(deadline=None, max_examples=300)
@given(patterns, strings)
def test_no_string_with_a_fitting_part_is_overlooked(pattern: str, values: list[str]) -> None:
    """Every string in which the pattern is found stands among the candidates, each once, ascending."""
    try:
        prepared = ColumnPattern(pattern, "redaction.patterns[0]")
    except ConfigInvalid:
        return
    candidates = list(prepared.strings(text(values)))
    fitting = [place for place, value in enumerate(values) if prepared.exact.search(value.encode())]
    assert set(fitting) <= set(candidates)
    assert candidates == sorted(set(candidates))
    assert all(literal_of(pattern) in value for place, value in enumerate(values) if place in fitting)


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r"[a-z]+@[a-z]+", "@"),
        (r"://[^/:]+:", "://"),
        (r"\bAKIA[0-9]{16}", "AKIA"),
        ("abc?", "ab"),
        ("abc*d", "ab"),
        ("abc+d", "abc"),
        ("ab{0}c", "a"),
        ("abc|abd", ""),
        ("(?i)abc", ""),
        ("(abc)?de", "de"),
        (r"a\.b\.c", "a.b.c"),
        (r"a\x41b", ""),
        (r"\Qa?\E", ""),
    ],
)
def test_the_literal_of_a_pattern(pattern: str, literal: str) -> None:
    """The longest text that every fit contains, or none where that is not easily seen."""
    assert literal_of(pattern) == literal


def test_borders_are_left_out() -> None:
    """Conditions on borders go, also in groups; in classes and escapes the same characters stay."""
    assert borderless(r"^a\b(b$|[$^]\$)\z") == r"(?:)a(?:)(b(?:)|[$^]\$)(?:)"
    assert borderless(r"\Qa^\E") is None
    assert all(re2.compile(borderless(rule.pattern) or "") for rule in PATTERN_RULES)


def test_windows_cover_a_column_longer_than_one() -> None:
    """Strings longer than a window, fits on either side of its end, and a pattern that would go on for ever."""
    values = ["x" * WINDOW_BYTES, "1", "", "y" * (2 * WINDOW_BYTES), "1", *["z", "1"] * WINDOW_BYTES]
    for pattern in (r"\b1\b", r"1.*", "[1]"):
        prepared = ColumnPattern(pattern, "p")
        candidates = set(prepared.strings(text(values)))
        assert {place for place, value in enumerate(values) if value == "1"} <= candidates
        assert not candidates & {0, 3}


@pytest.mark.parametrize("pattern", ["(", "a**(", r"(?=a)", r"(a)\1", "a" * 5_000, "a*", "", "^"])
def test_a_pattern_that_cannot_run_is_refused_with_its_path(pattern: str) -> None:
    """Patterns that RE2 does not take, that are too long, or that match the empty text."""
    with pytest.raises(ConfigInvalid, match=r"^redaction\.keys\[3\]: "):
        ColumnPattern(pattern, "redaction.keys[3]")
