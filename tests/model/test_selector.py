"""Selectors read into matchers."""

import pytest

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp, quoted
from nissa.model.selector import MATCHERS_MAX, read_selector, read_selectors

EQUAL, NOT_EQUAL, FITS, NOT_FITS = MatchOp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", [("__name__", EQUAL, "up")]),
        ('a:b{c="d",}', [("__name__", EQUAL, "a:b"), ("c", EQUAL, "d")]),
        (
            '{a="1",b!="2",c=~"3.*",d!~"4|5"}',
            [("a", EQUAL, "1"), ("b", NOT_EQUAL, "2"), ("c", FITS, "3.*"), ("d", NOT_FITS, "4|5")],
        ),
        ('{"my.dotted","a b"="c"}', [("__name__", EQUAL, "my.dotted"), ("a b", EQUAL, "c")]),
        ("{a='it\\'s', b=`raw\\n`}", [("a", EQUAL, "it's"), ("b", EQUAL, "raw\\n")]),
        ('{a="\\"}{(,\\n\\\\ \\u00e9😀"}', [("a", EQUAL, '"}{(,\n\\ é😀')]),
        ('  up { by = "x" } # a comment ((((', [("__name__", EQUAL, "up"), ("by", EQUAL, "x")]),
        ('up{a=""}', [("__name__", EQUAL, "up"), ("a", EQUAL, "")]),
    ],
)
def test_selectors_are_read(text, expected):
    """Names, all four operators, every way of quoting, UTF-8 names and comments."""
    assert read_selector(text) == tuple(Matcher(*one) for one in expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{a=""}',
        '{a=~".*"}',
        '{a!="x"}',
        "up[5m]",
        "up offset 5m",
        "up @ 10",
        "sum(up)",
        "(up)",
        "up or up",
        "1",
        "NaN",
        'up{a="b"',
        "up{a=b}",
        'up{a="b" c="d"}',
        'up{a="b" or c="d"}',
        'up{__name__="x"}',
        'up{a=~"("}',
        'up{a=~"a{2000}"}',
        '{a="b"}{c="d"}',
        'up{a="\\q"}',
        '{a="\\ud800"}',
        "é",
        'up{a="b\n"}',
        "up;drop",
        "-up",
        "up == 1",
    ],
)
def test_what_is_no_selector_is_refused(text):
    """Expressions, broken texts, bad patterns and selectors of everything are the author's fault."""
    with pytest.raises(BadQuery):
        read_selector(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "up" + ")" * 100_000,
        "-" * 100_000 + "up",
        "up" + " or up" * 30_000,
        "{" * 100_000,
        "up" * 200_000,
    ],
)
def test_nested_texts_cannot_overrun_the_parser(text):
    """Texts that would recurse in the parser are refused before it sees them."""
    with pytest.raises(BadQuery):
        read_selector(text)


def test_any_value_round_trips_through_quoting():
    """A matcher written as text is read back the same, whatever its value holds."""
    for value in ('"', "\\", "\n", "a\\n", "}{", "\t\r\x00\x7f", "日本😀", "'`#", '\\"'):
        matcher = Matcher("a", EQUAL, value)
        assert read_selector(f"up{{{matcher}}}")[1] == matcher
        assert quoted(value) in str(matcher)


def test_the_number_of_selectors_is_bounded():
    """A thousand selectors in one request are refused."""
    assert len(read_selectors(["up", "down"])) == 2
    assert len(read_selectors("up")) == 1
    with pytest.raises(BadQuery, match="limit"):
        read_selectors(["up"] * 1_000)


def test_the_number_of_matchers_is_bounded():
    """In one selector, and in all selectors of a question together; the message names the limit."""
    one = "{" + ",".join(f'l{number}="x"' for number in range(MATCHERS_MAX + 1)) + "}"
    several = ["{" + ",".join(f'l{number}="x"' for number in range(32)) + "}"] * (MATCHERS_MAX // 32 + 1)
    for texts in (one, several):
        with pytest.raises(BadQuery, match=f"matchers are over the limit of {MATCHERS_MAX}"):
            read_selectors(texts)
    assert len(read_selectors(several[1:])) == MATCHERS_MAX // 32
