"""Reads what the performance pages show: two windows of request histograms, and points of what has a limit.

    sum by (service …, route …, le) (increase(H_bucket[1d]))             all buckets of the window, in one query
    sum by (service …, route …) (increase(H_count{status=~"5.."}[1d]))   its errors

Windows are evaluated at their end, so they are read from samples or from the ladder, whichever is there.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from nissa.api.promql_answers import PromqlRequest, evaluated
from nissa.api.state import ApiState
from nissa.config.performance import PerformanceSettings, RequestHistogram
from nissa.model.errors import BadQuery, Damaged
from nissa.model.matcher import quoted
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.promql.values import QueryResult, Vector
from nissa.query.limits import Allowance
from nissa.tiers.performance import BucketRow, ErrorRow, Key, Numbers, numbers_of

WINDOWS: Final = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
RATE_RANGES: Final = {"1h": "5m", "1d": "15m", "7d": "2h", "30d": "6h"}  # of graphs over a window
AGAINST: Final = ("previous", "week")
POINTS_MAX: Final = 2_200  # of a trend: an hour apart over 90 days
STEP_MS_MIN: Final = MINUTE_MS
STEPS_WANTED: Final = 720


class Compared(msgspec.Struct, frozen=True):
    """Numbers of a window that ends now, and of the one before. cut: not all routes are in them. labels: that names
    each service. damages: what could not be read.
    """

    now: dict[Key, Numbers]
    before: dict[Key, Numbers]
    labels: dict[str, str]
    cut: bool
    damages: dict[str, Damaged]


class PerformanceQueries:
    """Queries of one request."""

    def __init__(self, api_state: ApiState, allowance: Allowance, now_ms: int) -> None:
        self._state, self._allowance, self._now_ms = api_state, allowance, now_ms
        self._settings: PerformanceSettings = api_state.facts.performance
        self._labels: dict[str, str] = {}
        self._routes: set[tuple[str, str, str]] = set()
        self._cut = False
        self.damages: dict[str, Damaged] = {}

    def compare(self, window: str, against: str, service: str = "") -> Compared:
        """Both windows. service: empty for all. Raises: BadQuery."""
        for name, value, words in (("over", window, tuple(WINDOWS)), ("against", against, AGAINST)):
            if value not in words:
                raise BadQuery(f"invalid parameter {name!r}: {value[:40]!r} is none of {', '.join(words)}")
        length_ms = WINDOWS[window]
        back_ms = length_ms if against == "previous" else 7 * DAY_MS
        now, before = (self._numbers(window, at_ms, service) for at_ms in (self._now_ms, self._now_ms - back_ms))
        return Compared(now, before, self._labels, self._cut, self.damages)

    def points(self, expression: str, since_ms: int) -> tuple[list[tuple[int, float]], int]:
        """Points of an expression of one series, until now, and their distance. Raises: BadQuery."""
        step_ms = max(since_ms // STEPS_WANTED // MINUTE_MS * MINUTE_MS, STEP_MS_MIN)
        if step_ms > HOUR_MS:  # peaks of days need their hours
            step_ms = HOUR_MS
        if since_ms // step_ms > POINTS_MAX:
            raise BadQuery(f"invalid parameter 'since': at most {POINTS_MAX * HOUR_MS // DAY_MS} days")
        asked = PromqlRequest(expression, self._now_ms - since_ms, self._now_ms, step_ms)
        vector = self._evaluate(asked).vector
        if vector is None or not len(vector):
            return [], step_ms
        if len(vector) > 1:
            raise BadQuery(f"the expression has {len(vector)} series, one is needed: add them up, or take the highest")
        values, present = vector.values[0].tolist(), vector.present[0].tolist()
        start_ms = self._now_ms - since_ms
        found = [(start_ms + at * step_ms, values[at]) for at, there in enumerate(present) if there]
        return found, step_ms

    def _numbers(self, window: str, at_ms: int, service: str) -> dict[Key, Numbers]:
        rows: list[BucketRow] = []
        errors: list[ErrorRow] = []
        for one in self._settings.requests:
            for grouped, matchers in self._groupings(one, service):
                kept = f"{{{matchers}}}" if matchers else ""
                text = f"sum by ({grouped}, le) (increase({one.histogram}_bucket{kept}[{window}]))"
                for place, route, labels, value in self._rows(one, text, at_ms):
                    bound = _bound(labels.get("le", ""))
                    if bound is not None and self._takes((place, one.histogram, route)):
                        rows.append(BucketRow(place, one.histogram, route, bound, value))
                failed = ", ".join(part for part in (matchers, one.errors) if part)
                text = f"sum by ({grouped}) (increase({one.histogram}_count{{{failed}}}[{window}]))"
                for place, route, _, value in self._rows(one, text, at_ms):
                    errors.append(ErrorRow(place, one.histogram, route, value))
        return numbers_of(rows, errors, WINDOWS[window])

    def _groupings(self, one: RequestHistogram, service: str) -> Iterator[tuple[str, str]]:
        """Labels to group by, and matchers: one query for all services, one for each label that may name a service."""
        grouped = ", ".join((*self._settings.service_labels, *one.route_labels))
        if not service:
            yield grouped, ""
            return
        names = self._settings.service_labels
        for place, name in enumerate(names):
            yield grouped, ", ".join([*(f'{other}=""' for other in names[:place]), f"{name}={quoted(service)}"])

    def _rows(self, one: RequestHistogram, text: str, at_ms: int) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Service, route, labels and value of each series."""
        vector = self._evaluate(PromqlRequest(text, at_ms, at_ms, 0)).vector
        if vector is None:
            return
        for labels, value in _values(vector):
            label = next((name for name in self._settings.service_labels if labels.get(name)), "")
            service = labels.get(label, "")
            self._labels.setdefault(service, label)
            route = " ".join(labels[name] for name in one.route_labels if labels.get(name))
            yield service, route, labels, value

    def _takes(self, key: Key) -> bool:
        """False for routes over the limit."""
        if key not in self._routes and len(self._routes) >= self._settings.routes_max:
            self._cut = True
            return False
        self._routes.add(key)
        return True

    def _evaluate(self, asked: PromqlRequest) -> QueryResult:
        return evaluated(self._state, asked, self._allowance, self.damages)


def graphs_of(one: RequestHistogram, label: str, service: str, window: str) -> dict[str, str]:
    """Expressions of a service's graphs."""
    own = f"{label}={quoted(service)}"
    failed = ", ".join(part for part in (own, one.errors) if part)
    span, name = RATE_RANGES[window], one.histogram
    routes = ", ".join(one.route_labels)
    all_of = f"sum(rate({name}_count{{{own}}}[{span}]))"
    return {
        "rate": f"sum by ({routes}) (rate({name}_count{{{own}}}[{span}]))",
        "errors": f"(sum(rate({name}_count{{{failed}}}[{span}])) or 0 * {all_of}) / {all_of}",
        "durations": (
            f'histogram_quantiles(sum by (le) (rate({name}_bucket{{{own}}}[{span}])), "quantile", 0.5, 0.95, 0.99)'
        ),
    }


def _values(vector: Vector) -> Sequence[tuple[dict[str, str], float]]:
    found: list[tuple[dict[str, str], float]] = []
    for row in range(len(vector)):
        value = float(vector.values[row, 0])
        if vector.present[row, 0] and math.isfinite(value):
            found.append((vector.labels.row(row), value))
    return found


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def shown_numbers(numbers: Numbers | None) -> dict[str, Any] | None:
    """Numbers as the API gives them."""
    return None if numbers is None else dict(msgspec.to_builtins(numbers))
