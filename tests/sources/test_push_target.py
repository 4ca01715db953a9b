"""Paths of pushes and their grouping keys."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.model.errors import Malformed
from nissa.sources.push_target import grouping_key, key_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/metrics/job/backup", {"job": "backup"}),
        ("/metrics/job/a%20b/host/x+y", {"job": "a b", "host": "x+y"}),
        ("/metrics/job@base64/YS9i/host@base64/=", {"job": "a/b", "host": ""}),
        ("/metrics/job/j/host/", {"job": "j", "host": ""}),
        ("/metrics/job@base64/w7w", {"job": "ü"}),
    ],
)
def test_paths(path: str, labels: dict[str, str]) -> None:
    """Values are escaped, or base64 with or without padding."""
    assert grouping_key(path) == labels


@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z").filter(lambda name: name != "job"), TEXTS, max_size=5))
def test_base64_of_any_text(labels: dict[str, str]) -> None:
    """Any values come back, and the order of the path is no part of the key."""
    parts = [
        f"{name}@base64/{base64.urlsafe_b64encode(text.encode()).decode() or '='}" for name, text in labels.items()
    ]
    found = grouping_key("/".join(["/metrics/job/j", *parts]))
    assert found == {"job": "j", **labels}
    assert key_text(found) == key_text(dict(reversed(found.items())))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/metrics/job", "pairs"),
        ("/metrics/job/", "no job"),
        ("/metrics/job@base64/=", "no job"),
        ("/metrics/job/j/host", "pairs"),
        ("/metrics/job/j/job/k", "twice"),
        ("/metrics/job/j/1a/x", "label name"),
        ("/metrics/job/j/__name__/x", "label name"),
        ("/metrics/job/j/a%62/x", "label name"),
        ("/metrics/job@base64/a", "base64"),
        ("/metrics/job@base64/a*b", "base64"),
        ("/metrics/job/%ff", "UTF-8"),
        ("/metrics/job/j" + "".join(f"/a{number}/x" for number in range(64)), "at most 64"),
    ],
)
def test_paths_at_fault(path: str, words: str) -> None:
    """The message names the fault."""
    with pytest.raises(Malformed, match=words):
        grouping_key(path)
