"""Patterns with groups, in linear time."""

import pytest

from nissa.model.errors import BadQuery
from nissa.model.text_search import PATTERN_CHARACTERS_MAX, searched


def test_groups_are_found() -> None:
    """Groups are found in text of any language."""
    found = searched("id=([0-9a-zé]+)").search("x id=ab1é y")
    assert found.group(1) == "ab1é"
    assert searched("a(b)(c)").groups == 2


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"\1", "a{1000}{1000}", "x" * (PATTERN_CHARACTERS_MAX + 1)])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """The refusal has the reason, also for a pattern that would take too much memory."""
    with pytest.raises(BadQuery, match="pattern"):
        searched(pattern)
