"""Silences and their changes."""

import pytest

from nissa.alerting.matchers import read_matchers
from nissa.alerting.silences import Silence, Silences
from nissa.model.errors import BadQuery, Unavailable


def wanted(matchers: str = "a=1", start: int = 0, end: int = 100, silence_id: str = "") -> Silence:
    return Silence(silence_id, read_matchers(matchers), start, end, 0, "ann", "why")


def put(silences: Silences, one: Silence, now_ms: int) -> Silence:
    """Have a silence in force, as the dispatcher does."""
    changes = silences.planned(one, now_ms)
    for each in changes:
        silences.put(each)
    return changes[-1]


def test_a_silence_mutes_from_its_start_to_its_end() -> None:
    """The start is moved to now where it is past; the end is excluded."""
    silences = Silences((), 10)
    found = put(silences, wanted(start=10), 20)
    later = put(silences, wanted("a=1", 50, 90), 20)
    assert (found.starts_at_ms, found.updated_at_ms, len(found.id)) == (20, 20, 36)
    assert silences.silenced_by("f", {"a": "1"}, 20) == [found.id]
    assert silences.silenced_by("f", {"a": "1"}, 60) == [found.id, later.id]
    assert silences.silenced_by("f", {"a": "1"}, 100) == []
    assert silences.silenced_by("g", {"a": "2"}, 20) == []
    assert [one.state(60) for one in silences.all()] == ["active", "active"]
    assert later.state(20) == "pending"


def test_a_change_is_made_in_place_or_by_a_new_silence() -> None:
    """The end and the comment may change in place; other matchers end the old one and begin another."""
    silences = Silences((), 10)
    first = put(silences, wanted(), 20)
    longer = put(silences, wanted(start=20, end=200, silence_id=first.id), 30)
    assert (longer.id, longer.ends_at_ms) == (first.id, 200)
    other = put(silences, wanted("a=2", 20, 200, first.id), 40)
    assert other.id != first.id
    assert silences.silenced_by("f", {"a": "1"}, 40) == []
    assert silences.silenced_by("g", {"a": "2"}, 40) == [other.id]
    silences.put(silences.planned_end(other.id, 50))
    assert silences.silenced_by("g", {"a": "2"}, 50) == []
    assert silences.expired_before(45) == [first.id]
    silences.forget([first.id])
    assert silences.find(first.id) is None


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (wanted(""), "matchers: at least one is needed"),
        (wanted('a=~".*"'), "must not match the empty text"),
        (wanted(end=20), "end time can't be in the past"),
        (wanted(start=200), "start time must be before end time"),
        (wanted(silence_id="x"), "silence 'x' not found"),
    ],
)
def test_what_is_no_silence_is_refused(one: Silence, message: str) -> None:
    """The message names the fault."""
    with pytest.raises(BadQuery, match=message):
        Silences((), 10).planned(one, 20)


def test_silences_are_limited() -> None:
    """Expired silences do not count."""
    silences = Silences((), 1)
    put(silences, wanted(), 20)
    with pytest.raises(Unavailable, match=r"alerting\.silences_max"):
        silences.planned(wanted(), 30)
    assert silences.planned(wanted(end=200), 100)
    with pytest.raises(BadQuery, match="already expired"):
        silences.planned_end(silences.all()[0].id, 100)
