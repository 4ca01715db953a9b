"""Writes the dashboards of ``deploy/grafana/dashboards`` from the panels below.

python deploy/grafana/write_dashboards.py [DIRECTORY]        DIRECTORY: where to, in place of dashboards/

A panel is a title, a unit of Grafana, and expressions with their legends. Every expression asks for the series of one
Nissa (``$instance``); a test runs all of them against a daemon.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 8, 7
RATE = "[$__rate_interval]"
OWN = 'job="nissa",instance=~"$instance"'
VIOLATIONS = ("sum(increase(kasmina_isolation_violations[5m]))", "in 5 minutes")


class Panel(NamedTuple):
    """One panel. queries: (expression, legend). kind: timeseries or stat."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


def rate(metric: str, by: str = "", more: str = "") -> tuple[str, str]:
    """A rate by a label, with its legend."""
    grouped = f"sum by ({by}) " if by else "sum "
    return f"{grouped}(rate({metric}{{{OWN}{more}}}{RATE}))", f"{{{{{by}}}}}" if by else metric


def value(metric: str, by: str = "") -> tuple[str, str]:
    """A gauge by a label, with its legend."""
    return (f"max by ({by}) " if by else "max ") + f"({metric}{{{OWN}}})", f"{{{{{by}}}}}" if by else metric


def quantile(share: float, metric: str) -> tuple[str, str]:
    """A quantile of a histogram, with its legend."""
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{OWN}}}{RATE})))", f"p{share * 100:g}"


def all_of(metric: str, by: str = "", fold: str = "max") -> tuple[str, str]:
    """A gauge of whoever sends it, by a label, with its legend."""
    return (f"{fold} by ({by}) ({metric})", f"{{{{{by}}}}}") if by else (f"{fold}({metric})", metric)


def rate_of(metric: str, by: str = "") -> tuple[str, str]:
    """The rate of a counter of whoever sends it, by a label, with its legend."""
    grouped = f"sum by ({by}) " if by else "sum "
    return f"{grouped}(rate({metric}{RATE}))", f"{{{{{by}}}}}" if by else metric


def quantile_of(share: float, metric: str, by: str) -> tuple[str, str]:
    """A quantile of a histogram of whoever sends it, by a label, with its legend."""
    buckets = f"sum by (le, {by}) (rate({metric}_bucket{RATE}))"
    return f"histogram_quantile({share}, {buckets})", f"p{share * 100:g} {{{{{by}}}}}"


DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "nissa-health": (
        "Nissa: health",
        [
            Panel("Mode (0 normal, 1 conservative, 2 emergency)", "none", (value("nissa_mode"),), "stat"),
            Panel("Workers without progress", "none", (value("nissa_workers_stalled"),), "stat"),
            Panel("Space is low", "bool", (value("nissa_space_low"),), "stat"),
            Panel("Load", "percentunit", (value("nissa_load_ratio", "load"),)),
            Panel("Queue", "bytes", (value("nissa_queue_bytes"),)),
            Panel("Breakers (0 closed, 1 half-open, 2 open)", "none", (value("nissa_breaker_state", "breaker"),)),
            Panel("Journal commits", "ops", (rate("nissa_journal_commits_total"),)),
            Panel("Failures of journal, seal, maintenance", "ops", (
                rate("nissa_journal_commit_failures_total"),
                rate("nissa_seal_failures_total"),
                rate("nissa_maintenance_failures_total"),
            )),
            Panel("Blocks", "bytes", (value("nissa_blocks_bytes"),)),
            Panel("Files in quarantine", "none", (value("nissa_quarantine_blocks"), value("nissa_orphaned_files"))),
            Panel("Oldest file not read back", "s", (value("nissa_scrub_oldest_seconds"),)),
            Panel("Series", "none", (value("nissa_series"), value("nissa_series_active"))),
        ],
    ),
    "nissa-ingestion": (
        "Nissa: ingestion",
        [
            Panel("Samples received", "ops", (rate("nissa_ingest_received_total", "source"),)),
            Panel("Samples by outcome", "ops", (rate("nissa_ingest_samples_total", "outcome"),)),
            Panel("Refused, by reason", "ops", (rate("nissa_ingest_refused_total", "reason"),)),
            Panel("Time to the answer", "s", (
                quantile(0.5, "nissa_ingest_latency_seconds"),
                quantile(0.99, "nissa_ingest_latency_seconds"),
            )),
            Panel("Answers by status", "ops", (rate("nissa_http_requests_total", "code"),)),
            Panel("Bytes of bodies", "Bps", (rate("nissa_http_body_bytes_total"),)),
            Panel("Frames shed, by priority", "ops", (rate("nissa_shed_frames_total", "priority"),)),
            Panel("Connections", "none", (value("nissa_http_connections"),)),
            Panel("Samples not accounted for", "none", (value("nissa_ingest_unaccounted", "source"),)),
            Panel("Sources up", "bool", (value("nissa_source_up", "source"),)),
            Panel("Lag of buses", "none", (value("nissa_source_lag_entries", "stream"),)),
            Panel("Targets up", "none", (value("nissa_source_targets_up"), value("nissa_source_targets"))),
        ],
    ),
    "nissa-sinks-and-rules": (
        "Nissa: sinks, rules, alerts",
        [
            Panel("Delivered to sinks", "ops", (rate("nissa_sink_delivered_samples_total", "sink"),)),
            Panel("Backlog of sinks", "bytes", (value("nissa_sink_backlog_bytes", "sink"),)),
            Panel("Age of the backlog", "s", (value("nissa_sink_backlog_age_seconds", "sink"),)),
            Panel("Dead letters", "none", (value("nissa_sink_dead_letters", "sink"),)),
            Panel("Given up", "ops", (rate("nissa_sink_lost_frames_total", "sink"),)),
            Panel("Sinks up", "bool", (value("nissa_sink_up", "sink"),)),
            Panel("Alerts", "none", (value("nissa_alerts_firing"), value("nissa_alerts_pending"))),
            Panel("Rules evaluated", "ops", (
                rate("nissa_rule_evaluations_total"),
                rate("nissa_rule_evaluation_failures_total"),
            )),
            Panel("Longest evaluation of a group", "s", (value("nissa_rule_group_evaluation_longest_seconds"),)),
        ],
    ),
    "esper-training": (
        "Esper: training",
        [
            Panel("Epoch", "ms", (all_of("tolaria_training_latency_ms", "source"),)),
            Panel("Hook of an epoch", "ms", (all_of("tolaria_epoch_hook_latency_ms"),)),
            Panel("Training loss", "none", (all_of("tolaria_training_loss", "source"),)),
            Panel("Seeds", "none", (all_of("tolaria_seeds_active"), all_of("kasmina_seeds_active"))),
            Panel("Feature coverage of Tamiyo", "percentunit", (all_of("tamiyo_gnn_feature_coverage"),)),
            Panel("Hazards of blueprints", "none", (
                all_of("tamiyo_bsds_hazard_high_signal"),
                all_of("tamiyo_bsds_hazard_critical_signal"),
                all_of("tamiyo_bsds_elevated_risk_flag"),
            )),
            Panel("Violations of isolation", "none", (VIOLATIONS,)),
            Panel("Messages waiting in Oona", "none", (all_of("oona_queue_depth"), all_of("oona_queue_depth_normal"))),
            Panel("Oona: publish, consume", "ms", (
                all_of("oona_publish_latency_ms"),
                all_of("oona_consume_latency_ms"),
            )),
            Panel("Graph: replay, capture, copy", "ms", (
                all_of("tolaria_graph_replay_ms"),
                all_of("tolaria_graph_capture_ms"),
                all_of("tolaria_graph_stage_copy_ms"),
            )),
            Panel("Fallbacks of the graph", "none", (all_of("tolaria_graph_fallback_events"),)),
            Panel("Tezzeret: retries, conservative", "none", (
                all_of("tezzeret_compile_retry_count"),
                all_of("tezzeret_mode_conservative"),
            )),
            Panel("Simic: losses", "none", (all_of("simic_value_loss"), all_of("simic_param_loss"))),
            Panel("Breakers", "none", (
                all_of("tolaria_breaker_state"),
                all_of("tezzeret_breaker_state"),
                all_of("oona_breaker_state"),
            )),
            Panel("Alerts", "none", (all_of('ALERTS{alertstate="firing"}', "alertname", "count"),)),
        ],
    ),
    "fish-eco-sim": (
        "Fish Eco Sim",
        [
            Panel("Services that answer", "none", (all_of("up", "job", "sum"),)),
            Panel("Workers connected", "none", (all_of("orchestration_workers_connected", "instance"),), "stat"),
            Panel("Queues of the orchestration", "none", (all_of("orchestration_queue_length", "queue", "sum"),)),
            Panel("Messages processed", "ops", (rate_of("orchestration_messages_processed_total", "type"),)),
            Panel("Ticks per second", "ops", (rate_of("simulation_ticks_total", "worker"),)),
            Panel("Time of a tick", "s", (quantile_of(0.99, "simulation_tick_duration_seconds", "job"),)),
            Panel("Training loss", "none", (all_of("agent_training_loss", "policy"),)),
            Panel("Training reward", "none", (all_of("agent_training_reward", "policy"),)),
            Panel("NATS: round trips", "s", (
                quantile_of(0.5, "nats_request_duration_seconds", "job"),
                quantile_of(0.99, "nats_request_duration_seconds", "job"),
            )),
            Panel("gRPC: time", "s", (quantile_of(0.99, "grpc_server_handling_seconds", "grpc_service"),)),
            Panel("gRPC: errors", "ops", (rate_of('grpc_server_handled_total{grpc_code!="OK"}', "grpc_code"),)),
            Panel("Events logged", "ops", (rate_of("logging_events_total", "level"),)),
            Panel("CPU", "none", (rate_of("process_cpu_seconds_total", "job"),)),
            Panel("Memory", "bytes", (all_of("process_resident_memory_bytes", "job", "sum"),)),
            Panel("Goroutines", "none", (all_of("go_goroutines", "instance"),)),
        ],
    ),
}  # fmt: skip


def panel_json(number: int, panel: Panel) -> dict[str, Any]:
    """One panel, three in a row."""
    row, column = divmod(number, 3)
    targets = [
        {"refId": chr(65 + at), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
        for at, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def variable(name: str, kind: str, query: str) -> dict[str, Any]:
    """One variable at the head of a dashboard."""
    found: dict[str, Any] = {"name": name, "type": kind, "query": query, "refresh": 2}
    if kind == "query":
        found |= {"datasource": SOURCE, "includeAll": True, "allValue": ".*", "current": {"value": "$__all"}}
    return found


def dashboard_json(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    """One dashboard. The variable for the instance of Nissa is there where a panel asks for it."""
    instance = variable("instance", "query", 'label_values(nissa_uptime_seconds{job="nissa"}, instance)')
    asks_instance = any(OWN in expression for panel in panels for expression, _ in panel.queries)
    return {
        "uid": uid,
        "title": title,
        "tags": ["nissa"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [variable("datasource", "datasource", "prometheus"), *([instance] if asks_instance else [])],
        },
        "panels": [panel_json(number, panel) for number, panel in enumerate(panels)],
    }


def main(directory: Path) -> None:
    """Write every dashboard."""
    for uid, (title, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard_json(uid, title, panels), indent=2) + "\n"
        (directory / f"{uid}.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboards")
