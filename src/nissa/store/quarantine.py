"""Quarantine: blocks that fail their checksum, or whose file is missing, are put aside. They are not served, not
merged, and never deleted.

    block row      ──┐ one transaction        raw-…7.parquet  ──rename──►  raw-…7.parquet.damaged
    quarantine row ◄─┘                        a crash in between: the next start renames

A row of the quarantine says what was there: its times, series and frames. Readers get these rows with their snapshot
and say in their answer what is missing from it. ``meta`` keeps what else the block's row said, its checksum among it:
a file that fits it again is taken back (``nissa repair``).

    meta   quarantined   {"blocks/raw-….parquet":{"id":7,"level":0,"created_ms":…,"bytes":…,"crc":…,"tombstone":0}}
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue, insert_rows, remove_rows
from nissa.files.checked_file import MISSING, sync_directory
from nissa.files.names import BLOCKS, CATALOGUE, locate, tier_of
from nissa.model.errors import Damaged

SUFFIX = ".damaged"
DAMAGE_BYTES_MAX = 500
KEY = "quarantined"


class Quarantined(Damaged):
    """A block that was put aside. The missing range is known from its row, before any file is read."""


class QuarantineRow(msgspec.Struct, frozen=True):
    """Content of a damaged block. Ranges as in ``BlockRow``; found_ms: wall clock; damage: its description."""

    path: str
    kind: str
    rows: int
    min_ms: int
    max_ms: int
    series_min: int
    series_max: int
    first_lsn: int
    last_lsn: int
    found_ms: int
    damage: str

    @property
    def file(self) -> str:
        """Path of the file in the directory, present or not."""
        return self.path if self.damage == MISSING else self.path + SUFFIX


class KeptRow(msgspec.Struct, frozen=True):
    """The part of a block's row that its row of the quarantine does not have."""

    id: int
    level: int
    created_ms: int
    bytes: int
    crc: int
    tombstone: int


def read_quarantine(catalogue: Catalogue) -> list[QuarantineRow]:
    """All that was put aside, by path."""
    if catalogue.format < 2:
        return []
    names = ", ".join(QuarantineRow.__struct_fields__)
    rows = catalogue.select(f"SELECT {names} FROM quarantine ORDER BY path")  # noqa: S608 -- names of our own
    return [QuarantineRow(*row) for row in rows]


def put_aside(
    catalogue: Catalogue, block: BlockRow, damage: str, now_ms: int, saved: BlockRow | None = None, lost: int = -1
) -> QuarantineRow:
    """Move a block's row to the quarantine. ``rename_damaged`` moves the file afterwards.

    saved: what of it is sound (``salvage.py``), in its place from now on. lost: how many rows are; all, unless said.
    """
    row = QuarantineRow(
        block.path,
        block.kind,
        block.rows if lost < 0 else lost,
        block.min_ms,
        block.max_ms,
        block.series_min,
        block.series_max,
        block.first_lsn,
        block.last_lsn,
        now_ms,
        damage[:DAMAGE_BYTES_MAX],
    )
    kept = {name: getattr(block, name) for name in KeptRow.__struct_fields__}
    rows = {**read_kept(catalogue), block.path: KeptRow(**kept)}
    with catalogue.transaction("block", "quarantine", "meta") as db:
        remove_rows(db, (block,))
        insert_rows(db, "block", () if saved is None else (saved,))
        insert_rows(db, "quarantine", (row,))
        _write_kept(db, rows)
    return row


def read_kept(catalogue: Catalogue) -> dict[str, KeptRow]:
    """Rows kept of blocks in quarantine, by path; earlier versions kept none. Raises: Damaged."""
    rows = catalogue.select("SELECT value FROM meta WHERE key = ?", (KEY,))
    try:
        return msgspec.json.decode(rows[0][0], type=dict[str, KeptRow]) if rows else {}
    except msgspec.MsgspecError as error:
        raise Damaged(str(catalogue.directory / CATALOGUE), f"quarantine list cannot be read: {error}") from error


def take_back(catalogue: Catalogue, block: BlockRow, saved: BlockRow | None) -> None:
    """Move a block out of the quarantine. saved: the block of rows saved from it, which is deleted."""
    kept = {path: row for path, row in read_kept(catalogue).items() if path != block.path}
    with catalogue.transaction("block", "quarantine", "meta") as db:
        db.execute("DELETE FROM quarantine WHERE path = ?", (block.path,))
        remove_rows(db, () if saved is None else (saved,))
        insert_rows(db, "block", (block,))
        _write_kept(db, kept)


def forget_quarantined(catalogue: Catalogue, paths: Sequence[str]) -> None:
    """Say nothing any more of these blocks: answers name them no longer."""
    kept = {path: row for path, row in read_kept(catalogue).items() if path not in paths}
    with catalogue.transaction("quarantine", "meta") as db:
        db.executemany("DELETE FROM quarantine WHERE path = ?", [(path,) for path in paths])
        _write_kept(db, kept)


def _write_kept(db: sqlite3.Connection, rows: Mapping[str, KeptRow]) -> None:
    if rows:
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, msgspec.json.encode(rows).decode()))
    else:
        db.execute("DELETE FROM meta WHERE key = ?", (KEY,))


def rename_damaged(directory: Path, rows: Sequence[QuarantineRow]) -> None:
    """Give files in quarantine the name that says so, where they have not got it yet. Raises: OSError."""
    renamed = False
    for row in rows:
        path = locate(directory, row.path)
        if row.damage != MISSING and path.exists():  # a missing one that is there again has come out of a backup
            path.rename(path.with_name(path.name + SUFFIX))
            renamed = True
    if renamed:
        sync_directory(directory / BLOCKS)


def missing_from(
    rows: Sequence[QuarantineRow], directory: Path, kind: str, start_ms: int, end_ms: int
) -> Iterator[Quarantined]:
    """Damage of this kind that an answer over [start_ms, end_ms) must report."""
    for row in rows:
        if tier_of(row.kind) == kind and row.max_ms >= start_ms and row.min_ms < end_ms:
            what = f"{row.rows} rows of {row.min_ms} to {row.max_ms} ms are missing: {row.damage}"
            yield Quarantined(str(directory / row.file), what)
