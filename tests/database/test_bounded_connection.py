"""A real PostgreSQL that is stopped, goes on, is killed and starts again, under an open database."""

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database
from nissa.database.tables import access_users, alert_acknowledgements
from nissa.model.errors import Unavailable
from oracle.postgres import postgres

pytestmark = [pytest.mark.needs_debian("postgresql"), pytest.mark.long]


@pytest.fixture
def server() -> Iterator[tuple[str, Path]]:
    """The address of a server of its own, and its folder."""
    with tempfile.TemporaryDirectory(prefix="nissa-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "pg"
        with postgres(place) as address:
            yield address, place


def family(pid: int) -> list[int]:
    """The process and its children, of which one serves each connection."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def count(database: Database) -> int:
    """Number of users."""
    with database.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(access_users)).scalar() or 0)


def test_a_server_that_is_stopped(server: tuple[str, Path], tmp_path: Path) -> None:
    """A transaction ends with Unavailable, on the open connection as on a new one; afterwards all is well again."""
    address, place = server
    database = open_database(DatabaseSettings(url=address, timeout_ms=1_000), tmp_path)
    assert count(database) == 0
    pids = family(int((place / "data" / "postmaster.pid").read_text().split()[0]))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                count(database)
        with ThreadPoolExecutor(8) as threads:  # one of them waits, and the others do not
            refused = [one.exception() for one in [threads.submit(count, database) for _ in range(8)]]
        assert sum("is being asked again" in str(one) for one in refused) >= 6, refused
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert count(database) == 0
    database.close()


def test_a_statement_that_takes_too_long(server: tuple[str, Path], tmp_path: Path) -> None:
    """The server ends it, as for a table that somebody has locked, so that it goes on nowhere; others are answered."""
    address, _ = server
    database = open_database(DatabaseSettings(url=address, timeout_ms=1_000), tmp_path)
    with psycopg.connect(address) as other:
        other.execute("LOCK TABLE access_users")
        with pytest.raises(Unavailable, match=r"statement timeout \(database\.timeout\)"):
            count(database)
        waiting = other.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
        assert waiting == (0,)
        with database.begin() as connection:
            assert connection.execute(select(func.count()).select_from(alert_acknowledgements)).scalar() == 0
    assert count(database) == 0
    database.close()


def test_a_server_that_is_killed(server: tuple[str, Path], tmp_path: Path) -> None:
    """Transactions are refused at once while it is away."""
    address, place = server
    database = open_database(DatabaseSettings(url=address), tmp_path)
    assert count(database) == 0
    for pid in family(int((place / "data" / "postmaster.pid").read_text().split()[0])):
        os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(Unavailable):
            count(database)
    database.close()
