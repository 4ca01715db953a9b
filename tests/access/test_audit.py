"""The audit log: a chain that shows every change to it."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text, update

from nissa.access.audit import (
    PAGE_ENTRIES,
    Change,
    append,
    check_entry,
    checkpoint,
    entries,
    oldest_first,
    prune,
    verify,
)
from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database
from nissa.database.tables import audit_checkpoint, audit_entries
from nissa.model.errors import BadQuery, Damaged


@pytest.fixture
def database(database: Database) -> Database:
    """A database with five entries."""
    for number in range(5):
        append(
            database, Change(number, "ann", "session", "::1", "pin.add", str(number), before=None, after={"n": number})
        )
    return database


def test_entries_are_read_back(database: Database) -> None:
    """The newest come first; a page goes on below a number; an action also names those after a dot."""
    append(database, Change(9, "bob", "token", "", "mode.force", after={"url": "http://u:secret@h/"}))
    assert [one["id"] for one in entries(database, limit=2)] == [6, 5]
    assert [one["id"] for one in entries(database, before_id=3)] == [2, 1]
    assert [one["user"] for one in entries(database, action="mode")] == ["bob"]
    assert entries(database, user="bob")[0]["after"] == {"url": "http://u:<secret>@h/"}
    assert verify(database)[0] == 6
    assert len(list(oldest_first(database))) < PAGE_ENTRIES


def test_what_is_altered_shows(database: Database) -> None:
    """An entry that is altered or removed breaks the chain at its place; the end is known by its hash."""
    number, last = verify(database)
    check_entry(database, f"{number}:{last}")
    with database.begin() as connection:
        connection.execute(delete(audit_entries).where(audit_entries.c.id == 5))
    assert verify(database)[0] == 4
    with pytest.raises(Damaged, match="missing"):
        check_entry(database, f"{number}:{last}")
    with database.begin() as connection:
        connection.execute(update(audit_entries).where(audit_entries.c.id == 3), {"user": "eve"})
    with pytest.raises(Damaged, match="entry 3"):
        verify(database)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM audit_entries WHERE id = 2"))
    with pytest.raises(Damaged, match="entry 2 is missing"):
        verify(database)


def test_many_writers_make_one_chain(database: Database, database_settings: DatabaseSettings, tmp_path: Path) -> None:
    """Two processes that append at the same time leave one chain without gaps."""
    other = open_database(database_settings, tmp_path)

    def write(own: Database) -> None:
        for number in range(10):
            append(own, Change(number, "x", "command", "", "user.add"))

    threads = [threading.Thread(target=write, args=(one,)) for one in (database, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(database)[0] == 25
    other.close()


def test_pruning_leaves_a_chain_that_holds(database: Database) -> None:
    """From a checkpoint and the entry that notes it, again and again; numbers go on."""
    number, last = verify(database)
    who = Change(100, "ann", "command", "", "")
    assert prune(database, 0, who) == 0
    assert checkpoint(database) == (0, "")
    assert prune(database, 3, who) == 3
    assert [row["id"] for row in oldest_first(database)] == [4, 5, 6]
    assert verify(database)[0] == 6
    assert entries(database)[0]["action"] == "audit.prune"
    assert entries(database)[0]["target"] == f"3:{checkpoint(database)[1]}"
    check_entry(database, f"{number}:{last}")
    check_entry(database, entries(database)[0]["target"])
    with pytest.raises(BadQuery, match="entry 2 was pruned"):
        check_entry(database, "2:x")
    assert prune(database, 1_000, who) == 3
    assert [row["id"] for row in oldest_first(database)] == [7]
    assert append(database, who) == 8
    assert verify(database)[0] == 8


def test_pruning_hides_nothing(database: Database) -> None:
    """A log that was altered is not pruned; a checkpoint that no entry notes is at fault."""
    with database.begin() as connection:
        connection.execute(update(audit_entries).where(audit_entries.c.id == 1), {"user": "eve"})
    with pytest.raises(Damaged, match="entry 1"):
        prune(database, 3, Change(100, "ann", "command", "", ""))
    with database.begin() as connection:
        kept = connection.execute(select(audit_entries.c.hash).where(audit_entries.c.id == 2)).scalar()
        connection.execute(delete(audit_entries).where(audit_entries.c.id <= 2))
        connection.execute(insert(audit_checkpoint), {"id": 2, "hash": kept})
    with pytest.raises(Damaged, match=r"no entry audit\.prune says"):
        verify(database)
