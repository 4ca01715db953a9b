"""The janitor in both databases: ages, compensation, one at a time, Gold untouched, settings by the API."""

import pytest

from nissa.database.database import Database
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.tiers.janitor import LOCK_MS, RETENTION_KEY, Janitor, read_system_config, write_system_config
from nissa.tiers.rollup_rows import Rollup, RollupKey
from nissa.tiers.silver import SilverStore
from nissa.tiers.sla import SlaDay
from nissa.tiers.sla_store import SlaStore

NOW_MS = 1000 * DAY_MS
KEYS = [RollupKey("api", "latency", (("route", route),)) for route in "ab"]


def janitor(database: Database, owner: str = "me") -> Janitor:
    """Minutes for 30 days, hours for 90."""
    return Janitor(database, owner, 30 * DAY_MS, 90 * DAY_MS)


@pytest.fixture
def silver(database: Database) -> SilverStore:
    """Two keys with minutes of 29, 31 and 32 days ago, and hours of 31, 89 and 91; of 32 days ago there is no hour."""
    store = SilverStore(database)
    minutes = [
        Rollup(key, NOW_MS - days * DAY_MS + minute * MINUTE_MS, 2, float(minute), 1.0, float(minute + 1))
        for key in KEYS
        for days in (29, 31, 32)
        for minute in range(3)
    ]
    store.replace("minute", 0, NOW_MS, minutes)
    hours = [Rollup(key, NOW_MS - days * DAY_MS, 9, 9.0, 1.0, 9.0) for key in KEYS for days in (31, 89, 91)]
    store.replace("hour", 0, NOW_MS, hours)
    return store


def test_old_rows_go_and_hours_stay(database: Database, silver: SilverStore) -> None:
    """Minutes without their hour leave one behind; a second run has nothing to do; a dry one changes nothing."""
    gold = SlaStore(database, 5)
    day = SlaDay("up", 1, "1970-01-05", 1.0, 0.0, 100.0, 100.0, 0, 0.0, 0.0, {})
    gold.add_day(day.day, [day], 5)
    dry = janitor(database).run(NOW_MS, dry=True)
    assert (dry.minutes, dry.hours) == (12, 2)
    assert len(silver.rollups("minute", "", "", 0, NOW_MS)) == 18
    found = janitor(database).run(NOW_MS)
    assert (found.minutes, found.hours, found.compensated, found.combinations) == (12, 2, 2, 2)
    assert len(silver.rollups("minute", "", "", 0, NOW_MS)) == 6
    hours = silver.rollups("hour", "", "", 0, NOW_MS)
    assert {(NOW_MS - one["bucket_ms"]) // DAY_MS for one in hours} == {31, 32, 89}
    made = next(one for one in hours if (NOW_MS - one["bucket_ms"]) // DAY_MS == 32)
    assert (made["count"], made["sum"], made["min"], made["max"], made["p99"]) == (6, 3, 1, 3, None)
    again = janitor(database).run(NOW_MS)
    assert (again.minutes, again.hours, again.compensated) == (0, 0, 0)
    assert gold.verify()[0] == 1


def test_one_process_at_a_time(database: Database, silver: SilverStore) -> None:
    """While another holds the lock nothing is deleted; one that was killed loses it; who is done gives it back."""
    other = janitor(database, "other")
    assert other._lock(NOW_MS)
    assert janitor(database).run(NOW_MS).held_elsewhere
    assert len(silver.rollups("minute", "", "", 0, NOW_MS)) == 18
    assert janitor(database).run(NOW_MS + LOCK_MS).minutes == 12
    assert not other.run(NOW_MS + LOCK_MS).held_elsewhere


def test_retention_is_set_by_the_api(database: Database, silver: SilverStore) -> None:
    """In days, bounded; unknown keys and fields are refused; what was set counts at once."""
    assert read_system_config(database, RETENTION_KEY) is None
    for key, value in (
        ("other", {}),
        (RETENTION_KEY, {"minute_metrics": -1}),
        (RETENTION_KEY, {"gold": 1}),
        (RETENTION_KEY, []),
    ):
        with pytest.raises(BadQuery):
            write_system_config(database, key, value, "ann", 5)
    for days in (40, 28):
        write_system_config(database, RETENTION_KEY, {"minute_metrics": days, "hourly_metrics": 100}, "ann", 5)
        janitor(database).run(NOW_MS + HOUR_MS)
        assert len(silver.rollups("minute", "", "", 0, NOW_MS)) == (18 if days == 40 else 0)
    found = read_system_config(database, RETENTION_KEY)
    assert found is not None
    assert (found["value"], found["updated_by"]) == ({"minute_metrics": 28, "hourly_metrics": 100}, "ann")
