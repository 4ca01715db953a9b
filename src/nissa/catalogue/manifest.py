"""The manifest: ``manifest.json``, the files of the catalogue for programs that cannot read SQLite.

    {"format":1,"files":[{"path":"blocks/raw-00000000000000000007.parquet","kind":"raw","rows":4000000,"bytes":9120331,
                          "min_ms":1763700000000,"max_ms":1763700119000}, …]}

It is replaced as a whole after each commit that adds or removes a file, before replaced files are deleted: its files
together always have every row once. A glob over the directory finds some rows twice while blocks are merged. If it
cannot be written it is removed, so that an existing manifest is never stale. The catalogue is authoritative, and a
start writes the manifest again.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

MANIFEST = "manifest.json"
FORMAT = 1
_COLUMNS = {  # of the tables whose rows are files, in the order of ``FileEntry``
    "block": "id, path, kind, rows, bytes, min_ms, max_ms, series_min, series_max",
    "series_segment": "id, path, rows, bytes",
}
TABLES = frozenset(_COLUMNS)
SERIES_KIND = "series"
MODE = 0o640


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file. min_ms, max_ms: of its rows, both inclusive; 0 for series segments, as series_min and series_max."""

    path: str
    kind: str
    rows: int
    bytes: int
    min_ms: int = 0
    max_ms: int = 0
    series_min: int = 0
    series_max: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """All files there are."""

    format: int
    files: tuple[FileEntry, ...]


class ManifestFile:
    """The manifest of a directory that is written, with what it says in memory. For one thread at a time."""

    def __init__(self, directory: Path, db: sqlite3.Connection) -> None:
        """Entries that ``db`` has committed; nothing is written yet."""
        self._path = directory / MANIFEST
        self._encoded = {table: {row[0]: _encoded(table, row[1:]) for row in _rows(db, table)} for table in _COLUMNS}
        self._places = {table: _places_of(db, table) for table in TABLES}
        self._joined = {table: bytearray(b",".join(self._encoded[table].values())) for table in _COLUMNS}

    def change(self, rows: Sequence[tuple[int, str, tuple[Any, ...]]]) -> None:
        """Apply rows added (1) and removed (-1), as ``RowSums`` gives them. Replaces the file where they name files."""
        changes = [change for change in rows if change[1] in TABLES]
        for sign, table, row in changes:
            number, *facts = [row[place] for place in self._places[table]]
            if sign > 0:
                self._encoded[table][number] = one = _encoded(table, facts)
                self._joined[table] += b"," + one if self._joined[table] else one
            else:
                self._encoded[table].pop(number, None)
        for table in {table for sign, table, _ in changes if sign < 0}:
            self._joined[table] = bytearray(b",".join(self._encoded[table].values()))
        if changes:
            self.write()

    def write(self) -> None:
        """Replace the file, or remove it where that fails."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            fresh.touch(MODE)
            with fresh.open("wb") as file:
                file.write(b'{"format":%d,"files":[' % FORMAT)
                file.write(self._joined["block"])
                file.write(b"," if all(self._joined.values()) else b"")
                file.write(self._joined["series_segment"])
                file.write(b"]}")
            fresh.replace(self._path)
        except OSError:  # it is a copy: what was committed is committed
            for one in (fresh, self._path):
                with suppress(OSError):
                    one.unlink(missing_ok=True)


def list_files(db: sqlite3.Connection) -> list[FileEntry]:
    """The files of the catalogue behind ``db``, oldest first; series segments last."""
    return [_entry(table, row[1:]) for table in _COLUMNS for row in _rows(db, table)]


def _rows(db: sqlite3.Connection, table: str) -> list[Any]:
    return db.execute(f"SELECT {_COLUMNS[table]} FROM {table} ORDER BY id").fetchall()  # noqa: S608 -- our own names


def _entry(table: str, facts: Sequence[Any]) -> FileEntry:
    return FileEntry(facts[0], SERIES_KIND, *facts[1:]) if table == "series_segment" else FileEntry(*facts)


def _encoded(table: str, facts: Sequence[Any]) -> bytes:
    return msgspec.json.encode(_entry(table, facts))


def _places_of(db: sqlite3.Connection, table: str) -> list[int]:
    """Positions of the columns of ``_COLUMNS`` in a whole row."""
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    return [names.index(name) for name in _COLUMNS[table].split(", ")]


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a data directory. Raises: FileNotFoundError, msgspec.ValidationError."""
    return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
