"""Metrics of incidents: facts of the section ``incidents`` in the status."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _incidents(name: str, kind: Kind, help: str, path: str) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=f"incidents.{path}")


INCIDENTS: Final = (
    _incidents("nissa_incidents_open", "gauge", "Incidents that nobody has acknowledged.", "open"),
    _incidents("nissa_incidents_acknowledged", "gauge", "Incidents that somebody looks after.", "acknowledged"),
    _incidents(
        "nissa_incidents_unpinned",
        "gauge",
        "Incidents whose data are not kept from retention: there is no room for their pins. Remove some.",
        "unpinned",
    ),
    _incidents("nissa_incident_escalations_total", "counter", "Escalations of incidents since start.", "escalations"),
    _incidents("nissa_incident_evidence_total", "counter", "Incidents whose evidence was gathered.", "evidence"),
    _incidents(
        "nissa_incident_failures_total",
        "counter",
        "Turns of the work on incidents, and alerts, since start that failed; they are repeated.",
        "failures",
    ),
    _incidents(
        "nissa_incident_alerts_refused_total",
        "counter",
        "Alerts since start that opened no incident, as with incidents.open_max of them.",
        "refused",
    ),
)
