"""The post-mortem of an incident as Markdown: facts are filled in, and people write the rest.

Graphs are lines of block characters, one for each series, so that the text stands for itself.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from nissa.incidents.evidence import FINE_SPAN_MS, FINE_STEP_MS
from nissa.incidents.incident_store import LinkedAlert
from nissa.incidents.lifecycle import LIVE, Entry, Incident, downtime_minutes, outages_ms
from nissa.model.units import HOUR_MS, MINUTE_MS

BARS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 48
BLANKS: Final = ("Impact", "Root cause", "What went well", "What went wrong", "Actions")


def written_postmortem(
    incident: Incident,
    entries: Sequence[Entry],
    alerts: Sequence[LinkedAlert],
    evidence: Mapping[str, Any],
    now_ms: int,
) -> str:
    """The text. evidence: as ``IncidentStore.evidence`` gives it; empty where there is none yet."""
    outages = outages_ms(incident, entries, now_ms)
    minutes = downtime_minutes(outages, outages[0][0], outages[-1][1])
    facts = {
        "State": str(incident.state),
        "Service": incident.service or "none",
        "Severity": f"{incident.severity}, urgency {incident.urgency}",
        "Responder": incident.responder or "none",
        "Started": _time(incident.started_ms),
        "Acknowledged": _after(incident.acknowledged_ms, incident.created_ms),
        "Resolved": _after(incident.resolved_ms, incident.created_ms),
        "Trouble lasted": f"{minutes:.1f} minutes" + (", until now" if incident.state in LIVE else ""),
    }
    parts = [
        f"# Incident {incident.id}: {_escaped(incident.title)}\n",
        "| | |\n|---|---|\n" + "".join(f"| {name} | {_escaped(value)} |\n" for name, value in facts.items()),
        _section("Timeline", [_entry_line(entry) for entry in entries]),
        _section("Alerts", [f"- {_time(one.starts_at_ms)} {_labels(one.labels)}" for one in alerts]),
        _section("Metrics", [line for graph in evidence.get("graphs", ()) for line in _graph_lines(graph)]),
        _section("Frequent errors", [_error_line(group) for group in evidence.get("errors", ())]),
        _section("Metrics that moved most", [_move_line(move) for move in evidence.get("moves", ())]),
        *(f"## {name}\n\n_To be written._\n" for name in BLANKS),
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) + "\n" if lines else ""


def _entry_line(entry: Entry) -> str:
    by = f" by {_escaped(entry.user)}" if entry.user else ""
    return f"- {_time(entry.at_ms)} **{entry.kind}**{by}" + (f": {_escaped(entry.text)}" if entry.text else "")


def _graph_lines(graph: Mapping[str, Any]) -> list[str]:
    hours = FINE_SPAN_MS // HOUR_MS if graph.get("step_ms") == FINE_STEP_MS else 24
    lines = [f"{_code(graph['expression'])}, last {hours} hours and the same hours a week before:\n", "```"]
    for name in ("last_day", "week_before"):
        for line in graph[name]:
            values = [value for _, value in line["points"]]
            if values:
                shown = f"{min(values):.4g} to {max(values):.4g}"
                lines.append(f"{name:11} {_bars(values)} {shown} {_plain_labels(line['labels'])}".rstrip())
    return [*lines, "```"]


def _bars(values: Sequence[float]) -> str:
    """A line of block characters, each the mean of its share of the values."""
    columns = min(COLUMNS, len(values))
    edges = [len(values) * column // columns for column in range(columns + 1)]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def _error_line(group: Mapping[str, Any]) -> str:
    last = group["last"]  # as it was written: the text of the group has no numbers
    text = f"{last['source']}: {last['description'] or last['event_id']}"
    return f"- {group['count']} times, last at {_time(group['last_ms'])}: {_escaped(text[:300])}"


def _move_line(move: Mapping[str, Any]) -> str:
    change = "" if move["change"] is None else f" ({move['change']:+.0%})"
    return f"- {_escaped(move['name'])}: {move['before']:.4g} to {move['after']:.4g}{change}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _after(at_ms: int, created_ms: int) -> str:
    if not at_ms:
        return "not yet"
    return f"{_time(at_ms)}, {(at_ms - created_ms) / MINUTE_MS:.1f} minutes after it was opened"


def _labels(labels: Mapping[str, str]) -> str:
    return _escaped(_plain_labels(labels))


def _plain_labels(labels: Mapping[str, str]) -> str:
    return " ".join(" ".join(f"{name}={value}" for name, value in sorted(labels.items())).split())


def _code(text: str) -> str:
    """A code span, whose marks are longer than any run of backticks in it."""
    plain = " ".join(text.split())
    marks = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    space = " " if len(marks) > 1 else ""
    return f"{marks}{space}{plain}{space}{marks}"


def _escaped(text: str) -> str:
    """Text of senders, without effect in Markdown or HTML."""
    plain = " ".join(text.split())
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#&" else one for one in plain)
