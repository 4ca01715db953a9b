"""Matchers in both languages of Alertmanager."""

import pytest

from nissa.alerting.matchers import matcher_set, read_matchers
from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp

EQUAL, NOT_EQUAL, FITS = MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.FITS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("{}", []),
        ('severity="critical"', [("severity", EQUAL, "critical")]),
        ("{a=b, c!=d,}", [("a", EQUAL, "b"), ("c", NOT_EQUAL, "d")]),
        ('"service.name"=~"api-.*"', [("service.name", FITS, "api-.*")]),
        ("a=", [("a", EQUAL, "")]),  # classic only
        ("a = b c", [("a", EQUAL, "b c")]),  # classic only
        ("{a=~b c=", [("a", FITS, "b c=")]),  # classic only, braces by themselves too
        ('a="x, y",b="\\"z\\n\\\\"', [("a", EQUAL, "x, y"), ("b", EQUAL, '"z\n\\')]),
        ('größe="\\u00e9"', [("größe", EQUAL, "é")]),  # UTF-8 only
        ('a="\\d"', [("a", EQUAL, "\\d")]),  # no escape in UTF-8, plain in the classic language
    ],
)
def test_matchers_are_read(text: str, expected: list[tuple[str, MatchOp, str]]) -> None:
    """Each language has texts that the other does not read."""
    assert read_matchers(text) == tuple(Matcher(*one) for one in expected)


@pytest.mark.parametrize("text", ["a", '{a="b', 'a=b"', "=b", "a=b,,c=d", 'a=~"("'])
def test_what_neither_language_reads_is_refused(text: str) -> None:
    """The message quotes the text."""
    with pytest.raises(BadQuery, match=r"matcher|pattern"):
        read_matchers(text)


def test_a_set_of_matchers_judges_labels() -> None:
    """All must hold; patterns are anchored; a missing label is empty."""
    holds = matcher_set(read_matchers('a=~"x.*",b!="1",c=""')).test()
    assert holds({"a": "xy"})
    assert not holds({"a": "yx"})
    assert not holds({"a": "x", "b": "1"})
    assert not holds({"a": "x", "c": "1"})
    assert str(matcher_set(read_matchers("b=1,a=2"))) == '{a="2",b="1"}'
