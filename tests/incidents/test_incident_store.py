"""Incidents in both databases: one per key, timelines, alerts, races."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from nissa.database.database import Database
from nissa.incidents.incident_store import IncidentFilter, IncidentLimits, IncidentStore, NoIncident
from nissa.incidents.lifecycle import (
    Entry,
    Escalation,
    Incident,
    IncidentReport,
    acknowledging,
    commenting,
    escalating,
    merging,
    outages_ms,
    reopening,
    resolving,
)
from nissa.incidents.reports import alert_report, announcements
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import BadQuery

ESCALATION = Escalation(1000, 2)
LIMITS = IncidentLimits(100, 50, 40)
REPORT = IncidentReport("k", "slow ☃", "api", "critical")


def alert(fingerprint: str = "f", at_ms: int = 500, state: AlertState = AlertState.FIRING, **labels: str) -> Alert:
    """An alert of a rule that wants an incident."""
    own = {"alertname": "Slow", "service": "api", "incident": "true", **labels}
    ends_ms = at_ms + 100 if state is AlertState.RESOLVED else 0
    return Alert(own, {"summary": "ä"}, at_ms, ends_ms, at_ms, "", math.nan, state, fingerprint, "rules")


def put(store: IncidentStore, one: Alert, at_ms: int, resolves: bool = True) -> None:
    """Hand over an alert."""
    store.put_alert(one, alert_report(one, ("service",)), at_ms, ESCALATION, resolves=resolves)


@pytest.fixture
def store(database: Database) -> IncidentStore:
    """No incident yet."""
    return IncidentStore(database, LIMITS)


def newest(store: IncidentStore, **wanted) -> list[Incident]:
    """Incidents, the newest first."""
    return store.find(IncidentFilter(**wanted))


def test_one_incident_per_key(store: IncidentStore) -> None:
    """Until it is resolved; a reopening takes its key back, unless another one has it by then."""
    first, is_new = store.open(REPORT, 1000, "ann", ESCALATION)
    assert (is_new, store.open(REPORT, 2000, "bob", ESCALATION)) == (True, (first, False))
    assert store.by_key("k") == first == store.one(first.id)
    store.change(first.id, resolving(3000, "ann"))
    assert store.by_key("k") is None
    second = store.open(REPORT, 4000, "", ESCALATION)[0]
    assert second.id > first.id
    with pytest.raises(BadQuery, match=f"incident {second.id}"):
        store.change(first.id, reopening(5000, "ann", ESCALATION))
    store.change(second.id, resolving(6000, ""))
    assert store.change(first.id, reopening(7000, "ann", ESCALATION)).state == "open"
    kinds = [entry.kind for entry in store.entries(first.id)]
    assert kinds == ["opened", "resolved", "reopened"]
    with pytest.raises(NoIncident):
        store.change(99, resolving(1, ""))


def test_threads_open_one_incident(store: IncidentStore) -> None:
    """Whoever comes second gets the first one's; every comment is there once."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: store.open(REPORT, 1000 + at, "", ESCALATION), range(16)))
        assert sum(is_new for _, is_new in found) == 1
        number = found[0][0].id
        assert {one.id for one, _ in found} == {number}
        list(pool.map(lambda at: store.change(number, commenting(at, "", f"c{at}")), range(16)))
    assert sorted(entry.text for entry in store.entries(number) if entry.kind == "comment") == sorted(
        f"c{at}" for at in range(16)
    )
    assert store.one(number).revision == 17


def test_alerts_share_the_incident_of_their_rule_and_service(store: IncidentStore) -> None:
    """It resolves with the last of them; a firing opens no second incident, a new firing does."""
    for name, at_ms in (("a", 500), ("b", 600), ("a", 500)):
        put(store, alert(name, at_ms, instance=name), 1000)
    (one,) = newest(store)
    assert (one.key, one.title, one.service, one.started_ms, one.source) == ("alert:Slow:api", "ä", "api", 500, "alert")
    assert [(link.fingerprint, link.resolved_at_ms) for link in store.alerts(one.id)] == [("a", 0), ("b", 0)]
    put(store, alert("a", 500, AlertState.RESOLVED), 2000)
    assert store.one(one.id).state == "open"
    put(store, alert("b", 600, AlertState.RESOLVED), 2100)
    put(store, alert("b", 600, AlertState.RESOLVED), 2200)
    assert (store.one(one.id).state, store.one(one.id).resolved_ms) == ("resolved", 2100)
    put(store, alert("b", 600), 2300)  # a repetition that came late
    assert len(newest(store)) == 1
    put(store, alert("b", 9000), 9000)
    assert len(newest(store)) == 2
    put(store, alert("z", 9000, AlertState.RESOLVED), 9000)  # one that was never seen firing
    assert len(newest(store)) == 2


def test_a_person_decides_where_alerts_do_not(store: IncidentStore) -> None:
    """Without resolve_with_alerts it stays open; an alert that goes on firing does not undo a resolution."""
    put(store, alert(), 1000, resolves=False)
    put(store, alert(state=AlertState.RESOLVED), 2000, resolves=False)
    (one,) = newest(store)
    assert one.state == "open"
    put(store, alert("g", 2500), 2500, resolves=False)
    store.change(one.id, resolving(3000, "ann"))
    put(store, alert("g", 2500), 4000, resolves=False)
    assert [each.state for each in newest(store)] == ["resolved"]


def test_a_merged_incident_hands_over_its_keys_and_alerts(store: IncidentStore) -> None:
    """Later triggers of a merged incident go to the one it was merged into."""
    put(store, alert(), 1000)
    target = store.open(REPORT, 1100, "", ESCALATION)[0]
    source = store.by_key("alert:Slow:api")
    assert source is not None
    note = Entry(1200, "merged", "ann", f"with incident {source.id}")
    merged = store.merge(source.id, target.id, lambda into: merging(1200, "ann", into), note)
    assert (merged.state, merged.merged_into) == ("merged", target.id)
    put(store, alert("g", 1300), 1300)
    assert [link.fingerprint for link in store.alerts(target.id)] == ["f", "g"]
    assert [entry.kind for entry in store.entries(target.id)] == ["opened", "merged", "alert_fired"]
    store.change(target.id, resolving(1400, ""))
    assert store.by_key("alert:Slow:api") is None
    with pytest.raises(BadQuery, match="merged"):
        store.merge(source.id, target.id, lambda into: merging(1500, "", into), note)


def test_limits_name_their_setting(database: Database) -> None:
    """Of open incidents and of entries; alerts over the limit are left out."""
    store = IncidentStore(database, IncidentLimits(1, 2, 3))
    for name in "abcd":
        put(store, alert(name), 1000)
    (one,) = newest(store)
    assert len(store.alerts(one.id)) == 2
    with pytest.raises(BadQuery, match=r"incidents.open_max"):
        store.open(REPORT, 1000, "", ESCALATION)
    with pytest.raises(BadQuery, match=r"incidents.timeline_entries_max"):
        store.change(one.id, commenting(1, "", "x"))
    assert store.change(one.id, resolving(2000, "ann")).state == "resolved"


@pytest.mark.parametrize("pinned_to_ms", [0, 4000])
def test_what_was_merged_is_pinned_once_more(store: IncidentStore, pinned_to_ms: int) -> None:
    """Whether it was pinned before or not, so that its data are kept until a while after the merge."""
    merged, other = (store.open(IncidentReport(key, key), 1000, "", ESCALATION)[0] for key in "ab")
    for each in (merged, other):
        store.note_pin(each.id, pinned_to_ms if each is merged else 9000)
    store.merge(merged.id, other.id, lambda into: merging(2000, "ann", into), Entry(2000, "merged", "ann"))
    assert [each.id for each in store.unpinned(2001, 1000)] == [merged.id]
    store.note_pin(merged.id, 3001)
    assert store.unpinned(8000, 1000) == []


def test_no_escalation_is_further_away_than_the_setting_says(store: IncidentStore) -> None:
    """Where a clock that was ahead has set it, it is brought forward, and only of those that are open."""
    ahead, seen = (store.open(IncidentReport(key, key), 10**12, "", ESCALATION)[0] for key in "ab")
    near = store.open(IncidentReport("c", "c"), 1500, "", ESCALATION)[0]
    store.change(seen.id, acknowledging(10**12, "ann"))
    store.bring_forward(3000)
    assert [store.one(each.id).escalate_ms for each in (ahead, seen, near)] == [3000, 0, 2500]
    assert [each.id for each in store.due(3000)] == [ahead.id, near.id]


def test_work_that_is_due_is_found(store: IncidentStore) -> None:
    """Escalations, evidence, pins, announcements, each until it is done."""
    one = store.open(REPORT, 1000, "", ESCALATION)[0]
    assert (store.due(1999), [each.id for each in store.due(2000)]) == ([], [one.id])
    store.change(one.id, escalating(2000, ESCALATION))
    assert store.due(2000) == []
    assert [each.id for each in store.without_evidence()] == [one.id]
    store.keep_evidence(one.id, {"errors": ["☃"]})
    store.keep_evidence(one.id, {"errors": []})
    assert (store.without_evidence(), store.evidence(one.id)) == ([], {"errors": ["☃"]})
    assert [each.id for each in store.unpinned(3000, 1000)] == [one.id]
    store.note_pin(one.id, 4000)
    assert store.unpinned(3000, 1000) == []
    store.change(one.id, resolving(3500, ""))
    assert [each.id for each in store.unpinned(3600, 1000)] == [one.id]  # until a while after the resolution
    store.note_pin(one.id, 4500)
    assert store.unpinned(9000, 1000) == []
    ((incident, before),) = store.unannounced()
    alerts, labels = announcements(incident, before, 3600)
    assert (alerts, labels) == ([], [])
    store.announced([(incident, labels)])
    assert (store.unannounced(), store.counts()) == ([], {"resolved": 1})


def test_announcements_follow_changes(store: IncidentStore) -> None:
    """Alerts of the labels before a change resolve, each escalation is one more, and all end with the incident."""
    one = store.open(REPORT, 1000, "", ESCALATION)[0]

    def told() -> list[tuple[str, str, str]]:
        ((incident, before),) = store.unannounced()
        alerts, labels = announcements(incident, before, 5000)
        store.announced([(incident, labels)])
        return [(each.labels["severity"], each.labels.get("escalation", ""), str(each.state)) for each in alerts]

    assert told() == [("critical", "", "firing")]
    store.change(one.id, escalating(2000, ESCALATION))
    assert told() == [("critical", "", "firing"), ("critical", "1", "firing")]
    store.change(one.id, acknowledging(2500, "ann"))
    assert told() == [("critical", "", "firing"), ("critical", "1", "firing")]
    store.change(one.id, resolving(3000, "ann"))
    assert told() == [("critical", "", "resolved"), ("critical", "1", "resolved")]


def test_lists_and_summaries(store: IncidentStore) -> None:
    """Filters hold together; means are of those that were acknowledged or resolved, None of none."""
    assert store.summary("", 0, 10**9)["mean_to_resolve_ms"] is None
    for number, service in enumerate(("api", "api", "db")):
        store.open(IncidentReport(f"k{number}", "t", service, "warning"), 1000 * (number + 1), "", ESCALATION)
    first, second, third = reversed(newest(store))
    store.change(first.id, acknowledging(1200, "ann"))
    store.change(first.id, resolving(1600, "ann"))
    store.change(second.id, resolving(4000, "ann"))
    assert store.summary("api", 0, 10**9) == {
        "incidents": 2,
        "acknowledged": 1,
        "resolved": 2,
        "mean_to_acknowledge_ms": 200,
        "mean_to_resolve_ms": 1300,
        "by_severity": {"warning": 2},
    }
    assert [one.id for one in newest(store, states=("resolved",))] == [second.id, first.id]
    assert newest(store, service="db") == [third]
    assert newest(store, start_ms=1000, end_ms=2000)[0].id == first.id
    assert newest(store, before_id=second.id, limit=1)[0].id == first.id


def test_a_full_timeline_still_has_the_end(store: IncidentStore) -> None:
    """Comments and reopenings are refused on a full timeline, a resolution is noted: the trouble ends with it."""
    number = store.open(REPORT, 0, "ann", ESCALATION)[0].id
    for _ in range(LIMITS.entries_max - 1):
        store.change(number, commenting(1, "ann", "x"))
    with pytest.raises(BadQuery, match="timeline_entries_max"):
        store.change(number, commenting(1, "ann", "x"))
    store.change(number, resolving(60_000, "ann"))
    assert outages_ms(store.one(number), store.entries(number), 10**9) == [(0, 60_000)]
    with pytest.raises(BadQuery, match="timeline_entries_max"):
        store.change(number, reopening(70_000, "ann", ESCALATION))
    assert store.one(number).resolved_ms == 60_000


def test_a_reopened_incident_has_the_keys_of_merged_ones(store: IncidentStore) -> None:
    """All merged into it, over several steps, but for a key that another incident has meanwhile."""
    numbers = [store.open(IncidentReport(key, key), 1, "ann", ESCALATION)[0].id for key in "abcd"]
    for number, into in pairwise(numbers):
        store.merge(number, into, lambda target: merging(2, "ann", target), Entry(2, "merged", "ann", "with"))
    last = numbers[-1]
    store.change(last, resolving(3, "ann"))
    taken = store.open(IncidentReport("b", "b"), 4, "ann", ESCALATION)[0].id
    store.change(last, reopening(5, "ann", ESCALATION))
    assert [(found := store.by_key(key)) and found.id for key in "abcd"] == [last, taken, last, last]


def test_two_incidents_merged_into_each_other(store: IncidentStore) -> None:
    """At the same moment: one merge is taken, the other one refused, and one incident goes on."""
    for turn in range(10):
        pair = [store.open(IncidentReport(f"{turn}{key}", key), 1, "ann", ESCALATION)[0].id for key in "ab"]
        both = threading.Barrier(2)

        def merge(number: int, into: int, both: threading.Barrier = both) -> str:
            both.wait()
            try:
                return store.merge(number, into, lambda target: merging(2, "ann", target), Entry(2, "merged")).state
            except BadQuery:
                return "refused"

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(merge, pair, pair[::-1]))
        assert sorted(answers) == ["merged", "refused"]
        assert sorted(store.one(number).state for number in pair) == ["merged", "open"]
