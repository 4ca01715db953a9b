"""Work of incidents on a real engine: what keeps their data from retention."""

import contextlib
from pathlib import Path
from typing import Any, cast

import pytest

from nissa.config.tree import Config
from nissa.database.database import Database
from nissa.incidents.incident_store import IncidentStore
from nissa.incidents.lifecycle import Entry, IncidentReport, merging
from nissa.ingest.engine import Engine
from nissa.model.alert import AlertReceiver
from nissa.model.units import HOUR_MS
from nissa.service.incident_tasks import IncidentTasks
from nissa.store import pins

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
