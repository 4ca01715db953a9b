"""The life of an incident: pure steps, each from an incident to the next one and an entry of its timeline.

    open ──acknowledge──► acknowledged ──resolve──► resolved ──reopen──► open
      │ escalate (time)        │
      └────────────resolve─────┴──merge──► merged, for good

A step that its state does not allow raises BadQuery and changes nothing. Time and user are arguments.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from nissa.model.errors import BadQuery
from nissa.model.units import MINUTE_MS

TEXT_CHARACTERS_MAX: Final = 4_000
NAME_CHARACTERS_MAX: Final = 200
KEY_CHARACTERS_MAX: Final = 520
TITLE_CHARACTERS_MAX: Final = 1_024


class IncidentState(StrEnum):
    """State of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    MERGED = "merged"


SEVERITIES: Final = ("critical", "error", "warning", "info")
URGENCIES: Final = ("high", "medium", "low")
URGENCY_OF: Final = {"critical": "high", "error": "medium", "warning": "medium", "info": "low"}
LIVE: Final = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)


class Escalation(msgspec.Struct, frozen=True):
    """Time until an incident that nobody acknowledges escalates, 0 for never, and how often it does."""

    after_ms: int = 0
    steps_max: int = 0

    def next_ms(self, step: int, at_ms: int) -> int:
        """Time at which an incident that has escalated ``step`` times does so next; 0: never."""
        return at_ms + self.after_ms if self.after_ms and step < self.steps_max else 0


class IncidentReport(msgspec.Struct, frozen=True):
    """Facts that an incident is opened with. key: while an incident has it, no second one is opened."""

    key: str
    title: str
    service: str = ""
    severity: str = "error"
    urgency: str = ""
    responder: str = ""
    source: str = "manual"
    started_ms: int = 0


class Incident(msgspec.Struct, frozen=True):
    """An incident. Times in Unix milliseconds, 0 for not yet. started_ms: of the trouble; created_ms: of the incident.

    source: ``manual``, ``alert`` or ``events``. escalation: how often it has escalated since it was opened.
    escalate_ms: when it does so next. merged_into: number of the incident that goes on for it.
    revision: counts changes.
    """

    id: int
    key: str
    state: IncidentState
    title: str
    service: str
    severity: str
    urgency: str
    responder: str
    source: str
    started_ms: int
    created_ms: int
    acknowledged_ms: int = 0
    resolved_ms: int = 0
    escalation: int = 0
    escalate_ms: int = 0
    merged_into: int = 0
    revision: int = 1


class Entry(msgspec.Struct, frozen=True):
    """An entry of the timeline. kind: what happened, such as ``acknowledged``. user: empty for Nissa itself."""

    at_ms: int
    kind: str
    user: str = ""
    text: str = ""


Step = Callable[[Incident], tuple[Incident, Entry]]


def opened(report: IncidentReport, at_ms: int, escalation: Escalation) -> Incident:
    """A new incident, its id still 0. Raises: BadQuery where a text or word of the report is none."""
    _check_text("title", report.title, TITLE_CHARACTERS_MAX, needed=True)
    _check_text("key", report.key, KEY_CHARACTERS_MAX, needed=True)
    for name in ("service", "responder"):
        _check_text(name, getattr(report, name), NAME_CHARACTERS_MAX)
    _check_word("severity", report.severity, SEVERITIES)
    urgency = report.urgency or URGENCY_OF[report.severity]
    _check_word("urgency", urgency, URGENCIES)
    return Incident(
        0,
        report.key,
        IncidentState.OPEN,
        report.title,
        report.service,
        report.severity,
        urgency,
        report.responder,
        report.source,
        min(report.started_ms or at_ms, at_ms),
        at_ms,
        escalate_ms=escalation.next_ms(0, at_ms),
    )


def acknowledging(at_ms: int, user: str, comment: str = "") -> Step:
    """Somebody looks after it, and it escalates no further; without a responder, it is them."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "acknowledge", IncidentState.OPEN)
        changes = {"acknowledged_ms": one.acknowledged_ms or at_ms, "responder": one.responder or user}
        return _changed(one, state=IncidentState.ACKNOWLEDGED, escalate_ms=0, **changes), Entry(
            at_ms, "acknowledged", user, _text(comment)
        )

    return step


def resolving(at_ms: int, user: str, comment: str = "") -> Step:
    """The trouble is over."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "resolve", *LIVE)
        resolved = _changed(one, state=IncidentState.RESOLVED, resolved_ms=max(at_ms, one.created_ms), escalate_ms=0)
        return resolved, Entry(at_ms, "resolved", user, _text(comment))

    return step


def reopening(at_ms: int, user: str, escalation: Escalation, comment: str = "") -> Step:
    """It was not over. It escalates from the beginning."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "reopen", IncidentState.RESOLVED)
        again = escalation.next_ms(0, at_ms)
        changed = _changed(one, state=IncidentState.OPEN, resolved_ms=0, escalation=0, escalate_ms=again)
        return changed, Entry(at_ms, "reopened", user, _text(comment))

    return step


def escalating(at_ms: int, escalation: Escalation) -> Step:
    """Nobody has acknowledged it in time."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "escalate", IncidentState.OPEN)
        number = one.escalation + 1
        changed = _changed(one, escalation=number, escalate_ms=escalation.next_ms(number, at_ms))
        return changed, Entry(at_ms, "escalated", text=f"step {number}")

    return step


def merging(at_ms: int, user: str, into: Incident) -> Step:
    """Another incident goes on for it."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "merge", *LIVE)
        if one.id == into.id:
            raise BadQuery(f"incident {one.id} cannot be merged into itself")
        _check_state(into, "merge into", *LIVE)
        changed = _changed(one, state=IncidentState.MERGED, merged_into=into.id, escalate_ms=0)
        return changed, Entry(at_ms, "merged", user, f"into incident {into.id}")

    return step


def editing(at_ms: int, user: str, fields: dict[str, str]) -> Step:
    """Change title, service, severity, urgency or responder. Raises: BadQuery for another field or a bad value."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_state(one, "change", *LIVE)
        changed = {name: value for name, value in fields.items() if getattr(one, name) != value}
        for name, value in changed.items():
            if name in ("severity", "urgency"):
                _check_word(name, value, SEVERITIES if name == "severity" else URGENCIES)
            else:
                limit = TITLE_CHARACTERS_MAX if name == "title" else NAME_CHARACTERS_MAX
                _check_text(name, value, limit, needed=name == "title")
        text = ", ".join(
            f"{name}: {getattr(one, name) or 'none'} to {value or 'none'}" for name, value in changed.items()
        )
        return _changed(one, **changed), Entry(at_ms, "changed", user, text)

    return step


def commenting(at_ms: int, user: str, text: str) -> Step:
    """A remark."""

    def step(one: Incident) -> tuple[Incident, Entry]:
        _check_text("comment", text, TEXT_CHARACTERS_MAX, needed=True)
        return _changed(one), Entry(at_ms, "comment", user, text)

    return step


def outages_ms(incident: Incident, entries: Iterable[Entry], now_ms: int) -> list[tuple[int, int]]:
    """Half-open times in which the trouble went on: from its start, or a reopening, to a resolution, or until now."""
    begun_ms, found = incident.started_ms, list[tuple[int, int]]()
    is_over = False
    for entry in entries:
        if entry.kind == "resolved" and not is_over:
            found.append((begun_ms, entry.at_ms))
            is_over = True
        elif entry.kind == "reopened":
            begun_ms, is_over = entry.at_ms, False
        elif entry.kind == "merged" and entry.text.startswith("into ") and not is_over:
            found.append((begun_ms, entry.at_ms))
            is_over = True
    return found if is_over else [*found, (begun_ms, max(now_ms, begun_ms))]


def downtime_minutes(outages: Iterable[tuple[int, int]], start_ms: int, end_ms: int) -> float:
    """Minutes of [start_ms, end_ms) that any of the outages covers; what several cover counts once."""
    total_ms, reached_ms = 0, start_ms
    for begin_ms, over_ms in sorted(outages):
        begin_ms, over_ms = max(begin_ms, reached_ms), min(over_ms, end_ms)
        if over_ms > begin_ms:
            total_ms += over_ms - begin_ms
            reached_ms = over_ms
    return total_ms / MINUTE_MS


def _changed(one: Incident, **changes: object) -> Incident:
    return msgspec.structs.replace(one, revision=one.revision + 1, **changes)


def _check_state(one: Incident, what: str, *allowed: IncidentState) -> None:
    if one.state not in allowed:
        place = f" into {one.merged_into}" if one.merged_into else ""
        raise BadQuery(f"cannot {what} incident {one.id}: it is {one.state}{place}, expected {' or '.join(allowed)}")


def _check_text(name: str, text: str, characters_max: int, *, needed: bool = False) -> None:
    if len(text) > characters_max or (needed and not text.strip()) or "\0" in text:
        least = 1 if needed else 0
        raise BadQuery(
            f"invalid parameter {name!r}: expected {least} to {characters_max} characters, none of them zero"
        )


def _check_word(name: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise BadQuery(f"invalid parameter {name!r}: {word[:40]!r} is none of {', '.join(words)}")


def _text(comment_text: str) -> str:
    _check_text("comment", comment_text, TEXT_CHARACTERS_MAX)
    return comment_text
