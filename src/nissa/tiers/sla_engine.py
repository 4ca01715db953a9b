"""Writes the snapshots that are due: of every definition, for every day that is over and has none.

    versions, last days ──► days due ──► a range of hours per expression ──► facts of each day ──► a transaction a day

Time is an argument, and all state is in the database: a run that is killed anywhere is repeated, without effect on what
it has written. A definition whose queries fail gets none of its days, so that no day is left out between two others.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from nissa.model.errors import BadQuery, NissaError
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.slo.objective import WINDOW, over
from nissa.tiers.sla import (
    HOURS,
    INCIDENT_TYPES,
    DayFacts,
    SlaDay,
    SlaDefinition,
    day_start_ms,
    days_due,
    next_day,
    sla_day,
    sla_expressions,
    version_of_day,
)
from nissa.tiers.sla_store import NoDefinition, SlaStore

Hourly = list[float | None]


class SketchedHours(msgspec.Struct, frozen=True):
    """Counts and 99th percentiles by hour, and percentiles by day; None where there is nothing."""

    counts: Hourly
    p99: Hourly
    days_p99: Hourly


class HourQueries(Protocol):
    """Stored samples, by hours of [start_ms, end_ms), which are multiples of a day."""

    def values(self, expression: str, start_ms: int, end_ms: int, step_ms: int) -> Hourly:
        """The sum of an expression at the end of each step. Raises: NissaError."""

    def sketches(self, selector: str, start_ms: int, end_ms: int) -> SketchedHours:
        """Percentiles of all series of a selector together, from merged sketches. Raises: NissaError."""


class Trouble(msgspec.Struct, frozen=True):
    """An incident as snapshots see it. outages_ms: half-open times; empty where its severity is no downtime."""

    id: int
    service: str
    created_ms: int
    acknowledged_ms: int
    resolved_ms: int
    outages_ms: tuple[tuple[int, int], ...] = ()


class SlaRun(msgspec.Struct, frozen=True):
    """written: snapshots. failures: by the id of their definition."""

    written: int
    failures: dict[str, str]


Troubles = Callable[[int, int], Sequence[Trouble]]  # that overlap a half-open range
Downtime = Callable[[Sequence[tuple[int, int]], int, int], float]


class SlaEngine:
    """Snapshots of one database. One thread at a time."""

    def __init__(self, store: SlaStore, queries: HourQueries, troubles: Troubles, downtime: Downtime) -> None:
        """troubles: incidents. downtime: minutes of a range that outages cover, each minute once."""
        self._store, self._queries = store, queries
        self._troubles, self._downtime = troubles, downtime

    def run_due(self, now_ms: int, catch_up_ms: int) -> SlaRun:
        """Write what is due at ``now_ms``. Raises: Unavailable where the database does not answer."""
        versions, last = self._store.definitions(), self._store.last_days()
        due = {name: days_due(own, last.get(name, ""), now_ms, catch_up_ms) for name, own in versions.items()}
        by_day: dict[str, list[SlaDay]] = {}
        failures: dict[str, str] = {}
        troubles = self._troubles_of([day for days in due.values() for day in days])
        for name, days in due.items():
            try:
                for one in self._days(versions[name], days, troubles):
                    by_day.setdefault(one.day, []).append(one)
            except NissaError as error:
                failures[name] = str(error)[:500]
                by_day = {day: [one for one in own if one.definition_id != name] for day, own in by_day.items()}
        written = sum(self._store.add_day(day, by_day[day], now_ms) for day in sorted(by_day))
        return SlaRun(written, failures)

    def correct(self, definition_id: str, day: str, reason: str, now_ms: int) -> int:
        """Compute a day again, and store it as a new revision; returns its number. Raises: BadQuery, NissaError."""
        versions = self._store.definitions().get(definition_id)
        if versions is None or version_of_day(versions, day) is None:
            raise NoDefinition(f"there is no definition {definition_id[:100]!r} that holds for {day[:40]!r}")
        if day_start_ms(day) + DAY_MS > now_ms:
            raise BadQuery(f"the day {day} is not over")
        (one,) = self._days(versions, [day], self._troubles_of([day]))
        return self._store.revise(one, reason, now_ms)

    def _troubles_of(self, days: Sequence[str]) -> Sequence[Trouble]:
        return self._troubles(day_start_ms(min(days)), day_start_ms(max(days)) + DAY_MS) if days else ()

    def _days(
        self, versions: Sequence[SlaDefinition], days: Sequence[str], troubles: Sequence[Trouble]
    ) -> list[SlaDay]:
        found: list[SlaDay] = []
        for one, run in _runs(versions, days):
            own = [trouble for trouble in troubles if trouble.service == one.service]
            for day, facts in zip(run, self._facts(one, run), strict=True):
                found.append(sla_day(one, day, self._with_troubles(one, day, facts, own)))
        return found

    def _facts(self, one: SlaDefinition, days: Sequence[str]) -> list[DayFacts]:
        """Facts from samples of successive days."""
        start_ms, end_ms = day_start_ms(days[0]), day_start_ms(days[-1]) + DAY_MS
        if one.metric_type in INCIDENT_TYPES:
            return [DayFacts() for _ in days]
        bad, total = sla_expressions(one)
        if one.metric_type != "LATENCY_P99":
            hourly = [self._queries.values(over(text, "1h"), start_ms, end_ms, HOUR_MS) for text in (total, bad)]
            return [DayFacts(tuple(totals), tuple(bads)) for totals, bads in zip(*map(_by_day, hourly), strict=True)]
        if WINDOW in one.latency:
            values = self._queries.values(over(total, "1h"), start_ms, end_ms, HOUR_MS)
            whole = self._queries.values(over(total, "1d"), start_ms, end_ms, DAY_MS)
            return [DayFacts(values=tuple(own), value=p99) for own, p99 in zip(_by_day(values), whole, strict=True)]
        sketched = self._queries.sketches(one.latency, start_ms, end_ms)
        parts = _by_day(sketched.counts), _by_day(sketched.p99), sketched.days_p99
        return [DayFacts(tuple(counts), (), tuple(p99), value) for counts, p99, value in zip(*parts, strict=True)]

    def _with_troubles(self, one: SlaDefinition, day: str, facts: DayFacts, own: Sequence[Trouble]) -> DayFacts:
        start_ms = day_start_ms(day)
        end_ms = start_ms + DAY_MS
        outages = [outage for trouble in own for outage in trouble.outages_ms]
        there = [
            trouble.id
            for trouble in own
            if any(begin < end_ms and over_ms > start_ms for begin, over_ms in trouble.outages_ms)
        ]
        value = facts.value
        if one.metric_type in INCIDENT_TYPES:
            name = "acknowledged_ms" if one.metric_type == "MTTA" else "resolved_ms"
            spans = [getattr(each, name) - each.created_ms for each in own if start_ms <= getattr(each, name) < end_ms]
            value = sum(spans) / len(spans) / MINUTE_MS if spans else None
        minutes = self._downtime(outages, start_ms, end_ms)
        return msgspec.structs.replace(facts, value=value, downtime_minutes=minutes, incidents=tuple(there))


def _runs(versions: Sequence[SlaDefinition], days: Sequence[str]) -> list[tuple[SlaDefinition, list[str]]]:
    """Successive days under one version."""
    found: list[tuple[SlaDefinition, list[str]]] = []
    for day in days:
        one = version_of_day(versions, day)
        if one is None:
            continue
        if found and found[-1][0] is one and next_day(found[-1][1][-1]) == day:
            found[-1][1].append(day)
        else:
            found.append((one, [day]))
    return found


def _by_day(hours: Hourly) -> list[Hourly]:
    return [hours[at : at + HOURS] for at in range(0, len(hours), HOURS)]
