"""Shapes of patterns: every text that matches has the shape, and unknown syntax has no shape."""

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.redaction import KEY_RULES, PATTERN_RULES
from nissa.redaction.pattern_shape import ALL, shape_of

DIGITS = frozenset(b"0123456789")
plain = [
    "a",
    "é",
    "k",
    "[ab]",
    "[^a]",
    "[a-f-]",
    "[]a]",
    r"[\d.]",
    r"\d",
    r"\s",
    r"\w",
    ".",
    r"\.",
    r"\n",
    r"\b",
    "^",
    "$",
]
odd = ["(?i:K)", "(?:a|bc)", "(x)", "[[:alpha:]]", r"\pL", r"\x61", "(?P<n>a)", "{", "]", "}"]
parts = st.sampled_from([*plain, *odd])
counts = st.sampled_from(["", "", "?", "*", "+", "{2}", "{0,1}", "{1,}", "{,2}", "*?", "{2}?"])
patterns = st.recursive(
    st.lists(st.tuples(parts, counts), min_size=1, max_size=4).map(lambda found: "".join(a + b for a, b in found)),
    lambda inner: st.builds("({}){}".format, inner, counts) | st.builds("{}|{}".format, inner, inner),
    max_leaves=4,
) | parts.map("(?i){}k".format)
texts = st.text("abKk\u212a\u017fsé1. -x\n}{]", max_size=12).map(str.encode)


@pytest.mark.long
@settings(deadline=None, max_examples=400)
@given(patterns, texts)
def test_everything_that_fits_has_the_shape(pattern: str, text: bytes) -> None:
    """Its bytes are of the shape, as many at least, and one that is needed among them."""
    shape = shape_of(pattern)
    try:
        found = re2.search(pattern.encode(), text)
    except re2.error:
        return
    if shape is None or found is None:
        return
    fit = set(found.group())
    assert fit <= shape.bytes
    assert len(found.group()) >= shape.length_min
    assert shape.needed is None or fit & shape.needed


@pytest.mark.parametrize(
    ("pattern", "length_min", "needed"),
    [
        ("abc", 3, b"a"),
        ("a?b+", 1, b"b"),
        ("ab|[cd]e", 2, b"ae"),
        (r"\d{3}-\d{2,}", 6, b"-"),
        ("(?:ab){2}c?", 4, b"a"),
        (r"\s*[=:]\s*[^,]+", 2, b"=:"),
        ("é", 2, b"\xc3"),
        ("x*", 0, None),
        ("[^a]", 1, None),
    ],
)
def test_shapes(pattern: str, length_min: int, needed: bytes | None) -> None:
    """The least number of bytes, and the fewest bytes of which one must be there."""
    shape = shape_of(pattern)
    assert shape is not None
    assert shape.length_min == length_min
    assert shape.needed == (None if needed is None else frozenset(needed))


@pytest.mark.parametrize(
    "pattern",
    [r"\pL", r"[\pL]", "[[:alpha:]]", r"\x41", "(?s:.)", "(?P<n>a)", "(?P<n>a", "a{,2}", "a{x}", "(", ")", "[a", "[^a"],
)
def test_what_is_not_understood_has_no_shape(pattern: str) -> None:
    """Whatever it may mean to RE2."""
    assert shape_of(pattern) is None


def test_letters_in_any_case_may_stand_beyond_ascii() -> None:
    """The Kelvin sign is a k to RE2, and the long s an s."""
    shape = shape_of("(?i)key_S")
    assert shape is not None
    assert set("KkEeYySs_\u212a\u017f".encode()) <= shape.bytes
    assert shape.bytes != ALL
    assert shape.length_min == 5


def test_the_default_rules_have_a_first_step() -> None:
    """Card numbers are long runs of digits; assignments contain one of two signs."""
    shapes = {rule.name: shape_of(rule.pattern) for rule in (*PATTERN_RULES, *KEY_RULES)}
    card, assigned = shapes["card"], shapes["assigned"]
    assert card is not None
    assert assigned is not None
    assert (card.bytes, card.length_min) == (DIGITS | set(b" -"), 15)
    assert assigned.needed == frozenset(b"=:")
