"""The database of users and the audit log, opened when it is first needed: its libraries take half a second to load."""

import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nissa.config.database import DatabaseSettings
from nissa.model.errors import NissaError, Unavailable
from nissa.service.clock import wall_ms

if TYPE_CHECKING:
    from nissa.database.database import Database


class OpenedDatabase:
    """A database that opens at its first use. Safe from any thread."""

    def __init__(self, settings: DatabaseSettings, directory: Path) -> None:
        """directory: the data directory, for SQLite."""
        self._settings = settings
        self._directory = directory
        self._lock = Lock()
        self._failure = ""  # why it did not open the last time
        self._database: Database | None = None

    def open(self) -> "Database":
        """The open database; blocks. Raises: ConfigInvalid, Unavailable; the next call tries again.

        After a failure one thread at a time tries, and all others are refused at once: they would wait one after the
        other for a server that does not answer.
        """
        if self._database is not None:
            return self._database
        failure = self._failure
        if not self._lock.acquire(blocking=not failure):
            raise Unavailable(f"{failure} (it is being tried again)")
        try:
            if self._database is None:
                if self._failure and not failure:  # it failed while this thread waited
                    raise Unavailable(self._failure)
                self._database = self._opened()
            return self._database
        finally:
            self._lock.release()

    def _opened(self) -> "Database":
        from nissa.database.database import open_database

        try:
            database = open_database(self._settings, self._directory)
        except NissaError as error:
            self._failure = error.reason if isinstance(error, Unavailable) else str(error)
            raise
        self._failure = ""
        return database

    def note_signal(self, changed: dict[str, list[Any]]) -> None:
        """Note settings that were read again by a signal in the audit log. Blocks. Raises: Unavailable."""
        from nissa.access.audit import Change, append

        before, after = ({path: pair[side] for path, pair in changed.items()} for side in (0, 1))
        change = Change(wall_ms(), "", "signal", "", "configuration.reload", "SIGHUP", before=before, after=after)
        append(self.open(), change)

    def close(self) -> None:
        """Close it where it is open."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


def say_first_token(database: "Database", now_ms: int) -> None:
    """Print the secret of a new admin token, this one time, if there are neither users nor tokens."""
    from nissa.access.tokens import first_token

    secret = first_token(database, now_ms)
    if secret:
        with suppress(OSError, ValueError):  # standard output is full or closed
            sys.stdout.write(f"first start with access control: admin token {secret} (shown this one time)\n")
            sys.stdout.flush()
