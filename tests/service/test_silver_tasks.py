"""Rollups of stored samples: sums and percentiles equal those of all raw values; late samples correct rows."""

import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.config.database import DatabaseSettings
from nissa.config.silver import SilverMetric, SilverSettings
from nissa.database.database import open_database
from nissa.model.alert import Alert
from nissa.model.frame import Source
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.service.silver_tasks import SilverTasks
from nissa.tiers.rollup_rows import Rollup
from oracle.engine import NOW_MS, Rig, config_of, wait_until

SKETCH_ERROR = 0.011
START_MS = NOW_MS // HOUR_MS * HOUR_MS - 2 * HOUR_MS


class Alerts:
    """Takes alerts."""

    def __init__(self) -> None:
        self.taken: list[Alert] = []

    def put(self, alerts: list[Alert], _now_ms: int) -> None:
        self.taken += alerts


def bits(value: float) -> int:
    """A number as ledgers have it."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def test_rollups_are_those_of_all_values(tmp_path: Path) -> None:
    """Of two series in one key; then a late sample changes the rows of its minute and hour alone."""
    settings = SilverSettings(metrics=(SilverMetric('{__name__=~"m"}'),), late_ms=3 * HOUR_MS, combinations_max=1)
    config = msgspec.structs.replace(config_of(), silver=settings)
    rig, alerts = Rig(tmp_path / "data", config), Alerts()
    dice = np.random.default_rng(7)
    values = dice.lognormal(3, 1, 600)
    at_ms = START_MS + dice.permutation(2 * HOUR_MS)[:600]
    rig.send([("m", int(at), bits(value)) for at, value in zip(at_ms, values, strict=True)])
    database = open_database(DatabaseSettings(), tmp_path / "data")
    tasks = SilverTasks(config, rig.engine, lambda: database, alerts, lambda: NOW_MS)
    tasks.flush()
    tasks.flush()
    hours = tasks.silver().rollups("hour", "", "m", 0, 2**62)
    assert [one["count"] for one in hours] == [int(np.sum((at_ms - START_MS) // HOUR_MS == hour)) for hour in (0, 1)]
    for place, hour in enumerate(hours):
        own = values[(at_ms - START_MS) // HOUR_MS == place]
        assert hour["sum"] == pytest.approx(own.sum())
        assert (hour["min"], hour["max"]) == (own.min(), own.max())
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
            low, high = (np.quantile(own, share, method=method) for method in ("lower", "higher"))
            assert low * (1 - SKETCH_ERROR) <= hour[name] <= high * (1 + SKETCH_ERROR)
    minutes = tasks.silver().rollups("minute", "", "m", 0, 2**62)
    assert sum(one["count"] for one in minutes) == 600
    for one in minutes:
        own = values[(at_ms >= one["bucket_ms"]) & (at_ms < one["bucket_ms"] + MINUTE_MS)]
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
            assert one[name] == pytest.approx(np.quantile(own, share), rel=1e-12)
    late_ms = int(next(at for at in range(START_MS, START_MS + MINUTE_MS) if at not in at_ms))
    rig.send([("m", late_ms, bits(1e6))])
    tasks.flush()
    after = tasks.silver().rollups("hour", "", "m", 0, 2**62)
    assert (after[0]["count"], after[0]["max"], after[1]) == (hours[0]["count"] + 1, 1e6, hours[1])
    tasks._tidy()
    assert alerts.taken == []
    rig.send([("m2", NOW_MS - 1000, bits(1.0))])
    wider = msgspec.structs.replace(settings, metrics=(SilverMetric('{__name__=~"m.*"}'),))
    other = SilverTasks(
        msgspec.structs.replace(config, silver=wider), rig.engine, lambda: database, alerts, lambda: NOW_MS
    )
    other.flush()
    other._tidy()
    assert [one.labels["alertname"] for one in alerts.taken] == ["NissaSilverCombinations"]
    database.close()
    rig.engine.close()


def test_keys_of_a_flush_are_bounded(tmp_path: Path) -> None:
    """Further ones are left out, and counted."""
    settings = SilverSettings(metrics=(SilverMetric('{__name__=~"x.*"}'),), keys_max=2)
    config = msgspec.structs.replace(config_of(), silver=settings)
    rig = Rig(tmp_path / "data", config)
    rig.send([(f"x{number}", NOW_MS - 1000, bits(1.0)) for number in range(5)])
    database = open_database(DatabaseSettings(), tmp_path / "data")
    tasks = SilverTasks(config, rig.engine, lambda: database, Alerts(), lambda: NOW_MS)
    tasks.flush()
    assert len(tasks.silver().rollups("hour", "", "", 0, 2**62)) == 2
    assert tasks.status()["keys_left_out"] == 3
    database.close()
    rig.engine.close()


def test_a_flush_writes_what_differs(tmp_path: Path) -> None:
    """A second one nothing; one after rows were deleted behind its back everything."""
    settings = SilverSettings(metrics=(SilverMetric("m"), SilverMetric("m")))
    config = msgspec.structs.replace(config_of(), silver=settings)
    rig = Rig(tmp_path / "data", config)
    rig.send([("m", NOW_MS - number * MINUTE_MS, bits(1.0)) for number in range(5)])
    database = open_database(DatabaseSettings(), tmp_path / "data")
    tasks = SilverTasks(config, rig.engine, lambda: database, Alerts(), lambda: NOW_MS)
    tasks.flush()
    first = tasks.status()["rows"]
    before = tasks.silver().rollups("minute", "", "m", 0, 2**62)
    assert (len(before), {one["count"] for one in before}) == (5, {1}), "each of two equal entries"
    tasks.flush()
    assert tasks.status()["rows"] == first
    rig.send([("m", NOW_MS - 1, bits(1.0))])
    tasks.flush()
    assert tasks.status()["rows"] == first + 2
    after = tasks.silver().rollups("minute", "", "m", 0, 2**62)
    tasks.silver().replace("minute", NOW_MS - MINUTE_MS, NOW_MS + MINUTE_MS, [])
    tasks.flush()
    assert tasks.silver().rollups("minute", "", "m", 0, 2**62) == after
    database.close()
    rig.engine.close()


def test_imported_history_is_rolled_up(tmp_path: Path) -> None:
    """Older than silver.late, where rows are there already: added, and added to; other rows stay as they are."""
    settings = SilverSettings(metrics=(SilverMetric("m"),))
    config = msgspec.structs.replace(config_of(), silver=settings)
    rig = Rig(tmp_path / "data", config)
    rig.send([("m", NOW_MS - 1000, bits(1.0))])
    database = open_database(DatabaseSettings(), tmp_path / "data")
    tasks = SilverTasks(config, rig.engine, lambda: database, Alerts(), lambda: NOW_MS)
    tasks.flush()
    old_ms = NOW_MS // HOUR_MS * HOUR_MS - 10 * HOUR_MS
    store = tasks.silver()

    def kept(**facts: float) -> None:
        """A row of a time of which windows say something else."""
        (key,) = tasks._keys()[0].values()
        store.amend("hour", [Rollup(key, int(facts["at"]), int(facts["count"]), 1.0, 1.0, 1.0)])

    kept(at=old_ms, count=9)
    kept(at=old_ms + HOUR_MS, count=1)
    kept(at=old_ms - 50 * HOUR_MS, count=2)
    rig.send([("m", old_ms + number * HOUR_MS // 2, bits(2.0)) for number in range(6)], Source.IMPORT)
    rig.send([("m", NOW_MS - 100 * 24 * HOUR_MS, bits(2.0))], Source.IMPORT)  # over silver.hours_retention
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["imports"]["waiting"] == 0, 60)
    tasks.flush()
    hours = store.rollups("hour", "", "m", 0, NOW_MS - HOUR_MS)
    assert [((one["bucket_ms"] - old_ms) // HOUR_MS, one["count"], one["sum"]) for one in hours] == [
        (-50, 2, 1.0),
        (0, 9, 1.0),
        (1, 2, 4.0),
        (2, 2, 4.0),
    ]
    minutes = store.rollups("minute", "", "m", 0, NOW_MS - HOUR_MS)
    assert [(one["bucket_ms"] - old_ms) // MINUTE_MS for one in minutes] == [0, 30, 60, 90, 120, 150]
    assert {name: len(due) for name, due in tasks._due.items()} == {"minute": 0, "hour": 0}
    written = tasks.status()["rows"]
    tasks.flush()
    assert tasks.status()["rows"] == written
    database.close()
    rig.engine.close()
