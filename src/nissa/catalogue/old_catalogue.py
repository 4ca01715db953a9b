"""Reads the undamaged part of a catalogue that is being replaced: the tables that match their digests.

    catalogue.sqlite, damaged or older than the files     ──►  secret, pins, deletions, metadata, …
    missing, of 0 bytes, truncated                        ──►  nothing

What a table says holds for the moment of its checkpoint. Where files are newer than that, progress (tallies, packets,
tiers) is older than they are, and is not taken.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from nissa.catalogue.digests import digest_faults, has_digests
from nissa.catalogue.lost_catalogue import is_blank
from nissa.catalogue.schema import FORMAT
from nissa.catalogue.sqlite_file import connect_for_reading
from nissa.files.names import CATALOGUE

WORDS = (
    "secret",
    "instance",
    "ladder_policies",
    "lost_series",
    "quarantined",
)  # of ``meta``; the others are of one moment
ALWAYS = ("metadata", "pin", "tombstone", "expired", "quarantine")
OF_THE_MOMENT = ("checkpoint", "tier", "claim")
CLAIMS = "claims"


class OldCatalogue(msgspec.Struct, frozen=True):
    """words: of table ``meta``. tables: name -> rows as the schema has them; a table that is not sound is not there."""

    words: dict[str, str] = {}
    tables: dict[str, list[tuple[Any, ...]]] = {}

    @property
    def checkpoint_lsn(self) -> int:
        """0 if it is unknown."""
        rows = self.tables.get("checkpoint") or [(1, 0)]
        return int(rows[0][1])


def read_old(directory: Path) -> OldCatalogue:
    """The sound part of the catalogue of a directory; of other formats only its words."""
    path = directory / CATALOGUE
    if is_blank(path):
        return OldCatalogue()
    try:
        with closing(connect_for_reading(path)) as db:
            same = int(db.execute("PRAGMA user_version").fetchone()[0]) == FORMAT and has_digests(db)
            meta = _rows(db, "meta", checked=same)
            words = {str(key): str(value) for key, value in meta or () if key in (*WORDS, CLAIMS)}
            names = (*ALWAYS, *OF_THE_MOMENT) if same else ()
            found = {name: _rows(db, name, checked=name != "claim") for name in names}
    except sqlite3.Error:
        return OldCatalogue()
    return OldCatalogue(words, {name: rows for name, rows in found.items() if rows is not None})


def _rows(db: sqlite3.Connection, table: str, *, checked: bool) -> list[tuple[Any, ...]] | None:
    """All rows of a table; None where they are damaged."""
    try:
        if checked and any(fault.startswith(f"table {table} ") for fault in digest_faults(db, (table,))):
            return None
        return db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 -- names of our own
    except (sqlite3.Error, UnicodeDecodeError):
        return None
