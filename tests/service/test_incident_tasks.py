"""Work of incidents on a real engine: what keeps their data from retention."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from nissa.config.tree import Config
from nissa.database.database import Database
from nissa.incidents.incident_store import IncidentStore
from nissa.incidents.lifecycle import Entry, IncidentReport, merging
from nissa.incidents.reports import alert_report
from nissa.ingest.engine import Engine
from nissa.model.alert import Alert, AlertReceiver, AlertState
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.service.incident_tasks import IncidentTasks
from nissa.store import pins
from oracle.columns import bits_of
from oracle.engine import Rig, config_of

NOW_MS = 1_795_000_000_000


class Nobody:
    """Routing that takes alerts, and rules that know none."""

    def put(self, *_: Any) -> None:
        return

    def evaluations(self) -> list[Any]:
        return []

    def history(self, *_: Any) -> list[Any]:
        return []


def opened(store: IncidentStore, tasks: IncidentTasks, title: str) -> int:
    """A new incident."""
    return store.open(IncidentReport(title, title), NOW_MS, "ann", tasks.escalation)[0].id


class Rules(Nobody):
    """One rule, whose alert is linked to whatever incident has the fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        rule = SimpleNamespace(expression="depth > 5")
        self.groups = [(SimpleNamespace(states=[SimpleNamespace(rule=rule, alerts={fingerprint: None})]), None)]

    def evaluations(self) -> list[Any]:
        return self.groups


def test_evidence_is_gathered_again_a_few_minutes_later(database: Database, tmp_path: Path) -> None:
    """Once, also over a restart in between, with finer steps where the metric is young; the setting switches it off."""
    labels = {"alertname": "Deep", "service": "shop"}
    alert = Alert(labels, {}, NOW_MS, 0, NOW_MS, "", 1.0, AlertState.FIRING, "f", "rules")
    config = config_of()
    off = msgspec.structs.replace(config, incidents=msgspec.structs.replace(config.incidents, evidence_again_ms=0))
    rig = Rig(tmp_path / "data", config)
    rig.now_ms = NOW_MS

    def tasks_of(config: Config, rules: Nobody) -> IncidentTasks:
        routing = cast("AlertReceiver", Nobody())
        return IncidentTasks(config, rig.engine, lambda: database, routing, cast("Any", rules), lambda: rig.now_ms)

    with contextlib.closing(rig.engine):
        tasks = tasks_of(config, Rules("f"))
        store = tasks.store()
        store.put_alert(alert, alert_report(alert, ("service",)), NOW_MS, tasks.escalation, resolves=True)
        number = store.opened_between(NOW_MS, NOW_MS + 1)[0].id
        rig.send([("depth", NOW_MS - 1_000, bits_of(6.0))])
        tasks._work()
        first = store.evidence(number)
        assert [len(line["points"]) for line in first["graphs"][0]["last_day"]] == [1]
        for minute in range(1, 6):
            rig.now_ms = NOW_MS + minute * MINUTE_MS
            rig.send([("depth", rig.now_ms - 1_000, bits_of(6.0 + minute))])
            tasks._work()
            assert (store.evidence(number) == first) == (minute < 5)
        again = store.evidence(number)
        assert (again["at_ms"], again["graphs"][0]["step_ms"]) == (rig.now_ms, MINUTE_MS)
        assert [value for _, value in again["graphs"][0]["last_day"][0]["points"]] == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
        rig.now_ms += 1_000
        for other in (tasks, tasks_of(config, Nobody())):
            other._work()
            assert store.evidence(number) == again
        store.replace_evidence(number, first)
        tasks_of(off, Nobody())._work()
        assert store.evidence(number) == first
        tasks_of(config, Nobody())._work()  # after a restart, and its rule knows the alert no more
        assert len(store.evidence(number)["graphs"][0]["last_day"][0]["points"]) == 6
        assert tasks.status()["evidence"] == 2


def test_what_finds_no_room_is_pinned_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted while the limit of pins is reached; the range of a merged incident is kept like that of others."""
    clock, config = [NOW_MS], Config()
    with contextlib.closing(Engine(tmp_path / "data", config, lambda: clock[0])) as engine:
        nobody = cast("AlertReceiver", Nobody())
        tasks = IncidentTasks(config, engine, lambda: database, nobody, cast("Any", Nobody()), lambda: clock[0])
        store = tasks.store()
        first, merged, last = (opened(store, tasks, name) for name in ("first", "merged", "last"))
        store.merge(merged, first, lambda into: merging(NOW_MS, "ann", into), Entry(NOW_MS, "merged", "ann"))
        monkeypatch.setattr(pins, "PINS_MAX", pins.PINS_RESERVED + 2)
        for _ in range(2):
            tasks._work()
            assert [pin.name for pin in engine.admin.pins()] == [f"incident {first}", f"incident {merged}"]
            assert tasks.status()["unpinned"] == 1
        clock[0] += 2 * HOUR_MS
        tasks._work()  # that of the first one grows, although there is no room for another
        ends = {pin.name: pin.end_ms for pin in engine.admin.pins()}
        assert ends[f"incident {first}"] > clock[0] > ends[f"incident {merged}"] > NOW_MS
        monkeypatch.setattr(pins, "PINS_MAX", pins.PINS_RESERVED + 3)
        tasks._work()
        assert {pin.name for pin in engine.admin.pins()} == {f"incident {one}" for one in (first, merged, last)}
        assert tasks.status()["unpinned"] == 0
