"""Reads matchers of labels as Alertmanager's configuration, API and silences write them.

    UTF-8     name or "any name"   operator   value or "value"    {severity="critical", "service.name"=~api-.*}
    classic   name                 operator   anything            severity = critical

Both languages are tried, as Alertmanager 0.27 and later do in their default mode: a text that only one of them reads
has its meaning there, and one that they read differently has its classic meaning.

Patterns are anchored. A label that an alert does not have has the empty value.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp
from nissa.model.predicate import predicate

TEXT_CHARACTERS_MAX: Final = 64 * 1024
MATCHERS_MAX: Final = 1_000  # in one text

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!=|!~|=)\s*(.*?)\s*", re.ASCII | re.DOTALL)
_OPERATOR = re.compile(r"=~|!=|!~|=")
_WORD = re.compile(r"[^\s{}!=~,\\\"'`]+")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_CONTROL: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


class MatcherSet(msgspec.Struct, frozen=True):
    """Matchers of which all must hold, in order of their names. An empty set holds for every alert."""

    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        return "{" + ",".join(map(str, self.matchers)) + "}"

    def test(self) -> Test:
        """A function that says if all matchers hold for given labels."""
        checks = [(one.name, _holds(one), one.op.negated) for one in self.matchers]

        def holds(labels: Labels) -> bool:
            return all(check(labels.get(name, "")) is not negated for name, check, negated in checks)

        return holds


def matcher_set(matchers: Iterable[Matcher]) -> MatcherSet:
    """The set of these matchers."""
    return MatcherSet(tuple(sorted(matchers, key=lambda one: (one.name, one.value, one.op.value))))


def checked_matcher(name: str, op: MatchOp, value: str) -> Matcher:
    """A matcher whose pattern compiles. Raises: BadQuery."""
    if op.by_pattern:
        predicate(value)
    return Matcher(name, op, value)


def read_matchers(text: str) -> tuple[Matcher, ...]:
    """Matchers separated by commas, with or without braces. Raises: BadQuery."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise BadQuery(f"matchers of {len(text)} characters are over the limit of {TEXT_CHARACTERS_MAX}")
    found, reasons = [], []
    for read in (_read_utf8, _read_classic):
        try:
            found.append(read(text))
        except BadQuery as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    if len(found[-1]) > MATCHERS_MAX:
        raise BadQuery(f"{len(found[-1])} matchers are over the limit of {MATCHERS_MAX}")
    return found[-1]


def _holds(matcher: Matcher) -> Callable[[str], bool]:
    return predicate(matcher.value) if matcher.op.by_pattern else matcher.value.__eq__


# ---- The classic language --------------------------------------------------------------------------------------------


def _read_classic(text: str) -> tuple[Matcher, ...]:
    inner = text.removeprefix("{").removesuffix("}")
    return tuple(_read_classic_one(part) for part in _split(inner))


def _split(text: str) -> list[str]:
    """Parts between commas that are not quoted; nothing after a last comma."""
    parts, part, inside, escaped = [], "", False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
        elif character == "," and not inside:
            parts.append(part)
            part = ""
            continue
        part += character
    return parts + ([part] if part else [])


def _read_classic_one(text: str) -> Matcher:
    match = _CLASSIC.fullmatch(text)
    if match is None:
        raise BadQuery(f'matcher {text[:200]!r} cannot be read: expected a form like severity="critical"')
    name, op, raw = match.groups()
    begins = raw.startswith('"')
    inner = raw[1:] if begins else raw
    value, ends, position = "", False, 0
    while position < len(inner):
        character = inner[position]
        if character == "\\" and position + 1 < len(inner):
            following = inner[position + 1]
            value += {"n": "\n", '"': '"', "\\": "\\"}.get(following, "\\" + following)
            position += 2
            continue
        if character == '"':
            if not begins or position < len(inner) - 1:
                raise BadQuery(f"matcher {text[:200]!r} has a quotation mark that is not escaped")
            ends = True
            break
        value += character
        position += 1
    if begins and not ends:
        raise BadQuery(f"matcher {text[:200]!r} lacks a quotation mark at its end")
    return checked_matcher(name, MatchOp(op), value)


# ---- The language with any UTF-8 name --------------------------------------------------------------------------------


def _read_utf8(text: str) -> tuple[Matcher, ...]:
    reader = _Reader(text)
    braced = reader.take("{")
    found: list[Matcher] = []
    while not reader.at_end() and not (braced and reader.sees("}")):
        found.append(_read_utf8_one(reader))
        if not reader.take(","):
            break
    if braced and not reader.take("}"):
        raise reader.fault("expected }")
    if not reader.at_end():
        raise reader.fault("expected a comma or the end")
    return tuple(found)


def _read_utf8_one(reader: "_Reader") -> Matcher:
    name = reader.word("the name of a label")
    match = _OPERATOR.match(reader.text, reader.skip())
    if match is None:
        raise reader.fault("expected =, !=, =~ or !~")
    reader.position = match.end()
    return checked_matcher(name, MatchOp(match[0]), reader.word("a value"))


class _Reader:
    """A text and the position of what is read next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def skip(self) -> int:
        """Position after white space."""
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.position

    def at_end(self) -> bool:
        return self.skip() >= len(self.text)

    def sees(self, character: str) -> bool:
        return self.text.startswith(character, self.skip())

    def take(self, character: str) -> bool:
        if not self.sees(character):
            return False
        self.position += 1
        return True

    def word(self, what: str) -> str:
        """A word, or a text in double quotes. Raises: BadQuery."""
        start = self.skip()
        match = _QUOTED.match(self.text, start)
        if match is not None:
            self.position = match.end()
            return _ESCAPE.sub(self._unescaped, match[1])
        match = _WORD.match(self.text, start)
        if match is None:
            raise self.fault(f"expected {what}")
        self.position = match.end()
        return match[0]

    def fault(self, expected: str) -> BadQuery:
        return BadQuery(f"matchers {self.text[:200]!r} cannot be read at character {self.position}: {expected}")

    def _unescaped(self, match: re.Match[str]) -> str:
        control, *numbers, octal, other = match.groups()
        if other is not None:
            raise self.fault(f"no escape \\{other}")
        if control is not None:
            return _CONTROL[control]
        number = int(octal, 8) if octal else int(next(one for one in numbers if one), 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise self.fault("no such character")
        return chr(number)
