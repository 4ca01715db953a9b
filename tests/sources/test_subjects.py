"""Subjects of NATS and their patterns."""

import pytest

from nissa.sources.subjects import is_pattern, takes_all


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("*", "a.b", False),
        ("*.b", "a.b", True),
        ("a.*", "a.*", True),
        ("a.*", "a.>", False),
        ("a.>", "a.*.c", True),
        ("a.>", "a.>", True),
        ("a.b", "a.*", False),
        ("a.b.c", "a.b", False),
    ],
)
def test_patterns(pattern: str, subject: str, expected: bool) -> None:
    """Patterns match one part, one or more parts, and other patterns."""
    assert takes_all(pattern, subject) is expected


@pytest.mark.parametrize("subject", ["a", "a.b", "*", ">", "a.*.b", "a.>", "system.error.critical"])
def test_subjects(subject: str) -> None:
    """Names and patterns that NATS takes."""
    assert is_pattern(subject)


@pytest.mark.parametrize("subject", ["", ".", "a.", "a..b", "a b", "a.>.b", "a*", "a.b>", "a\r\nPUB"])
def test_no_subjects(subject: str) -> None:
    """Empty parts, spaces, and wildcards that are not a part."""
    assert not is_pattern(subject)
