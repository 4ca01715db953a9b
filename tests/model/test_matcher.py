"""Matchers as values and as text."""

from nissa.model.matcher import Matcher, MatchOp, quoted


def test_operators_know_their_meaning():
    """Two are negated, two compare by pattern."""
    assert [op.negated for op in MatchOp] == [False, True, False, True]
    assert [op.by_pattern for op in MatchOp] == [False, False, True, True]


def test_a_matcher_is_written_as_in_a_selector():
    """Its text has the operator and a quoted value."""
    assert str(Matcher("path", MatchOp.NOT_FITS, 'a"b\\c\n')) == r'path!~"a\"b\\c\n"'
    assert quoted("é") == '"é"'
