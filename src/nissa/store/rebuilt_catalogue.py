"""Installs a rebuilt catalogue: it is written to another directory first, then renamed into place.

    catalogue.rebuilt/catalogue.sqlite   ──rename──►  catalogue.sqlite
    catalogue.sqlite                     ──rename──►  catalogue.sqlite.replaced    first, with its log; never deleted

A crash leaves the directory as it was, or without a catalogue, which is refused at a start as before.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, Catalogue, Checkpoint, SeriesSegment, TierRow, insert_rows
from nissa.catalogue.manifest import MANIFEST
from nissa.files.checked_file import sync_directory
from nissa.files.names import CATALOGUE, EVENTS_KIND
from nissa.model.ladder import Tier
from nissa.store.quarantine import QuarantineRow

SCRATCH = "catalogue.rebuilt"
REPLACED = ".replaced"
TABLES = (
    *("meta", "block", "series_segment", "checkpoint", "metadata"),
    *("tier", "pin", "quarantine", "tombstone", "expired"),
)


class Contents(msgspec.Struct, frozen=True):
    """The content of a catalogue. words: of ``meta``. tables: whole rows of others, by name.

    last_number: of all files there ever were; the next one is above it.
    """

    words: dict[str, str]
    blocks: tuple[BlockRow, ...]
    segments: tuple[SeriesSegment, ...]
    checkpoint: Checkpoint
    last_number: int
    quarantine: tuple[QuarantineRow, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    tables: dict[str, list[tuple[Any, ...]]] = {}


def write_apart(directory: Path, contents: Contents) -> Catalogue:
    """A catalogue that says this, open, in a place of its own. Raises: Unavailable where the disk refuses."""
    scratch = directory / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    Catalogue.open(scratch).close()
    catalogue = Catalogue.open(scratch)
    point = contents.checkpoint
    with catalogue.transaction(*TABLES) as db:
        db.executemany("REPLACE INTO meta (key, value) VALUES (?, ?)", contents.words.items())
        for table, rows in contents.tables.items():
            for row in rows:
                db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 -- our names
        insert_rows(db, "block", contents.blocks)
        insert_rows(db, "series_segment", contents.segments)
        insert_rows(db, "quarantine", contents.quarantine)
        tallies = msgspec.json.encode(point.tallies).decode()
        db.execute(
            "INSERT INTO checkpoint (one, lsn, series_count, tallies, seen_minutes) VALUES (1, ?, ?, ?, ?)",
            (point.lsn, point.series_count, tallies, point.seen_minutes),
        )
        db.executemany(
            "INSERT INTO tier (name, place, interval_ms, retention_ms, aggregates, written_until_ms, lsn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            _tier_values(contents.tiers),
        )
        db.executemany("INSERT OR IGNORE INTO expired (kind, until_ms) VALUES (?, ?)", _expired(contents.blocks))
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'block'")
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('block', ?)", (contents.last_number,))
    catalogue.close()
    return Catalogue.open(scratch)  # which counts on from there


def put_in_place(directory: Path) -> str:
    """Put the new catalogue, written apart and closed, in its place. Returns the name of the old one, if any.

    Raises: OSError, with the old one in its place.
    """
    path = directory / CATALOGUE
    aside = _unused(path)
    moved: list[tuple[Path, Path]] = []
    for suffix in ("-wal", "-shm", ""):  # its log first: a file without it is only older, a log without it is nothing
        one = path.with_name(path.name + suffix)
        if one.exists():
            moved.append((one, aside.with_name(aside.name + suffix)))
    for one, name in moved:
        one.rename(name)
    try:
        (directory / SCRATCH / CATALOGUE).rename(path)
    except OSError:
        for one, name in reversed(moved):
            name.rename(one)
        raise
    with suppress(OSError):  # a start writes it too
        (directory / SCRATCH / MANIFEST).rename(directory / MANIFEST)
    shutil.rmtree(directory / SCRATCH, ignore_errors=True)
    with suppress(OSError):
        sync_directory(directory)
    return aside.name if moved else ""


def tiers_of(blocks: Sequence[tuple[BlockRow, Tier]]) -> tuple[TierRow, ...]:
    """The rows of table ``tier``, from blocks.

    Each step of the ladder notes with all that it writes up to which frame it knows the samples: the latest such note
    holds for all tiers. Windows behind the last one there is, if any were written, had no samples.
    """
    lsn = max((block.last_lsn for block, _ in blocks), default=0)
    newest: dict[str, tuple[int, Tier, int]] = {}
    for block, tier in blocks:
        number, known, until_ms = newest.get(tier.name, (-1, tier, NEVER_MS))
        until_ms = max(until_ms, block.max_ms + tier.interval_ms)
        newest[tier.name] = (block.id, tier, until_ms) if block.id > number else (number, known, until_ms)
    rows = [TierRow(tier, until_ms, lsn) for _, tier, until_ms in newest.values()]
    return tuple(sorted(rows, key=lambda row: row.tier.interval_ms))


def _tier_values(rows: Sequence[TierRow]) -> list[tuple[Any, ...]]:
    """Rows of the table. Those of a ladder of before, which do not fit between the others, have no place in this."""
    found = []
    below_ms, place = 1, 0
    for row in rows:
        tier = row.tier
        fits = tier.interval_ms % below_ms == 0
        words = (tier.interval_ms, tier.retention_ms, " ".join(tier.aggregates), row.written_until_ms, row.lsn)
        found.append((tier.name, place if fits else None, *words))
        below_ms, place = (tier.interval_ms, place + 1) if fits else (below_ms, place)
    return found


def _expired(blocks: Sequence[BlockRow]) -> list[tuple[str, int]]:
    """Blocks go by their last row, so nothing later than the oldest block that is left has expired."""
    kinds = {block.kind for block in blocks} - {EVENTS_KIND}
    return [(kind, min(block.max_ms for block in blocks if block.kind == kind)) for kind in sorted(kinds)]


def _unused(path: Path) -> Path:
    names = (path.with_name(path.name + REPLACED + (f".{number}" if number else "")) for number in count())
    return next(name for name in names if not name.exists())
