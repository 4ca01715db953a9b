"""What one matcher says of one value."""

import pytest

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp
from nissa.model.predicate import PATTERN_BYTES_MAX, equals, is_selective, predicate, takes, texts_of

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
    assert texts_of(equals("a", "x")) == ("x",)
    assert texts_of(Matcher("a", FITS, "x|y")) == ["x", "y"]
    assert texts_of(Matcher("a", FITS, "x.*")) is None


def test_what_takes_everything_is_not_selective() -> None:
    """At least one matcher must refuse the empty text."""
    assert not is_selective((Matcher("a", NOT_EQUAL, "x"), Matcher("b", FITS, ".*")))
    assert is_selective((equals("a", "x"),))


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "x" * (PATTERN_BYTES_MAX + 1)])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    """With its reason."""
    with pytest.raises(BadQuery, match=r"cannot be read|over the limit"):
        predicate(pattern)
