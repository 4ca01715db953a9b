"""A real PostgreSQL that is stopped, goes on, is killed and starts again, under an open database."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from nissa.config.database import DatabaseSettings
from nissa.database import bounded_connection
from nissa.database.database import Database, open_database
from nissa.database.tables import access_users
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


def test_a_server_that_is_stopped(server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction ends with Unavailable, on the open connection as on a new one; afterwards all is well again."""
    address, place = server
    monkeypatch.setattr(bounded_connection, "SILENCE_S", 1)
    monkeypatch.setattr("nissa.database.database.CONNECT_TIMEOUT_S", 2)
    database = open_database(DatabaseSettings(url=address), tmp_path)
    assert count(database) == 0
    pids = family(int((place / "data" / "postmaster.pid").read_text().split()[0]))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                count(database)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
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
