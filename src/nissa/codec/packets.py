"""nissa.v2: packets, points, events and columns, and the two messages that become one event each.

Packets and columns are walked by ``_fast/packets.pyx`` and ``_fast/sample_columns.pyx``. AlertNotification and
ControlCommand are rare: they are parsed by Google's classes and kept as events.

    event         AlertNotification                        ControlCommand
    ------------  ---------------------------------------  ------------------------------------------
    event_id      alert_id                                 command_id
    description   name                                     command
    source        source                                   target
    level         severity                                 1 (info)
    time_ms       timestamp_ms, else when received         issued_at_ms, else when received
    attributes    every other field that is present, by its name; labels as ``label.<name>``, annotations as
                  ``annotation.<name>``, parameters as ``parameter.<name>``; routes joined by commas
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from nissa._fast.batch import Batch
from nissa._fast.dedup_keys import dedup_message
from nissa._fast.messages import add_message
from nissa._fast.packets import decode_packets
from nissa._fast.sample_columns import decode_sample_columns
from nissa._fast.series import SeriesIndex
from nissa.codec.delimited import split
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Frame
from nissa.model.refusal import Refusal

ROWS: Final = (Codec.NISSA_PACKET, Codec.NISSA_POINT, Codec.NISSA_EVENT)
SLOW: Final = (Codec.NISSA_ALERT, Codec.NISSA_COMMAND)
CODECS: Final = (*ROWS, Codec.NISSA_COLUMNS, *SLOW)

# Alerts and commands are read one by one in 20 µs each: without a maximum 32 MiB of empty ones would take minutes.
SLOW_MESSAGES_MAX: Final = 20_000

_INFO: Final = 1
_COLUMN_FIELDS: Final = {
    Codec.NISSA_ALERT: ("alert_id", "name", "source", "severity", "timestamp_ms"),
    Codec.NISSA_COMMAND: ("command_id", "command", "target", None, "issued_at_ms"),
}
_ORIGINS: Final = {Codec.NISSA_ALERT: "nissa.v2.AlertNotification", Codec.NISSA_COMMAND: "nissa.v2.ControlCommand"}
_PREFIXES: Final = {"labels": "label.", "annotations": "annotation.", "parameters": "parameter."}


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``; events and metadata beside.

    Raises: Malformed, TooLarge; then nothing of the frame is kept.
    """
    terms: dict[str, Any] = {
        "delimited": frame.delimited,
        "received_ms": frame.received_ms,
        "minute": window.minute,
        "admit_max": window.admit_max,
        "oldest_ms": window.oldest_ms,
        "newest_ms": window.newest_ms,
    }
    if frame.codec == Codec.NISSA_COLUMNS:
        metadata, _, ignored = decode_sample_columns(body, index, batch, **terms)
        return Decoded(metadata, None, ignored)
    if frame.codec in ROWS:
        return Decoded(*decode_packets(body, frame.codec, index, batch, **terms))
    messages = _messages(frame, memoryview(body))
    rows = [row for row in messages if not isinstance(row, _Fault)]
    batch.clear(len(rows))
    for fault in messages:
        if isinstance(fault, _Fault):
            batch.refuse(fault.reason, fault.offset)
    if frame.delimited:
        _note_messages(messages, batch)
    for number, row in enumerate(rows):
        _claim(frame.codec, row, number, index, batch)
    return Decoded([], _event_batch(rows) if rows else None)


class _Fault(Malformed):
    """One malformed message: among others it is refused alone."""

    def __init__(self, what: str, offset: int, reason: Refusal) -> None:
        super().__init__(what, offset)
        self.reason = reason


def _messages(frame: Frame, body: memoryview) -> list[dict[str, Any] | _Fault]:
    """Messages as rows of events; of a delimited body, those at fault as their faults."""
    if not frame.delimited:
        return [_event(frame, 0, body)]
    messages: list[dict[str, Any] | _Fault] = []
    for offset, message in split(body):
        if len(messages) == SLOW_MESSAGES_MAX:
            setting = "fixed: send fewer alerts and commands in one frame"
            raise TooLarge("messages in one frame", got=SLOW_MESSAGES_MAX + 1, limit=SLOW_MESSAGES_MAX, setting=setting)
        try:
            messages.append(_event(frame, offset, message))
        except _Fault as fault:
            messages.append(fault)
    return messages


def _note_messages(messages: list[dict[str, Any] | _Fault], batch: Batch) -> None:
    """Record in the batch which message each event and each fault is."""
    events = 0
    for message in messages:
        if isinstance(message, _Fault):
            add_message(batch, events, message.reason)
        else:
            add_message(batch, events)
            events += 1


def _claim(codec: Codec, row: dict[str, Any], number: int, index: SeriesIndex, batch: Batch) -> None:
    """Dedup key of the row: a command's id; for an alert, which repeats, its moment.

    An alert without a time has no key, as it cannot be distinguished from the next one.
    """
    fields, is_alert = row["fields"], codec == Codec.NISSA_ALERT
    known_by = fields.get(_COLUMN_FIELDS[codec][0], "")
    if is_alert and known_by:
        moment = fields.get("timestamp_ms")
        known_by = "" if moment is None else f"{fields.get('state', 0)} {moment} {known_by}"
    dedup_message(
        batch,
        index,
        number,
        alert=is_alert,
        source=f"{_ORIGINS[codec]}\0{row['source']}".encode(),
        packet_id=known_by.encode(),
        epoch=fields.get("epoch", 0),
        request_id=fields.get("request_id", "").encode(),
    )


def _event(frame: Frame, offset: int, body: memoryview) -> dict[str, Any]:
    """One alert or command as a row of events."""
    # Loaded at the first such message: Google's runtime costs 30 ms that a daemon should not pay before it is ready.
    from google.protobuf.message import DecodeError

    from nissa._proto import control_pb2

    kind: Any = control_pb2.AlertNotification if frame.codec == Codec.NISSA_ALERT else control_pb2.ControlCommand
    try:
        message = kind.FromString(bytes(body))
        fields = {field.name: _sound(value) for field, value in message.ListFields()}
        attributes = dict(_attributes(fields, _COLUMN_FIELDS[frame.codec]))
    except (DecodeError, UnicodeDecodeError) as error:
        reason = Refusal.TEXT_NOT_UTF8 if isinstance(error, UnicodeDecodeError) else Refusal.RECORD_MALFORMED
        raise _Fault(f"not a {kind.DESCRIPTOR.full_name}: {error}", offset, reason) from error
    event_id, description, source, level, time = _COLUMN_FIELDS[frame.codec]
    return {
        "event_id": fields.get(event_id, ""),
        "description": fields.get(description, ""),
        "source": fields.get(source, ""),
        "level": fields.get(level, 0) if level else _INFO,
        "time_ms": fields.get(time, frame.received_ms),
        "attributes": attributes,
        "fields": fields,
    }


def _attributes(fields: dict[str, Any], columns: tuple[str | None, ...]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name in columns:
            continue
        if name in _PREFIXES:
            for label in value:
                yield _PREFIXES[name] + _sound(label.name), _sound(label.value)
        elif name == "routes":
            yield name, ",".join(map(_sound, value))
        else:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _sound(value: Any) -> Any:
    """The value; a proto2 string that is not UTF-8, which Google's classes hand out as bytes, is refused."""
    if isinstance(value, bytes):
        value.decode()
    return value


def _event_batch(rows: list[dict[str, Any]]) -> EventBatch:
    pairs = [pair for row in rows for pair in row["attributes"].items()]
    starts = np.cumsum([0, *(len(row["attributes"]) for row in rows)])
    return EventBatch(
        np.array([row["time_ms"] for row in rows], np.int64),
        np.array([row["level"] for row in rows], np.uint8),
        _column([row["source"] for row in rows]),
        _column([row["event_id"] for row in rows]),
        _column([row["description"] for row in rows]),
        _column([""] * len(rows)),
        starts.astype(np.int32),
        _column([name for name, _ in pairs]),
        _column([value for _, value in pairs]),
    )


def _column(texts: list[str]) -> TextColumn:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)])
    return TextColumn(offsets.astype(np.int32), b"".join(encoded))
