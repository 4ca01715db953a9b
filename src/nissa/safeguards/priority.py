"""Priority of a frame from what is cheap at the door, without decoding it.

    1. the header X-Nissa-Priority                                   low, normal, high, critical
    2. an import                                                     low
    3. bytes of a body that is not compressed, its first PEEK_BYTES_MAX
         MESSAGE_PRIORITY_HIGH, …                                    an indicator of Leyline; of several the highest
         field ``priority`` of nissa.v2.TelemetryPacket              the same
         field ``level`` of a packet or event                        warning and above: high
    4. everything else                                               normal

The third is Esper's own rule: an indicator wins over the level. A packet that merely contains the word of a priority
in a text raises its own priority, which its sender could have done anyway. Only the engine decodes; what is read here
decides nothing but the order in which frames are refused under pressure.
"""

from enum import IntEnum
from typing import Final

from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import KIB

PEEK_BYTES_MAX: Final = 64 * KIB
FIELDS_MAX: Final = 8  # looked at of one message: priority and level stand before the samples


class Priority(IntEnum):
    """Priority of a frame; the numbers are those of Leyline's MessagePriority."""

    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()


PRIORITY_HEADER: Final = "X-Nissa-Priority"
_BY_NAME: Final = {str(priority): priority for priority in Priority}
_INDICATORS: Final = tuple(
    (f"MESSAGE_PRIORITY_{priority.name}".encode(), priority) for priority in sorted(Priority, reverse=True)
)
_INDICATED: Final = frozenset((Codec.LEYLINE_BUS, Codec.LEYLINE_EVENT, Codec.LEYLINE_PACKET))
_LEVEL_FIELDS: Final = {Codec.LEYLINE_PACKET: 4, Codec.NISSA_EVENT: 3}
_PRIORITY_FIELDS: Final = {Codec.NISSA_PACKET: 5, Codec.LEYLINE_EVENT: 20}
_URGENT: Final = frozenset((Codec.FES_EVENT, Codec.EVENT_JSON, Codec.NISSA_ALERT, Codec.NISSA_COMMAND))
_NUMBERS: Final = frozenset(map(int, Priority))
_WARNING: Final = 2


def read_priority(value: bytes) -> Priority:
    """The priority that a header states. Raises: Malformed."""
    found = _BY_NAME.get(value.decode("latin-1").strip().lower())
    if found is None:
        raise Malformed(f"{PRIORITY_HEADER}: expected {', '.join(_BY_NAME)}, got {value[:40].decode('latin-1')!r}")
    return found


def priority_of(frame: Frame, stated: Priority | None = None) -> Priority:
    """The priority of a frame. stated: by a header of the request."""
    if stated is not None:
        return stated
    if frame.source == Source.IMPORT:
        return Priority.LOW
    if frame.codec in _URGENT:
        return Priority.CRITICAL
    if frame.encoding != Encoding.IDENTITY:
        return Priority.NORMAL
    if frame.codec in _INDICATED:
        head = frame.body[:PEEK_BYTES_MAX]
        for word, priority in _INDICATORS:
            if word in head:
                return priority
    if frame.delimited:
        return Priority.NORMAL
    number = _PRIORITY_FIELDS.get(frame.codec)
    if number is not None and (value := _varint_field(frame.body, number)) in _NUMBERS:
        return Priority(value)
    number = _LEVEL_FIELDS.get(frame.codec)
    if number is not None and _varint_field(frame.body, number) >= _WARNING:
        return Priority.HIGH
    return Priority.NORMAL


def _varint_field(body: bytes, number: int) -> int:
    """Value of the varint field ``number`` among the first fields of a message; 0 where it is not found."""
    at = 0
    try:
        for _ in range(FIELDS_MAX):
            tag, at = _varint(body, at)
            field, kind = tag >> 3, tag & 7
            if kind == 0:
                value, at = _varint(body, at)
                if field == number:
                    return value
            elif kind == 2:
                length, at = _varint(body, at)
                at += length
            else:
                at += {1: 8, 5: 4}[kind]
    except (IndexError, KeyError):  # malformed, or too short: the engine says so
        pass
    return 0


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError
