"""Steps of an incident, and how long its trouble lasted."""

import random

import pytest

from nissa.incidents.lifecycle import (
    Entry,
    Escalation,
    Incident,
    IncidentReport,
    IncidentState,
    acknowledging,
    commenting,
    downtime_minutes,
    editing,
    escalating,
    merging,
    opened,
    outages_ms,
    reopening,
    resolving,
)
from nissa.model.errors import BadQuery

ESCALATION = Escalation(900, 2)


def fresh(**changes) -> Incident:
    """An open incident of time 1000."""
    return opened(IncidentReport("k", "it is slow", "api", **changes), 1000, ESCALATION)


def test_urgency_follows_from_severity() -> None:
    """Unless it is given."""
    assert [fresh(severity=one).urgency for one in ("critical", "error", "warning", "info")] == [
        "high",
        "medium",
        "medium",
        "low",
    ]
    assert fresh(severity="info", urgency="high").urgency == "high"


@pytest.mark.parametrize(
    "changes",
    [{"severity": "bad"}, {"urgency": "soon"}, {"started_ms": 0, "responder": "x" * 201}, {"responder": "a\0b"}],
)
def test_bad_reports_are_refused(changes: dict) -> None:
    """With the name of the field."""
    with pytest.raises(BadQuery, match=list(changes)[-1]):
        fresh(**changes)


def test_it_is_acknowledged_resolved_and_reopened() -> None:
    """Each step is an entry; the first acknowledgement counts, whoever acknowledges without a responder is it."""
    one, entry = acknowledging(1500, "ann", "on it")(fresh())
    assert (one.state, one.acknowledged_ms, one.responder, one.escalate_ms) == ("acknowledged", 1500, "ann", 0)
    assert entry == Entry(1500, "acknowledged", "ann", "on it")
    one, _ = resolving(2000, "ann")(one)
    assert (one.state, one.resolved_ms) == ("resolved", 2000)
    one, _ = reopening(3000, "bob", ESCALATION)(one)
    assert (one.state, one.resolved_ms, one.escalate_ms, one.escalation) == ("open", 0, 3900, 0)
    one, _ = acknowledging(3100, "bob")(one)
    assert (one.acknowledged_ms, one.responder, one.revision) == (1500, "ann", 5)


def test_it_escalates_so_often_and_no_more() -> None:
    """Each time after the same wait."""
    one = fresh()
    assert one.escalate_ms == 1900
    one, _ = escalating(1900, ESCALATION)(one)
    assert (one.escalation, one.escalate_ms) == (1, 2800)
    one, entry = escalating(2800, ESCALATION)(one)
    assert (one.escalation, one.escalate_ms, entry.text) == (2, 0, "step 2")
    assert opened(IncidentReport("k", "t"), 1, Escalation()).escalate_ms == 0


def test_steps_that_a_state_does_not_allow_are_refused() -> None:
    """With the state in the message; merged is for good."""
    one = fresh()
    resolved = resolving(2000, "ann")(one)[0]
    other = Incident(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "id": 7})
    merged = merging(2000, "ann", other)(one)[0]
    assert (merged.state, merged.merged_into) == (IncidentState.MERGED, 7)
    for incident, step in (
        (one, reopening(1, "", ESCALATION)),
        (resolved, acknowledging(1, "")),
        (resolved, resolving(1, "")),
        (resolved, escalating(1, ESCALATION)),
        (resolved, editing(1, "", {"title": "x"})),
        (merged, resolving(1, "")),
        (merged, reopening(1, "", ESCALATION)),
        (other, merging(1, "", other)),
        (one, merging(1, "", merged)),
    ):
        with pytest.raises(BadQuery, match=r"cannot|itself"):
            step(incident)


def test_changes_are_told_in_the_timeline() -> None:
    """Only those that change something; a bad word is refused."""
    one, entry = editing(5, "ann", {"severity": "critical", "title": "it is slow", "responder": "bob"})(fresh())
    assert (one.severity, one.responder) == ("critical", "bob")
    assert entry.text == "severity: error to critical, responder: none to bob"
    with pytest.raises(BadQuery, match="severity"):
        editing(5, "ann", {"severity": "awful"})(one)
    with pytest.raises(BadQuery, match="comment"):
        commenting(5, "ann", " ")(one)


def test_outages_follow_from_the_timeline() -> None:
    """From the start of the trouble to its resolution, and again from a reopening; open ones last until now."""
    one = fresh(started_ms=400)
    entries = [Entry(1000, "opened"), Entry(2000, "resolved"), Entry(5000, "reopened")]
    assert outages_ms(one, entries[:1], 1500) == [(400, 1500)]
    assert outages_ms(one, entries[:2], 9000) == [(400, 2000)]
    assert outages_ms(one, entries, 9000) == [(400, 2000), (5000, 9000)]
    assert outages_ms(one, [*entries[:1], Entry(3000, "merged", "", "into incident 7")], 9000) == [(400, 3000)]
    assert outages_ms(one, [*entries[:1], Entry(3000, "merged", "", "with incident 7")], 9000) == [(400, 9000)]


def test_downtime_is_counted_once() -> None:
    """Compared with a count of minutes, on random overlapping outages that cross the ends of the range."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(50):
        outages = [(begin, begin + dice.randrange(40)) for begin in (dice.randrange(-50, 150) for _ in range(6))]
        expected = sum(any(begin <= minute < end for begin, end in outages) for minute in range(100))
        found = downtime_minutes([(begin * 60_000, end * 60_000) for begin, end in outages], 0, 100 * 60_000)
        assert found == expected
