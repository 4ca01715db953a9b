"""Refuses events outside the acceptance window, drops events by level, and redacts the rest.

    decoded events ──► acceptance ──► drop_levels ──► categories ──► redact ──► head, blocks
                           │              │               │
                           │              │               └─ refused{dropped_category}
                           │              └─ refused{dropped_level}
                           └─ refused{too_old, too_new}

Categories are dropped while a mode other than normal is in force (``safeguards/modes.py``): the context of a frame
names them. A category is a level, or the value of an attribute ``category``, ``severity_text`` or ``level``, in any
case.

An event without a time gets that of its packet, or the time of receipt, before it is checked. Bounds are clamped to
int64 before they are compared, so no time of a sender can overflow.

The journal holds frames as they were received, before this filter.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.config.tree import Config
from nissa.files.arrow_columns import arrow_column, arrow_text
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.level import LEVELS
from nissa.model.outcome import NO_REASON
from nissa.model.receipt import Example
from nissa.model.refusal import Refusal
from nissa.model.units import EVER_MS
from nissa.redaction.redact import prepare_rules, redact

DROPPED_LEVEL = "dropped_level"
DROPPED_CATEGORY = "dropped_category"
UNBLAMED = frozenset((DROPPED_LEVEL, DROPPED_CATEGORY))  # reasons for which no sender is to blame
CATEGORY_NAMES = frozenset((b"category", b"severity_text", b"level"))
_NAME_LENGTHS = np.array(sorted(map(len, CATEGORY_NAMES)))
_NONE = np.zeros((), np.bool_)
_TOO_OLD, _TOO_NEW = str(Refusal.TOO_OLD), str(Refusal.TOO_NEW)


class FilteredEvents(msgspec.Struct, frozen=True):
    """The remaining events. refused: number of refused ones by reason. redacted: texts changed, by rule.

    rows: bool for each event there was, whether it is left; None where all are. examples: the first of each reason.
    reasons: uint8 for each event there was, the number of the ``Refusal`` it met, 255 for none or a dropped level; None
    where all are left.
    """

    events: EventBatch | None
    refused: dict[str, int]
    redacted: dict[str, int]
    rows: npt.NDArray[np.bool_] | None = None
    examples: dict[str, Example] = {}
    reasons: npt.NDArray[np.uint8] | None = None


# Events, when they were received in Unix milliseconds, and categories to drop.
Filter = Callable[[EventBatch, int, tuple[str, ...]], FilteredEvents]


def event_filter(config: Config, secret: bytes) -> Filter:
    """The filter that ``config`` asks for. secret: of the data directory. Raises ConfigInvalid, naming the path."""
    levels = np.array([LEVELS.index(word) for word in config.events.drop_levels], np.uint8)
    rules = prepare_rules(config.redaction, secret)
    past_ms, future_ms = config.acceptance.event_past_ms, config.acceptance.event_future_ms

    def keep(events: EventBatch, received_ms: int, categories: tuple[str, ...] = ()) -> FilteredEvents:
        old = events.time_ms < np.int64(max(received_ms - past_ms, EVER_MS[0]))
        new = events.time_ms > np.int64(min(received_ms + future_ms, EVER_MS[1] - 1))
        dropped = np.isin(events.level, levels) & ~old & ~new
        verbose = of_categories(events, categories) & ~old & ~new & ~dropped if categories else _NONE
        counts = {_TOO_OLD: old, _TOO_NEW: new, DROPPED_LEVEL: dropped, DROPPED_CATEGORY: verbose}
        refused = {reason: count for reason, rows in counts.items() if (count := int(np.count_nonzero(rows)))}
        rows = ~(old | new | dropped | verbose) if refused else None
        examples = {reason: _example(events, counts[reason]) for reason in refused if reason not in UNBLAMED}
        reasons = None if rows is None else _reasons(old, new)
        if rows is not None and not rows.any():
            return FilteredEvents(None, refused, {}, rows, examples, reasons)
        clean, redacted = redact(events if rows is None else take_events(events, np.flatnonzero(rows)), rules)
        return FilteredEvents(clean, refused, redacted, rows, examples, reasons)

    return keep


def of_categories(events: EventBatch, categories: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """True for each event whose level or category is one of these words, in lower case."""
    words = frozenset(word.encode() for word in categories)
    numbers = np.array([number for number, level in enumerate(LEVELS) if level in categories], np.uint8)
    found = np.isin(events.level, numbers)
    names, values = events.attribute_names, events.attribute_values
    lengths = np.diff(names.offsets)
    for place in np.flatnonzero(np.isin(lengths, _NAME_LENGTHS)):
        if names.data[names.offsets[place] : names.offsets[place + 1]] not in CATEGORY_NAMES:
            continue
        if values.data[values.offsets[place] : values.offsets[place + 1]].lower() in words:
            found[np.searchsorted(events.attribute_offsets, place, "right") - 1] = True
    return found


def _reasons(old: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    reasons = np.full(len(old), NO_REASON, np.uint8)
    reasons[old], reasons[new] = Refusal.TOO_OLD, Refusal.TOO_NEW
    return reasons


def _example(events: EventBatch, rows: npt.NDArray[np.bool_]) -> Example:
    first = int(np.argmax(rows))
    return Example(events.event_id.text(first), int(events.time_ms[first]))


def take_events(events: EventBatch, rows: npt.NDArray[np.int64]) -> EventBatch:
    """The events of ``rows``, in that order."""
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
    """The strings of ``rows``, in that order."""
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
