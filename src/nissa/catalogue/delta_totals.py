"""Totals of counters that are sent as differences, as checkpoints store them: one value in table meta.

    base64 of zlib of   | series uint32 × n | seen_minute uint32 × n | last_ms int64 × n | total float64 × n |

Little endian; series ascend, each as the step from the one before. Every seal replaces the value in the transaction of
its checkpoint, so a replay of the frames behind the checkpoint adds to the totals that the live run added to.
"""

import base64
import binascii
import sqlite3
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from nissa.model.columns import DeltaColumns, no_deltas
from nissa.model.errors import Damaged

META_KEY: Final = "delta_totals"
_ENTRY_BYTES: Final = 24
Select = Callable[[str], list[Any]]


def save_delta_totals(db: sqlite3.Connection, totals: DeltaColumns) -> None:
    """Put ``totals`` in the place of those there are, in the transaction of ``db``."""
    if not len(totals):
        db.execute("DELETE FROM meta WHERE key = ?", (META_KEY,))
        return
    steps = np.diff(totals.series, prepend=np.uint32(0)).astype("<u4")
    columns = (steps, totals.seen_minutes.astype("<u4"), totals.last_ms.astype("<i8"), totals.totals.astype("<f8"))
    packed = base64.b64encode(zlib.compress(b"".join(column.tobytes() for column in columns), 1)).decode()
    db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (META_KEY, packed))


def read_delta_totals(select: Select) -> DeltaColumns:
    """The totals at the checkpoint. Raises: Damaged where they cannot be read."""
    found = select(f"SELECT value FROM meta WHERE key = '{META_KEY}'")  # noqa: S608 -- a name of our own
    if not found:
        return no_deltas()
    try:
        plain = zlib.decompress(base64.b64decode(found[0][0], validate=True))
        count, rest = divmod(len(plain), _ENTRY_BYTES)
        if rest:
            raise ValueError(f"{len(plain)} bytes")
        steps, minutes = np.frombuffer(plain, "<u4", 2 * count).reshape(2, count)
        last_ms = np.frombuffer(plain, "<i8", count, 8 * count)
        totals = np.frombuffer(plain, "<f8", count, 16 * count)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise Damaged("catalogue.sqlite", f"totals of deltas cannot be read: {error}") from error
    series = np.cumsum(steps, dtype=np.uint32)
    return DeltaColumns(series, minutes.astype(np.uint32), last_ms.astype(np.int64), totals.astype(np.float64))
