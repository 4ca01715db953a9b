"""Adds the labels of a frame's context to its events, as attributes.

event 0   a0 a1        front a0 a1 back        of attributes of one name readers take the last: what stands in front
event 1        ──►     front back              yields to the sender's, what stands behind wins over them
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from nissa.model.columns import EventBatch, TextColumn
from nissa.model.context import Conflict, decode_context
from nissa.model.errors import TooLarge
from nissa.model.frame import Codec, Frame
from nissa.model.units import MIB
from nissa.redaction.event_filter import take_text

WITHOUT_EVENTS = frozenset(
    (
        *(Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2, Codec.NISSA_COLUMNS, Codec.NISSA_POINT, Codec.OTLP_METRICS),
        *(Codec.INFLUX, Codec.EXPOSITION, Codec.GRAPHITE, Codec.IMPORT_LINES),
    )
)
COLUMN_BYTES_MAX = 32 * MIB  # of names or values in one frame, as decoders have it


def dropping(frame: Frame, categories: tuple[str, ...]) -> Frame:
    """``frame`` with the note that its events of these categories are dropped; as it is where it cannot have events."""
    if frame.codec in WITHOUT_EVENTS:
        return frame
    try:
        context = decode_context(frame.context)
    except ValueError:  # refused where it is decoded
        return frame
    noted = msgspec.structs.replace(context, dropped=categories)
    return msgspec.structs.replace(frame, context=noted.encode())


def with_context(events: EventBatch, rules: Sequence[tuple[str, str, Conflict]]) -> EventBatch:
    """``events`` with the labels that ``Context.rules`` gives. Raises: TooLarge."""
    front = [(name, value) for name, value, conflict in rules if conflict == "keep"]
    back = [(name, value) for name, value, conflict in rules if conflict != "keep"]
    if not rules:
        return events
    first = len(events.attribute_names)  # where the added pairs stand in the columns put together
    counts = np.diff(events.attribute_offsets)
    offsets = np.zeros(len(events) + 1, np.int64)
    np.cumsum(counts + len(rules), out=offsets[1:])
    names = _joined(events.attribute_names, [name for name, _ in front + back], len(events))
    values = _joined(events.attribute_values, [value for _, value in front + back], len(events))
    places = np.empty(offsets[-1], np.int64)
    owned = np.ones(len(places), np.bool_)
    for number in range(len(rules)):
        at = offsets[:-1] + number if number < len(front) else offsets[1:] - len(rules) + number
        places[at], owned[at] = first + number, False
    places[owned] = np.arange(first)
    return EventBatch(
        events.time_ms,
        events.level,
        events.source,
        events.event_id,
        events.description,
        events.packet_id,
        offsets.astype(np.int32),
        take_text(names, places),
        take_text(values, places),
    )


def _joined(column: TextColumn, texts: Sequence[str], times: int) -> TextColumn:
    """The strings of a column, and these behind them. times: how often each of these will be taken."""
    pieces = [text.encode() for text in texts]
    got = len(column.data) + times * sum(map(len, pieces))
    if got > COLUMN_BYTES_MAX:
        setting = "fixed: send fewer events in one frame, or shorter labels in its context"
        raise TooLarge("bytes of attributes in one frame", got=got, limit=COLUMN_BYTES_MAX, setting=setting)
    ends = int(column.offsets[-1]) + np.cumsum([len(piece) for piece in pieces])
    return TextColumn(np.concatenate([column.offsets, ends.astype(np.int32)]), column.data + b"".join(pieces))
