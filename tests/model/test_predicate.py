"""Predicates of single values, as matchers use them."""

import pytest
import re2

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp
from nissa.model.predicate import (
    PATTERN_BYTES_MAX,
    PATTERN_MEMORY_BYTES,
    Patterns,
    equals,
    is_selective,
    literal_values,
    predicate,
    takes,
)

EQUAL, NOT_EQUAL, FITS, NOT_FITS = MatchOp


@pytest.mark.parametrize(
    ("op", "wanted", "value", "holds"),
    [
        (EQUAL, "a", "a", True),
        (NOT_EQUAL, "a", "a", False),
        (NOT_EQUAL, "a", "", True),
        (FITS, "a.*", "a\nb", True),
        (FITS, "a", "ab", False),
        (NOT_FITS, ".+", "", True),
        (FITS, "x|y", "y", True),
    ],
)
def test_a_matcher_judges_the_whole_value(op: MatchOp, wanted: str, value: str, *, holds: bool) -> None:
    """Patterns are anchored, dots take newlines, and the empty value stands for a missing label."""
    assert takes(Matcher("name", op, wanted), value) is holds


def test_texts_are_known_where_no_pattern_is_needed() -> None:
    """One text, or several apart by bars; else each value must be judged."""
    assert literal_values(equals("a", "x")) == ("x",)
    assert literal_values(Matcher("a", FITS, "x|y")) == ["x", "y"]
    assert literal_values(Matcher("a", FITS, "x.*")) is None


def test_what_takes_everything_is_not_selective() -> None:
    """At least one matcher must refuse the empty text."""
    assert not is_selective((Matcher("a", NOT_EQUAL, "x"), Matcher("b", FITS, ".*")))
    assert is_selective((equals("a", "x"),))


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "x" * (PATTERN_BYTES_MAX + 1)])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    """The refusal has the reason."""
    with pytest.raises(BadQuery, match=r"cannot be read|over the limit"):
        predicate(pattern)


def test_compiled_patterns_are_bounded_in_bytes() -> None:
    """The latest used ones are kept as far as the memory RE2 may take for them allows; RE2 keeps none besides."""
    kept = Patterns(5 * PATTERN_MEMORY_BYTES)
    first = kept.find("a+0")
    for number in range(1, 4):
        kept.find(f"a+{number}")
    assert kept.find("a+0") is first  # used, and so the last to go
    for number in range(4, 200):
        kept.find(f"a+{number}")
        assert kept.find("a+0")("aa0")
        assert not kept.find("a+0")("aa1")
        assert kept.taken_bytes <= 5 * PATTERN_MEMORY_BYTES
    assert kept.find("a+0") is first
    assert re2._Regexp._make.cache_info().currsize == 0


def test_a_list_of_texts_is_no_pattern() -> None:
    """A list of texts matches the texts it names, also the empty one."""
    assert [predicate("a|bc||日")(value) for value in ("a", "bc", "", "日", "b", "a|bc")] == [True] * 4 + [False] * 2
