"""Evidence of an incident, computed from what was read: recurring errors, and the metrics that moved most. Pure.

errors   same text but for numbers, ids and quoted parts ──► one fingerprint; the most frequent first
moves    mean of each metric in the window and in the one before it, in standard deviations of the latter;
         of counters the increase counts; moves below DIFFERENCE_MIN or CHANGE_MIN are left out
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.units import HOUR_MS, MINUTE_MS

_VARIABLE: Final = re.compile(
    r"""0x[0-9a-fA-F]+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|"[^"]*"|'[^']*'|[0-9a-fA-F]{12,}|\d+"""
)
EVENTS: Final = ("_total", "_count", "_bucket")  # counters of them: as means of many series, few per step are many
COUNTERS: Final = (*EVENTS, "_sum")
TEXT_CHARACTERS_MAX: Final = 2_000
FINE_SPAN_MS: Final = 2 * HOUR_MS  # of graphs of young metrics
FINE_STEP_MS: Final = MINUTE_MS
DIFFERENCE_MIN: Final = 0.01  # of a move, in the unit of the metric
CHANGE_MIN: Final = 0.1  # of a move, relative to the value before


class ErrorGroup(msgspec.Struct, frozen=True):
    """Errors of one fingerprint. last: the newest of them."""

    fingerprint: str
    text: str
    count: int
    first_ms: int
    last_ms: int
    last: dict[str, Any]


class Move(msgspec.Struct, frozen=True):
    """A metric before and after. change: relative; None from 0. score: the difference in standard deviations."""

    name: str
    before: float
    after: float
    change: float | None
    score: float


def recurring_errors(events: Iterable[Mapping[str, Any]], groups_max: int) -> list[ErrorGroup]:
    """Group errors by their fingerprint. events: as ``query.events`` gives them."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        groups.setdefault(_pattern(event), []).append(event)
    found = [_group(pattern, members) for pattern, members in groups.items()]
    return sorted(found, key=lambda group: (-group.count, -group.last_ms, group.fingerprint))[:groups_max]


def about_service(events: Sequence[Mapping[str, Any]], service: str) -> list[Mapping[str, Any]]:
    """Events that have the service as their source or as an attribute; all of them where none has."""
    own = [one for one in events if service and (one["source"] == service or service in one["attributes"].values())]
    return own or list(events)


def moves_most(
    names: Sequence[str], values: npt.NDArray[np.float64], present: npt.NDArray[np.bool_], moves_max: int
) -> list[Move]:
    """Rank metrics that moved by ``DIFFERENCE_MIN`` and ``CHANGE_MIN`` at least; whatever counts events by the latter.

    values, present: (metrics, steps), the first half of the steps before the second.
    """
    found = []
    for name, row, there in zip(names, values, present, strict=True):
        if name.endswith(COUNTERS):
            row, there = np.maximum(np.diff(row), 0), there[1:] & there[:-1]
        half = len(row) // 2
        parts = row[:half][there[:half]], row[half:][there[half:]]
        before, after = (part[np.isfinite(part)] for part in parts)
        if not len(before) or not len(after):
            continue
        mean, now = float(before.mean()), float(after.mean())
        least = 0.0 if name.endswith(EVENTS) else DIFFERENCE_MIN
        if now == mean or abs(now - mean) < max(least, CHANGE_MIN * abs(mean)):
            continue
        spread = max(float(before.std()), abs(mean) * 0.01, 1e-12)
        change = (now - mean) / abs(mean) if mean else None
        found.append(Move(name, mean, now, change, (now - mean) / spread))
    return sorted(found, key=lambda move: (-abs(move.score), move.name))[:moves_max]


def _pattern(event: Mapping[str, Any]) -> str:
    text = str(event["description"] or event.get("event_id", ""))[:TEXT_CHARACTERS_MAX]
    return f"{event['source']}: {_VARIABLE.sub('#', text)}"


def _group(pattern: str, members: Sequence[Mapping[str, Any]]) -> ErrorGroup:
    times = [int(event["time_ms"]) for event in members]
    last = dict(max(members, key=lambda event: int(event["time_ms"])))
    digest = hashlib.sha256(pattern.encode()).hexdigest()[:16]
    return ErrorGroup(digest, pattern, len(members), min(times), max(times), last)
