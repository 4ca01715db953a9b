"""Digests of tables, which detect damage of the catalogue. SQLite itself has no checksums.

    block      1 ▪▪▪▪▪▪▪▪  CRC-32C ─┐              digest     block       3 rows   sum 8f02c01a7
               2 ▪▪▪▪▪▪▪▪  CRC-32C ─┼─── sum ───►             checkpoint  1 row    sum  90b3f2d4
               5 ▪▪▪▪▪▪▪▪  CRC-32C ─┘                         …

An inserted row adds its checksum to the sum of its table and a deleted row subtracts it, so the cost of a commit
depends only on what it changes. A removed row is subtracted as it is read: if it was damaged, the sum stays wrong. A
commit therefore never hides earlier damage.

Temporary triggers of the writing connection report the rows. Small tables are checked before they are changed; all
tables are checked when a directory is opened, by ``nissa verify`` and by the scrub.

A table without a digest is accepted: the directory has an older format, or the operator has deleted the digests on
purpose. Up to format 6 a digest is the CRC-32C of all rows in order of key; it is read, not written.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import msgspec

KEYS = {
    "meta": "key",
    "block": "id",
    "series_segment": "id",
    "checkpoint": "one",
    "metadata": "name",
    "tier": "name",
    "pin": "id",
    "quarantine": "path",
    "scrub": "path",
    "tombstone": "id",
    "expired": "kind",
    "sqlite_sequence": "name",
}
SEQUENCES = "sqlite_sequence"  # numbers in use; SQLite changes it with the tables that count theirs, without triggers
ROWS_AT_A_TIME = 256
COMPARED_ROWS_MAX = 64  # of a table that is compared before each change
Row = tuple[Any, ...]


class RowSums:
    """Keeps the digests of a connection's tables in step with what it writes. For one transaction at a time."""

    def __init__(self, db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS)) -> None:
        """tables: those there are, ``sqlite_sequence`` among them where it is under a digest."""
        self._db = db
        self._counts_sequences = SEQUENCES in tables
        self._changes: dict[str, list[int]] = {}  # table: rows and sum to add
        self.rows: list[tuple[int, str, Row]] = []  # 1 for a row that came, -1 for one that went; its table; the row
        db.execute("PRAGMA recursive_triggers = ON")  # or REPLACE would not tell what it replaces
        db.create_function("nissa_note_row", -1, self._note)
        for table in tables:
            if table != SEQUENCES:
                self._watch(table)

    def begin(self) -> None:
        """A transaction begins."""
        self._changes, self.rows = {}, []

    def end(self) -> None:
        """Write the digests of the tables that were changed, before the commit."""
        for table, (rows, total) in self._changes.items():
            found = self._db.execute("SELECT rows, sum FROM digest WHERE name = ?", (table,)).fetchone()
            if found is not None:
                values = (found[0] + rows, found[1] + total, table)
                self._db.execute("UPDATE digest SET rows = ?, sum = ? WHERE name = ?", values)
        if self._counts_sequences:
            write_digests(self._db, (SEQUENCES,))

    def _watch(self, table: str) -> None:
        names = [row[1] for row in self._db.execute(f"PRAGMA main.table_info({table})")]
        came = f"SELECT nissa_note_row(1, '{table}', {', '.join(f'NEW.{name}' for name in names)});"
        went = f"SELECT nissa_note_row(-1, '{table}', {', '.join(f'OLD.{name}' for name in names)});"
        for event, notes in (("INSERT", came), ("DELETE", went), ("UPDATE", went + came)):
            self._db.execute(
                f"CREATE TEMP TRIGGER note_{table}_{event} AFTER {event} ON main.{table} BEGIN {notes} END"
            )

    def _note(self, sign: int, table: str, *row: Any) -> None:
        change = self._changes.setdefault(table, [0, 0])
        change[0] += sign
        change[1] += sign * _crc_of(row)
        self.rows.append((sign, table, row))


def has_digests(db: sqlite3.Connection) -> bool:
    """True where this format has digests."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'digest'").fetchone()[0])


def digest_faults(
    db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS), rows_max: int | None = None
) -> Iterator[str]:
    """Yield a message for each table whose content does not match its digest. For use within a transaction.

    db: the catalogue. tables: names of tables to check. rows_max: skip tables with more rows than this; None: check
    all.
    """
    by_sum = any(row[1] == "sum" for row in db.execute("PRAGMA table_info(digest)"))
    digest_of, column = (_sum_of, "sum") if by_sum else (_crc_in_order, "crc")
    found = db.execute(f"SELECT name, rows, {column} FROM digest")  # noqa: S608 -- one of two words
    noted = {name: (rows, crc) for name, rows, crc in found}
    for table in _with_sequences(tables, noted):
        rows, crc = noted[table]  # of any type, where the damage is in these
        if rows_max is not None and isinstance(rows, int) and rows > rows_max:
            continue
        if (is_now := digest_of(db, table)) != noted[table]:
            yield f"table {table} has {is_now[0]} rows with CRC-32C {is_now[1]}, written were {rows} with {crc}"


def write_digests(db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS)) -> None:
    """Write the digests of the tables as they are now."""
    rows = [(table, *_sum_of(db, table)) for table in tables]
    db.executemany("REPLACE INTO digest (name, rows, sum) VALUES (?, ?, ?)", rows)


def _with_sequences(tables: Sequence[str], noted: Mapping[str, object]) -> list[str]:
    return [table for table in dict.fromkeys((*tables, SEQUENCES)) if table in noted]


def _crc_of(row: Row) -> int:
    """CRC-32C of a row as MessagePack, which has one form for each value."""
    return int(google_crc32c.value(msgspec.msgpack.encode(row)))


def _sum_of(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Number of a table's rows, and the sum of their checksums."""
    cursor = db.execute(f"SELECT * FROM {table}")  # noqa: S608 -- names of our own
    rows = total = 0
    while part := cursor.fetchmany(ROWS_AT_A_TIME):
        rows += len(part)
        total += sum(map(_crc_of, part))
    return rows, total


def _crc_in_order(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Number of a table's rows, and the CRC-32C of all of them in order of key: digests up to format 6."""
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY {KEYS[table]}")  # noqa: S608 -- names of our own
    rows = crc = 0
    while part := cursor.fetchmany(ROWS_AT_A_TIME):
        rows += len(part)
        for row in part:
            crc = google_crc32c.extend(crc, msgspec.msgpack.encode(row))
    return rows, crc
