"""The catalogue: which blocks and series segments exist, and up to which LSN they stand for the journal.

    seal                        one transaction                       afterwards
    ────                        ───────────────                       ──────────
    files written, synced  ──►  block rows, series segment,      ──►  journal trimmed up to lsn
                                checkpoint(lsn, tallies), metadata,
                                claims

A file exists for Nissa when its row is committed; a file without a row is garbage (``garbage.py``). SQLite in
WAL mode with synchronous=FULL: a commit that returned is on disk. One process writes; any number read meanwhile, also
from other processes. ``PRAGMA user_version`` is the format; an unknown newer one is refused before anything is
touched. Every table is under a checksum (``digests.py``), compared when the catalogue is opened and before a change.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from nissa.model.columns import Metadata
from nissa.model.errors import ConfigInvalid, Damaged, NissaError, Unavailable, UnknownFormat
from nissa.model.ladder import Tier
from nissa.model.tally import Tallies
from nissa.store.checked_file import FileSeal, sync_directory
from nissa.store.claims import Claims, read_claims, save_claims
from nissa.store.digests import KEYS, digest_faults, has_digests, write_digests
from nissa.store.names import BLOCKS, CATALOGUE, SERIES
from nissa.store.schema import DIGESTS_SINCE, FORMAT, MIGRATIONS

Crcs = bytes  # ``bytes`` means a size inside the rows below

BUSY_TIMEOUT_MS = 10_000
LOG_WAIT_MS = 100  # for those who read, before the log stays until the next commit
NEVER_MS = -(2**63)
SECRET_BYTES = 32
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


class BlockRow(msgspec.Struct, frozen=True):
    """One block. path is relative to the data directory; min_ms and max_ms are those of its rows, both inclusive.

    level: 0 as sealed, else how often its rows were merged. first_lsn, last_lsn: frames its rows came from.
    series_min, series_max: 0 for events.
    """

    id: int
    kind: str
    level: int
    path: str
    rows: int
    min_ms: int
    max_ms: int
    series_min: int
    series_max: int
    first_lsn: int
    last_lsn: int
    created_ms: int
    bytes: int
    crc: int
    page_crcs: Crcs

    @property
    def seal(self) -> FileSeal:
        """Checksums of the file."""
        return FileSeal(self.bytes, self.crc, self.page_crcs)


class SeriesSegment(msgspec.Struct, frozen=True):
    """One file of the series table: series [first_series, first_series + rows)."""

    id: int
    path: str
    first_series: int
    rows: int
    bytes: int
    crc: int
    page_crcs: Crcs

    @property
    def seal(self) -> FileSeal:
        """Checksums of the file."""
        return FileSeal(self.bytes, self.crc, self.page_crcs)


class Checkpoint(msgspec.Struct, frozen=True):
    """All that is known of frames up to ``lsn``. seen_minutes: what the caller keeps of when series were last seen."""

    lsn: int = 0
    series_count: int = 0
    tallies: Tallies = {}
    seen_minutes: bytes = b""


class TierRow(msgspec.Struct, frozen=True):
    """How far a tier is written: windows that end by ``written_until_ms``, of the frames up to ``lsn``.

    A raw block with a later ``last_lsn`` and rows before ``written_until_ms`` holds samples that came late.
    """

    tier: Tier
    written_until_ms: int = NEVER_MS
    lsn: int = 0


class Seal(msgspec.Struct, frozen=True):
    """What one transaction adds."""

    checkpoint: Checkpoint
    blocks: tuple[BlockRow, ...] = ()
    segment: SeriesSegment | None = None
    metadata: tuple[Metadata, ...] = ()
    claims: Claims = Claims()


class Catalogue:
    """An open catalogue.

    Every method may be called from any thread; one writer at a time is the caller's care (LOCK).
    """

    def __init__(self, directory: Path, write: sqlite3.Connection | None, read: sqlite3.Connection) -> None:
        self.directory = directory
        self._write = write
        self._read = read
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._next_id = self._last_id() + 1
        self.secret = bytes.fromhex(self._meta("secret"))
        self.instance = self._meta("instance")

    @classmethod
    def open(cls, directory: Path, *, readonly: bool = False) -> Self:
        """Open, and unless readonly create or migrate, the catalogue of a data directory.

        Raises: UnknownFormat, untouched, for a newer format; Damaged; ConfigInvalid where there is none to read.
        """
        path = directory / CATALOGUE
        if readonly and not path.exists():
            raise ConfigInvalid("storage.data_dir", f"{directory} is not a data directory: it has no {CATALOGUE}")
        with _told_apart(path):
            _refuse_newer(path)
            write = None if readonly else _open_for_writing(directory)
            try:
                read = _connect(path, "ro")
                if readonly:
                    _refuse_version(path, read.execute("PRAGMA user_version").fetchone()[0])
                    _refuse_damage(path, read)
                return cls(directory, write, read)
            except BaseException:  # raised again; the connection must not stay open
                if write is not None:
                    write.close()
                raise

    def close(self) -> None:
        """Close; what was committed is on disk."""
        with self._write_lock, self._read_lock:
            self._read.close()
            if self._write is not None:
                self._write.close()

    # ---- writing ----

    def new_id(self) -> int:
        """A number for a new file, never used before and never again."""
        with self._write_lock:
            self._next_id += 1
            return self._next_id - 1

    def commit_seal(self, seal: Seal) -> None:
        """Add a seal, whole or not at all."""
        point = seal.checkpoint
        tables = ("meta", "block", "checkpoint", *(("series_segment",) if seal.segment else ()))
        with self.transaction(*tables, *(("metadata",) if seal.metadata else ())) as db:
            insert_rows(db, "block", seal.blocks)
            insert_rows(db, "series_segment", () if seal.segment is None else (seal.segment,))
            db.execute(
                "REPLACE INTO checkpoint (one, lsn, series_count, tallies, seen_minutes) VALUES (1, ?, ?, ?, ?)",
                (point.lsn, point.series_count, msgspec.json.encode(point.tallies).decode(), point.seen_minutes),
            )
            db.executemany(
                "REPLACE INTO metadata (name, type, help, unit) VALUES (?, ?, ?, ?)",
                [(note.name, note.type, note.help, note.unit) for note in seal.metadata],
            )
            save_claims(db, seal.claims)

    def replace_blocks(self, old: Sequence[BlockRow], new: Sequence[BlockRow]) -> None:
        """Put merged blocks in the place of others. The old files may be deleted afterwards."""
        with self.transaction("block") as db:
            remove_rows(db, old)
            insert_rows(db, "block", new)

    def commit_tiers(
        self, rows: Sequence[TierRow], added: Sequence[BlockRow] = (), gone: Sequence[BlockRow] = ()
    ) -> None:
        """Put the ladder's rows in the place of those there are, and blocks of windows with them."""
        with self.transaction("block", "tier") as db:
            remove_rows(db, gone)
            insert_rows(db, "block", added)
            db.execute("UPDATE tier SET place = NULL")
            for place, row in enumerate(rows):
                tier = row.tier
                db.execute(
                    "REPLACE INTO tier (name, place, interval_ms, retention_ms, aggregates, written_until_ms, lsn)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        tier.name,
                        place,
                        tier.interval_ms,
                        tier.retention_ms,
                        " ".join(tier.aggregates),
                        row.written_until_ms,
                        row.lsn,
                    ),
                )

    def set_cursor(self, name: str, lsn: int) -> None:
        """Remember how far a reader of the journal has come."""
        with self.transaction("cursor") as db:
            db.execute("REPLACE INTO cursor (name, lsn) VALUES (?, ?)", (name, lsn))

    # ---- reading ----

    def blocks(self, kind: str | None = None, start_ms: int | None = None, end_ms: int | None = None) -> list[BlockRow]:
        """Blocks with rows in [start_ms, end_ms), oldest first; all kinds and times where not said."""
        rows = self.select(
            f"SELECT {', '.join(BlockRow.__struct_fields__)} FROM block"  # noqa: S608 -- names of our own
            " WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR max_ms >= ?2) AND (?3 IS NULL OR min_ms < ?3)"
            " ORDER BY id",
            (kind, start_ms, end_ms),
        )
        return [BlockRow(*row) for row in rows]

    def series_segments(self) -> list[SeriesSegment]:
        """All files of the series table, in order of series."""
        names = ", ".join(SeriesSegment.__struct_fields__)
        rows = self.select(f"SELECT {names} FROM series_segment ORDER BY id")  # noqa: S608 -- names of our own
        return sorted((SeriesSegment(*row) for row in rows), key=lambda one: one.first_series)

    def checkpoint(self) -> Checkpoint:
        """The last checkpoint; that of an empty directory where there is none."""
        rows = self.select("SELECT lsn, series_count, tallies, seen_minutes FROM checkpoint")
        if not rows:
            return Checkpoint()
        lsn, series_count, tallies, seen_minutes = rows[0]
        try:
            return Checkpoint(lsn, series_count, msgspec.json.decode(tallies, type=Tallies), seen_minutes)
        except msgspec.MsgspecError as error:
            raise Damaged(str(self.directory / CATALOGUE), f"tallies of checkpoint {lsn}: {error}") from error

    def claims(self) -> Claims:
        """What is remembered of packets and requests at the checkpoint."""
        return read_claims(self.select)

    def tiers(self, *, unused: bool = False) -> list[TierRow]:
        """The ladder, finest first. unused: tiers that were in use once, instead."""
        if self.format < 2:
            return []  # open for reading only
        rows = self.select(
            "SELECT interval_ms, retention_ms, aggregates, written_until_ms, lsn, place FROM tier ORDER BY name"
        )
        return [
            TierRow(Tier(interval_ms, retention_ms, tuple(aggregates.split())), written_until_ms, lsn)
            for interval_ms, retention_ms, aggregates, written_until_ms, lsn, place in sorted(
                (row for row in rows if (row[5] is None) == unused), key=lambda row: row[5] or 0
            )
        ]

    def metadata(self) -> list[Metadata]:
        """What senders said about metric names, by name."""
        return [Metadata(*row) for row in self.select("SELECT name, type, help, unit FROM metadata ORDER BY name")]

    def cursors(self) -> dict[str, int]:
        """How far each reader of the journal has come."""
        return dict(self.select("SELECT name, lsn FROM cursor ORDER BY name"))

    @property
    def format(self) -> int:
        """The format of the directory: an older one than this version writes where it is open for reading only."""
        return int(self.select("PRAGMA user_version")[0][0])

    def check(self) -> list[str]:
        """What is wrong with the file, read anew; empty where nothing is. Raises: Unavailable."""
        path = self.directory / CATALOGUE
        try:
            with _told_apart(path), closing(_connect(path, "ro")) as db:
                db.execute("BEGIN")
                faults = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
                faults += list(digest_faults(db)) if has_digests(db) else []
                return [*faults, *read_claims(lambda sql: db.execute(sql).fetchall()).damages]
        except Damaged as damage:
            return [str(damage)]

    def _meta(self, key: str) -> str:
        rows = self.select("SELECT value FROM meta WHERE key = ?", (key,))
        if not rows:
            raise Damaged(str(self.directory / CATALOGUE), f"it has no {key}")
        return str(rows[0][0])

    def _last_id(self) -> int:
        return int(self.select("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")[0][0])

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query, for the files of this room that own a table."""
        with self._read_lock, _told_apart(self.directory / CATALOGUE):
            return self._read.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self, *tables: str) -> Iterator[sqlite3.Connection]:
        """One transaction that changes these tables and no others, whole or not at all.

        For the files of this room that own a table. Raises: Damaged, nothing changed, where one of them is damaged.
        """
        if self._write is None:
            raise Unavailable("the catalogue is open for reading only")
        with self._write_lock, _told_apart(self.directory / CATALOGUE):
            self._write.execute("BEGIN IMMEDIATE")
            try:
                _refuse_damage(self.directory / CATALOGUE, self._write, tables)
                yield self._write
                write_digests(self._write, tables)
                self._write.execute("COMMIT")
            except BaseException:  # raised again; the transaction must not stay open
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
                raise
            _empty_log(self._write)


def _open_for_writing(directory: Path) -> sqlite3.Connection:
    for room in (directory, directory / BLOCKS, directory / SERIES):
        room.mkdir(mode=0o750, parents=True, exist_ok=True)
    path = directory / CATALOGUE
    fresh = not path.exists()
    db = _connect(path, "rwc")
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        _refuse_version(path, version)
        _refuse_damage(path, db)
        if version < FORMAT or not db.execute("SELECT count(*) FROM digest").fetchone()[0]:
            _bring_up(db, version)
        _empty_log(db)
        if fresh:
            path.chmod(0o640)
            sync_directory(directory)
    except BaseException:  # raised again; the connection must not stay open
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection, version: int) -> None:
    """Make this format out of an older one, or of nothing, in one transaction; what there is has digests then."""
    db.execute("BEGIN IMMEDIATE")
    for step in MIGRATIONS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (os.urandom(SECRET_BYTES).hex(),))
    db.execute("INSERT OR IGNORE INTO meta VALUES ('instance', ?)", (os.urandom(8).hex(),))
    write_digests(db)
    db.execute("COMMIT")


def _empty_log(db: sqlite3.Connection) -> None:
    """Bring what is committed into the file itself, where digests watch over it, and leave nothing in the log.

    Who reads may hold the log, and the disk may refuse: committed is committed, and the next commit tries again.
    """
    db.execute(f"PRAGMA busy_timeout = {LOG_WAIT_MS}")
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """mode: of SQLite's URI, and what else of it is to follow."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)


def _refuse_newer(path: Path) -> None:
    """Look at the format without anything being written beside the file.

    By SQLite all the same: were the file closed by anybody else, the locks of this process on it would be gone. Without
    its log, a file that was being written when its process was killed may look damaged here.
    """
    if path.exists():
        with suppress(sqlite3.DatabaseError), closing(_connect(path, "ro&immutable=1")) as db:
            _refuse_version(path, db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_version(path: Path, version: int) -> None:
    if not 0 <= version <= FORMAT:
        raise UnknownFormat(f"{path}: format {version}, this version reads up to {FORMAT}; nothing was changed")


def _refuse_damage(path: Path, db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS)) -> None:
    """Compare tables with their digests: within a transaction, or in one of their own. Raises: Damaged."""
    if not has_digests(db):
        if db.execute("PRAGMA user_version").fetchone()[0] >= DIGESTS_SINCE:
            raise Damaged(str(path), "it has no digests")
        return
    own = not db.in_transaction
    if own:
        db.execute("BEGIN")
    faults = list(digest_faults(db, tables))
    if own:
        db.execute("COMMIT")
    if faults:
        raise Damaged(str(path), "; ".join(faults))


def remove_rows(db: sqlite3.Connection, blocks: Sequence[BlockRow]) -> None:
    """Delete these rows. Raises: Unavailable where one is not there."""
    for block in blocks:
        if db.execute("DELETE FROM block WHERE id = ?", (block.id,)).rowcount != 1:
            raise Unavailable(f"block {block.path} was replaced by somebody else")


def insert_rows(db: sqlite3.Connection, table: str, rows: Sequence[msgspec.Struct]) -> None:
    """Add rows whose fields are the columns of a table."""
    for row in rows:
        names = row.__struct_fields__
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 -- names of our own
        db.execute(sql, msgspec.structs.astuple(row))


@contextmanager
def _told_apart(path: Path) -> Iterator[None]:
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
