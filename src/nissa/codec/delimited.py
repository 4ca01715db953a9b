"""Delimited messages: many messages in one frame, each after its length as a varint."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from nissa.model.errors import Malformed


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """``number``, at least 0, as the shortest varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def joined(messages: Iterable[bytes]) -> bytes:
    """The messages behind one another, each after its length."""
    parts = []
    for message in messages:
        parts += [varint(len(message)), message]
    return b"".join(parts)


def split(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(offset, message) of each message in a run of them. Raises: Malformed."""
    at = 0
    while at < len(body):
        length = shift = 0
        while True:
            if at == len(body) or shift > 28:
                raise Malformed("the length prefix of a message is truncated or longer than 32 bits", at)
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if length > len(body) - at:
            raise Malformed(f"a message of {length} bytes is longer than the rest of its body", at)
        yield at, body[at : at + length]
        at += length
