"""Rules and alerts in the shapes of Prometheus' API."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from nissa.alerting.lifecycle import INACTIVE, ActiveAlert
from nissa.model.alert import AlertState
from nissa.model.matcher import Selector
from nissa.model.predicate import takes
from nissa.model.units import SECOND_MS
from nissa.rules.group import GroupEvaluation, RuleState

NEVER: Final = "0001-01-01T00:00:00Z"
_ORDER: Final = (INACTIVE, "pending", "firing")


class RuleFilter(msgspec.Struct, frozen=True):
    """Parameters of ``/api/v1/rules``; empty ones let everything pass."""

    kind: str = ""
    names: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    selectors: tuple[Selector, ...] = ()
    exclude_alerts: bool = False

    def takes_rule(self, state: RuleState) -> bool:
        """True if the rule is wanted."""
        if self.kind and (self.kind == "alert") is not state.rule.has_alerts:
            return False
        if self.names and state.rule.name not in self.names:
            return False
        labels = state.rule.labels
        return not self.selectors or any(
            all(takes(matcher, labels.get(matcher.name, "")) for matcher in selector) for selector in self.selectors
        )


def group_shape(
    evaluation: GroupEvaluation, interval_ms: int, wanted: RuleFilter, acknowledged: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A group, or None where nothing of it is wanted."""
    group = evaluation.group
    if (wanted.groups and group.name not in wanted.groups) or (wanted.files and group.file not in wanted.files):
        return None
    rules = [_rule(evaluation, state, wanted, acknowledged) for state in evaluation.states if wanted.takes_rule(state)]
    is_filtered = wanted.kind or wanted.names or wanted.selectors
    if is_filtered and not rules:
        return None
    return {
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": interval_ms / SECOND_MS,
        "limit": group.limit,
        "evaluationTime": evaluation.duration_s,
        "lastEvaluation": time_of(evaluation.evaluated_ms),
    }


def _rule(
    evaluation: GroupEvaluation, state: RuleState, wanted: RuleFilter, acknowledged: Mapping[str, Any]
) -> dict[str, Any]:
    rule = state.rule
    shape: dict[str, Any] = {
        "name": rule.name,
        "query": rule.expression,
        "labels": rule.labels,
        "health": "unknown" if not state.evaluated_ms else "err" if state.error else "ok",
        "evaluationTime": state.duration_s,
        "lastEvaluation": time_of(state.evaluated_ms),
        "type": str(rule.kind),
    }
    if state.error:
        shape["lastError"] = state.error
    if rule.has_alerts:
        alerts = active_alerts(evaluation, state)
        states = [str(alert.state) for alert in alerts]
        shape |= {
            "state": max(states, key=_ORDER.index, default=INACTIVE),
            "duration": rule.for_ms / SECOND_MS,
            "keepFiringFor": rule.keep_firing_ms / SECOND_MS,
            "annotations": rule.annotations,
            "alerts": [] if wanted.exclude_alerts else [alert_shape(alert, acknowledged) for alert in alerts],
        }
    return shape


def active_alerts(evaluation: GroupEvaluation, state: RuleState) -> list[ActiveAlert]:
    """Alerts of a rule that are pending or fire."""
    with evaluation.lock:
        return [alert for alert in state.alerts.values() if alert.state is not AlertState.RESOLVED]


def alert_shape(alert: ActiveAlert, acknowledged: Mapping[str, Any]) -> dict[str, Any]:
    """An alert; beside Prometheus' fields its fingerprint, and the acknowledgement where there is one."""
    shape: dict[str, Any] = {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": str(alert.state),
        "activeAt": time_of(alert.active_at_ms),
        "value": exponent_text(alert.value),
        "fingerprint": alert.fingerprint,
    }
    if alert.keep_firing_since_ms:
        shape["keepFiringSince"] = time_of(alert.keep_firing_since_ms)
    found = acknowledged.get(alert.fingerprint)
    if found is not None:
        shape["acknowledgement"] = {"user": found.user, "comment": found.comment, "at": time_of(found.at_ms)}
    return shape


def time_of(at_ms: int) -> str:
    """RFC 3339 with milliseconds; the year 1 for never."""
    if not at_ms:
        return NEVER
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def exponent_text(value: float) -> str:
    """A number with the fewest digits and an exponent, such as ``1e+00``."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + int(exponent) - 1 if value else 0
    point = f"{figures[0]}.{figures[1:]}" if len(figures) > 1 else figures
    return f"{'-' if sign else ''}{point}e{'-' if power < 0 else '+'}{abs(power):02d}"
