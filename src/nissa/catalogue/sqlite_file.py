"""Connections to an SQLite file: for writing, and for reading where nothing may be written beside it.

A commit is on disk when it returns, and is brought into the file itself at once: nothing of it stays in the log.

directory takes files     mode=ro           SQLite keeps its -shm beside the file
read-only, log empty      immutable=1       a snapshot, a backup, a mount: nobody writes meanwhile
read-only, log in use     a copy of both    in memory: the log holds commits that the file does not
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from nissa.model.errors import Damaged, NissaError, Unavailable

BUSY_TIMEOUT_MS = 10_000
LOG_WAIT_MS = 100  # for those who read, before the log stays until the next commit
MODE = 0o640  # of the file; SQLite gives its log the same
_FOR_NOW = {  # results of SQLite that say nothing about the bytes on disk; all others are damage, for the SQL is ours
    sqlite3.SQLITE_ABORT,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_NO_ROOM_FOR_COPY = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC}
_NO_ROOM_BESIDE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """mode: of SQLite's URI, and what else of it is to follow."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)


def connect_for_writing(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return. Makes the file where there is none."""
    if not path.exists():  # SQLite would create it, and its log, readable by everybody
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE))
    db = connect(path, "rw")
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:  # raised again; the connection must not stay open
        db.close()
        raise
    return db


def empty_log(db: sqlite3.Connection) -> None:
    """Bring what is committed into the file itself, where digests watch over it, and leave nothing in the log.

    Who reads may hold the log, and the disk may refuse: committed is committed, and the next commit tries again.
    """
    db.execute(f"PRAGMA busy_timeout = {LOG_WAIT_MS}")
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """SQLite's errors by who is to blame: the machine for now, or the bytes on disk."""
    try:
        yield
    except NissaError:
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _FOR_NOW:
            raise Unavailable(f"{path}: {error}") from error
        raise Damaged(str(path), str(error)) from error
    except UnicodeDecodeError as error:  # in a message of SQLite's about names it cannot read
        raise Damaged(str(path), str(error)) from error


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that reads ``path``, also where its directory is read-only. Raises: sqlite3.Error."""
    db = connect(path, "ro")
    try:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF not in _NO_ROOM_BESIDE:
            raise
        return _read_apart(path)
    return db


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as its last commit left it, while others write it, into one file without a log.

    Raises: Damaged; Unavailable, which names the copy where that cannot be written; FileNotFoundError.
    """
    if not source.exists():
        raise FileNotFoundError(source)
    with blaming(source), closing(connect_for_reading(source)) as read, closing(sqlite3.connect(target)) as written:
        try:
            read.backup(written)
            written.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _NO_ROOM_FOR_COPY:
                raise
            raise Unavailable(f"{target}: {error} (a copy of {source}; see df and ulimit -f)") from error


def _read_apart(path: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return connect(path, "ro&immutable=1")
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="nissa-") as room:
        for one in (path, log):
            shutil.copyfile(one, Path(room) / one.name)
        with closing(connect(Path(room) / path.name, "rw")) as copy:
            copy.backup(memory)
    return memory
