"""Patterns that run over a whole text column at once.

    column      |seed 7 grafted|mail to a@b.org|seed 8 culled|…      strings behind one another, no gaps
    literal                             @                             a text that stands in everything that fits,
    needed                                                            or one of a few bytes,
    run                                                               or so many bytes of one kind behind one another
    anywhere                    a@b.org                               else: the pattern without conditions on borders
    exact                       a@b.org                               the pattern, on that one string

Nearly every column needs only the first step, some tenths of a nanosecond per byte. Its hits are candidates; the exact
pattern decides. A match in one string is also a match at the same position of the whole column if conditions on borders
are removed. This looser pattern runs within windows, so that one without an end (``x.*``) costs only a few passes over
each window.

All patterns are RE2: linear time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nissa._fast.text_scan import strings_with_any, strings_with_run, strings_with_text
from nissa.config.redaction import compiled_pattern
from nissa.model.columns import TextColumn
from nissa.model.errors import ConfigInvalid
from nissa.redaction.pattern_shape import Shape, shape_of

WINDOW_BYTES = 16 * 1024
WINDOW_HITS_MAX = 16  # more, and every further string of the window is looked at
RUN_MIN = 8
RUN_KIND_MAX = 80  # letters, digits and some more: words are mostly shorter than a run
NEEDED_MAX = 4
_ENDLESS = frozenset("QEpPxCk0123456789")  # escapes that are longer than two characters
_COMMON = b"zqxjkvbpygfwmucldrhsnioate0123456789=:,. "  # of text, ascending; what is not here is rare
_BORDERS = frozenset("bBAz")
_META = frozenset(".^$?*+|(){}[]")


class ColumnPattern:
    """One pattern, prepared. ``exact`` and ``fits`` take bytes of UTF-8."""

    def __init__(self, pattern: str, path: str) -> None:
        """path: of the setting it stands in. Raises ConfigInvalid for what RE2 does not take, or takes everywhere."""
        self.exact = compiled_pattern(pattern, path)
        if self.exact.search(b"") is not None:
            raise ConfigInvalid(path, f"pattern {pattern!r} matches the empty text, so it would match everywhere")
        self.literal = literal_of(pattern).encode()
        self._rarest = min(range(len(self.literal)), key=self._commonness, default=0)
        shape = None if self.literal else shape_of(pattern)
        self._run_min, self._kind, self._needed = _steps_of(shape)
        loose = borderless(pattern)
        first_step = self.literal or self._run_min or self._needed
        self._anywhere: Any = None if loose is None or first_step else compiled_pattern(loose, path)

    def _commonness(self, place: int) -> int:
        return _COMMON.find(self.literal[place : place + 1])

    def fits(self, text: bytes) -> bool:
        """True if the whole text fits."""
        return self.exact.fullmatch(text) is not None

    def strings(self, column: TextColumn) -> list[int]:
        """Numbers of the strings that may have a fitting part, ascending."""
        if self.literal:
            return strings_with_text(column.offsets, column.data, self.literal, self._rarest)
        if self._run_min:
            return strings_with_run(column.offsets, column.data, self._kind, self._run_min)
        if self._needed:
            return strings_with_any(column.offsets, column.data, self._needed)
        if self._anywhere is None:
            return list(range(len(column)))
        return [place for window in _windows(column) for place in self._in_window(column, *window)]

    def _in_window(self, column: TextColumn, first: int, end: int) -> Iterator[int]:
        end_byte = int(column.offsets[end])
        for _ in range(WINDOW_HITS_MAX):
            found = self._anywhere.search(column.data, int(column.offsets[first]), end_byte)
            if found is None:
                return
            string = int(np.searchsorted(column.offsets, found.start(), "right")) - 1
            yield string
            first = string + 1  # not behind the hit, which may go on into strings that have their own
            if first >= end:
                return
        yield from range(first, end)


def _windows(column: TextColumn) -> Iterator[tuple[int, int]]:
    """Ranges of strings of about WINDOW_BYTES each."""
    first = 0
    while first < len(column):
        end = int(np.searchsorted(column.offsets, column.offsets[first] + WINDOW_BYTES, "right")) - 1
        end = min(max(end, first + 1), len(column))
        yield first, end
        first = end


def _steps_of(shape: Shape | None) -> tuple[int, bytes, bytes]:
    """(run_min, kind, needed): a run that is long and of few bytes, else bytes that are needed, else nothing."""
    if shape is None:
        return 0, b"", b""
    if shape.length_min >= RUN_MIN and len(shape.bytes) <= RUN_KIND_MAX:
        return shape.length_min, bytes(byte in shape.bytes for byte in range(256)), b""
    needed = shape.needed or frozenset()
    return 0, b"", bytes(sorted(needed)) if len(needed) <= NEEDED_MAX else b""


def literal_of(pattern: str) -> str:
    """The longest text that every match contains; empty where that is not easily seen."""
    runs, run, at = [], "", 0
    while at < len(pattern):
        part = _part_at(pattern, at)
        if not part or part == "|" or _is_flags(part):
            return ""
        at += len(part)
        char = part[1:] if part[0] == "\\" and not part[1:].isalnum() else part
        if len(char) == 1 and (part[0] == "\\" or char not in _META):
            run += char
            continue
        runs.append(run[:-1] if part[0] in "?*{" else run)  # a count that may be 0 takes the last one back
        run = ""
    return max([*runs, run], key=len)


def borderless(pattern: str) -> str | None:
    """The pattern without its conditions on borders; None where it is written in a way that is not looked into."""
    out, at = [], 0
    while at < len(pattern):
        if pattern[at] == "(":  # what is inside a group is looked into, unlike for literals
            out.append("(")
            at += 1
            continue
        part = ")" if pattern[at] == ")" else _part_at(pattern, at)
        if not part:
            return None
        border = part in ("^", "$") or (len(part) == 2 and part[0] == "\\" and part[1] in _BORDERS)
        out.append("(?:)" if border else part)
        at += len(part)
    return "".join(out)


def _part_at(pattern: str, at: int) -> str:
    """The token at ``at``: a character, an escape, a class, a count or a group; empty where it is not understood."""
    char = pattern[at]
    if char == "\\":
        return "" if pattern[at + 1 : at + 2] in _ENDLESS else pattern[at : at + 2]
    if char == "[":
        return _class_at(pattern, at)
    if char == "{":
        return pattern[at : pattern.find("}", at) + 1]
    if char == "(":
        return _group_at(pattern, at)
    return char


def _class_at(pattern: str, at: int) -> str:
    end = at + 1
    end += pattern[end : end + 1] == "^"
    end += pattern[end : end + 1] == "]"
    while end < len(pattern) and pattern[end] != "]":
        if pattern[end : end + 2] == "[:":
            end = max(pattern.find(":]", end) + 1, end)
        end += 2 if pattern[end] == "\\" else 1
    return pattern[at : end + 1]


def _group_at(pattern: str, at: int) -> str:
    end = at + 1
    while end < len(pattern) and pattern[end] != ")":
        part = _part_at(pattern, end)
        if not part:
            return ""
        end += len(part)
    return pattern[at : end + 1]


def _is_flags(part: str) -> bool:
    return part.startswith("(?") and part.endswith(")") and part[2:-1].strip("imsU-") == ""
