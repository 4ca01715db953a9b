"""The catalogue: which blocks and series segments exist, and up to which LSN they contain the frames of the journal.

    seal                        one transaction                       afterwards
    ────                        ───────────────                       ──────────
    files written, synced  ──►  block rows, series segment,      ──►  journal trimmed up to lsn
                                checkpoint(lsn, tallies), metadata,
                                claims

A file exists for Nissa when its row is committed; a file without a row is garbage (``garbage.py``). SQLite runs in WAL
mode with synchronous=FULL: a commit that returned is on disk. One process writes; any number of threads and processes
may read. ``PRAGMA user_version`` is the format; an unknown newer one is refused before anything is changed. Every table
has a digest (``digests.py``), which is checked when the catalogue is opened.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from nissa.catalogue.dedup_keys import DedupKeys, read_dedup_keys, save_dedup_keys
from nissa.catalogue.delta_totals import read_delta_totals, save_delta_totals
from nissa.catalogue.digests import COMPARED_ROWS_MAX, KEYS, RowSums, digest_faults, has_digests, write_digests
from nissa.catalogue.lost_catalogue import is_blank, refuse_lost, refuse_unfinished_restore
from nissa.catalogue.manifest import FileEntry, ManifestFile, list_files
from nissa.catalogue.schema import DIGESTS_SINCE, FORMAT, GAPS_SINCE, MIGRATIONS, TOMBSTONES_SINCE
from nissa.catalogue.sqlite_file import blaming, connect, connect_for_reading, connect_for_writing, empty_log
from nissa.files.checked_file import FileSeal, sync_directory
from nissa.files.names import BLOCKS, CATALOGUE, SERIES, number_of, own_files
from nissa.model.columns import DeltaColumns, Metadata, no_deltas
from nissa.model.counters import Tallies
from nissa.model.errors import BlocksChanged, ConfigInvalid, Damaged, Unavailable, UnknownFormat
from nissa.model.ladder import Tier

Crcs = bytes  # ``bytes`` means a size inside the rows below

NEVER_MS = -(2**63)
SECRET_BYTES = 32


class BlockRow(msgspec.Struct, frozen=True):
    """One block. path is relative to the data directory; min_ms and max_ms are those of its rows, both inclusive.

    level: 0 as sealed, else how often its rows were merged. first_lsn, last_lsn: frames its rows came from.
    series_min, series_max: 0 for events. tombstone: no rows are in it that tombstones up to this id delete.
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
    tombstone: int = 0

    @property
    def seal(self) -> FileSeal:
        """Checksums of the file."""
        return FileSeal(self.bytes, self.crc, self.page_crcs)


class SeriesSegment(msgspec.Struct, frozen=True):
    """One file of the series table: so many series with ids from first_series to last_series, both inclusive."""

    id: int
    path: str
    first_series: int
    rows: int
    bytes: int
    crc: int
    page_crcs: Crcs
    last_series: int

    @property
    def seal(self) -> FileSeal:
        """Checksums of the file."""
        return FileSeal(self.bytes, self.crc, self.page_crcs)


class Checkpoint(msgspec.Struct, frozen=True):
    """All that is known of frames up to ``lsn``.

    series_count: ids given out. seen_minutes: what the caller keeps of when series were last seen.
    """

    lsn: int = 0
    series_count: int = 0
    tallies: Tallies = {}
    seen_minutes: bytes = b""


class TierRow(msgspec.Struct, frozen=True):
    """Progress of a tier: windows that end by ``written_until_ms``, of the frames up to ``lsn``.

    A raw block with a later ``last_lsn`` and rows before ``written_until_ms`` holds samples that came late.
    """

    tier: Tier
    written_until_ms: int = NEVER_MS
    lsn: int = 0


class Seal(msgspec.Struct, frozen=True):
    """Rows that one transaction adds."""

    checkpoint: Checkpoint
    blocks: tuple[BlockRow, ...] = ()
    segment: SeriesSegment | None = None
    metadata: tuple[Metadata, ...] = ()
    dedup_keys: DedupKeys = DedupKeys()
    delta_totals: DeltaColumns = no_deltas()


class Catalogue:
    """An open catalogue.

    Every method may be called from any thread; one writer at a time is the caller's care (LOCK).
    """

    def __init__(self, directory: Path, write: sqlite3.Connection | None, read: sqlite3.Connection) -> None:
        self.directory = directory
        self._write = write
        self._read = read
        self._sums = None if write is None else RowSums(write)
        self._manifest = None if write is None else ManifestFile(directory, write)
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
        if readonly and is_blank(path):
            refuse_lost(directory)
            raise ConfigInvalid("storage.data_dir", f"{directory} is not a data directory: it has no {CATALOGUE}")
        with blaming(path):
            _refuse_newer(path)
            write = None if readonly else _open_for_writing(directory)
            try:
                read = connect_for_reading(path)
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
            save_dedup_keys(db, seal.dedup_keys)
            save_delta_totals(db, seal.delta_totals)

    def replace_blocks(self, old: Sequence[BlockRow], new: Sequence[BlockRow]) -> None:
        """Put merged blocks in the place of others. The old files may be deleted afterwards. Raises: BlocksChanged."""
        with self.transaction("block") as db:
            remove_rows(db, old)
            insert_rows(db, "block", new)

    def replace_series(self, old: Sequence[SeriesSegment], new: Sequence[SeriesSegment]) -> None:
        """Put segments in the place of others. The old files may be deleted afterwards.

        Raises: BlocksChanged where one of the old ones is not there.
        """
        with self.transaction("series_segment") as db:
            for segment in old:
                if db.execute("DELETE FROM series_segment WHERE id = ?", (segment.id,)).rowcount != 1:
                    raise BlocksChanged(f"segment {segment.path} of the series table has been replaced meanwhile")
            insert_rows(db, "series_segment", new)

    def commit_tiers(
        self,
        rows: Sequence[TierRow],
        added: Sequence[BlockRow] = (),
        gone: Sequence[BlockRow] = (),
        completed: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Put the ladder's rows in the place of those there are, and blocks of windows with them.

        settled: of tombstones, the windows they delete, as text, and their ids.
        """
        with self.transaction("block", "tier", *(("tombstone",) if completed else ())) as db:
            db.executemany("UPDATE tombstone SET tiers = ? WHERE id = ?", completed)
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

    # ---- reading ----

    def blocks(self, kind: str | None = None, start_ms: int | None = None, end_ms: int | None = None) -> list[BlockRow]:
        """Blocks with rows in [start_ms, end_ms), oldest first; all kinds and times where not said."""
        names = BlockRow.__struct_fields__[: None if self.format >= TOMBSTONES_SINCE else -1]
        rows = self.select(
            f"SELECT {', '.join(names)} FROM block"  # noqa: S608 -- names of our own
            " WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR max_ms >= ?2) AND (?3 IS NULL OR min_ms < ?3)"
            " ORDER BY id",
            (kind, start_ms, end_ms),
        )
        return [BlockRow(*row) for row in rows]

    def series_segments(self) -> list[SeriesSegment]:
        """All files of the series table, in order of series."""
        names = ", ".join(SeriesSegment.__struct_fields__)
        if self.format < GAPS_SINCE:  # open for reading only
            names = names.replace("last_series", "first_series + rows - 1")
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
            raise Damaged(
                str(self.directory / CATALOGUE), f"counters of checkpoint {lsn} cannot be read: {error}"
            ) from error

    def dedup_keys(self) -> DedupKeys:
        """Dedup keys of packets and requests at the checkpoint."""
        return read_dedup_keys(self.select)

    def delta_totals(self) -> DeltaColumns:
        """Totals of counters that are sent as differences, at the checkpoint. Raises: Damaged."""
        return read_delta_totals(self.select)

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
        """Metadata from senders, by metric name."""
        return [Metadata(*row) for row in self.select("SELECT name, type, help, unit FROM metadata ORDER BY name")]

    @property
    def format(self) -> int:
        """The format of the directory: an older one than this version writes where it is open for reading only."""
        return int(self.select("PRAGMA user_version")[0][0])

    def check(self) -> list[str]:
        """Reads the file again and describes its damage; empty if it is sound. Raises: Unavailable."""
        path = self.directory / CATALOGUE
        try:
            with blaming(path), closing(connect_for_reading(path)) as db:
                db.execute("BEGIN")
                faults = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
                faults += list(digest_faults(db)) if has_digests(db) else []
                return [*faults, *read_dedup_keys(lambda sql: db.execute(sql).fetchall()).damages]
        except Damaged as damage:
            return [str(damage)]

    def _meta(self, key: str) -> str:
        rows = self.select("SELECT value FROM meta WHERE key = ?", (key,))
        if not rows:
            raise Damaged(str(self.directory / CATALOGUE), f"it has no {key}")
        return str(rows[0][0])

    def _last_id(self) -> int:
        """The highest number that a row or a file has had."""
        there = max(map(number_of, own_files(self.directory)), default=0)
        return max(int(self.select("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")[0][0]), there)

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query, for the files of this room that own a table."""
        with self._read_lock, blaming(self.directory / CATALOGUE):
            return self._read.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self, *tables: str) -> Iterator[sqlite3.Connection]:
        """One transaction that changes these tables, whole or not at all; it costs what it changes.

        For the files of this room that own a table. Raises: Damaged, nothing changed, where a short one is damaged.
        """
        if self._write is None or self._sums is None or self._manifest is None:
            raise Unavailable("the catalogue is open for reading only")
        with self._write_lock, blaming(self.directory / CATALOGUE):
            self._write.execute("BEGIN IMMEDIATE")
            try:
                _refuse_damage(self.directory / CATALOGUE, self._write, tables, COMPARED_ROWS_MAX)
                self._sums.begin()
                yield self._write
                self._sums.end()
                self._write.execute("COMMIT")
            except BaseException:  # raised again; the transaction must not stay open
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
                raise
            empty_log(self._write)
            self._manifest.change(self._sums.rows)

    def list_files(self) -> list[FileEntry]:
        """All files at this moment, as the manifest has them."""
        with self._read_lock, blaming(self.directory / CATALOGUE):
            return list_files(self._read)

    def write_manifest(self) -> None:
        """Write the manifest anew: after a crash it may be behind."""
        if self._manifest is not None:
            with self._write_lock:
                self._manifest.write()


def _open_for_writing(directory: Path) -> sqlite3.Connection:
    path = directory / CATALOGUE
    refuse_unfinished_restore(directory)
    if is_blank(path):
        refuse_lost(directory)
    for room in (directory, directory / BLOCKS, directory / SERIES):
        room.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = not path.exists()
    db = connect_for_writing(path)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        _refuse_version(path, version)
        if version == 0:
            refuse_lost(directory)
        _refuse_damage(path, db)
        if version < FORMAT or not db.execute("SELECT count(*) FROM digest").fetchone()[0]:
            _bring_up(db, version)
        empty_log(db)
        if fresh:
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


def _refuse_newer(path: Path) -> None:
    """Look at the format without anything being written beside the file.

    By SQLite all the same: were the file closed by anybody else, the locks of this process on it would be gone. Without
    its log, a file that was being written when its process was killed may look damaged here.
    """
    if path.exists():
        with suppress(sqlite3.DatabaseError), closing(connect(path, "ro&immutable=1")) as db:
            _refuse_version(path, db.execute("PRAGMA user_version").fetchone()[0])


def _refuse_version(path: Path, version: int) -> None:
    if not 0 <= version <= FORMAT:
        raise UnknownFormat(f"{path}: format {version}, this version reads up to {FORMAT}; nothing was changed")


def _refuse_damage(
    path: Path, db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS), rows_max: int | None = None
) -> None:
    """Compare tables of up to ``rows_max`` rows with their digests, in a transaction of its own unless in one.

    Raises: Damaged.
    """
    if not has_digests(db):
        if db.execute("PRAGMA user_version").fetchone()[0] >= DIGESTS_SINCE:
            raise Damaged(str(path), "its table of digests is missing")
        return
    own = not db.in_transaction
    if own:
        db.execute("BEGIN")
    faults = list(digest_faults(db, tables, rows_max))
    if own:
        db.execute("COMMIT")
    if faults:
        raise Damaged(str(path), "; ".join(faults))


def remove_rows(db: sqlite3.Connection, blocks: Sequence[BlockRow]) -> None:
    """Delete these rows. Raises: BlocksChanged where one is not there."""
    for block in blocks:
        if db.execute("DELETE FROM block WHERE id = ?", (block.id,)).rowcount != 1:
            raise BlocksChanged(f"block {block.path} has been replaced meanwhile")


def insert_rows(db: sqlite3.Connection, table: str, rows: Sequence[msgspec.Struct]) -> None:
    """Add rows whose fields are the columns of a table."""
    for row in rows:
        names = row.__struct_fields__
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 -- names of our own
        db.execute(sql, msgspec.structs.astuple(row))
