"""Settings of incidents."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS


class IncidentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Incidents and their evidence.

    service_labels: labels of an alert that name its service; the first that is there counts. resolve_with_alerts: an
    incident resolves when all its alerts have. escalate_after_ms: an open incident that nobody acknowledges escalates,
    again and again, escalations_max times; 0 for never. evidence_window_ms: before and after an incident, kept from
    retention. evidence_again_ms: age of an incident at which its evidence is gathered again; 0 for never.
    evidence_timeout_ms: of all queries for the evidence of one incident.
    """

    interval_ms: Annotated[int, duration(100, HOUR_MS)] = SECOND_MS
    service_labels: tuple[str, ...] = ("service", "service_name", "job")
    resolve_with_alerts: bool = True
    escalate_after_ms: Annotated[int, duration(0, YEAR_MS)] = 15 * MINUTE_MS
    escalations_max: Annotated[int, count(0, 100)] = 3
    evidence_window_ms: Annotated[int, duration(MINUTE_MS, DAY_MS)] = 30 * MINUTE_MS
    evidence_again_ms: Annotated[int, duration(0, DAY_MS)] = 5 * MINUTE_MS
    evidence_timeout_ms: Annotated[int, duration(100, HOUR_MS)] = 10 * SECOND_MS
    evidence_errors_max: Annotated[int, count(1, 1_000_000)] = 10_000
    evidence_metrics_max: Annotated[int, count(1, 100_000)] = 1_000
    open_max: Annotated[int, count(1, 1_000_000)] = 10_000
    alerts_max: Annotated[int, count(1, 1_000_000)] = 1_000
    timeline_entries_max: Annotated[int, count(10, 1_000_000)] = 10_000
    events_per_minute_max: Annotated[int, count(0, 1_000_000)] = 120
