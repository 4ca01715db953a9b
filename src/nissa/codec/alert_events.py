"""Alert events of a bus, one critical event each: ``fes.common.events.GenericEventRequest``, JSON, or plain text.

    event           GenericEventRequest       JSON, the first that is there
    --------------  ------------------------  ------------------------------------------
    event_id        event_id                  event_id, id
    description     event_type                event_type, type, name
    source          source_service            source_service, source, service
    time_ms         timestamp                 timestamp, time
    attributes      subject (by which it came), worker, simulation, message, and every other field by its name

Without a type the subject is the description. A message that is neither protobuf nor JSON but text is an alert as well:
its text is the attribute ``message``.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec.json_texts import TEXT_CHARACTERS_MAX, flat, read_object, text_of, time_ms_of
from nissa.codec.read_as_packets import decode_as_packets
from nissa.model.context import decode_context
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.FES_EVENT, Codec.EVENT_JSON)
_CRITICAL: Final = 4
_NAMES: Final = {
    "event_id": ("event_id", "id"),
    "event_type": ("event_type", "type", "name"),
    "source": ("source_service", "source", "service"),
    "timestamp": ("timestamp", "time"),
    "simulation": ("simulation_id", "simulation"),
    "worker": ("worker_id", "worker"),
    "message": ("message", "description"),
}


def alert_codec(payload: bytes) -> Codec:
    """The language of a message, by its first byte."""
    return Codec.EVENT_JSON if payload[:1] in (b"{", b"[", b'"') else Codec.FES_EVENT


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Decode alert notifications of a forwarder's subject into events; the subject is in the frame's context.

    frame: its received_ms is the time of events without one. body: decompressed. index, batch: where series and rows
    are added. window: accepted timestamps. Raises: Malformed, TooLarge; then nothing of the frame is added.
    """
    read = _read_json if frame.codec == Codec.EVENT_JSON else _read_request
    subject = decode_context(frame.context).subject
    return decode_as_packets(frame, body, index, batch, window, partial(_packet_of, subject, read))


def _packet_of(subject: str, read: Any, message: bytes) -> Any:
    """The TelemetryPacket for one alert event. Raises: ValueError."""
    from nissa._proto import leyline_pb2

    try:
        found = read(message)
    except ValueError:
        found = {"message": _text_of(message)}
    known = {name: _first(found, names) for name, names in _NAMES.items()}
    spent = {name for names in _NAMES.values() for name in names}
    packet = leyline_pb2.TelemetryPacket(packet_id=known["event_id"], source_subsystem=known["source"])
    time_ms = next((time_ms_of(found[name]) for name in _NAMES["timestamp"] if name in found), None)
    if time_ms is not None:
        packet.timestamp.FromMilliseconds(time_ms)
    attributes = {name: text_of(value) for name, value in flat(found, ".").items() if name not in spent}
    attributes |= {name: known[name] for name in ("simulation", "worker", "message") if known[name]}
    if subject:
        attributes["subject"] = subject
    description = known["event_type"] or subject or "alert"
    packet.events.add(event_id=packet.packet_id, description=description, level=_CRITICAL, attributes=attributes)
    return packet


def _read_json(message: bytes) -> dict[str, Any]:
    return read_object(message)


def _read_request(message: bytes) -> dict[str, Any]:
    """The fields of a GenericEventRequest that are present. Raises: ValueError."""
    from google.protobuf.message import DecodeError

    from nissa._proto import generic_event_pb2

    try:
        request = generic_event_pb2.GenericEventRequest.FromString(message)
    except DecodeError as error:
        raise ValueError(f"not a fes.common.events.GenericEventRequest: {error}") from error
    found: dict[str, Any] = dict(request.attributes)
    names = ("event_id", "event_type", "source_service", "simulation_id", "worker_id", "message")
    found |= {name: getattr(request, name) for name in names if getattr(request, name)}
    if request.HasField("timestamp"):
        found["timestamp"] = request.timestamp.ToMilliseconds()
    return found


def _first(found: dict[str, Any], names: Iterable[str]) -> str:
    return next((text_of(found[name]) for name in names if found.get(name) not in (None, "")), "")


def _text_of(message: bytes) -> str:
    """A message that is text. Raises: ValueError."""
    try:
        text = message.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"neither protobuf nor JSON nor text: {error}") from error
    if not text.strip() or not all(character.isprintable() or character in "\t\r\n" for character in text):
        raise ValueError("neither protobuf nor JSON nor text")
    return text[:TEXT_CHARACTERS_MAX]
