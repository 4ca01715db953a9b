"""Definitions of service level agreements, and the facts of one day under one of them. Pure; time is an argument.

    type           value                               unit      met while
    UPTIME         (total - bad) / total               percent   value >= target
    AVAILABILITY   samples of a gauge that are not 0   percent   value >= target
    ERROR_RATE     bad / total                         percent   value <= target
    LATENCY_P99    99th percentile, from sketches      as sent   value <= target
    MTTA, MTTR     mean time of the day's incidents    minutes   value <= target

A day without data has no value: it is None, never 100 %. Days are half-open, UTC.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS
from nissa.slo.objective import WINDOW, windowed_count, windowed_increase, windowed_sum

SLA_TYPES: Final = ("UPTIME", "AVAILABILITY", "ERROR_RATE", "LATENCY_P99", "MTTA", "MTTR")
SLA_WINDOWS: Final = {"7d": 7, "30d": 30, "90d": 90, "quarterly": 0, "yearly": 0}
RATIOS: Final = ("UPTIME", "AVAILABILITY", "ERROR_RATE")
INCIDENT_TYPES: Final = ("MTTA", "MTTR")
AT_LEAST: Final = ("UPTIME", "AVAILABILITY")
HOURS: Final = 24
YEAR_MIN: Final = 1000  # of a day; windows begin before it
EXPRESSION_CHARACTERS_MAX: Final = 4_096
_RATIO: Final = ("bad", "total")
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "UPTIME": _RATIO,
    "AVAILABILITY": ("total",),
    "ERROR_RATE": _RATIO,
    "LATENCY_P99": ("latency",),
    "MTTA": (),
    "MTTR": (),
}


class SlaDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a definition. active_from_ms, active_to_ms: Unix milliseconds, half-open; 0: current.

    bad, total: of UPTIME and ERROR_RATE; selectors of counters or expressions with ``$window``. total of AVAILABILITY:
    selector of a gauge that is 0 while down. latency: selector of samples, whose sketches are merged, or an expression
    with ``$window``, such as ``histogram_quantile(0.99, sum by (le) (increase(x_bucket[$window])))``.
    """

    id: str
    service: str
    metric_type: str = "UPTIME"
    target: float = 99.9
    time_window: str = "30d"
    bad: str = ""
    total: str = ""
    latency: str = ""
    description: str = ""
    version: int = 1
    changed_by: str = ""
    active_from_ms: int = 0
    active_to_ms: int = 0

    def is_same(self, other: "SlaDefinition") -> bool:
        """True if both say the same, whatever their version, author and time."""
        names = ("service", "metric_type", "target", "time_window", "bad", "total", "latency", "description")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def is_met(self, value: float) -> bool:
        """True if a value meets the target."""
        return value >= self.target if self.metric_type in AT_LEAST else value <= self.target

    @property
    def allowed_ratio(self) -> float | None:
        """Share of events that may be bad; None where the target is none of a share."""
        if self.metric_type not in RATIOS:
            return None
        return self.target / 100 if self.metric_type == "ERROR_RATE" else 1 - self.target / 100


class DayFacts(msgspec.Struct, frozen=True):
    """Numbers of one day. totals, bads, values: by hour, None where there is nothing. value: of the day, where it does
    not follow from totals and bads. downtime_minutes: of incidents.
    """

    totals: tuple[float | None, ...] = ()
    bads: tuple[float | None, ...] = ()
    values: tuple[float | None, ...] = ()
    value: float | None = None
    downtime_minutes: float = 0.0
    incidents: tuple[int, ...] = ()


class SlaDay(msgspec.Struct, frozen=True):
    """A snapshot before it is stored; fields as in the table ``sla_snapshots``."""

    definition_id: str
    definition_version: int
    day: str
    total_events: float | None
    error_events: float | None
    value: float | None
    uptime_percent: float | None
    breach_count: int | None
    error_budget_burn: float | None
    downtime_minutes: float
    evidence: dict[str, Any]


def check_definition(one: SlaDefinition) -> SlaDefinition:
    """The same definition. Raises: BadQuery, naming the field at fault."""
    if not one.id or len(one.id) > 100 or not all(char.isalnum() or char in "-_." for char in one.id):
        raise BadQuery("invalid field 'id': expected 1 to 100 letters, digits, hyphens, underscores and dots")
    for name, limit in (("service", 200), ("description", 1_000), ("changed_by", 200)):
        if len(getattr(one, name)) > limit or "\0" in getattr(one, name):
            raise BadQuery(f"invalid field {name!r}: expected at most {limit} characters, none zero")
    if one.metric_type not in SLA_TYPES:
        raise BadQuery(f"invalid field 'metric_type': {one.metric_type[:40]!r} is none of {', '.join(SLA_TYPES)}")
    if one.time_window not in SLA_WINDOWS:
        raise BadQuery(f"invalid field 'time_window': {one.time_window[:40]!r} is none of {', '.join(SLA_WINDOWS)}")
    shares = one.metric_type in RATIOS
    if not 0 <= one.target <= (100 if shares else 1e15):
        raise BadQuery(f"invalid field 'target': expected {'0 to 100 percent' if shares else 'a number from 0'}")
    needed = _NEEDED[one.metric_type]
    for name in ("bad", "total", "latency"):
        text = getattr(one, name)
        if bool(text) != (name in needed) or len(text) > EXPRESSION_CHARACTERS_MAX:
            wanted = f"1 to {EXPRESSION_CHARACTERS_MAX} characters" if name in needed else "nothing"
            raise BadQuery(f"invalid field {name!r}: {one.metric_type} expects {wanted}")
    sla_expressions(one)
    return one


def sla_expressions(one: SlaDefinition) -> tuple[str, str]:
    """Bad events and all events over ``$window``; empty texts where the type has none. Raises: BadQuery."""
    if one.metric_type == "AVAILABILITY":
        total = windowed_count(one.total)
        return f"({total}) - ({windowed_sum(one.total)})", total
    if one.metric_type in RATIOS:
        return windowed_increase(one.bad), windowed_increase(one.total)
    if one.metric_type == "LATENCY_P99" and WINDOW in one.latency:
        return "", one.latency
    return "", ""


def sla_day(one: SlaDefinition, day: str, facts: DayFacts) -> SlaDay:
    """The snapshot of a day."""
    total, bad, value, uptime, burn = _sum(facts.totals), None, facts.value, None, None
    hours = facts.values
    if one.metric_type in RATIOS:
        hours = tuple(_ratio(one, *pair) for pair in zip(facts.bads, facts.totals, strict=True))
        bad = min(max(_sum(facts.bads) or 0.0, 0.0), total) if total is not None else None
        value = _ratio(one, bad, total)
        allowed = one.allowed_ratio
        if total and bad is not None:
            uptime = 100 * (1 - bad / total)
            burn = bad / (total * allowed) if allowed else None
    known = [hour for hour in hours if hour is not None]
    return SlaDay(
        one.id,
        one.version,
        day,
        total,
        bad,
        value,
        uptime,
        sum(not one.is_met(hour) for hour in known) if known else None,
        burn,
        facts.downtime_minutes,
        {"hours": list(hours), "incidents": list(facts.incidents)},
    )


def version_of_day(versions: Sequence[SlaDefinition], day: str) -> SlaDefinition | None:
    """The version that holds for a day: the one that is active at its end. versions: of one definition."""
    end_ms = day_start_ms(day) + DAY_MS
    active = [one for one in versions if one.active_from_ms < end_ms and not 0 < one.active_to_ms < end_ms]
    return max(active, key=lambda one: one.version, default=None)


def days_due(versions: Sequence[SlaDefinition], last_day: str, now_ms: int, catch_up_ms: int) -> list[str]:
    """Days of a definition that are over and have no snapshot, the oldest first. last_day: with one; empty: none."""
    first_ms = min(one.active_from_ms for one in versions)
    first = max(day_of(first_ms), day_of(now_ms - catch_up_ms))
    if last_day:
        first = max(first, next_day(last_day))
    found, today = [], day_of(now_ms)
    while first < today:
        if version_of_day(versions, first) is not None:
            found.append(first)
        first = next_day(first)
    return found


def window_start(time_window: str, day: str) -> str:
    """The first day of the window that ends with ``day``: so many days, or its quarter or year so far."""
    at = date.fromisoformat(day)
    if time_window == "quarterly":
        return at.replace(month=(at.month - 1) // 3 * 3 + 1, day=1).isoformat()
    if time_window == "yearly":
        return at.replace(month=1, day=1).isoformat()
    return (at - timedelta(days=SLA_WINDOWS[time_window] - 1)).isoformat()


def day_of(at_ms: int) -> str:
    """The day of a time, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def next_day(day: str) -> str:
    """The day after."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def day_start_ms(day: str) -> int:
    """Its first millisecond. Raises: BadQuery where that is no day."""
    try:
        at = date.fromisoformat(day)
    except ValueError:
        at = date.min
    if at.year < YEAR_MIN or at.isoformat() != day:  # 20241121 and 2024-W47-4 would not sort as texts
        raise BadQuery(f"invalid day {day[:40]!r}: expected one such as 2024-11-21")
    return int(datetime(at.year, at.month, at.day, tzinfo=UTC).timestamp()) * 1000


def _sum(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _ratio(one: SlaDefinition, bad: float | None, total: float | None) -> float | None:
    if not total or total <= 0:
        return None
    share = min(max((bad or 0.0) / total, 0.0), 1.0)
    return 100 * (share if one.metric_type == "ERROR_RATE" else 1 - share)
