"""DogStatsD events and service checks as messages ``nissa.v2.TelemetryEvent``.

_e{5,4}:title|text|d:1758000000|h:web-1|p:low|t:warning|k:group|s:source|#tag:value,…
_sc|name|status|d:1758000000|h:web-1|#tag:value,…|m:message

event        event                         service check
description  title                         name
level        t: error, warning, else info  status: 0 info, 1 warning, 2 critical, 3 warning
time         d, else when received         the same
source       s, else h                     h
attributes   text, host, priority, alert_type, aggregation_key, and the tags; status, message
"""

from collections.abc import Iterable
from typing import Final

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.model.units import SECOND_MS

_LEVELS: Final = {"error": 3, "warning": 2}
_CHECK_LEVELS: Final = {"0": 1, "1": 2, "2": 4, "3": 2}
_NAMES: Final = {"h": "host", "p": "priority", "t": "alert_type", "k": "aggregation_key", "s": "source", "m": "message"}
_SECONDS_MAX: Final = 253_402_300_799  # the end of the year 9999


def read_statsd_events(lines: Iterable[bytes], received_ms: int) -> tuple[bytes, list[bytes]]:
    """Messages of the sound lines, each behind its length, and the lines that are none.

    received_ms: time of those without one, Unix milliseconds.
    """
    messages = bytearray()
    malformed: list[bytes] = []
    for line in lines:
        try:
            message = _read(line.decode(), received_ms).SerializeToString()
        except ValueError:
            malformed.append(line)
            continue
        messages += _varint(len(message)) + message
    return bytes(messages), malformed


def _read(line: str, received_ms: int) -> TelemetryEvent:
    """One line. Raises: ValueError where it is not of its form."""
    if line.startswith("_e{"):
        title, text, parts = _title_and_text(line)
        attributes = {"text": text.replace("\\n", "\n")} if text else {}
    else:
        _, title, status, *parts = [*line.split("|", 3), ""][:4]
        if not title or status not in _CHECK_LEVELS:
            raise ValueError("a service check without a name or a known status")
        head, mark, message = f"|{parts[0]}".partition("|m:")
        parts = head.split("|")
        attributes = {"status": status} | ({"message": message.replace("\\n", "\n")} if mark else {})
    event = TelemetryEvent(description=title, timestamp_ms=received_ms, level=1)  # type: ignore[arg-type]  # a number
    for part in parts:
        if part.startswith("#"):
            tags = (tag.partition(":") for tag in part[1:].split(",") if tag)
            attributes |= {key: value if colon else "true" for key, colon, value in tags}
        elif part.startswith("d:"):
            event.timestamp_ms = _milliseconds(part[2:])
        elif part[1:2] == ":" and part[0] in _NAMES:
            attributes[_NAMES[part[0]]] = part[2:]
    levels, word = (_LEVELS, "alert_type") if line.startswith("_e{") else (_CHECK_LEVELS, "status")
    event.level = levels.get(attributes.get(word, ""), 1)  # type: ignore[assignment]  # a number of the enumeration
    event.source = attributes.get("source") or attributes.get("host", "")
    for key, value in attributes.items():
        event.attributes.add(name=key, value=value)
    return event


def _title_and_text(line: str) -> tuple[str, str, list[str]]:
    """Title, text and the parts behind them; lengths count bytes, or characters as some senders do."""
    lengths, brace, rest = line[3:].partition("}:")
    title_size, comma, text_size = lengths.partition(",")
    if not (brace and comma and title_size.isdecimal() and text_size.isdecimal() and int(title_size)):
        raise ValueError("an event without its lengths")
    first, second = int(title_size), int(text_size)
    for found in (rest.encode(), rest):
        parts = _cut(found, first, second)
        if parts is not None:
            return parts
    raise ValueError("lengths of an event that do not fit it")


def _cut(rest: bytes | str, first: int, second: int) -> tuple[str, str, list[str]] | None:
    """Title, text and parts by these lengths; None where no bar stands between them."""
    text_at = first + 1
    end = text_at + second
    if rest[first:text_at] not in (b"|", "|") or len(rest) < end or rest[end : end + 1] not in (b"", b"|", "", "|"):
        return None
    texts = (rest[:first], rest[text_at:end], rest[end + 1 :])
    title, text, more = (each.decode() if isinstance(each, bytes) else each for each in texts)
    return title, text, more.split("|")


def _milliseconds(text: str) -> int:
    if not text.isdecimal() or int(text) > _SECONDS_MAX:
        raise ValueError("a time that is no number of seconds")
    return int(text) * SECOND_MS


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
