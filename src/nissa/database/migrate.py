"""Brings tables up to date by the revisions in ``migrations/versions``. A revision, once released, never changes."""

import threading

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

MIGRATIONS = "nissa.database:migrations"
# Held until the end of the transaction.
_LOCK = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(6236197)"}  # a number of our own
_one_at_a_time = threading.Lock()  # alembic's context is one for the process


def upgrade(engine: Engine) -> None:
    """Apply the revisions that the database does not have yet, in one transaction. Raises: SQLAlchemyError.

    Of several processes that open a new database one applies them, and the others wait: a command may be run while the
    daemon starts for the first time.
    """
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    with _one_at_a_time, engine.begin() as connection:
        connection.exec_driver_sql(_LOCK[engine.dialect.name])
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
