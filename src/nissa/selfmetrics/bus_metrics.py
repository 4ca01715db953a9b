"""Metrics of message buses: facts of their sources in the status, and the metrics of the first version of Nissa."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _by(label: str, name: str, kind: Kind, help: str, path: str) -> Metric:
    """A fact that has several values, told apart by ``label``."""
    return Metric(name=name, kind=kind, help=help, origin="source", path=path, labels=("source", label))


def _total(name: str, help: str, path: str) -> Metric:
    return Metric(name=name, kind="counter", help=help, origin="source", path=path, labels=("source",))


def _esper(name: str, help: str, path: str, label: str = "") -> Metric:
    labels = (label,) if label else ()
    return Metric(name=name, kind="counter", help=help, origin="status", path=f"bus.{path}", labels=labels)


BUSES: Final = (
    _by(
        "stream",
        "nissa_source_entries_total",
        "counter",
        "Stream entries that a source has read since start.",
        "entries",
    ),
    _by(
        "stream",
        "nissa_source_lag_entries",
        "gauge",
        "Entries of a stream that were not delivered to any consumer of Nissa's group yet.",
        "lag",
    ),
    _by("stream", "nissa_source_depth_entries", "gauge", "Entries that a stream holds.", "depth"),
    _by(
        "stream",
        "nissa_source_pending_entries",
        "gauge",
        "Entries of a stream that were delivered to a consumer of Nissa's group and are not acknowledged yet.",
        "pending",
    ),
    _by(
        "stream",
        "nissa_source_lost_entries_total",
        "counter",
        "Stream entries that were trimmed or deleted before Nissa had stored them, since start.",
        "lost",
    ),
    _by(
        "reason",
        "nissa_source_dead_letters_total",
        "counter",
        "Stream entries that could not be stored and were moved to the dead-letter stream, by reason.",
        "dead_letters",
    ),
    _total(
        "nissa_source_acknowledged_total",
        "Stream entries acknowledged since start, each after it was durable.",
        "acknowledged",
    ),
    _total(
        "nissa_source_claimed_total",
        "Stream entries taken over from a consumer that had not acknowledged them; it may have stored them too.",
        "claimed",
    ),
    _total(
        "nissa_source_dropped_total",
        "Alert events of NATS subjects dropped because as many as allowed waited for the engine.",
        "dropped",
    ),
    _esper("esper_telemetry_packets_total", "Leyline telemetry packets received, by source.", "packets", "source"),
    _esper("esper_system_state_packets_total", "Leyline system state packets received, by phase.", "states", "phase"),
    _esper("esper_field_reports_total", "Leyline field reports received, by outcome.", "reports", "outcome"),
    _esper(
        "esper_tamiyo_bsds_hazard_high_total",
        "Tamiyo events bsds_hazard_high received, by provenance.",
        "hazards_high",
        "provenance",
    ),
    _esper(
        "esper_tamiyo_bsds_hazard_critical_total",
        "Tamiyo events bsds_hazard_critical received, by provenance.",
        "hazards_critical",
        "provenance",
    ),
    _esper("esper_simic_training_reward_total", "Sum of the rewards in Simic's telemetry.", "simic_reward"),
    _esper("esper_simic_training_iterations_total", "Training iterations in Simic's telemetry.", "simic_iterations"),
)
