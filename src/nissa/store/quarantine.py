"""Quarantine: blocks that fail their checksum are put aside. They are not served, not merged, and never deleted.

    block row      ──┐ one transaction        raw-…7.parquet  ──rename──►  raw-…7.parquet.damaged
    quarantine row ◄─┘                        a crash in between: the next start renames

A row of the quarantine says what was there: its times, series and frames. Readers get these rows with their snapshot
and say in their answer what is missing from it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nissa.model.errors import Damaged
from nissa.store.catalogue import BlockRow, Catalogue, insert_rows, remove_rows
from nissa.store.checked_file import sync_directory
from nissa.store.names import BLOCKS, locate, tier_of

SUFFIX = ".damaged"
DAMAGE_BYTES_MAX = 500


class Quarantined(Damaged):
    """A block that was put aside: what is missing is known before anything is read."""


class QuarantineRow(msgspec.Struct, frozen=True):
    """What a damaged block held. Ranges as in ``BlockRow``; found_ms: wall clock; damage: what is wrong with it."""

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
    names = QuarantineRow.__struct_fields__
    marks = ", ".join("?" * len(names))
    with catalogue.transaction("block", "quarantine") as db:
        remove_rows(db, (block,))
        insert_rows(db, "block", () if saved is None else (saved,))
        values = msgspec.structs.astuple(row)
        db.execute(f"INSERT INTO quarantine ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608 -- as above
    return row


def rename_damaged(directory: Path, rows: Sequence[QuarantineRow]) -> None:
    """Give files in quarantine the name that says so, where they have not got it yet. Raises: OSError."""
    renamed = False
    for row in rows:
        path = locate(directory, row.path)
        if path.exists():
            path.rename(path.with_name(path.name + SUFFIX))
            renamed = True
    if renamed:
        sync_directory(directory / BLOCKS)


def missing_from(
    rows: Sequence[QuarantineRow], directory: Path, kind: str, start_ms: int, end_ms: int
) -> Iterator[Quarantined]:
    """What an answer over [start_ms, end_ms) must say is missing from blocks of this kind."""
    for row in rows:
        if tier_of(row.kind) == kind and row.max_ms >= start_ms and row.min_ms < end_ms:
            what = f"{row.rows} rows of {row.min_ms} to {row.max_ms} ms are missing: {row.damage}"
            yield Quarantined(str(directory / (row.path + SUFFIX)), what)
