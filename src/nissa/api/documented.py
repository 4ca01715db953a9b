"""Parameters in the OpenAPI document; the routes read them by hand, since a query string or a form may carry them."""

from typing import Any

from nissa.model.level import LEVELS
from nissa.query.events import ORDERS
from nissa.tiers.bronze import SHOWN_LEVELS
from nissa.tiers.silver import PERIODS
from nissa.tiers.sla import SLA_TYPES, SLA_WINDOWS

_TIME = "RFC 3339, a date, Unix seconds, or relative to now (-1h)"
_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "match[]": (
        {"type": "array", "items": {"type": "string"}},
        "Selector; may be repeated: series that any of them selects",
    ),
    "start": (
        {"type": "string"},
        f"Start of the range, included; {_TIME}; unbounded without it",
    ),
    "end": (
        {"type": "string"},
        f"End of the range, included; {_TIME}; unbounded without it",
    ),
    "since": ({"type": "string"}, "Instead of start: a duration before now, such as 1h"),
    "query": (
        {"type": "string"},
        "Expression in PromQL",
    ),
    "time": ({"type": "string"}, f"Time of evaluation; {_TIME}; now by default"),
    "timeout": (
        {"type": "string"},
        "Maximum duration of the query, up to api.query_timeout; seconds or a duration",
    ),
    "lookback_delta": ({"type": "string", "default": "5m"}, "Maximum age of samples that instant selectors return"),
    "stats": ({"type": "string", "enum": ["all", "true"]}, "Adds query statistics; all: per step too"),
    "max_source_resolution": ({"type": "string"}, "Thanos' name of resolution; 0s is raw"),
    "limit": ({"type": "integer", "minimum": 0}, "Maximum number of entries"),
    "columns": ({"type": "integer", "minimum": 1, "maximum": 11000}, "Columns of the drawing; one per step by default"),
    "limit_per_metric": ({"type": "integer", "minimum": 0}, "Maximum number of entries per metric"),
    "metric": ({"type": "string"}, "Metric name; all by default"),
    "source": ({"type": "array", "items": {"type": "string"}}, "Source of events; may be repeated; all by default"),
    "level": (
        {"type": "array", "items": {"type": "string", "enum": list(LEVELS)}},
        "Level of events; may be repeated; all by default",
    ),
    "q": ({"type": "string"}, "Text that the description or the event id contains, ignoring case"),
    "cursor": ({"type": "string"}, "The cursor of the previous page, to continue after it"),
    "order": ({"type": "string", "enum": list(ORDERS), "default": ORDERS[0]}, "Order of the events by time"),
    "resolution": (
        {"type": "string"},
        "raw (default of exports), a tier of the ladder such as 5m, or auto (default of queries): samples or tiers",
    ),
    "step": ({"type": "string"}, "Distance of points: seconds, or a duration such as 5m"),
    "stale": (
        {"type": "string", "enum": ["drop", "null", "split"], "default": "drop"},
        "Form of NaN, staleness markers and infinities in jsonl",
    ),
    "quantiles": (
        {"type": "string", "default": "0.5,0.95,0.99"},
        "Quantiles of each window: numbers from 0 to 1, separated by commas",
    ),
    "rules": ({"type": "string", "maxLength": 65536}, "A rule file, as Prometheus or Nissa write it"),
    "interval": ({"type": "string", "default": "30s"}, "Interval of groups that name none: seconds or a duration"),
    "state": ({"type": "string", "enum": ["active", "dropped", "any"]}, "State of targets"),
    "scrapePool": ({"type": "string"}, "Pool of targets"),
    "type": ({"type": "string", "enum": ["alert", "record"]}, "Kind of rules"),
    "rule_name[]": ({"type": "array", "items": {"type": "string"}}, "Name of a rule; may be repeated"),
    "rule_group[]": ({"type": "array", "items": {"type": "string"}}, "Name of a group; may be repeated"),
    "file[]": ({"type": "array", "items": {"type": "string"}}, "File of a group; may be repeated"),
    "exclude_alerts": ({"type": "boolean"}, "Leave the alerts of rules out"),
    "group_limit": ({"type": "integer", "minimum": 0}, "Maximum number of groups"),
    "group_next_token": ({"type": "string"}, "The token of the previous page, to continue there"),
    "fingerprint": ({"type": "string"}, "Fingerprint of an alert; all by default"),
    "user": ({"type": "string", "maxLength": 200}, "Name of the user"),
    "comment": ({"type": "string", "maxLength": 4000}, "Comment"),
    "name": ({"type": "string"}, "Name of a pin"),
    "mode": (
        {"type": "string", "enum": ["normal", "conservative", "emergency", "auto"]},
        "Mode to force; auto: let the load decide",
    ),
    "reason": ({"type": "string", "maxLength": 1000}, "Reason, which is stored"),
    **{
        name: ({"type": "string", "enum": ["true", "false"], "default": "true"}, f"Alerts that are {name}")
        for name in ("active", "silenced", "inhibited", "muted")
    },
    "filter": (
        {"type": "array", "items": {"type": "string"}},
        'Matcher of labels, such as severity="critical"; may be repeated: all must hold',
    ),
    "receiver": ({"type": "string"}, "Pattern of the names of receivers"),
    "letter": (
        {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "Number of a dead letter; may be repeated; all by default",
    ),
    "id": ({"type": "integer", "minimum": 1}, "Number of a pin"),
    "incident_state": (
        {"type": "array", "items": {"type": "string", "enum": ["open", "acknowledged", "resolved", "merged"]}},
        "State of incidents; may be repeated; all by default",
    ),
    "title": ({"type": "string", "maxLength": 1024}, "Title of an incident"),
    "service": ({"type": "string", "maxLength": 200}, "Service; all by default"),
    "severity": ({"type": "string", "enum": ["critical", "error", "warning", "info"]}, "Severity of an incident"),
    "urgency": (
        {"type": "string", "enum": ["high", "medium", "low"]},
        "Urgency of an incident; by default it follows from the severity",
    ),
    "responder": ({"type": "string", "maxLength": 200}, "User who looks after an incident"),
    "key": (
        {"type": "string", "maxLength": 520},
        "Key of an incident: while one with it is not resolved, it is given instead of a new one",
    ),
    "granularity": ({"type": "string", "enum": ["minute", "hour"], "default": "hour"}, "Length of rollups"),
    "period": ({"type": "string", "enum": list(PERIODS), "default": "week"}, "Period that is compared"),
    "over": ({"type": "string", "enum": ["1h", "1d", "7d", "30d"], "default": "1d"}, "Window that ends now"),
    "against": (
        {"type": "string", "enum": ["previous", "week"], "default": "previous"},
        "Compared with the window just before, or with the same one a week ago",
    ),
    "by": ({"type": "string", "enum": ["day", "hour"], "default": "day"}, "Length of a beat"),
    "limit_value": ({"type": "number"}, "Limit of the expression"),
    "falls": (
        {"type": "string", "enum": ["true", "false"], "default": "false"},
        "The limit lies below the values, as that of free space",
    ),
    "dry": ({"type": "string", "enum": ["true", "false"], "default": "false"}, "Only count what would be deleted"),
    "value": ({"type": "string"}, "Value as JSON"),
    "log_level": (
        {"type": "string", "enum": list(SHOWN_LEVELS)},
        "Level of entries; all by default",
    ),
    "trace_id": ({"type": "string"}, "Trace id of W3C; all by default"),
    "sla": ({"type": "string", "maxLength": 100}, "Id of a service level agreement"),
    "metric_type": (
        {"type": "string", "enum": list(SLA_TYPES), "default": SLA_TYPES[0]},
        "Kind of a service level agreement",
    ),
    "target": ({"type": "number", "minimum": 0}, "Target: percent, the unit of the latency, or minutes"),
    "window": ({"type": "string", "enum": list(SLA_WINDOWS), "default": "30d"}, "Window of the agreement"),
    "bad": ({"type": "string"}, "Bad events: a selector of counters, or an expression with $window"),
    "total": ({"type": "string"}, "All events, likewise; of AVAILABILITY a gauge that is 0 while down"),
    "latency": ({"type": "string"}, "Selector of samples, or an expression with $window, of LATENCY_P99"),
    "description": ({"type": "string", "maxLength": 1000}, "Description"),
    "active_from": ({"type": "string"}, f"Begin of the version; {_TIME}; now by default"),
    "first_day": ({"type": "string", "format": "date"}, "First day, UTC; 30 days in all by default"),
    "last_day": ({"type": "string", "format": "date"}, "Last day, UTC, included; yesterday by default"),
    "day": ({"type": "string", "format": "date"}, "Day, UTC"),
    "sla_format": (
        {"type": "string", "enum": ["json", "csv", "pdf"], "default": "json"},
        "Form of the answer: snapshots as JSON or CSV, reports as JSON or PDF",
    ),
    "report_period": (
        {"type": "string"},
        "Month (2024-11) or quarter (2024-Q4) of a PDF; the last full month by default",
    ),
    "into": ({"type": "integer", "minimum": 1}, "Number of the incident that goes on"),
    "code": ({"type": "string", "maxLength": 4096}, "Code of the OpenID provider; it comes with a state"),
    "password": ({"type": "string", "format": "password"}, "Password of the user"),
    "new_password": (
        {"type": "string", "format": "password", "minLength": 10, "maxLength": 1024},
        "Password from now on",
    ),
    "role": ({"type": "string", "enum": ["viewer", "operator", "admin"], "default": "viewer"}, "Role"),
    "token": ({"type": "string", "maxLength": 100}, "Name of the API token"),
    "scope": (
        {"type": "array", "items": {"type": "string", "enum": ["query", "control", "stream", "ingest"]}},
        "Scope of the token; may be repeated; query, control and stream by default",
    ),
    "expires": ({"type": "string"}, "Duration after which the token ends, such as 90d; never by default"),
    "action": ({"type": "string"}, "Action, or its part before the dot: pin.add, pin"),
    "before": ({"type": "integer", "minimum": 1}, "Only entries, or incidents, with smaller numbers"),
    "format": (
        {"type": "string", "enum": ["jsonl", "csv", "parquet", "arrow"], "default": "jsonl"},
        "Form of the answer",
    ),
}


_EXAMPLES: dict[str, Any] = {
    "match[]": ["up"],
    "start": "-1h",
    "end": "now",
    "step": "15s",
    "query": "sum by (job) (rate(nissa_journal_commits_total[5m]))",
}

# Of every route, for whatever goes wrong.
ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error in Prometheus' envelope",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["status", "errorType", "error"],
                    "properties": {
                        "status": {"type": "string", "enum": ["error"]},
                        "errorType": {"type": "string"},
                        "error": {"type": "string"},
                    },
                }
            }
        },
    }
}

# Of Alertmanager's API, whose errors are JSON texts; access control answers in the envelope there too.
TEXT_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error as text",
        "content": {"application/json": {"schema": {"type": ["string", "object"]}}},
    }
}


def documented(*names: str, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """``openapi_extra`` of a route with these parameters in its query string. needed: those it does nothing without."""
    placed: list[dict[str, Any]] = [{"name": name, "in": "query", "required": name in needed} for name in names]
    return {
        "parameters": [{**one, "schema": _schema(one["name"]), "description": _text(one["name"])} for one in placed]
    }


def documented_form(*names: str, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """``openapi_extra`` of a route with these parameters in a form; the query string may have them as well."""
    properties = {name: {**_schema(name), "description": _text(name)} for name in names}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if needed:
        schema["required"] = list(needed)
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": bool(needed), "content": content}}


def _schema(name: str) -> dict[str, Any]:
    example = {"examples": [_EXAMPLES[name]]} if name in _EXAMPLES else {}
    return {**_PARAMETERS[name][0], **example}


def _text(name: str) -> str:
    return _PARAMETERS[name][1]
