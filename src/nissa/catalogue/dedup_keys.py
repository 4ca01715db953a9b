"""Dedup keys of packets and requests as checkpoints store them: rows of the catalogue.

    content   | keys: low, high; 8 bytes each | zlib of the steps of lsn, then of the steps of stored_ms; 8 bytes each |
              └────────── 16 × entries ───────┘   little endian, each column from 0

A seal adds the keys recorded since the seal before, and deletes rows whose keys have all left memory, in one
transaction with its blocks. ``held`` is the number of the newest entries of each kind that are in memory; older ones
have expired or were evicted. A reader therefore restores the maps as they were.

A damaged row loses its keys: packets with them would be stored again. ``nissa verify`` and the start report it. Each
row has its own checksum; a digest of the table would have to be computed over all rows with every seal.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import google_crc32c
import msgspec
import numpy as np

from nissa.model.columns import DedupKeyColumns, no_dedup_keys
from nissa.model.errors import Damaged

ROW_ENTRIES_MAX = 65_536  # a row is read whole: 2 MiB in memory
META_KEY = "claims"
Select = Callable[[str], list[Any]]


class DedupKeys(msgspec.Struct, frozen=True):
    """Dedup keys by kind, to be added or all there are. held: number of each kind.

    frame_ms, last_frame_ms: the frame clock. damages: what could not be read.
    """

    frame_ms: int = 0
    last_frame_ms: int | None = None
    held: dict[str, int] = {}
    entries: dict[str, DedupKeyColumns] = {}
    damages: tuple[str, ...] = ()


class _Facts(msgspec.Struct):
    frame_ms: int
    last_frame_ms: int | None
    held: dict[str, int]


def save_dedup_keys(db: sqlite3.Connection, dedup_keys: DedupKeys) -> None:
    """Add ``entries`` in the transaction of ``db``, and drop what is not held any more."""
    number = db.execute("SELECT coalesce(max(id), 0) FROM claim").fetchone()[0]
    for kind, columns in dedup_keys.entries.items():
        for content, entries in _contents(columns):
            number += 1
            row = (number, kind, entries, content)
            db.execute("INSERT INTO claim (id, kind, entries, content, crc) VALUES (?, ?, ?, ?, ?)", (*row, _crc(row)))
    facts = _Facts(dedup_keys.frame_ms, dedup_keys.last_frame_ms, dedup_keys.held)
    db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (META_KEY, msgspec.json.encode(facts).decode()))
    behind: dict[str, int] = {}  # entries of later rows
    for number, kind, entries in db.execute("SELECT id, kind, entries FROM claim ORDER BY id DESC").fetchall():
        if behind.get(kind, 0) >= dedup_keys.held.get(kind, 0):
            db.execute("DELETE FROM claim WHERE id = ?", (number,))
        behind[kind] = behind.get(kind, 0) + entries


def read_dedup_keys(select: Select) -> DedupKeys:
    """All dedup keys remembered at the checkpoint. Raises: Damaged where their number is not known."""
    if not select("SELECT name FROM sqlite_schema WHERE name = 'claim'"):
        return DedupKeys()  # an older format, open for reading only
    found = select(f"SELECT value FROM meta WHERE key = '{META_KEY}'")  # noqa: S608 -- a name of our own
    if not found:
        return DedupKeys()
    try:
        facts = msgspec.json.decode(found[0][0], type=_Facts)
    except msgspec.MsgspecError as error:
        raise Damaged("catalogue.sqlite", f"dedup keys cannot be read: {error}") from error
    parts: dict[str, list[DedupKeyColumns]] = {}
    wanted, damages = dict(facts.held), []
    for number, kind, entries, content, crc in select(
        "SELECT id, kind, entries, content, crc FROM claim ORDER BY id DESC"
    ):
        taken = min(entries, wanted.get(kind, 0))
        wanted[kind] = wanted.get(kind, 0) - taken
        try:
            if _crc((number, kind, entries, content)) != crc:
                raise ValueError("checksum mismatch")
            columns = _columns(content, entries)
        except (ValueError, zlib.error) as error:
            damages.append(f"row {number} of table claim: {error}; {taken} packets or requests are forgotten")
            continue
        if taken:
            first = entries - taken
            parts.setdefault(kind, []).append(
                DedupKeyColumns(columns.keys[first:], columns.lsns[first:], columns.stored_ms[first:])
            )
    whole = {kind: _joined(list(reversed(some))) for kind, some in parts.items()}
    return DedupKeys(facts.frame_ms, facts.last_frame_ms, facts.held, whole, tuple(damages))


def _contents(columns: DedupKeyColumns) -> Iterator[tuple[bytes, int]]:
    for first in range(0, len(columns), ROW_ENTRIES_MAX):
        rows = slice(first, first + ROW_ENTRIES_MAX)
        lsns, stored_ms = columns.lsns[rows].astype("<i8"), columns.stored_ms[rows].astype("<i8")
        steps = np.concatenate([np.diff(lsns, prepend=0), np.diff(stored_ms, prepend=0)]).astype("<i8")
        yield columns.keys[rows].astype("<u8").tobytes() + zlib.compress(steps.tobytes(), 1), len(lsns)


def _crc(row: tuple[int, str, int, bytes]) -> int:
    return int(google_crc32c.value(msgspec.msgpack.encode(row)))


def _columns(content: bytes, entries: int) -> DedupKeyColumns:
    steps = np.frombuffer(zlib.decompress(content[16 * entries :]), "<i8").reshape(2, entries)
    lsns, stored_ms = np.cumsum(steps, axis=1)
    keys = np.frombuffer(content, "<u8", 2 * entries).reshape(entries, 2)
    return DedupKeyColumns(keys.astype(np.uint64), lsns.astype(np.uint64), stored_ms.astype(np.int64))


def _joined(parts: list[DedupKeyColumns]) -> DedupKeyColumns:
    none = no_dedup_keys()
    return DedupKeyColumns(
        np.concatenate([none.keys, *(part.keys for part in parts)]),
        np.concatenate([none.lsns, *(part.lsns for part in parts)]),
        np.concatenate([none.stored_ms, *(part.stored_ms for part in parts)]),
    )
