"""Snapshots of budgets in the database."""

from nissa.database.database import Database
from nissa.slo.budget import BURN_WINDOWS_MS, EventCount, budget_of
from nissa.slo.objective import Objective
from nissa.slo.snapshot_store import SnapshotStore


def test_snapshots_are_kept_and_swept(database: Database) -> None:
    """The newest first, of one objective, with numbers that are not known as None."""
    store = SnapshotStore(database)
    objective = Objective("o", "b", "t", 99.0, 10**9)
    recent = {name: EventCount(100, 3) if name == "1h" else EventCount(0, 0) for name in BURN_WINDOWS_MS}
    for at_ms in (100, 200, 300):
        budget = budget_of(objective, (0, at_ms), EventCount(1000, at_ms / 100), recent)
        store.save([(budget, 99.0)], at_ms)
    found = store.history("o", 150, 10**6, 10)
    assert [(one["at_ms"], one["events_bad"], round(one["remaining_percent"])) for one in found] == [
        (300, 3.0, 70),
        (200, 2.0, 80),
    ]
    assert (round(found[0]["burn_1h"], 9), found[0]["burn_6h"], found[0]["state"]) == (3, None, "burning")
    assert store.history("other", 0, 10**6, 10) == []
    assert store.sweep(250) == 2
    assert len(store.history("o", 0, 10**6, 10)) == 1
    store.close()
