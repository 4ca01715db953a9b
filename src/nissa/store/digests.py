"""Digests: whether the tables of the catalogue say what was written into them. SQLite itself has no checksums.

    block      1 ▪▪▪▪▪▪▪▪                       digest     block       3 rows   c01a77e5
               2 ▪▪▪▪▪▪▪▪  ─── CRC-32C ───►                checkpoint  1 row    90b3f2d4
               5 ▪▪▪▪▪▪▪▪  all rows, by key                …

A transaction names the tables it changes. They are compared with their digests before, so that no damage is signed
with what is new, and have new ones afterwards, committed with them. Readers compare all tables when they open.

A table without a digest is taken as it is: in a directory of an older format, or where somebody has deleted the digests
to say so.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import google_crc32c
import msgspec

KEYS = {
    "meta": "key",
    "block": "id",
    "series_segment": "id",
    "checkpoint": "one",
    "cursor": "name",
    "metadata": "name",
    "tier": "name",
    "pin": "id",
    "quarantine": "path",
    "scrub": "path",
    "sqlite_sequence": "name",
}
SEQUENCES = "sqlite_sequence"  # numbers in use; SQLite changes it with the tables that count theirs
ROWS_AT_A_TIME = 256


def has_digests(db: sqlite3.Connection) -> bool:
    """Whether this format has digests."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'digest'").fetchone()[0])


def digest_faults(db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS)) -> Iterator[str]:
    """Tables that do not say what was written into them. For use within a transaction."""
    noted = {name: (rows, crc) for name, rows, crc in db.execute("SELECT name, rows, crc FROM digest")}
    for table in _with_sequences(tables):
        if table in noted and (found := _digest_of(db, table)) != noted[table]:
            rows, crc = noted[table]  # of any type, where the damage is in these
            yield f"table {table} has {found[0]} rows with CRC-32C {found[1]}, written were {rows} with {crc}"


def write_digests(db: sqlite3.Connection, tables: Sequence[str] = tuple(KEYS)) -> None:
    """Note what these tables say now."""
    rows = [(table, *_digest_of(db, table)) for table in _with_sequences(tables)]
    db.executemany("REPLACE INTO digest (name, rows, crc) VALUES (?, ?, ?)", rows)


def _with_sequences(tables: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*tables, SEQUENCES)))


def _digest_of(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Number and CRC-32C of a table's rows, each as MessagePack, which has one form for each value, in order of key."""
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY {KEYS[table]}")  # noqa: S608 -- names of our own
    rows = crc = 0
    while part := cursor.fetchmany(ROWS_AT_A_TIME):
        rows += len(part)
        for row in part:
            crc = google_crc32c.extend(crc, msgspec.msgpack.encode(row))
    return rows, crc
