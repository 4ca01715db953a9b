"""Databases that are new, opened by several processes at the same time, older, or newer: the newest tables, or none."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, inspect, select
from sqlalchemy.exc import DatabaseError

from nissa.access.users import users
from nissa.config.database import DatabaseSettings
from nissa.database.database import open_database
from nissa.database.migrate import MIGRATIONS
from nissa.database.tables import access_users
from nissa.files.names import DATABASE
from nissa.model.errors import Unavailable

PROCESSES = 4
PROGRAM = """
import sys
from pathlib import Path
from nissa.access.users import add_user, users
from nissa.access.roles import Role
from nissa.config.database import DatabaseSettings
from nissa.database.database import open_database
sys.stdin.readline()
database = open_database(DatabaseSettings(url=sys.argv[2]), Path(sys.argv[1]))
add_user(database, f"user{sys.argv[3]}", "correct horse battery", Role.VIEWER, 1)
database.close()
"""


def open_at_once(place: Path, url: str) -> None:
    """Open a new database in several processes, each of which writes to it."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(place), url, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in range(PROCESSES)
    ]
    for one in running:
        if one.stdin is not None:
            one.stdin.write(b"go\n")
            one.stdin.flush()
    for one in running:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors.decode()[-2_000:]


@pytest.mark.long
def test_a_command_beside_the_first_start(tmp_path: Path, database_settings: DatabaseSettings) -> None:
    """All of them apply the revisions or wait for them, and no write is lost."""
    open_at_once(tmp_path, database_settings.url)
    database = open_database(database_settings, tmp_path)
    assert len(users(database)) == PROCESSES
    database.close()


def run_statement(settings: DatabaseSettings, folder: Path, statement: str) -> None:
    """A statement on the database as it is, without bringing it up to date."""
    address = settings.url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{folder / DATABASE}"
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_older_database_is_brought_up_to_date(tmp_path: Path, database_settings: DatabaseSettings) -> None:
    """One that knows nothing of agreements and incidents gets their tables, and keeps its rows."""
    address = database_settings.url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{tmp_path / DATABASE}"
    engine, config = create_engine(address), Config()
    config.set_main_option("script_location", MIGRATIONS)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        for revision in ("access_1", "alerts_1", "routing_1"):
            command.upgrade(config, revision)
        row = {"id": 1, "name": "ann", "password": "", "role": "admin"}
        columns = inspect(connection).get_columns("access_users")
        values = {one["name"]: row.get(one["name"], 0 if "INT" in str(one["type"]) else "") for one in columns}
        connection.execute(insert(access_users).values(values))
        assert not inspect(connection).has_table("incidents")
    engine.dispose()
    database = open_database(database_settings, tmp_path)
    with database.begin() as connection:
        assert connection.scalars(select(access_users.c.name)).all() == ["ann"]
        assert inspect(connection).has_table("incidents")
        assert inspect(connection).has_table("sla_snapshots")
    database.close()


def test_a_newer_database_is_refused(tmp_path: Path, database_settings: DatabaseSettings) -> None:
    """With the revision that is not known, and nothing in it is changed."""
    open_database(database_settings, tmp_path).close()
    run_statement(
        database_settings, tmp_path, "UPDATE alembic_version SET version_num='sla_9' WHERE version_num='sla_1'"
    )
    run_statement(database_settings, tmp_path, "DROP TABLE work_locks")
    run_statement(database_settings, tmp_path, "DELETE FROM alembic_version WHERE version_num='silver_1'")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"newer than .*sla_9"):
            open_database(database_settings, tmp_path)
    with pytest.raises(DatabaseError):
        run_statement(database_settings, tmp_path, "SELECT * FROM work_locks")
