"""The life of the alerts of one rule, as Prometheus has it. Pure: times are arguments, nothing is read or written.

    result has it                      for is over                  result has it no more
    ─────────────► pending ──────────────────────► firing ──────────────────────────────► resolved ──15m──► forgotten
                     │ result has it no more         │ keep_firing_for not over: stays firing     │ has it: anew
                     ▼                               ▼
                  forgotten                        firing

``for: 0`` fires at once. A resolved alert is kept for ``RESOLVED_KEPT_MS``, so that it can be sent again to a receiver
that was down. An alert restored after a restart does not resolve before ``hold_until_ms``: its data may come late.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from nissa.model.alert import Alert, AlertState
from nissa.model.units import MINUTE_MS

RESOLVED_KEPT_MS: Final = 15 * MINUTE_MS
VALID_FACTOR: Final = 4  # a firing alert counts as resolved when it was not sent again for so many delays
INACTIVE: Final = "inactive"


class Timing(msgspec.Struct, frozen=True):
    """for_ms, keep_firing_ms: of the rule. hold_until_ms: restored alerts do not resolve before this time."""

    for_ms: int = 0
    keep_firing_ms: int = 0
    hold_until_ms: int = 0


class ActiveAlert(msgspec.Struct):
    """An alert that is pending, fires, or was resolved a short time ago. Times are Unix milliseconds, 0 for never.

    active_at_ms: since when the expression has it. labels: with ``alertname``. acknowledged: by an operator.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    value: float
    active_at_ms: int
    fingerprint: str
    state: AlertState = AlertState.PENDING
    fired_at_ms: int = 0
    resolved_at_ms: int = 0
    keep_firing_since_ms: int = 0
    sent_at_ms: int = 0
    acknowledged: bool = False

    def acknowledge(self) -> None:
        """Note that an operator has seen it; the next evaluation sends it again."""
        self.acknowledged = True
        self.sent_at_ms = 0  # last: what an evaluation sends meanwhile without the acknowledgement is sent again

    def needs_sending(self, at_ms: int, resend_ms: int) -> bool:
        """True where it has to be sent, again or for the first time."""
        if self.state is AlertState.PENDING:
            return False
        if self.resolved_at_ms > self.sent_at_ms:
            return True
        return self.sent_at_ms + resend_ms < at_ms or self.sent_at_ms == 0


class AlertTransition(msgspec.Struct, frozen=True):
    """A change of state. from_state, to_state: ``inactive`` before and after the life of an alert.

    Both are ``firing`` where ``keep_firing_for`` begins or ends to hold it: that is saved, and no part of the history.
    """

    at_ms: int
    labels: dict[str, str]
    fingerprint: str
    from_state: str
    to_state: str
    value: float

    @property
    def is_new_state(self) -> bool:
        """True for a part of the history."""
        return self.from_state != self.to_state

    @property
    def ends_firing(self) -> bool:
        """True if it fires no more, resolved or dropped."""
        return self.to_state == AlertState.RESOLVED or (self.from_state, self.to_state) == (AlertState.FIRING, INACTIVE)


class AlertChange(msgspec.Struct, frozen=True):
    """A transition of an alert of a rule, and the alert as it is now; None where it is forgotten."""

    rule_key: str
    transition: AlertTransition
    alert: ActiveAlert | None


class FoundAlert(msgspec.Struct, frozen=True):
    """One series of a rule's result, with the labels and annotations of its alert."""

    labels: dict[str, str]
    annotations: dict[str, str]
    value: float
    fingerprint: str


def advance(
    alerts: dict[str, ActiveAlert], found: Iterable[FoundAlert], at_ms: int, timing: Timing
) -> list[AlertTransition]:
    """Move the alerts of a rule to ``at_ms``.

    alerts: by fingerprint; changed. found: the series of its result, each fingerprint once. Returns: what has changed.
    """
    changes: list[AlertTransition] = []
    present = set()
    for one in found:
        present.add(one.fingerprint)
        known = alerts.get(one.fingerprint)
        if known is not None and known.state is not AlertState.RESOLVED:
            known.value, known.annotations = one.value, one.annotations
            continue
        fresh = ActiveAlert(one.labels, one.annotations, one.value, at_ms, one.fingerprint)
        alerts[one.fingerprint] = fresh
        if timing.for_ms:
            changes.append(_transition(fresh, at_ms, INACTIVE))
    for alert in list(alerts.values()):
        if alert.fingerprint in present:
            if alert.keep_firing_since_ms:
                alert.keep_firing_since_ms = 0
                changes.append(_transition(alert, at_ms, alert.state))
        elif _leave(alerts, alert, at_ms, timing, changes):
            continue
        if alert.state is AlertState.PENDING and at_ms - alert.active_at_ms >= timing.for_ms:
            alert.state, alert.fired_at_ms = AlertState.FIRING, at_ms
            changes.append(_transition(alert, at_ms, AlertState.PENDING if timing.for_ms else INACTIVE))
    return changes


def dropped(alerts: dict[str, ActiveAlert], states: Mapping[str, str], at_ms: int) -> list[AlertTransition]:
    """Forget all alerts of a rule, as Prometheus does where they are too many: no resolution is sent.

    states: those that were stored, by fingerprint. Returns: what has changed since.
    """
    changes = [
        _transition(alert, at_ms, states[alert.fingerprint], INACTIVE)
        for alert in alerts.values()
        if alert.fingerprint in states
    ]
    alerts.clear()
    return changes


def _leave(
    alerts: dict[str, ActiveAlert], alert: ActiveAlert, at_ms: int, timing: Timing, changes: list[AlertTransition]
) -> bool:
    """Resolve or forget an alert that the result has no more; False where it goes on firing."""
    if alert.state is AlertState.FIRING:
        if timing.keep_firing_ms:
            if not alert.keep_firing_since_ms:
                alert.keep_firing_since_ms = at_ms
                changes.append(_transition(alert, at_ms, alert.state))
            if at_ms - alert.keep_firing_since_ms < timing.keep_firing_ms:
                return False
        if at_ms < timing.hold_until_ms:
            return False
        alert.state, alert.resolved_at_ms = AlertState.RESOLVED, at_ms
        changes.append(_transition(alert, at_ms, AlertState.FIRING))
    elif alert.state is AlertState.PENDING:
        del alerts[alert.fingerprint]
        changes.append(_transition(alert, at_ms, AlertState.PENDING, INACTIVE))
    elif at_ms - alert.resolved_at_ms > RESOLVED_KEPT_MS:
        del alerts[alert.fingerprint]
        changes.append(_transition(alert, at_ms, AlertState.RESOLVED, INACTIVE))
    return True


def _transition(alert: ActiveAlert, at_ms: int, before: str, after: str = "") -> AlertTransition:
    return AlertTransition(at_ms, alert.labels, alert.fingerprint, str(before), str(after or alert.state), alert.value)


def alerts_to_send(
    alerts: Iterable[ActiveAlert], at_ms: int, resend_ms: int, interval_ms: int, generator_url: str
) -> list[Alert]:
    """Alerts to send at ``at_ms``, by the timing of Prometheus; those alerts are marked as sent.

    resend_ms: between two times that a firing alert is sent. interval_ms: between evaluations of the rule.
    """
    sent = []
    for alert in alerts:
        if not alert.needs_sending(at_ms, resend_ms):
            continue
        alert.sent_at_ms = at_ms
        valid_until_ms = at_ms + VALID_FACTOR * max(resend_ms, interval_ms)
        sent.append(
            Alert(
                alert.labels,
                alert.annotations,
                alert.fired_at_ms,
                alert.resolved_at_ms or valid_until_ms,
                at_ms,
                generator_url,
                alert.value,
                alert.state,
                alert.fingerprint,
                "rules",
                alert.acknowledged,
            )
        )
    return sent


def shift_restored(alerts: Iterable[ActiveAlert], seen_ms: int, now_ms: int, outage_ms_max: int) -> list[ActiveAlert]:
    """Alerts as they go on after a time without evaluations, which does not count towards ``for``.

    seen_ms: the last evaluation; 0 where it is not known. outage_ms_max: pending alerts of before a longer time are
    forgotten. Returns: those that are left.
    """
    down_ms = max(now_ms - seen_ms, 0) if seen_ms else 0
    kept = []
    for alert in alerts:
        if alert.state is AlertState.PENDING:
            if down_ms > outage_ms_max:
                continue
            alert.active_at_ms = min(alert.active_at_ms + down_ms, now_ms)
        kept.append(alert)
    return kept


def shift_clock(alerts: Iterable[ActiveAlert], jump_ms: int) -> None:
    """Move the times of alerts along with a wall clock that has jumped, so that ``for`` is neither over nor begun."""
    for alert in alerts:
        alert.active_at_ms += jump_ms
        for name in ("fired_at_ms", "resolved_at_ms", "keep_firing_since_ms", "sent_at_ms"):
            if getattr(alert, name):
                setattr(alert, name, getattr(alert, name) + jump_ms)


def forgotten(alerts: Iterable[tuple[str, ActiveAlert]], at_ms: int) -> list[AlertChange]:
    """Changes that end alerts of rules that are gone. alerts: key of the rule, and alert; changed."""
    changes = []
    for rule_key, alert in alerts:
        before, after = str(alert.state), INACTIVE
        if alert.state is AlertState.FIRING:
            alert.state, alert.resolved_at_ms, after = AlertState.RESOLVED, at_ms, str(AlertState.RESOLVED)
        transition = AlertTransition(at_ms, alert.labels, alert.fingerprint, before, after, alert.value)
        changes.append(AlertChange(rule_key, transition, None))
    return changes
