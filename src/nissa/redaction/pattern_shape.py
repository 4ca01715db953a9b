r"""Necessary conditions of a regular expression, used as a prefilter: its byte set, minimum length and required bytes.

    \b(?:4\d{3}|3[47]\d\d)[ -]?\d{6}      bytes     0-9, blank, hyphen      length_min  10      needed  3 4
    (?i)\b(?:pwd|secret)\s*[=:]\s*[^,]+   bytes     all                     length_min  5       needed  = :

The parser is conservative: a pattern it does not fully understand has no shape. Case-insensitive letters include all
bytes beyond ASCII, as some characters there fold to ASCII letters (the Kelvin sign is a k).
"""

from functools import reduce

import msgspec

ALL = frozenset(range(256))
_BEYOND = frozenset(range(128, 256))
_DIGITS = frozenset(b"0123456789")
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_KINDS = {"d": _DIGITS, "w": _WORD, "s": frozenset(b"\t\n\f\r "), "D": ALL, "W": ALL, "S": ALL}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_BORDERS = frozenset("bBAz")
_OPENINGS = ("(?:", "(?i:", "(")
_REPEATS_MAX = 1_000  # RE2's own


class Shape(msgspec.Struct, frozen=True):
    """Facts true of every match. needed: at least one of these bytes is in it; None if no such bytes are known."""

    bytes: frozenset[int]
    length_min: int
    needed: frozenset[int] | None


class _NotUnderstood(Exception):
    """Something that this reader does not know for certain."""


_NOTHING = Shape(frozenset(), 0, None)


def shape_of(pattern: str) -> Shape | None:
    """The shape of a pattern that RE2 takes, or None where it is not understood."""
    reader = _Reader(pattern)
    try:
        if pattern.startswith("(?i)"):
            reader.at, reader.any_case = 4, True
        shape = reader.alternatives()
    except (_NotUnderstood, RecursionError):
        return None
    return shape if reader.at == len(pattern) else None


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.any_case = False

    def alternatives(self) -> Shape:
        """Sequences with bars between them, up to a closing parenthesis or the end."""
        shape = self._sequence()
        while self._take("|"):
            other = self._sequence()
            needed = None if shape.needed is None or other.needed is None else shape.needed | other.needed
            shape = Shape(shape.bytes | other.bytes, min(shape.length_min, other.length_min), needed)
        return shape

    def _sequence(self) -> Shape:
        parts = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._counted(self._atom()))
        return reduce(_behind, parts, _NOTHING)

    def _counted(self, shape: Shape) -> Shape:
        """The shape with the count behind it, such as ``*`` or ``{2,3}``."""
        count = 1
        if self._take("?") or self._take("*"):
            count = 0
        elif self._take("+"):
            count = 1
        elif self._take("{"):
            end = self.pattern.find("}", self.at)
            least, comma, most = self.pattern[self.at : max(end, self.at)].partition(",")
            if not least.isdecimal() or not least.isascii() or (comma and most and not most.isdecimal()):
                raise _NotUnderstood  # RE2 takes it for text
            count = min(int(least[:5]), _REPEATS_MAX)
            self.at = end + 1
        else:
            return shape
        self._take("?")  # as few as possible: the same texts fit
        return Shape(shape.bytes, shape.length_min * count, shape.needed if count else None)

    def _atom(self) -> Shape:
        char = self.pattern[self.at]
        self.at += 1
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char == ".":
            return Shape(ALL, 1, None)
        if char in "^$":
            return _NOTHING
        if char in "*+?{":
            raise _NotUnderstood
        return self._text(char)

    def _group(self) -> Shape:
        self.at -= 1
        opening = next(one for one in _OPENINGS if self.pattern.startswith(one, self.at))
        self.at += len(opening)
        if self.pattern.startswith("?", self.at):  # names and other flags
            raise _NotUnderstood
        before = self.any_case
        self.any_case = before or opening == "(?i:"
        shape = self.alternatives()
        self.any_case = before
        if not self._take(")"):
            raise _NotUnderstood
        return shape

    def _escape(self) -> Shape:
        char = self.pattern[self.at : self.at + 1]
        self.at += 1
        if char in _KINDS:
            kind = _KINDS[char] | (_BEYOND if self.any_case and char == "w" else frozenset())
            return Shape(kind, 1, kind if char in "dws" else None)
        if char in _BORDERS and char:
            return _NOTHING
        return self._text(self._escaped(char))

    def _escaped(self, char: str) -> str:
        """The character that an escape stands for."""
        if char in _CONTROLS and char:
            return _CONTROLS[char]
        if not char.isascii() or not char or char.isalnum():
            raise _NotUnderstood
        return char

    def _text(self, char: str) -> Shape:
        if self.any_case and (char.isalpha() or not char.isascii()):
            either = frozenset((char.lower() + char.upper()).encode()) | _BEYOND
            return Shape(either, 1, either)
        text = char.encode()
        return Shape(frozenset(text), len(text), frozenset(text[:1]))

    def _class(self) -> Shape:
        """Shape of a class of ASCII characters and ranges; any other class may match all bytes."""
        if self._take("^"):
            self._skip_class()
            return Shape(ALL, 1, None)
        members: set[int] = set()
        first = True
        while first or self.pattern[self.at : self.at + 1] != "]":
            first = False
            members |= self._member()
        self.at += 1
        if self.any_case and any(chr(one).isalpha() for one in members if one < 128):
            text = bytes(one for one in members if one < 128)
            members |= {*text.lower(), *text.upper(), *_BEYOND}
        kind = frozenset(members)
        return Shape(kind, 1, kind)

    def _member(self) -> set[int]:
        least = self._class_char()
        if isinstance(least, frozenset):
            return set(least)
        if self.pattern[self.at : self.at + 1] != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return {ord(least)}
        self.at += 1
        most = self._class_char()
        if isinstance(most, frozenset):
            raise _NotUnderstood
        return set(range(ord(least), ord(most) + 1))

    def _class_char(self) -> str | frozenset[int]:
        char = self.pattern[self.at : self.at + 1]
        self.at += 1
        if char == "\\":
            escape = self.pattern[self.at : self.at + 1]
            self.at += 1
            if escape and escape in "dws":
                return _KINDS[escape]
            return self._escaped(escape)
        if not char or not char.isascii() or char == "[":
            raise _NotUnderstood
        return char

    def _skip_class(self) -> None:
        self._take("]")
        while (char := self.pattern[self.at : self.at + 1]) != "]":
            if not char or char == "[":
                raise _NotUnderstood
            self.at += 2 if char == "\\" else 1
        self.at += 1

    def _take(self, char: str) -> bool:
        """Step over ``char`` where it stands next."""
        if not self.pattern.startswith(char, self.at):
            return False
        self.at += 1
        return True


def _behind(first: Shape, second: Shape) -> Shape:
    """Two shapes one behind the other. Of what is needed the fewest bytes say the most."""
    candidates = [shape.needed for shape in (first, second) if shape.needed is not None]
    needed = min(candidates, key=len, default=None)
    return Shape(first.bytes | second.bytes, first.length_min + second.length_min, needed)
