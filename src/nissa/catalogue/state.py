"""Stores small state that changes often in ``state.sqlite``, such as cursors of followers.

    room        key          value
    followers   warehouse    {"lsn":712,"segment":413,"offset":9216,"lost_frames":0}
    followers   audit        {"lsn":690,…}

It has the guarantees of the catalogue: one transaction, durable when ``commit`` returns, with digests (``digests.py``),
intact after a kill. It is a file of its own so that a cursor costs a commit of one page and neither waits for a seal
nor delays one. Values are bytes whose format their owner defines.
"""

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Self

from nissa.catalogue.digests import COMPARED_ROWS_MAX, RowSums, digest_faults, write_digests
from nissa.catalogue.sqlite_file import blaming, connect_for_reading, connect_for_writing, empty_log
from nissa.files.checked_file import sync_directory
from nissa.files.names import STATE
from nissa.model.errors import Damaged, Unavailable, UnknownFormat

FORMAT = 1
TABLE = "state"
VALUE_BYTES_MAX = 1 << 20
_TABLES = (
    """CREATE TABLE state (
        room TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (room, key)) WITHOUT ROWID""",
    "CREATE TABLE digest (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
)


class State:
    """An open store. Safe to use from any thread; one process writes (LOCK)."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, writable: bool) -> None:
        self._path, self._db = path, db
        self._lock = threading.Lock()
        self._sums = RowSums(db, (TABLE,)) if writable else None

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the store of a data directory, and make it where there is none.

        Raises: Damaged, UnknownFormat, and nothing is changed then; Unavailable.
        """
        path = directory / STATE
        fresh = not path.exists()
        with blaming(path):
            db = connect_for_writing(path)
            try:
                _bring_up(path, db)
                empty_log(db)
                if fresh:
                    sync_directory(directory)
                return cls(path, db, writable=True)
            except BaseException:  # raised again; the connection must not stay open
                db.close()
                raise

    def close(self) -> None:
        """Close; what was committed is on disk."""
        with self._lock:
            self._db.close()

    def read(self, room: str) -> dict[str, bytes]:
        """All values of a room by key. Raises: Damaged, Unavailable."""
        with self._lock, blaming(self._path):
            return dict(self._db.execute("SELECT key, value FROM state WHERE room = ? ORDER BY key", (room,)))

    def commit(self, room: str, changes: Mapping[str, bytes | None]) -> None:
        """Put values under their keys, and take away keys whose value is None: all of it or nothing.

        Raises: ValueError for a value over VALUE_BYTES_MAX; Damaged, Unavailable, and nothing is changed then.
        """
        if self._sums is None:
            raise Unavailable("the state is open for reading only")
        if any(value is not None and len(value) > VALUE_BYTES_MAX for value in changes.values()):
            raise ValueError(f"a value of {room} is over the limit of {VALUE_BYTES_MAX} bytes")
        rows = [(room, key, value) for key, value in changes.items() if value is not None]
        gone = [(room, key) for key, value in changes.items() if value is None]
        with self._lock, blaming(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                _refuse_damage(self._path, self._db, COMPARED_ROWS_MAX)
                self._sums.begin()
                self._db.executemany("DELETE FROM state WHERE room = ? AND key = ?", gone)
                self._db.executemany("REPLACE INTO state (room, key, value) VALUES (?, ?, ?)", rows)
                self._sums.end()
                self._db.execute("COMMIT")
            except BaseException:  # raised again; the transaction must not stay open
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            empty_log(self._db)


def check_state(directory: Path) -> list[str]:
    """Reads the store of a directory again and describes its damage; empty if it is sound or absent.

    Raises: Unavailable.
    """
    path = directory / STATE
    if not path.exists():
        return []
    try:
        with blaming(path), closing(connect_for_reading(path)) as db:
            db.execute("BEGIN")
            faults = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            return [f"{STATE}: {fault}" for fault in (*faults, *digest_faults(db, (TABLE,)))]
    except Damaged as damage:
        return [f"{STATE}: {damage.what}"]


def _bring_up(path: Path, db: sqlite3.Connection) -> None:
    """Make the tables where there are none; else look whether they are sound."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if not 0 <= version <= FORMAT:
        raise UnknownFormat(f"{path}: format {version}, this version reads up to {FORMAT}; nothing was changed")
    db.execute("BEGIN IMMEDIATE")
    if version == 0:
        for statement in _TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    if db.execute("SELECT count(*) FROM digest").fetchone()[0]:
        _refuse_damage(path, db)
    else:  # new, or somebody has deleted them to take the table as it is
        write_digests(db, (TABLE,))
    db.execute("COMMIT")


def _refuse_damage(path: Path, db: sqlite3.Connection, rows_max: int | None = None) -> None:
    faults = list(digest_faults(db, (TABLE,), rows_max))
    if faults:
        raise Damaged(str(path), "; ".join(faults))
