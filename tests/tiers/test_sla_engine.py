"""Snapshots that are due: catch-up, kills at every transaction, corrections, downtime of incidents."""

from collections.abc import Sequence
from contextlib import contextmanager

import pytest

from nissa.database.database import Database
from nissa.incidents.lifecycle import downtime_minutes
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.tiers.sla import SlaDefinition, day_start_ms
from nissa.tiers.sla_engine import SketchedHours, SlaEngine, Trouble
from nissa.tiers.sla_store import NoDefinition, SlaStore

BEGIN_MS = day_start_ms("2023-12-30")
NOW_MS = day_start_ms("2024-01-02") + HOUR_MS
CATCH_UP_MS = 30 * DAY_MS


class Hours:
    """1,000 events an hour, of which as many are bad as the hour of the day."""

    def __init__(self) -> None:
        self.broken = ""
        self.asked = 0

    def values(self, expression: str, start_ms: int, end_ms: int, step_ms: int) -> list[float | None]:
        self.asked += 1
        if self.broken and self.broken in expression:
            raise Unavailable("the store is away")
        steps = (end_ms - start_ms) // step_ms
        return [float(at % 24) if "bad" in expression else 1000.0 for at in range(steps)]

    def sketches(self, selector: str, start_ms: int, end_ms: int) -> SketchedHours:
        hours = (end_ms - start_ms) // HOUR_MS
        return SketchedHours([10.0] * hours, [5.0] * hours, [5.0] * (hours // 24))


def engine(store: SlaStore, hours: Hours, troubles: Sequence[Trouble] = ()) -> SlaEngine:
    """An engine over these hours."""
    return SlaEngine(store, hours, lambda _start, _end: troubles, downtime_minutes)


def definition(name: str = "up", **changes) -> SlaDefinition:
    """An agreement since BEGIN_MS."""
    facts = {"bad": "bad", "total": "all", "active_from_ms": BEGIN_MS, **changes}
    return SlaDefinition(name, "api", **facts)


def test_missing_days_are_caught_up_over_new_year(database: Database) -> None:
    """After an outage every day is there once, with its facts; then nothing is due."""
    store, hours = SlaStore(database, 10), Hours()
    store.put(definition(), BEGIN_MS)
    one = engine(store, hours)
    assert one.run_due(NOW_MS, CATCH_UP_MS).written == 3
    found = store.snapshots([], "2023-01-01", "2024-12-31")
    assert [row["day"] for row in found] == ["2023-12-30", "2023-12-31", "2024-01-01"]
    assert {row["total_events"] for row in found} == {24_000}
    assert {row["error_events"] for row in found} == {276}
    assert (found[0]["uptime_percent"], found[0]["breach_count"]) == (pytest.approx(98.85), 22)
    assert hours.asked == 2
    assert one.run_due(NOW_MS, CATCH_UP_MS).written == 0
    assert one.run_due(NOW_MS + DAY_MS, CATCH_UP_MS).written == 1


class Dying:
    """A database whose process is killed at the end of a transaction, before it is committed."""

    def __init__(self, database: Database, step: int) -> None:
        self._database, self._step, self._seen = database, step, 0

    @contextmanager
    def begin(self):
        self._seen += 1
        with self._database.begin() as connection:
            yield connection
            if self._seen == self._step:
                raise KeyboardInterrupt


def test_a_job_killed_at_each_step_runs_once_in_effect(database: Database) -> None:
    """Whatever transaction fails, the next run completes the days, each with one snapshot in one chain."""
    store = SlaStore(database, 10)
    for name in ("a", "b"):
        store.put(definition(name), BEGIN_MS)
    for step in range(1, 7):
        dying = engine(SlaStore(Dying(database, step), 10), Hours())
        with pytest.raises(KeyboardInterrupt):
            dying.run_due(NOW_MS + step * DAY_MS, CATCH_UP_MS)
    engine(store, Hours()).run_due(NOW_MS + 6 * DAY_MS, CATCH_UP_MS)
    found = store.snapshots([], "2023-01-01", "2024-12-31")
    assert len(found) == 2 * 9
    assert len({(row["day"], row["definition_id"]) for row in found}) == 2 * 9
    assert store.verify()[0] == 2 * 9


def test_a_definition_that_fails_leaves_no_gap(database: Database) -> None:
    """The others are written; its own days wait, all of them."""
    store, hours = SlaStore(database, 10), Hours()
    store.put(definition("a"), BEGIN_MS)
    store.put(definition("b", total="fails"), BEGIN_MS)
    hours.broken = "fails"
    run = engine(store, hours).run_due(NOW_MS, CATCH_UP_MS)
    assert (run.written, list(run.failures)) == (3, ["b"])
    hours.broken = ""
    assert engine(store, hours).run_due(NOW_MS, CATCH_UP_MS).written == 3


def test_incidents_give_downtime_and_mean_times(database: Database) -> None:
    """Minutes that several incidents cover count once, split at midnight; a day without an incident has no mean."""
    store, midnight_ms = SlaStore(database, 10), day_start_ms("2024-01-01")
    for name, kind in (("up", "UPTIME"), ("mtta", "MTTA"), ("mttr", "MTTR")):
        own = {} if kind == "UPTIME" else {"bad": "", "total": "", "metric_type": kind, "target": 15.0}
        store.put(definition(name, **own), BEGIN_MS)
    before_ms, after_ms = midnight_ms - 30 * MINUTE_MS, midnight_ms + 10 * MINUTE_MS
    troubles = [
        Trouble(1, "api", before_ms, before_ms + 6 * MINUTE_MS, after_ms, ((before_ms, after_ms),)),
        Trouble(2, "api", before_ms, 0, before_ms + 10 * MINUTE_MS, ((before_ms, before_ms + 10 * MINUTE_MS),)),
        Trouble(3, "db", before_ms, 0, 0, ((before_ms, after_ms),)),
    ]
    engine(store, Hours(), troubles).run_due(NOW_MS, CATCH_UP_MS)
    rows = {(row["definition_id"], row["day"]): row for row in store.snapshots([], "2023-01-01", "2024-12-31")}
    assert [rows["up", day]["downtime_minutes"] for day in ("2023-12-30", "2023-12-31", "2024-01-01")] == [0, 30, 10]
    assert rows["up", "2023-12-31"]["evidence"]["incidents"] == [1, 2]
    assert [rows["mtta", day]["value"] for day in ("2023-12-30", "2023-12-31")] == [None, 6]
    assert [rows["mttr", day]["value"] for day in ("2023-12-31", "2024-01-01")] == [10, 40]


def test_corrections_are_computed_again(database: Database) -> None:
    """As a revision of the version that held then; a day that is not over, or has none, is refused."""
    store, hours = SlaStore(database, 10), Hours()
    store.put(definition(), BEGIN_MS)
    one = engine(store, hours)
    one.run_due(NOW_MS, CATCH_UP_MS)
    assert one.correct("up", "2024-01-01", "late data", NOW_MS) == 1
    assert [row["reason"] for row in store.revisions("up", "2024-01-01")] == ["", "late data"]
    with pytest.raises(BadQuery, match="not over"):
        one.correct("up", "2024-01-02", "x", NOW_MS)
    with pytest.raises(NoDefinition):
        one.correct("other", "2024-01-01", "x", NOW_MS)


def test_latency_comes_from_sketches_or_an_expression(database: Database) -> None:
    """Of a selector the sketches are merged; of an expression the day has its own range."""
    store, hours = SlaStore(database, 10), Hours()
    for name, latency in (("a", "x"), ("b", "histogram_quantile(0.99, sum by (le) (increase(x[$window])))")):
        own = {"metric_type": "LATENCY_P99", "bad": "", "total": "", "target": 4.0, "latency": latency}
        store.put(definition(name, **own), BEGIN_MS)
    engine(store, hours).run_due(NOW_MS, CATCH_UP_MS)
    rows = store.snapshots([], "2024-01-01", "2024-01-01")
    assert [(row["value"], row["breach_count"], row["total_events"]) for row in rows] == [
        (5, 24, 240),
        (1000, 24, None),
    ]
