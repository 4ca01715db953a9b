"""Graphite plaintext in plain Python, line by line: the twin of ``_fast/graphite``."""

import re

from oracle.influx import Answer

NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
TIME = re.compile(rb"([+-]?[0-9]+)(?:\.([0-9]*))?")


def expect(body: bytes, now_ms: int, oldest_ms: int, newest_ms: int) -> Answer:
    """The answer required of the decoder for a body, with no limits but the window."""
    answer = Answer([], {}, [])
    for place, line in enumerate(body.split(b"\n")):
        text = line.lstrip(bytes(range(33))).removesuffix(b"\r").rstrip(b" \t")
        if not text:
            continue
        row = _read(text, now_ms)
        if row is not None and not oldest_ms <= row[1] <= newest_ms:
            row = (("too_old" if row[1] < oldest_ms else "too_new"), 0, 0.0)
        reason = "record_malformed" if row is None else row[0] if isinstance(row[0], str) else ""
        if reason or row is None:
            answer.refused[reason] = answer.refused.get(reason, 0) + 1
            answer.lines.append((place + 1, reason))
        elif not isinstance(row[0], str):
            answer.rows.append((row[0], row[1], row[2]))
    return answer


def _read(text: bytes, now_ms: int) -> tuple[tuple[tuple[str, str], ...] | str, int, float] | None:
    """Labels or why there are none, time, value; None for a line that is not of its form."""
    words = re.split(rb"[ \t]+", text)
    if len(words) not in (2, 3) or any(byte <= 32 for word in words for byte in word):
        return None
    path, *tags = words[0].split(b";")
    pairs = [tuple(tag.split(b"=", 1)) for tag in tags]
    if not path or any(len(pair) != 2 or not pair[0] for pair in pairs):
        return None
    if not NUMBER.fullmatch(words[1]) or len(words[1]) > 400:
        return None
    value = float(words[1])
    ts_ms = now_ms if len(words) == 2 else _milliseconds(words[2], now_ms)
    if value - value != 0 or ts_ms is None:
        return None
    return _labels([(b"__name__", path), *((pair[0], pair[1]) for pair in pairs)]), ts_ms, value


def _milliseconds(word: bytes, now_ms: int) -> int | None:
    found = TIME.fullmatch(word)
    if found is None:
        return None
    seconds, fraction = int(found[1]), found[2]
    if abs(seconds) > 9_223_372_036_854_774 or (fraction is not None and word.startswith(b"-")):
        return None
    if seconds == -1:
        return now_ms
    return seconds * 1000 + int((fraction or b"")[:3].ljust(3, b"0"))


def _labels(pairs: list[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...] | str:
    try:
        texts = [(name.decode(), value.decode()) for name, value in pairs]
    except UnicodeDecodeError:
        return "text_not_utf8"
    kept = [(name, value) for name, value in texts if value]
    if len(dict(kept)) != len(kept):
        return "label_duplicate"
    return tuple(sorted(kept, key=lambda pair: pair[0].encode()))
