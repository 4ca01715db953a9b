"""Opens the database and brings its tables up to date.

Calls block: on the loop's side they run in a worker thread (``asyncio.to_thread``). A transaction is durable when
``begin`` ends: SQLite with ``synchronous=FULL``, PostgreSQL by its default.

    with database.begin() as connection:             commits at the end, rolls back on an error
        connection.execute(insert(alert_states), [...])
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from nissa import __version__
from nissa.config.database import DatabaseSettings
from nissa.database.migrate import upgrade
from nissa.files.names import DATABASE
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid, Unavailable
from nissa.model.units import SECOND_MS

BUSY_TIMEOUT_MS: Final = 10_000
KEPT_OPEN_MAX: Final = 5  # of database.connections_max; further connections are closed after their transaction
MODE: Final = 0o640
CANCELLED: Final = "57014"  # SQLSTATE: PostgreSQL has ended a statement that took too long
PATH: Final = "database.url"


class Database:
    """Tables of the process. Safe from any thread."""

    def __init__(self, engine: Engine) -> None:
        """engine: of a database that is up to date; ``open_database`` makes it."""
        self._engine = engine
        self._is_silent = False  # the server did not answer the last time
        self._asking = Lock()  # held while one transaction finds out whether a silent server answers again

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction. Raises: Unavailable where the database does not answer; then nothing of it was kept.

        While a server is silent one thread at a time waits for it, and all others are refused at once: those that
        answer queries are few.
        """
        asks = self._is_silent
        if asks and not self._asking.acquire(blocking=False):
            raise Unavailable("database: it gave no answer (database.timeout), and is being asked again")
        try:
            with self._engine.begin() as connection:
                self._is_silent = False
                yield connection
        except SQLAlchemyError as error:
            self._is_silent = self.kind == "postgresql" and _is_silence(error)
            raise Unavailable(f"database: {_first_line(error)}") from error
        finally:
            if asks:
                self._asking.release()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_database(settings: DatabaseSettings, directory: Path) -> Database:
    """The database that settings name, or SQLite in the data directory, with its newest tables.

    Raises: ConfigInvalid for an address that is none, Unavailable where it does not answer, or has tables of a newer
    Nissa; then they are as they were.
    """
    engine = _postgresql(settings) if settings.url else _sqlite(settings, directory / DATABASE)
    try:
        upgrade(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise Unavailable(f"database: {_first_line(error)}") from error
    except CommandError as error:
        engine.dispose()
        raise Unavailable(
            f"database: its tables were made by another version of Nissa, newer than {__version__}: {error}"
        ) from error
    return Database(engine)


def _sqlite(settings: DatabaseSettings, path: Path) -> Engine:
    if not path.exists():  # SQLite would create it readable by everybody
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE))
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, **_pool(settings), connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _make_durable)
    return engine


def _pool(settings: DatabaseSettings) -> dict[str, Any]:
    kept = min(KEPT_OPEN_MAX, settings.connections_max)
    return {"pool_size": kept, "max_overflow": settings.connections_max - kept}


def _make_durable(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _postgresql(settings: DatabaseSettings) -> Engine:
    try:
        parsed = make_url(settings.url)
    except ArgumentError:
        raise ConfigInvalid(PATH, "expected postgresql://user@host/name") from None
    if parsed.get_backend_name() != "postgresql":
        raise ConfigInvalid(PATH, f"expected postgresql://, got {parsed.drivername[:40]}://")
    if settings.password_file:
        parsed = parsed.set(password=SecretFile(settings.password_file, "database.password_file").text)
    try:
        from nissa.database.bounded_connection import BoundedConnection  # loads psycopg, an extra

        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            **_pool(settings),
            pool_pre_ping=True,
            pool_timeout=settings.timeout_ms / SECOND_MS,
        )
    except ModuleNotFoundError:
        raise ConfigInvalid(PATH, "needs psycopg: pip install 'nissa[postgresql]'") from None

    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> BoundedConnection:
        return BoundedConnection.connect_within(settings.timeout_ms, *arguments, **named)

    event.listen(engine, "do_connect", connect)
    return engine


def _is_silence(error: SQLAlchemyError) -> bool:
    from nissa.database.bounded_connection import is_silence

    return isinstance(error, NoneFree) or is_silence(getattr(error, "orig", None))


def _first_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None)
    limit = " (database.timeout)" if getattr(cause, "sqlstate", None) == CANCELLED else ""
    return str(cause or error).splitlines()[0][:200] + limit
