"""Reports that open incidents: from alerts of rules, and from the Events API; and alerts that announce incidents.

alert with incident="true" ──► report, key alert:NAME:SERVICE       one incident for all instances of a rule
{"event_action": "trigger", "dedup_key": …, "payload": {…}} ──► report, key events:DEDUP_KEY
incident ──► alert "Incident" with its number, to be routed like any other; each escalation is an alert of its own
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from nissa.incidents.lifecycle import (
    KEY_CHARACTERS_MAX,
    LIVE,
    NAME_CHARACTERS_MAX,
    SEVERITIES,
    TITLE_CHARACTERS_MAX,
    Incident,
    IncidentReport,
    IncidentState,
)
from nissa.model.alert import ALERT_NAME, Alert, AlertState, label_fingerprint
from nissa.model.errors import BadQuery

WANTED_LABEL: Final = "incident"
ANNOUNCED: Final = "Incident"  # alertname of alerts that announce incidents
NUMBER_LABEL: Final = "incident_id"
DEDUP_KEY_CHARACTERS_MAX: Final = 512
_SEVERITY_OF: Final = {"page": "critical", "high": "critical", "warn": "warning", "low": "info", "none": "info"}


class EventPayload(msgspec.Struct, frozen=True):
    """``payload`` of an event."""

    summary: str
    source: str
    severity: str
    timestamp: str = ""
    component: str = ""
    group: str = ""
    custom_details: Any = None


class IncidentEvent(msgspec.Struct, frozen=True):
    """Body of the Events API, as version 2 of PagerDuty's has it; fields that are not listed are ignored."""

    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: str = ""
    payload: EventPayload | None = None
    client: str = ""


def opens_incident(alert: Alert) -> bool:
    """True if a rule wants an incident for its alerts."""
    return alert.labels.get(WANTED_LABEL) == "true"


def alert_report(alert: Alert, service_labels: Sequence[str]) -> IncidentReport:
    """The report of an alert. service_labels: the first that it has names the service."""
    name = alert.labels.get(ALERT_NAME, "alert")
    service = next((alert.labels[label] for label in service_labels if alert.labels.get(label)), "")
    said = alert.labels.get("severity", "").lower()
    severity = _SEVERITY_OF.get(said, said)
    title = alert.annotations.get("summary") or alert.annotations.get("title") or name
    return IncidentReport(
        bounded_key(f"alert:{name}:{service}"),
        cleaned(title, TITLE_CHARACTERS_MAX),
        cleaned(service, NAME_CHARACTERS_MAX),
        severity if severity in SEVERITIES else "error",
        source="alert",
        started_ms=alert.starts_at_ms,
    )


def event_report(event: IncidentEvent, dedup_key: str) -> IncidentReport:
    """The report of an event that triggers. Raises: BadQuery where its payload is not complete."""
    payload = event.payload
    if payload is None or not payload.summary.strip() or not payload.source.strip():
        raise BadQuery("event: a trigger needs payload.summary and payload.source")
    if payload.severity not in SEVERITIES:
        raise BadQuery(f"event: payload.severity {payload.severity[:40]!r} is none of {', '.join(SEVERITIES)}")
    service = cleaned(payload.component or payload.source, NAME_CHARACTERS_MAX)
    title = cleaned(payload.summary, TITLE_CHARACTERS_MAX)
    return IncidentReport(event_key(dedup_key), title, service, payload.severity, source="events")


def manual_key(title: str) -> str:
    """The key of an incident that is opened by hand without one."""
    return bounded_key(f"manual:{title}")


def bounded_key(key: str) -> str:
    """A key of at most ``KEY_CHARACTERS_MAX`` characters; a longer one ends in its digest, as others begin like it."""
    if len(key) <= KEY_CHARACTERS_MAX:
        return key
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return f"{key[: KEY_CHARACTERS_MAX - len(digest) - 1]}:{digest}"


def event_key(dedup_key: str) -> str:
    """The key of the incident of a dedup key. Raises: BadQuery where it is too long."""
    if len(dedup_key) > DEDUP_KEY_CHARACTERS_MAX or "\0" in dedup_key:
        raise BadQuery(f"event: dedup_key: expected 1 to {DEDUP_KEY_CHARACTERS_MAX} characters, none of them zero")
    return f"events:{dedup_key}"


def announcements(
    incident: Incident, before: Sequence[Mapping[str, str]], now_ms: int
) -> tuple[list[Alert], list[dict[str, str]]]:
    """Alerts that announce the present state of an incident. before: labels of those that the last announcement fired.

    Returns: firing alerts, and resolved ones of ``before``; the labels of those that fire.
    """
    wanted = _labels(incident) if incident.state in LIVE else []
    gone = [dict(labels) for labels in before if labels not in wanted]
    ended_ms = incident.resolved_ms or now_ms
    fires = [_alert(incident, labels, 0, now_ms) for labels in wanted]
    return [*fires, *(_alert(incident, labels, ended_ms, now_ms) for labels in gone)], wanted


def _labels(incident: Incident) -> list[dict[str, str]]:
    own = {
        ALERT_NAME: ANNOUNCED,
        NUMBER_LABEL: str(incident.id),
        "service": incident.service,
        "severity": incident.severity,
        "urgency": incident.urgency,
    }
    shown = {name: value for name, value in own.items() if value}
    return [shown, *({**shown, "escalation": str(step)} for step in range(1, incident.escalation + 1))]


def _alert(incident: Incident, labels: dict[str, str], ended_ms: int, now_ms: int) -> Alert:
    is_over = ended_ms > 0
    return Alert(
        labels,
        {"summary": incident.title, "responder": incident.responder, "state": str(incident.state)},
        incident.created_ms,
        ended_ms,
        now_ms,
        "",
        1.0,
        AlertState.RESOLVED if is_over else AlertState.FIRING,
        label_fingerprint(labels),
        "incidents",
        incident.state is IncidentState.ACKNOWLEDGED,
    )


def cleaned(text: str, characters_max: int) -> str:
    """Text of senders as the database takes it: without zero characters, and cut."""
    return text.replace("\0", "").strip()[:characters_max]
