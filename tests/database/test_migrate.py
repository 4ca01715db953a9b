"""Processes that open a new database at the same time: each finds its newest tables."""

import subprocess
import sys
from pathlib import Path

import pytest

from nissa.access.users import users
from nissa.config.database import DatabaseSettings
from nissa.database.database import open_database

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
