"""Exposition formats in plain Python: the twin of ``_fast/exposition``."""

import math
import re
from decimal import Decimal
from typing import NamedTuple

PLAIN_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*")
QUOTED = re.compile(rb'"((?:\\.|[^"\\])*+)"', re.DOTALL)
NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
SPECIAL = re.compile(rb"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
INTEGER = re.compile(rb"[+-]?[0-9]+")
BLANKS = re.compile(rb"[ \t]*")
TYPES = {
    b"counter": "counter",
    b"gauge": "gauge",
    b"histogram": "histogram",
    b"gaugehistogram": "gaugehistogram",
    b"summary": "summary",
    b"info": "info",
    b"stateset": "stateset",
    b"untyped": "unknown",
    b"unknown": "unknown",
}

Labels = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """rows: (labels sorted by name, ts_ms, value). refused: reason -> records, and rows of these.

    lines: (line, reason) of those at fault. families: name -> (type, help, unit) of those with a series.
    exemplars: of rows accepted. cut: OpenMetrics without its last line, of which nothing is kept.
    """

    rows: list[tuple[Labels, int, float]]
    refused: dict[str, int]
    refused_rows: dict[str, int]
    lines: list[tuple[int, str]]
    families: dict[str, tuple[str, str, str]]
    exemplars: int
    cut: bool


class _Fault(Exception):
    """Reason of a refusal."""


def expect(body: bytes, openmetrics: bool, now_ms: int, oldest_ms: int, newest_ms: int) -> Answer:
    """The answer required of the decoder for a body whose series are all new, with no limits but the window."""
    rows: list[tuple[Labels, int, float]] = []
    refused: dict[str, int] = {}
    refused_rows: dict[str, int] = {}
    lines: list[tuple[int, str]] = []
    families: list[_Family] = []
    exemplars = 0
    ended = False
    for number, raw in enumerate(body.split(b"\n"), 1):
        line = raw.lstrip(b" \t")
        if not line:
            continue
        is_sample = line[:1] != b"#"
        try:
            if ended:
                raise _Fault("record_malformed")
            if not is_sample:
                ended = _comment(line, openmetrics, families)
                continue
            series, value, ts_ms, has_exemplar = _sample(line, openmetrics, now_ms)
            if not oldest_ms <= ts_ms <= newest_ms:
                raise _Fault("too_old" if ts_ms < oldest_ms else "too_new")
            rows.append((_labels(series), ts_ms, value))
            exemplars += has_exemplar
            if families:
                families[-1].used = True
        except _Fault as fault:
            reason = str(fault)
            lines.append((number, reason))
            refused[reason] = refused.get(reason, 0) + 1
            if is_sample:
                refused_rows[reason] = refused_rows.get(reason, 0) + 1
    if openmetrics and not ended:
        return Answer([], {}, {}, [], {}, 0, True)
    return Answer(rows, refused, refused_rows, lines, _described(families, openmetrics), exemplars, False)


class _Family:
    def __init__(self, name: bytes) -> None:
        self.name = name
        self.type = "unknown"
        self.help = self.unit = b""
        self.used = False


def _described(families: list[_Family], openmetrics: bool) -> dict[str, tuple[str, str, str]]:
    return {
        _plain(each.name): (each.type, _plain(each.help, openmetrics), each.unit.decode())
        for each in families
        if each.used
    }


def _comment(line: bytes, openmetrics: bool, families: list[_Family]) -> bool:
    """True for the end of OpenMetrics."""
    words = re.fullmatch(rb"#[ \t]+([^ \t]*)[ \t]*(.*)", line, re.DOTALL)
    if words is None:
        return False
    word, rest = words[1], words[2]
    if openmetrics and word == b"EOF":
        if rest:
            raise _Fault("record_malformed")
        return True
    if word not in ((b"HELP", b"TYPE", b"UNIT") if openmetrics else (b"HELP", b"TYPE")):
        return False
    try:
        line.decode()
    except UnicodeDecodeError:
        raise _Fault("text_not_utf8") from None
    quoted = QUOTED.match(rest)
    name, text = (quoted[1], rest[quoted.end() :]) if quoted else re.split(rb"(?=[ \t]|\Z)", rest, maxsplit=1)
    if not name or (not quoted and not PLAIN_NAME.fullmatch(name)) or text[:1] not in (b"", b" ", b"\t"):
        raise _Fault("record_malformed")
    text = text.lstrip(b" \t")
    if not families or families[-1].name != name:
        families.append(_Family(name))
    family = families[-1]
    if word == b"HELP":
        family.help = text
    elif word == b"UNIT":
        family.unit = text.rstrip(b" \t")
    elif text.rstrip(b" \t") not in TYPES:
        raise _Fault("record_malformed")
    else:
        family.type = TYPES[text.rstrip(b" \t")]
    return False


def _series_end(line: bytes, openmetrics: bool) -> int:
    if not (openmetrics and b"#" in line) and b"}" in line:
        return line.rindex(b"}") + 1
    name = re.match(rb"[^ \t{]*", line)
    assert name is not None
    at = _skip(line, name.end())
    if line[at : at + 1] != b"{":
        return name.end()
    return _closing_brace(line, at)


def _closing_brace(line: bytes, at: int) -> int:
    found = re.compile(rb'(?:"(?:\\.|[^"\\])*+"|[^"}])*+\}', re.DOTALL).match(line, at)
    return found.end() if found else len(line)


def _skip(line: bytes, at: int) -> int:
    found = BLANKS.match(line, at)
    assert found is not None
    return found.end()


def _sample(line: bytes, openmetrics: bool, now_ms: int) -> tuple[bytes, float, int, bool]:
    end = _series_end(line, openmetrics)
    value, at = _value(line, _skip(line, end))
    ts_ms = now_ms
    at = _skip(line, at)
    if at < len(line) and not (openmetrics and line[at : at + 1] == b"#"):
        ts_ms, at = _time(line, at, openmetrics)
        at = _skip(line, at)
    if at == len(line):
        return line[:end], value, ts_ms, False
    if not openmetrics or line[at : at + 1] != b"#":
        raise _Fault("record_malformed")
    at = _skip(line, at + 1)
    closing = _closing_brace(line, at)
    if line[at : at + 1] != b"{" or line[closing - 1 : closing] != b"}":
        raise _Fault("record_malformed")
    _, at = _value(line, _skip(line, closing))
    at = _skip(line, at)
    if at < len(line):
        _, at = _time(line, at, openmetrics=True)
        at = _skip(line, at)
    if at != len(line):
        raise _Fault("record_malformed")
    return line[:end], value, ts_ms, True


def _word(line: bytes, at: int) -> bytes:
    found = re.compile(rb"[^ \t]*").match(line, at)
    assert found is not None
    return found[0]


def _value(line: bytes, at: int) -> tuple[float, int]:
    word = _word(line, at)
    if SPECIAL.fullmatch(word):
        return float(word), at + len(word)
    if not NUMBER.fullmatch(word) or not math.isfinite(float(word)) or len(word) > 400:
        raise _Fault("record_malformed")
    return float(word), at + len(word)


def _time(line: bytes, at: int, openmetrics: bool) -> tuple[int, int]:
    word = _word(line, at)
    if not (NUMBER if openmetrics else INTEGER).fullmatch(word):
        raise _Fault("record_malformed")
    if openmetrics:
        exponent = re.search(rb"[eE]([+-]?[0-9]+)", word)
        if exponent and abs(int(exponent[1])) > 1_000:
            raise _Fault("record_malformed")  # out of range, or 0 in so many words: the tests make none
        exact_ms = Decimal(word.decode()).scaleb(3)
        if abs(int(exact_ms)) >= 2**63:
            raise _Fault("record_malformed")
        return math.floor(exact_ms), at + len(word)
    ts_ms = int(word)
    if not -(2**63) <= ts_ms < 2**63:
        raise _Fault("record_malformed")
    return ts_ms, at + len(word)


def _labels(series: bytes) -> Labels:
    pairs: list[tuple[bytes, bytes]] = []
    at = 0
    named = series[:1] != b"{"
    if named:
        name = PLAIN_NAME.match(series)
        if name is None:
            raise _Fault("record_malformed")
        pairs.append((b"__name__", name[0]))
        at = name.end()
        if at < len(series):
            at = _skip(series, at)
            if series[at : at + 1] != b"{":
                raise _Fault("record_malformed")
    if at < len(series):
        _pairs(series, at + 1, named, pairs)
    try:
        texts = [(name.decode(), value.decode()) for name, value in pairs]
    except UnicodeDecodeError:
        raise _Fault("text_not_utf8") from None
    return _checked(texts)


def _pairs(series: bytes, at: int, named: bool, pairs: list[tuple[bytes, bytes]]) -> None:
    while True:
        at = _skip(series, at)
        if series[at : at + 1] == b"}":
            if at + 1 != len(series):
                raise _Fault("record_malformed")
            return
        quoted = QUOTED.match(series, at)
        name = quoted or LABEL_NAME.match(series, at)
        if name is None:
            raise _Fault("record_malformed")
        text = _unescaped(quoted[1]) if quoted else name[0]
        at = _skip(series, name.end())
        if series[at : at + 1] == b"=":
            value = QUOTED.match(series, _skip(series, at + 1))
            if value is None:
                raise _Fault("record_malformed")
            pairs.append((text, _unescaped(value[1])))
            at = _skip(series, value.end())
        elif quoted and not named:
            named = True
            pairs.append((b"__name__", text))
        else:
            raise _Fault("record_malformed")
        if series[at : at + 1] == b",":
            at += 1
        elif series[at : at + 1] != b"}":
            raise _Fault("record_malformed")


def _checked(texts: list[tuple[str, str]]) -> Labels:
    kept: dict[str, str] = {}
    for name, value in texts:
        if not name:
            raise _Fault("label_name_empty")
        if not value:
            continue
        if name in kept:
            raise _Fault("label_duplicate")
        kept[name] = value
    if "__name__" not in kept:
        raise _Fault("name_missing")
    return tuple(sorted(kept.items(), key=lambda pair: pair[0].encode()))


def _unescaped(text: bytes) -> bytes:
    return re.sub(rb'\\([\\"n])', lambda found: b"\n" if found[1] == b"n" else found[1], text)


def _plain(text: bytes, quotes: bool = True) -> str:
    if quotes:
        return _unescaped(text).decode()
    return re.sub(rb"\\([\\n])", lambda found: b"\n" if found[1] == b"n" else found[1], text).decode()
