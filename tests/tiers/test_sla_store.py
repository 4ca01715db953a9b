"""The Gold tier in both databases: versions, revisions, the chain, and what SQL cannot change."""

import math
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from sqlalchemy import text

from nissa.access import audit
from nissa.database.database import Database
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.tiers.sla import SlaDay, SlaDefinition
from nissa.tiers.sla_store import NoDefinition, SlaStore

ONE = SlaDefinition("up", "api ☃", bad="e", total="t", changed_by="ann")


def day(definition: str = "up", at: str = "2024-02-29", value: float | None = 99.5) -> SlaDay:
    """A snapshot."""
    return SlaDay(definition, 1, at, 10.0, 1.0, value, value, None, 0.1 + 0.2, 3.0, {"hours": [None, 1.5, "ä"]})


@pytest.fixture
def store(database: Database) -> SlaStore:
    """Empty tables."""
    return SlaStore(database, 3)


def test_definitions_are_versioned_for_ever(store: SlaStore) -> None:
    """The same again is no new version; a change ends the one before; an end leaves all."""
    first, is_new = store.put(ONE, 1000)
    assert (is_new, first.version, first.active_from_ms, first.active_to_ms) == (True, 1, 1000, 0)
    assert store.put(msgspec.structs.replace(ONE, changed_by="bob"), 2000) == (first, False)
    second, _ = store.put(msgspec.structs.replace(ONE, target=99.0), 3000)
    assert (second.version, second.active_from_ms) == (2, 3000)
    with pytest.raises(BadQuery, match="active_from_ms"):
        store.put(msgspec.structs.replace(ONE, active_from_ms=500), 4000)
    store.end("up", 5000)
    with pytest.raises(NoDefinition):
        store.end("up", 6000)
    store.put(ONE, 7000)
    spans = [(one.active_from_ms, one.active_to_ms) for one in store.definitions()["up"]]
    assert spans == [(1000, 3000), (3000, 5000), (7000, 0)]
    for name in ("b", "c"):
        store.put(msgspec.structs.replace(ONE, id=name), 1)
    with pytest.raises(BadQuery, match=r"sla\.definitions_max"):
        store.put(msgspec.structs.replace(ONE, id="d"), 1)


def test_a_day_is_written_once_and_corrected_by_revisions(store: SlaStore) -> None:
    """The newest revision is shown; all of them are kept; a correction needs a reason."""
    assert store.add_day("2024-02-29", [day(), day("b")], 5) == 2
    assert store.add_day("2024-02-29", [day(value=1.0), day("c")], 6) == 1
    assert store.revise(day(value=98.0), "a counter was reset", 7) == 1
    with pytest.raises(BadQuery, match="reason"):
        store.revise(day(), " ", 8)
    with pytest.raises(BadQuery, match="no snapshot"):
        store.revise(day(at="2024-03-01"), "why not", 8)
    found = store.snapshots(["up", "b"], "2024-02-01", "2024-02-29")
    assert [(one["definition_id"], one["revision"], one["value"]) for one in found] == [("b", 0, 99.5), ("up", 1, 98.0)]
    assert found[0]["evidence"] == {"hours": [None, 1.5, "ä"]}
    assert [one["value"] for one in store.revisions("up", "2024-02-29")] == [99.5, 98.0]
    assert store.last_days() == dict.fromkeys(("up", "b", "c"), "2024-02-29")
    count, last = store.verify()
    assert (count, len(last)) == (4, 64)


def test_each_snapshot_is_in_the_audit_log_once(store: SlaStore, database: Database) -> None:
    """With its service and value, in the chain of the log; not again where the day is written by a second process."""
    store.put(ONE, 1000)
    store.add_day("2024-02-29", [day(), day("b", value=None)], 5)
    store.add_day("2024-02-29", [day()], 6)
    store.add_day("2024-03-01", [day(at="2024-03-01")], 7)
    found = [(one["target"], one["after"], one["at_ms"]) for one in reversed(audit.entries(database))]
    assert found == [
        ("up 2024-02-29", {"service": "api ☃", "value": 99.5}, 5),
        ("b 2024-02-29", {"service": "", "value": None}, 5),
        ("up 2024-03-01", {"service": "api ☃", "value": 99.5}, 7),
    ]
    assert audit.verify(database)[0] == 3


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE sla_snapshots SET value = 100",
        "UPDATE sla_snapshots SET reason = 'x' WHERE id = 2",
        "DELETE FROM sla_snapshots WHERE id = 3",
        "DELETE FROM sla_definitions",
        "UPDATE sla_definitions SET target = 1",
        "UPDATE sla_definitions SET active_to_ms = 9, target = 1",
    ],
)
def test_sql_changes_nothing(store: SlaStore, database: Database, attack: str) -> None:
    """The database itself refuses to update or delete."""
    store.put(ONE, 1000)
    store.add_day("2024-02-29", [day(), day("b"), day("c")], 5)
    before = store.verify(), store.definitions()
    with pytest.raises(Unavailable, match="sla_"), database.begin() as connection:
        connection.execute(text(attack))
    assert (store.verify(), store.definitions()) == before


def test_other_ways_to_replace_rows_are_refused(store: SlaStore, database: Database) -> None:
    """REPLACE of SQLite by either key, TRUNCATE of PostgreSQL; an end that is set cannot be set again."""
    store.put(ONE, 1000)
    store.end("up", 2000)
    store.add_day("2024-02-29", [day()], 5)
    copy = "SELECT {}, definition_id, 1, day, revision, reason, 1, 0, 100, 100, 0, 0, 0, evidence, 5, hash"
    attacks = ["UPDATE sla_definitions SET active_to_ms = 9"]
    if database.kind == "sqlite":
        attacks += [
            f"INSERT OR REPLACE INTO sla_snapshots {copy.format(number)} FROM sla_snapshots" for number in (1, 2)
        ]
        attacks += ["REPLACE INTO sla_definitions SELECT * FROM sla_definitions"]
    else:
        attacks += ["TRUNCATE sla_snapshots", "TRUNCATE sla_definitions"]
    for attack in attacks:
        with pytest.raises(Unavailable, match="sla_"), database.begin() as connection:
            connection.execute(text(attack))
    assert store.verify()[0] == 1


def test_what_an_owner_of_the_database_alters_shows(store: SlaStore, database: Database) -> None:
    """Somebody who drops the triggers breaks the chain at that place."""
    store.add_day("2024-02-29", [day(), day("b"), day("c")], 5)
    with database.begin() as connection:
        if database.kind == "sqlite":
            for name in ("frozen", "kept"):
                connection.execute(text(f"DROP TRIGGER sla_snapshots_{name}"))
        else:
            connection.execute(text("ALTER TABLE sla_snapshots DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE sla_snapshots SET value = 100 WHERE id = 2"))
    with pytest.raises(Damaged, match=r"snapshot 2 \(b"):
        store.verify()
    with database.begin() as connection:
        connection.execute(text("DELETE FROM sla_snapshots WHERE id = 2"))
    with pytest.raises(Damaged, match="snapshot 2 is missing"):
        store.verify()


@pytest.mark.parametrize("attack", ["UPDATE sla_definitions SET target = 1", "DELETE FROM sla_definitions"])
def test_an_altered_definition_shows(store: SlaStore, database: Database, attack: str) -> None:
    """The chain covers the definitions of its snapshots; the end of a version may be written later."""
    store.put(ONE, 1000)
    store.add_day("2024-02-29", [day()], 5)
    store.end("up", 2000)
    assert store.verify()[0] == 1
    with database.begin() as connection:
        if database.kind == "sqlite":
            for name in ("frozen", "kept"):
                connection.execute(text(f"DROP TRIGGER sla_definitions_{name}"))
        else:
            connection.execute(text("ALTER TABLE sla_definitions DISABLE TRIGGER USER"))
        connection.execute(text(attack))
    with pytest.raises(Damaged, match="version 1 of its definition was altered"):
        store.verify()


@pytest.mark.parametrize("value", [-0.0, math.nan, math.inf, 5e-324, 2.0**53 + 2])
def test_the_chain_holds_for_every_number(store: SlaStore, value: float) -> None:
    """SQLite keeps neither -0.0 nor NaN: what it gives back still has the hash that was written."""
    store.add_day("2024-02-29", [day(value=value)], 5)
    assert store.verify()[0] == 1


def test_writers_take_turns(store: SlaStore) -> None:
    """Corrections and versions at the same moment are all kept, one after the other."""
    store.put(ONE, 500)
    store.add_day("2024-02-29", [day()], 5)
    with ThreadPoolExecutor(6) as pool:
        revisions = list(pool.map(lambda _: store.revise(day(), "late data", 6), range(6)))
        changed = [msgspec.structs.replace(ONE, target=90.0 + number) for number in range(6)]
        versions = list(pool.map(lambda one: store.put(one, 1000)[0].version, changed))
    assert (sorted(revisions), sorted(versions)) == (list(range(1, 7)), list(range(2, 8)))
    assert store.verify()[0] == 7
