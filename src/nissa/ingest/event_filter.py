"""What of a frame's events is kept: not those of levels that the settings drop, the others without what rules name.

    decoded events ──► drop_levels ──► redact ──► head, blocks
                           │
                           └─ refused{dropped_level}

The journal in front of it holds frames as they were received.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.config.tree import Config
from nissa.ingest.redact import prepare_rules, redact
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.level import LEVELS
from nissa.store.arrow_columns import arrow_column, arrow_text

DROPPED_LEVEL = "dropped_level"


class Kept(msgspec.Struct, frozen=True):
    """What is left. dropped: how many events were refused. redacted: how many texts each rule changed.

    rows: bool for each event there was, whether it is left; None where all are.
    """

    events: EventBatch | None
    dropped: int
    redacted: dict[str, int]
    rows: npt.NDArray[np.bool_] | None = None


Filter = Callable[[EventBatch], Kept]


def event_filter(config: Config, secret: bytes) -> Filter:
    """The filter that ``config`` asks for. secret: of the data directory. Raises ConfigInvalid, naming the path."""
    levels = np.array([LEVELS.index(word) for word in config.events.drop_levels], np.uint8)
    rules = prepare_rules(config.redaction, secret)

    def keep(events: EventBatch) -> Kept:
        rows = _rows_kept(events.level, levels)
        kept = events if rows is None else take_events(events, np.flatnonzero(rows))
        dropped = len(events) - len(kept)
        if not len(kept):
            return Kept(None, dropped, {}, rows)
        clean, redacted = redact(kept, rules)
        return Kept(clean, dropped, redacted, rows)

    return keep


def _rows_kept(level: npt.NDArray[np.uint8], dropped: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_] | None:
    """Which events are of other levels than those dropped; None where all are."""
    if not len(dropped):
        return None
    rows = ~np.isin(level, dropped)
    return None if rows.all() else rows


def take_events(events: EventBatch, rows: npt.NDArray[np.int64]) -> EventBatch:
    """These events, in this order."""
    text = partial(take_text, rows=rows)
    firsts, counts = events.attribute_offsets[rows], np.diff(events.attribute_offsets)[rows]
    offsets, places = _ranges(firsts, counts)
    return EventBatch(
        events.time_ms[rows],
        events.level[rows],
        text(events.source),
        text(events.event_id),
        text(events.description),
        text(events.packet_id),
        offsets,
        take_text(events.attribute_names, places),
        take_text(events.attribute_values, places),
    )


def take_text(column: TextColumn, rows: npt.NDArray[np.int64]) -> TextColumn:
    """These strings, in this order."""
    import pyarrow as pa  # heavy: the daemon receives before it is needed

    taken: Any = arrow_text(column.offsets, column.data, pa.string()).take(arrow_column(rows, pa.int64()))
    _, offsets, data = taken.buffers()
    bounds = np.frombuffer(offsets, np.int32)[taken.offset : taken.offset + len(rows) + 1]
    return TextColumn(bounds - bounds[0], b"" if data is None else bytes(memoryview(data)[bounds[0] : bounds[-1]]))


def _ranges(
    firsts: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Ranges put one behind the other: where each begins, and what stands at each place."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    places = np.repeat(firsts - offsets[:-1], counts) + np.arange(offsets[-1])
    return offsets.astype(np.int32), places
