"""Pins: time ranges that retention leaves alone, such as the hours around an incident.

    time   ───────────[ pin )──────────►
    block    ▪▪▪▪  ▪▪▪▪▪▪▪▪  ▪▪▪▪
             goes   stays    goes          a block with any row in the range stays whole, of whatever kind

A pin protects existing data; it does not restore data that was dropped before.
"""

from collections.abc import Sequence

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue, remove_rows
from nissa.model.errors import BadQuery
from nissa.store.tombstones import count_expired

PINS_MAX = 1_000
PINS_RESERVED = 100  # of these, for the operator (`nissa pin`): the API, which anybody may ask, sets no pin among them
NAME_BYTES_MAX = 256
_ALL = "SELECT id, name, start_ms, end_ms, created_ms FROM pin ORDER BY id"


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
    if start_ms >= end_ms:
        raise BadQuery(f"a pin must begin before it ends, got {start_ms} to {end_ms} ms")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise BadQuery(f"the name of a pin is over the limit of {NAME_BYTES_MAX} bytes")
    with catalogue.transaction("pin") as db:
        if db.execute("SELECT count(*) FROM pin").fetchone()[0] >= PINS_MAX - reserved:
            raise BadQuery(f"there are {PINS_MAX - reserved} pins already, the most allowed; remove some")
        values = (name, start_ms, end_ms, now_ms)
        cursor = db.execute("INSERT INTO pin (name, start_ms, end_ms, created_ms) VALUES (?, ?, ?, ?)", values)
        return Pin(int(cursor.lastrowid or 0), *values)


def remove_pin(catalogue: Catalogue, number: int) -> bool:
    """Remove a pin; False where there is none of this number."""
    with catalogue.transaction("pin") as db:
        return db.execute("DELETE FROM pin WHERE id = ?", (number,)).rowcount == 1
