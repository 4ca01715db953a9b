"""InfluxDB line protocol in plain Python, by regular expressions: the twin of ``_fast/influx``."""

import re
from typing import Any, NamedTuple

MEASUREMENT = re.compile(rb"(?:\\[,= ]|[^, \n])++")
WORD = re.compile(rb"(?:\\[,= ]|[^,= \n])++")
STRING = re.compile(rb'"(?:\\["\\]|[^"])*+"')
NUMBER = re.compile(rb"([+-]?(?:[0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)([iu]?)")
INTEGER = re.compile(rb"[+-]?[0-9]+")
TRUTH = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


class Answer(NamedTuple):
    """rows: (labels sorted by name, ts_ms, value). refused: reason -> rows. lines: (line, reason) of those at fault."""

    rows: list[tuple[tuple[tuple[str, str], ...], int, float]]
    refused: dict[str, int]
    lines: list[tuple[int, str]]


class _Fault(Exception):
    """Malformed; the position where reading stopped."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def expect(body: bytes, unit_ns: int, now_ms: int, oldest_ms: int, newest_ms: int) -> Answer:
    """The answer required of the decoder for a body, with no limits but the window."""
    answer = Answer([], {}, [])
    at = 0
    while at < len(body):
        if body[at] <= 32:
            at += 1
            continue
        if body[at : at + 1] == b"#":
            at = _line_end(body, at)
            continue
        line = body.count(b"\n", 0, at) + 1
        try:
            end, head, fields, strings, ts_ms = _read(body, at, unit_ns, now_ms)
        except _Fault as fault:
            _refuse(answer, line, "record_malformed", 1)
            at = _line_end(body, fault.at)
            continue
        at = end
        if strings:
            answer.refused["value_text"] = answer.refused.get("value_text", 0) + strings
        if fields and not oldest_ms <= ts_ms <= newest_ms:
            _refuse(answer, line, "too_old" if ts_ms < oldest_ms else "too_new", len(fields))
            continue
        for name, value in fields:
            labels = _labels(head, name)
            if isinstance(labels, str):
                _refuse(answer, line, labels, 1)
            else:
                answer.rows.append((labels, ts_ms, value))
    return answer


def _line_end(body: bytes, at: int) -> int:
    found = body.find(b"\n", at)
    return len(body) if found < 0 else found


def _refuse(answer: Answer, line: int, reason: str, count: int) -> None:
    answer.refused[reason] = answer.refused.get(reason, 0) + count
    if (line, reason) not in answer.lines:
        answer.lines.append((line, reason))


def _take(pattern: re.Pattern[bytes], body: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(body, at)
    if found is None:
        raise _Fault(at)
    return found


def _read(body: bytes, at: int, unit_ns: int, now_ms: int) -> tuple[int, Any, list[tuple[bytes, float]], int, int]:
    measurement = _take(MEASUREMENT, body, at)
    at, tags = measurement.end(), []
    while body[at : at + 1] == b",":
        key = _take(WORD, body, at + 1)
        if body[key.end() : key.end() + 1] != b"=":
            raise _Fault(key.end())
        value = _take(WORD, body, key.end() + 1)
        at = value.end()
        if body[at : at + 1] == b"=":
            raise _Fault(at)
        tags.append((key[0], value[0]))
    if body[at : at + 1] != b" ":
        raise _Fault(at)
    at = _spaces(body, at)
    fields: list[tuple[bytes, float]] = []
    strings = 0
    while True:
        key = _take(WORD, body, at)
        at = key.end()
        if body[at : at + 1] != b"=":
            raise _Fault(at)
        at += 1
        if body[at : at + 1] == b'"':
            at = _take(STRING, body, at).end()
            strings += 1
        else:
            at, number = _value(body, at)
            fields.append((key[0], number))
        if body[at : at + 1] != b",":
            break
        at += 1
    if body[at : at + 1] != b" " and not _ends(body, at):
        raise _Fault(at)
    at = _spaces(body, at)
    ts_ms = now_ms
    if not _ends(body, at):
        stamp = _take(INTEGER, body, at)
        ts_ms = _milliseconds(int(stamp[0]), unit_ns, at)
        at = _spaces(body, stamp.end())
        if not _ends(body, at):
            raise _Fault(at)
    return at, (measurement[0], tags), fields, strings, ts_ms


def _spaces(body: bytes, at: int) -> int:
    while body[at : at + 1] == b" ":
        at += 1
    return at


def _ends(body: bytes, at: int) -> bool:
    return body[at : at + 1] in (b"", b"\n") or body[at : at + 2] == b"\r\n" or body[at:] == b"\r"


def _value(body: bytes, at: int) -> tuple[int, float]:
    if body[at : at + 1] > b"9":
        word = re.compile(rb"[^\x00-\x20,]*").match(body, at)
        if word is None or word[0] not in TRUTH:
            raise _Fault(at)
        return word.end(), TRUTH[word[0]]
    found = _take(NUMBER, body, at)
    number, suffix = float(found[1]), found[4]
    if number - number != 0:
        raise _Fault(at)
    if suffix:
        if found[2] is not None or found[3] or b"." in found[1]:
            raise _Fault(at)
        low, high = (-(2**63), 2**63 - 1) if suffix == b"i" else (0, 2**64 - 1)
        if found[1].startswith(b"+"):
            high = 2**63 - 1
        if not low <= int(found[1]) <= high or (suffix == b"u" and found[1].startswith(b"-")):
            raise _Fault(at)
    return found.end(), number


def _milliseconds(number: int, unit_ns: int, at: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise _Fault(at)
    if unit_ns == 0:
        size = number if number >= 0 else -(number + 1)
        unit_ns = next((unit for top, unit in ((5e9, 10**9), (5e12, 10**6), (5e15, 10**3)) if size < top), 1)
    if unit_ns >= 1_000_000 and abs(number) > (2**63 - 1) // (unit_ns // 1_000_000):
        raise _Fault(at)
    return number * unit_ns // 1_000_000


def _labels(head: tuple[bytes, list[tuple[bytes, bytes]]], field: bytes) -> tuple[tuple[str, str], ...] | str:
    measurement, tags = head
    pairs = [(b"__name__", re.sub(rb"\\([, ])", rb"\1", measurement) + b"_" + _plain(field))]
    pairs += [(_plain(key), _plain(value)) for key, value in tags]
    try:
        texts = [(key.decode(), value.decode()) for key, value in pairs]
    except UnicodeDecodeError:
        return "text_not_utf8"
    if len(dict(texts)) != len(texts):
        return "label_duplicate"
    return tuple(sorted(texts, key=lambda pair: pair[0].encode()))


def _plain(text: bytes) -> bytes:
    return re.sub(rb"\\([,= ])", rb"\1", text)
