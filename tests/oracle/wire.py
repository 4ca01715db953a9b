"""Slow obvious twin of the strictness rule, for any message type, and a mutator of valid messages.

What the decoders refuse, a record or a body, is what Google's parser refuses, and beside that exactly:

* a known field with another wire type than that of its definition (a repeated number may be packed or single);
* groups, wire types 3 and 4;
* a varint of more than 64 bits, whose upper bits Google's parsers drop;
* a string that is not UTF-8, in proto2 too;
* a map entry with any field beside key and value (of Google's parsers some keep such an entry, some set it aside).

Known messages inside known messages are held to the same.
"""

import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import DecodeError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRE = {F.TYPE_DOUBLE: FIXED64, F.TYPE_FLOAT: FIXED32, F.TYPE_STRING: BYTES, F.TYPE_BYTES: BYTES, F.TYPE_MESSAGE: BYTES}


class Refused(Exception):
    """The message is at fault. reason: the word for which a record is refused that it stands in."""

    def __init__(self, what: str, reason: str = "record_malformed") -> None:
        super().__init__(what)
        self.reason = reason


def parse(message_class: Any, data: bytes) -> Any:
    """The message, if it is sound by the rule above. Raises: Refused, for the first fault in the order of its bytes."""
    check(message_class.DESCRIPTOR, data)
    try:
        return message_class.FromString(data)
    except DecodeError as error:
        raise Refused(f"google: {error}") from error


def check(descriptor: Any, data: bytes) -> None:
    """Hold one message to the rule, and all messages in it."""
    for number, wire, value, _ in split(data):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            if descriptor.GetOptions().map_entry:
                raise Refused(f"{descriptor.full_name}: field {number}")
            continue
        own = WIRE.get(field.type, VARINT)
        packed = repeated(field) and own != BYTES and wire == BYTES
        if wire != own and not packed:
            raise Refused(f"{field.full_name}: wire type {wire}")
        if packed and own == VARINT:
            at = 0
            while at < len(value):
                _, at = read_varint(value, at)
        elif field.type == F.TYPE_MESSAGE:
            check(field.message_type, value)
        elif field.type == F.TYPE_STRING:
            try:
                value.decode()
            except UnicodeDecodeError as error:
                raise Refused(f"{field.full_name}: not UTF-8", "text_not_utf8") from error


def shallow(descriptor: Any, data: bytes, texts: tuple[str, ...]) -> Iterator[tuple[int, Any, bytes]]:
    """(number, value, raw bytes) of each field, wire types checked, and UTF-8 of the fields that ``texts`` names.

    What stands in messages and in other fields is not looked at.
    """
    for number, wire, value, raw in split(data):
        field = descriptor.fields_by_number.get(number)
        if field is not None:
            own = WIRE.get(field.type, VARINT)
            if wire != own and not (repeated(field) and own != BYTES and wire == BYTES):
                raise Refused(f"{field.full_name}: wire type {wire}")
            if field.name in texts:
                try:
                    value.decode()
                except UnicodeDecodeError as error:
                    raise Refused(f"{field.full_name}: not UTF-8", "text_not_utf8") from error
        yield number, value, raw


def split(data: bytes) -> Iterator[tuple[int, int, Any, bytes]]:
    """(number, wire type, value, raw bytes of the whole field) of each field."""
    at = 0
    while at < len(data):
        start = at
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if number == 0 or tag >> 32 or at - start > 5:
            raise Refused("field number")
        if wire == VARINT:
            value, at = read_varint(data, at)
        elif wire == BYTES:
            before = at
            size, at = read_varint(data, at)
            if at - before > 5:
                raise Refused("length")
            value, at = data[at : at + size], at + size
        elif wire == FIXED64:
            value, at = data[at : at + 8], at + 8
        elif wire == FIXED32:
            value, at = data[at : at + 4], at + 4
        else:
            raise Refused(f"wire type {wire}")
        if at > len(data):
            raise Refused("truncated")
        yield number, wire, value, data[start:at]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data):
            raise Refused("truncated varint")
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            if number >= 1 << 64:
                raise Refused("a varint of more than 64 bits")
            return number, at
        if shift > 63:
            raise Refused("long varint")


def varint(number: int, extra: int = 0) -> bytes:
    """``number`` as a varint with ``extra`` bytes more than it needs."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    for _ in range(extra):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def repeated(field: Any) -> bool:
    value = getattr(field, "is_repeated", None)
    return bool(value) if value is not None else field.label == F.LABEL_REPEATED


def delimit(messages: list[bytes]) -> bytes:
    return b"".join(varint(len(message)) + message for message in messages)


def undelimit(data: bytes) -> list[bytes]:
    """The messages of a run. Raises: Refused."""
    out, at = [], 0
    while at < len(data):
        start = at
        size, at = read_varint(data, at)
        if at - start > 5 or size > len(data) - at:
            raise Refused("length of a message")
        out.append(data[at : at + size])
        at += size
    return out


# ---- Mutation --------------------------------------------------------------------------------------------------------


def rearrange(descriptor: Any, data: bytes, rng: random.Random) -> bytes:
    """The same message to who knows protobuf: fields in another order, some split, repeated, or spelt longer."""
    pieces = []
    for number, wire, value, raw in split(data):
        field = descriptor.fields_by_number.get(number)
        if field is not None and field.type == F.TYPE_MESSAGE:
            value = rearrange(field.message_type, value, rng)
        if field is not None and repeated(field) and wire == BYTES and WIRE.get(field.type, VARINT) != BYTES:
            pieces += repack(number, WIRE.get(field.type, VARINT), value, rng)
            continue
        if rng.random() < 0.3:
            pieces.append(spell(number, wire, value, rng))
        elif wire == BYTES:
            pieces.append(varint(number << 3 | wire) + varint(len(value)) + value)
        else:
            pieces.append(raw)
        if rng.random() < 0.05:
            pieces.append(pieces[-1])
    if rng.random() < 0.1:
        pieces.append(unknown_field(rng))
    if rng.random() < 0.5:
        rng.shuffle(pieces)
    return b"".join(pieces)


def repack(number: int, wire: int, value: bytes, rng: random.Random) -> list[bytes]:
    """A packed field in pieces: runs and single elements."""
    elements, at = [], 0
    while at < len(value):
        end = at + 8 if wire == FIXED64 else read_varint(value, at)[1]
        elements.append(value[at:end])
        at = end
    out = []
    while elements:
        count = rng.choice((1, 2, len(elements)))
        run, elements = elements[:count], elements[count:]
        if rng.random() < 0.3:
            out += [varint(number << 3 | wire) + element for element in run]
        else:
            out.append(varint(number << 3 | BYTES) + varint(sum(map(len, run))) + b"".join(run))
    return out


def spell(number: int, wire: int, value: Any, rng: random.Random) -> bytes:
    """One field with varints longer than they need be."""
    tag = varint(number << 3 | wire, rng.choice((0, 0, 1)))
    if wire == VARINT:
        return tag + varint(value, rng.choice((0, 0, 1)) if value < 1 << 56 else 0)
    if wire == BYTES:
        return tag + varint(len(value), rng.choice((0, 1, 2))) + value
    return tag + value


def unknown_field(rng: random.Random) -> bytes:
    number = rng.choice((60, 99, 2000, (1 << 29) - 1))
    wire = rng.choice((VARINT, FIXED64, BYTES, FIXED32))
    value: Any = {VARINT: rng.getrandbits(64), FIXED64: bytes(8), BYTES: b"\xff\xfe", FIXED32: bytes(4)}[wire]
    return spell(number, wire, value, rng)


def damage(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Bytes that may or may not be a message any more."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        kind = rng.randrange(7)
        at = rng.randrange(len(out) + 1)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, rng.randrange(256)))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + rng.randrange(1, 4)]
        elif kind == 4:
            some = (b"\x00", b"\xff" * 10, b"\x80", b"\x0b", b"\x0c", varint(rng.getrandbits(64)), rng.randbytes(3))
            out[at:at] = rng.choice(some)
        elif kind == 5:
            start = rng.randrange(len(other) + 1)
            out[at:at] = other[start : start + rng.randrange(16)]
        else:
            out += other
    return bytes(out)


# ---- Values ----------------------------------------------------------------------------------------------------------

DOUBLES = (0.0, -0.0, 1.0, -1.5, 1e308, 5e-324, float("inf"), float("-inf"))
BITS = (0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000000)
TIMES_MS = (0, 1, -1, 1_758_000_000_000, 1_758_000_000_123, 2**63 - 1, -(2**63))


def a_double(rng: random.Random) -> float:
    if rng.random() < 0.2:
        return float(struct.unpack("<d", struct.pack("<Q", rng.choice(BITS)))[0])
    return rng.choice(DOUBLES) if rng.random() < 0.5 else rng.uniform(-1e6, 1e6)


def bits_of(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def a_text(rng: random.Random, some: tuple[str, ...]) -> str:
    return rng.choice(some) if rng.random() < 0.9 else rng.choice(("", "ü.é", "日本", "x" * 130, "a.b.c", "𝄞"))
