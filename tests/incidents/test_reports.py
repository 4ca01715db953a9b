"""Reports of alerts and of the Events API."""

import math

import pytest

from nissa.incidents.lifecycle import Escalation, opened
from nissa.incidents.reports import (
    EventPayload,
    IncidentEvent,
    alert_report,
    event_key,
    event_report,
    manual_key,
    opens_incident,
)
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import BadQuery


def alert(labels: dict[str, str], annotations: dict[str, str]) -> Alert:
    """An alert that fires since 5."""
    return Alert(labels, annotations, 5, 0, 9, "", math.nan, AlertState.FIRING, "f", "rules")


def test_only_the_label_opens_incidents() -> None:
    """Its value is true."""
    assert [opens_incident(alert({"incident": value}, {})) for value in ("true", "yes", "")] == [True, False, False]


@pytest.mark.parametrize(
    ("severity", "expected"), [("critical", "critical"), ("page", "critical"), ("WARNING", "warning"), ("?", "error")]
)
def test_words_of_severity_are_translated(severity: str, expected: str) -> None:
    """Words that are not known become error."""
    assert alert_report(alert({"alertname": "A", "severity": severity}, {}), ()).severity == expected


def test_long_texts_of_alerts_make_a_report() -> None:
    """They are cut to what an incident may have, without the zero character."""
    labels = {"alertname": "A" * 5000, "service": "s\0" * 400}
    report = alert_report(alert(labels, {"summary": "x\0" * 4000}), ("job", "service"))
    found = opened(report, 10, Escalation())
    assert (len(found.title), len(found.service), found.started_ms) == (1024, 200, 5)


def test_long_keys_that_begin_alike_differ() -> None:
    """They end in a digest, and are as long as a key may be; short ones are as they were."""
    keys = [manual_key("x" * 900 + end) for end in ("a", "b", "a")]
    assert [len(key) for key in keys] == [520] * 3
    assert keys[0] == keys[2] != keys[1]
    assert manual_key("down") == "manual:down"
    assert manual_key("x" * 513) == f"manual:{'x' * 513}"
    reports = [alert_report(alert({"alertname": "A" * 600 + end}, {}), ()) for end in "ab"]
    assert reports[0].key != reports[1].key


@pytest.mark.parametrize(
    "payload",
    [
        None,
        EventPayload("", "host", "critical"),
        EventPayload("down", " ", "critical"),
        EventPayload("down", "host", "bad"),
    ],
)
def test_triggers_without_their_facts_are_refused(payload: EventPayload | None) -> None:
    """A trigger needs summary, source and a known severity."""
    with pytest.raises(BadQuery, match="payload"):
        event_report(IncidentEvent("trigger", payload=payload), "d")


def test_an_event_becomes_a_report() -> None:
    """The component is the service, else the source."""
    payload = EventPayload("disk full", "db-1", "warning", component="db")
    report = event_report(IncidentEvent("trigger", payload=payload), "d")
    assert (report.key, report.title, report.service, report.severity) == ("events:d", "disk full", "db", "warning")
    with pytest.raises(BadQuery, match="512"):
        event_key("x" * 513)
