"""Files of definitions in the daemon."""

from pathlib import Path
from typing import Any, cast

import pytest

from nissa.config.sla import SlaSettings
from nissa.config.tree import Config
from nissa.database.database import Database
from nissa.incidents.incident_store import IncidentLimits, IncidentStore
from nissa.model.errors import ConfigInvalid
from nissa.model.units import DAY_MS
from nissa.service.sla_tasks import SlaTasks
from nissa.tiers.sla import SlaDefinition
from nissa.tiers.sla_store import SlaStore

FILE = """
sla_definitions:
  - {id: refused, service: api, metric_type: MTTA, target: 5}
  - {id: taken, service: api, metric_type: MTTA, target: 5}
"""


def test_a_definition_that_is_refused_harms_no_other(database: Database, tmp_path: Path) -> None:
    """The others are in force, and their days are written; it is tried again."""
    now_ms = 20_000 * DAY_MS
    path = tmp_path / "sla.yaml"
    path.write_text(FILE)
    store = SlaStore(database, 10)
    for name in ("refused", "taken"):  # the first one as a clock that was ahead has left it
        ahead_ms = 9 * DAY_MS if name == "refused" else 0
        store.put(SlaDefinition(name, "api", "MTTA", 9.0), now_ms + ahead_ms)
    config = Config(sla=SlaSettings(files=[str(path)]))
    incidents = IncidentStore(database, IncidentLimits(10, 10, 10))
    clock = [now_ms + 1]
    tasks = SlaTasks(config, cast("Any", None), lambda: database, lambda: incidents, lambda: clock[0])
    tasks._work()
    assert [store.definitions()[name][-1].target for name in ("refused", "taken")] == [9.0, 5.0]
    assert tasks.status()["failures"] == 1
    clock[0] += 2 * DAY_MS
    tasks._work()
    assert store.last_days() == {"taken": "2024-10-04"}
    clock[0] += 8 * DAY_MS
    tasks._work()
    assert store.definitions()["refused"][-1].target == 5.0


def test_a_reload_reads_files_again_all_or_nothing(database: Database, tmp_path: Path) -> None:
    """With a fault in one file nothing is applied; then all of them, other settings of the section too."""
    paths = [tmp_path / f"{name}.yaml" for name in ("first", "second")]
    form = "sla_definitions: [{{id: {}, service: api, metric_type: MTTA, target: {}}}]"
    paths[0].write_text(form.format("first", 5))
    config = Config(sla=SlaSettings(files=(str(paths[0]),)))
    incidents = IncidentStore(database, IncidentLimits(10, 10, 10))
    tasks = SlaTasks(config, cast("Any", None), lambda: database, lambda: incidents, lambda: 20_000 * DAY_MS)
    tasks._work()
    paths[0].write_text(form.format("first", 6))
    paths[1].write_text("sla_definitions: [{id: second}]")
    changed = Config(sla=SlaSettings(files=tuple(map(str, paths)), definitions_max=1))
    with pytest.raises(ConfigInvalid, match=r"second\.yaml"):
        tasks.prepare(changed)
    tasks._work()
    assert [one.target for one in tasks.store().definitions()["first"]] == [5.0]
    paths[1].write_text(form.format("second", 7))
    apply = tasks.prepare(changed)
    tasks._work()
    assert [one.target for one in tasks.store().definitions()["first"]] == [5.0]
    apply()
    tasks._work()
    assert {name: one[-1].target for name, one in tasks.store().definitions().items()} == {"first": 6.0}
    assert tasks.status()["failures"] == 1  # second: sla.definitions_max
    tasks.prepare(Config(sla=SlaSettings(files=tuple(map(str, paths)))))()
    tasks._work()
    assert {name: one[-1].target for name, one in tasks.store().definitions().items()} == {"first": 6.0, "second": 7.0}
