"""Pins: time ranges that retention leaves alone, such as the hours around an incident.

    time   ───────────[ pin )──────────►
    block    ▪▪▪▪  ▪▪▪▪▪▪▪▪  ▪▪▪▪
             goes   stays    goes          a block with any row in the range stays whole, of whatever kind

A pin protects existing data; it does not restore data that was dropped before.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue, remove_rows
from nissa.model.errors import BadQuery
from nissa.store.tombstones import count_expired

PINS_MAX = 10_000
PINS_RESERVED = 100  # of these, for the operator (`nissa pin`): the API, which anybody may ask, sets no pin among them
NAME_BYTES_MAX = 256
_ALL_OF = "SELECT id, name, start_ms, end_ms, created_ms FROM pin"
_ALL = f"{_ALL_OF} ORDER BY id"


class Pin(msgspec.Struct, frozen=True):
    """[start_ms, end_ms) is kept. name: the purpose, in the operator's words."""

    id: int
    name: str
    start_ms: int
    end_ms: int
    created_ms: int


def drop_unpinned(catalogue: Catalogue, blocks: Sequence[BlockRow], pins: Sequence[Pin]) -> bool:
    """Forget blocks that none of ``pins`` holds; False, nothing changed, where there are other pins by now."""
    with catalogue.transaction("block", "expired") as db:
        if [Pin(*row) for row in db.execute(_ALL)] != list(pins):
            return False
        remove_rows(db, blocks)
        count_expired(db, blocks)
        return True


def read_pins(catalogue: Catalogue) -> list[Pin]:
    """All pins, oldest first."""
    if catalogue.format < 2:
        return []
    return [Pin(*row) for row in catalogue.select(_ALL)]


def add_pin(catalogue: Catalogue, name: str, start_ms: int, end_ms: int, now_ms: int, reserved: int = 0) -> Pin:
    """Pin [start_ms, end_ms). reserved: how many pins must stay free for others.

    Raises: BadQuery where that is no range, or a limit is passed.
    """
    with catalogue.transaction("pin") as db:
        return _insert(db, name, start_ms, end_ms, now_ms, reserved)


def _insert(db: sqlite3.Connection, name: str, start_ms: int, end_ms: int, now_ms: int, reserved: int) -> Pin:
    if start_ms >= end_ms:
        raise BadQuery(f"a pin must begin before it ends, got {start_ms} to {end_ms} ms")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise BadQuery(f"the name of a pin is over the limit of {NAME_BYTES_MAX} bytes")
    if db.execute("SELECT count(*) FROM pin").fetchone()[0] >= PINS_MAX - reserved:
        raise BadQuery(f"there are {PINS_MAX - reserved} pins already, the most allowed; remove some")
    values = (name, start_ms, end_ms, now_ms)
    cursor = db.execute("INSERT INTO pin (name, start_ms, end_ms, created_ms) VALUES (?, ?, ?, ?)", values)
    return Pin(int(cursor.lastrowid or 0), *values)


def keep_pin(catalogue: Catalogue, name: str, start_ms: int, end_ms: int, now_ms: int, reserved: int = 0) -> None:
    """Have one pin of this name, over [start_ms, end_ms) and all that pins of the name were over before.

    reserved: as of ``add_pin``, without effect where there is one already. Raises: BadQuery; then nothing has changed.
    """
    with catalogue.transaction("pin") as db:
        before = [Pin(*row) for row in db.execute(f"{_ALL_OF} WHERE name = ? ORDER BY id", (name,))]
        start_ms = min([start_ms, *(pin.start_ms for pin in before)])
        end_ms = max([end_ms, *(pin.end_ms for pin in before)])
        if len(before) == 1 and (start_ms, end_ms) == (before[0].start_ms, before[0].end_ms):
            return
        db.execute("DELETE FROM pin WHERE name = ?", (name,))
        _insert(db, name, start_ms, end_ms, now_ms, 0 if before else reserved)


def remove_pin(catalogue: Catalogue, number: int) -> bool:
    """Remove a pin; False where there is none of this number."""
    with catalogue.transaction("pin") as db:
        return db.execute("DELETE FROM pin WHERE id = ?", (number,)).rowcount == 1
