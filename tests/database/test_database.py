"""The database, of both kinds: revisions, transactions, errors by who is to blame."""

import threading
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, inspect, select, text

from nissa.config.database import DatabaseSettings
from nissa.database import routing_tables as _routing_tables  # noqa: F401 - adds its tables to METADATA
from nissa.database.database import Database, open_database
from nissa.database.tables import METADATA, alert_acknowledgements
from nissa.model.errors import ConfigInvalid, Unavailable

ROW = {"fingerprint": "f", "starts_at_ms": 1, "at_ms": 2, "user": "ann", "comment": "mine"}


def test_revisions_make_the_tables(database: Database) -> None:
    """Tables and columns after all revisions are those that statements are written for."""
    with database.begin() as connection:
        found = inspect(connection)
        for table in METADATA.sorted_tables:
            columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
            assert columns == {column.name: bool(column.nullable) for column in table.columns}
            indexes = {index["name"] for index in found.get_indexes(table.name)}
            assert indexes == {index.name for index in table.indexes}


def test_transactions_are_durable(database: Database) -> None:
    """SQLite syncs with every one; PostgreSQL does by default."""
    question = "PRAGMA synchronous" if database.kind == "sqlite" else "SHOW synchronous_commit"
    with database.begin() as connection:
        assert str(connection.execute(text(question)).scalar()) == ("2" if database.kind == "sqlite" else "on")


def test_rows_stay_over_a_restart_and_fail_together(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """A transaction that fails leaves nothing, one that ends leaves everything, from any thread."""

    def write() -> None:
        with database.begin() as connection:
            connection.execute(insert(alert_acknowledgements), ROW)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    with pytest.raises(Unavailable), database.begin() as connection:
        connection.execute(insert(alert_acknowledgements), [{**ROW, "fingerprint": "other"}, ROW])
    database.close()
    again = open_database(database_settings, tmp_path)
    with again.begin() as connection:
        assert connection.execute(select(alert_acknowledgements.c.fingerprint)).scalars().all() == ["f"]
    again.close()


@pytest.mark.parametrize("most", [2, 7])
def test_connections_are_bounded(
    most: int, database: Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """As many as the setting says are open at once; the next transaction waits for one of them."""
    settings = msgspec.structs.replace(database_settings, connections_max=most)
    bounded, entered, leave = open_database(settings, tmp_path), threading.Semaphore(0), threading.Event()

    def read() -> None:
        with bounded.begin() as connection:
            connection.execute(text("SELECT 1"))
            entered.release()
            leave.wait(60)

    threads = [threading.Thread(target=read) for _ in range(most + 1)]
    for thread in threads:
        thread.start()
    assert all(entered.acquire(timeout=60) for _ in range(most))
    assert not entered.acquire(timeout=0.2)
    leave.set()
    assert entered.acquire(timeout=60)
    for thread in threads:
        thread.join()
    bounded.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b"])
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    """Only PostgreSQL has an address."""
    with pytest.raises(ConfigInvalid, match=r"database\.url"):
        open_database(DatabaseSettings(url=url), tmp_path)


def test_an_absent_server_is_named(tmp_path: Path) -> None:
    """A server that does not answer is unavailable, not a broken program."""
    with pytest.raises(Unavailable, match="database"):
        open_database(DatabaseSettings(url="postgresql://nissa@127.0.0.1:1/nissa"), tmp_path)
