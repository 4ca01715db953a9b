"""Replacements with groups, as Go expands them."""

import pytest
import re2

from nissa.model.replacement import expanded


@pytest.mark.parametrize(
    ("replacement", "result"),
    [
        ("plain", "plain"),
        ("$1-$2", "ab-"),
        ("${1}x", "abx"),
        ("$1x", ""),
        ("$$1", "$1"),
        ("$name.${name}", "ab.ab"),
        ("$9", ""),
        ("a$", "a$"),
        ("$0", "ab"),
        ("${", "${"),
    ],
)
def test_groups_are_put_in(replacement: str, result: str) -> None:
    """Numbers and names are the longest runs of word characters; an unknown group is replaced by nothing."""
    match = re2.compile("(?P<name>ab)(c)?").match("ab")
    assert expanded(replacement, match) == result
