"""Databases for tests that hold for both kinds: SQLite in a folder, and a PostgreSQL that is started once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database
from oracle.postgres import postgres

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_debian("postgresql"))]


@contextmanager
def server() -> Iterator[str]:
    """The address of a server; its socket needs a short path, and a folder that its own user can enter."""
    with tempfile.TemporaryDirectory(prefix="nissa-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with postgres(Path(folder) / "pg") as url:
            yield url


@contextmanager
def opened_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of one kind, its tables empty. request: of the fixture, which has the address of a server."""
    url = request.getfixturevalue("address") if kind == "postgresql" else ""
    if url:
        _clear(url)
    database = open_database(DatabaseSettings(url=url), folder)
    try:
        yield database
    finally:
        database.close()


def _clear(url: str) -> None:
    """Snapshots of agreements cannot be deleted, so the whole schema goes."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
