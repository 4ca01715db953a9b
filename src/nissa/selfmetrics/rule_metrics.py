"""Metrics of rules, alerts and the API."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _rules(name: str, kind: Kind, help: str, path: str, unit: str = "", aliases: tuple[str, ...] = ()) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=f"rules.{path}", unit=unit, aliases=aliases)


RULES: Final = (
    _rules("nissa_rule_groups", "gauge", "Rule groups that are evaluated.", "groups"),
    _rules("nissa_rules", "gauge", "Rules that are evaluated.", "rules"),
    _rules("nissa_rule_iterations_total", "counter", "Evaluations of groups since start.", "iterations"),
    _rules("nissa_rule_evaluations_total", "counter", "Evaluations of rules since start.", "evaluations"),
    _rules(
        "nissa_rule_evaluation_failures_total", "counter", "Evaluations of rules that failed since start.", "failures"
    ),
    _rules(
        "nissa_rule_iterations_missed_total",
        "counter",
        "Evaluations of groups that were left out since start because the one before was still under way.",
        "missed",
    ),
    _rules(
        "nissa_rule_group_evaluation_longest_seconds",
        "gauge",
        "Duration of the last evaluation of the group that took longest.",
        "longest_evaluation_seconds",
        "seconds",
    ),
    _rules("nissa_alerts_firing", "gauge", "Alerts that fire.", "alerts_firing", aliases=("nissa.alerts.active",)),
    _rules("nissa_alerts_pending", "gauge", "Alerts whose time to fire has not come.", "alerts_pending"),
    Metric(
        name="nissa_api_queries_total",
        kind="counter",
        help="Queries in PromQL since start that were answered.",
        origin="status",
        path="query_counts.total",
    ),
    Metric(
        name="nissa_api_queries_late_total",
        kind="counter",
        help="Queries in PromQL since start that took longer than 150 ms.",
        origin="status",
        path="query_counts.late",
    ),
    Metric(
        name="nissa_range_cache_hits_total",
        kind="counter",
        help="Range queries that took steps from the range cache.",
        origin="status",
        path="range_cache.hits",
    ),
    Metric(
        name="nissa_range_cache_misses_total",
        kind="counter",
        help="Range queries that found no steps in the range cache.",
        origin="status",
        path="range_cache.misses",
    ),
    Metric(
        name="nissa_range_cache_bytes",
        kind="gauge",
        help="Memory of the range cache.",
        unit="bytes",
        origin="status",
        path="range_cache.bytes",
    ),
    Metric(
        name="nissa_stream_clients",
        kind="gauge",
        help="Clients of the live stream that are connected.",
        origin="status",
        path="streams.clients",
    ),
    Metric(
        name="nissa_streams_total",
        kind="counter",
        help="Live streams since start that clients asked for and were allowed.",
        origin="status",
        path="streams.total",
    ),
    Metric(
        name="nissa_streams_failed_total",
        kind="counter",
        help="Live streams since start that were refused because of api.stream.clients_max, or ended because too slow.",
        origin="status",
        path="streams.failed",
    ),
    Metric(
        name="nissa_api_requests_refused_total",
        kind="counter",
        help="Requests to the API since start refused with 401, 403 or 429, by status.",
        origin="status",
        path="requests_refused",
        labels=("status",),
    ),
    _rules(
        "nissa_alert_save_failures_total",
        "counter",
        "Evaluations since start whose alerts the database did not take; they are saved with the next one.",
        "save_failures",
    ),
    _rules(
        "nissa_alert_send_failures_total",
        "counter",
        "Evaluations since start whose alerts routing did not take; they are sent again.",
        "send_failures",
    ),
)
