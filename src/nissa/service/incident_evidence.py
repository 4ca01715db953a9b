"""Reads the evidence of an incident from the engine, within one deadline. What does not come in time is named instead.

graphs   the left side of the rule's expression, last 24 h, and the same hours a week before; two hours in finer
         steps where the metric is younger than an hour
errors   the most frequent errors of the window
moves    metrics of the service that moved most against the window before
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from nissa.api.promql_answers import query_limits
from nissa.config.tree import Config
from nissa.incidents.evidence import FINE_SPAN_MS, FINE_STEP_MS, about_service, moves_most, recurring_errors
from nissa.incidents.lifecycle import Incident
from nissa.ingest.engine import Engine
from nissa.model.allowance import Check
from nissa.model.errors import NissaError
from nissa.model.level import LEVELS
from nissa.model.units import DAY_MS, MINUTE_MS
from nissa.promql.evaluate import evaluate_range
from nissa.promql.parse import compared_text
from nissa.promql.stored import StoredSource
from nissa.promql.values import Vector
from nissa.query.events import EventRequest, read_page
from nissa.query.limits import Allowance, MemoryBudget
from nissa.service.clock import monotonic_ms

ERRORS_MAX: Final = 5
MOVES_MAX: Final = 10
GRAPHS_MAX: Final = 3
LINES_MAX: Final = 10  # of a graph
STEP_MS: Final = 10 * MINUTE_MS
POINTS_MIN: Final = 6  # of a line in such steps; with fewer the graph has finer ones
EVENTS_AT_ONCE: Final = 1_000
_SERIOUS: Final = frozenset(LEVELS.index(name) for name in ("error", "critical"))

log = structlog.get_logger()


class EvidenceReader:
    """Gathers evidence. One thread at a time."""

    def __init__(self, engine: Engine, config: Config) -> None:
        self._engine, self._config = engine, config
        self._settings = config.incidents
        self._memory = MemoryBudget(config.api.queries_memory_bytes_max)

    def gather(self, incident: Incident, expressions: Sequence[str], at_ms: int) -> dict[str, Any]:
        """Evidence as JSON has it. expressions: of rules whose alerts are linked. at_ms: until when is read."""
        window_ms = self._settings.evidence_window_ms
        start_ms = incident.started_ms - window_ms
        missing: list[str] = []
        limits = self._settings.evidence_timeout_ms, self._config.api.query_memory_bytes_max, self._memory
        found: dict[str, Any] = {"at_ms": at_ms, "start_ms": start_ms, "end_ms": at_ms}
        with Allowance(lambda: monotonic_ms() / 1000, *limits) as allowance:
            check = allowance.check
            graphs = [(text, lambda text=text: self._graph(text, at_ms, check)) for text in expressions[:GRAPHS_MAX]]
            found["graphs"] = [
                one for text, read in graphs if (one := _tried(f"graph of {text}", read, missing)) is not None
            ]
            found["errors"] = _tried("errors", lambda: self._errors(incident, start_ms, at_ms, check), missing) or []
            found["moves"] = _tried("moves", lambda: self._moves(incident, at_ms, check), missing) or []
        return {**found, "missing": missing}

    def _graph(self, expression: str, at_ms: int, check: Check) -> dict[str, Any]:
        text = compared_text(expression)
        grid_ms = DAY_MS, STEP_MS
        last = self._lines(text, at_ms, grid_ms, check)
        if last and max(len(line["points"]) for line in last) < POINTS_MIN:
            grid_ms = FINE_SPAN_MS, FINE_STEP_MS
            last = self._lines(text, at_ms, grid_ms, check)
        week = self._lines(text, at_ms - 7 * DAY_MS, grid_ms, check)
        return {"expression": text, "step_ms": grid_ms[1], "last_day": last, "week_before": week}

    def _lines(self, text: str, end_ms: int, grid_ms: tuple[int, int], check: Check) -> list[dict[str, Any]]:
        """grid_ms: length of time, and step."""
        span_ms, step_ms = grid_ms
        vector = self._matrix(text, end_ms - span_ms, end_ms, step_ms, check)
        if vector is None:
            return []
        times = list(range(end_ms - span_ms, end_ms + 1, step_ms))
        lines = []
        for row in range(min(len(vector), LINES_MAX)):
            there = np.flatnonzero((vector.present[row] != 0) & np.isfinite(vector.values[row])).tolist()
            points = [[times[at], float(vector.values[row, at])] for at in there]
            lines.append({"labels": vector.labels.row(row), "points": points})
        return lines

    def _errors(self, incident: Incident, start_ms: int, end_ms: int, check: Check) -> list[Any]:
        events: list[dict[str, Any]] = []
        request = EventRequest(start_ms, end_ms + 1, levels=_SERIOUS, limit=EVENTS_AT_ONCE, newest_first=True)
        snapshot = self._engine.event_snapshot()
        while len(events) < self._settings.evidence_errors_max:
            page = read_page(snapshot, request, check, lambda _: None)
            events += page.events
            if page.complete:
                break
            request = msgspec.structs.replace(request, cursor=page.cursor)
        groups = recurring_errors(about_service(events, incident.service), ERRORS_MAX)
        return [msgspec.to_builtins(group) for group in groups]

    def _moves(self, incident: Incident, at_ms: int, check: Check) -> list[Any]:
        if not incident.service:
            return []
        window_ms = self._settings.evidence_window_ms
        vector = None
        for label in self._settings.service_labels:
            selector = f"avg by (__name__) ({{{label}={_quoted(incident.service)}}})"
            vector = self._matrix(selector, at_ms - 2 * window_ms, at_ms, MINUTE_MS, check)
            if vector is not None and len(vector):
                break
        if vector is None:
            return []
        kept = slice(0, self._settings.evidence_metrics_max)
        names = vector.labels.text_of("__name__")[kept]
        found = moves_most(names, vector.values[kept], vector.present[kept] != 0, MOVES_MAX)
        return [msgspec.to_builtins(one) for one in found]

    def _matrix(self, text: str, start_ms: int, end_ms: int, step_ms: int, check: Check) -> Vector | None:
        limits = query_limits(self._config.api, "api.query_samples_max")
        with msgspec.structs.replace(self._engine.snapshot(), check=check) as snapshot:
            source = StoredSource(self._engine.index, snapshot, check=check, on_damage=lambda _: None)
            answer = evaluate_range(source, text, start_ms, end_ms, step_ms, check=check, limits=limits)
            return answer.vector


def _tried(what: str, read: Callable[[], Any], missing: list[str]) -> Any:
    try:
        return read()
    except NissaError as error:
        missing.append(f"{what}: {error}"[:500])
    except Exception:  # the edge: an incident without one part of its evidence is better than none
        log.exception("evidence of an incident is not gathered", part=what[:100])
        missing.append(f"{what}: failed")
    return None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
