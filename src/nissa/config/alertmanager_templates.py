"""Reads which texts the files of ``templates:`` in Alertmanager's configuration define, as Nissa does not render them.

    templates: [texts/*.tmpl] ──► {{ define "team.title" }} at texts/a.tmpl, line 3 ──► a warning that names it
    receivers: … {{ template "team.title" . }} ──► refused, with the place of both

A text of Alertmanager's own name, such as ``slack.default.text``, that a file defines anew changes every message there,
so a receiver that leaves it to the default is no fault, and the warning says that Nissa's own text is sent.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import Fail

FILES_MAX: Final = 100  # of all patterns
BYTES_MAX: Final = 1 << 20  # of one file
NAMES_SHOWN_MAX: Final = 10
_NAME: Final = r"(?:\"((?:[^\"\\\n]|\\.)*)\"|`([^`]*)`)"
_DEFINED: Final = re.compile(r"\{\{-?\s*(?:define|block)\s+" + _NAME)
_INCLUDED: Final = re.compile(r"\{\{-?\s*template\s+" + _NAME)
_RENDERED: Final = "texts of notifications are Jinja2 templates here"


class DefinedText(msgspec.Struct, frozen=True):
    """Place of the definition of a text."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def defined_texts(patterns: Any, folder: Path, fail: Fail) -> tuple[dict[str, DefinedText], list[str]]:
    """Texts by name that the files of ``patterns`` define, and a warning for each pattern.

    patterns: as the configuration has them; none where it has none. folder: that they are relative to. Raises: what
    ``fail`` makes.
    """
    if isinstance(patterns, str) or patterns is None:
        patterns = [patterns] if patterns else []
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise fail("templates", "expected a list of files")
    defined: dict[str, DefinedText] = {}
    warnings, left = [], FILES_MAX
    for number, pattern in enumerate(patterns):
        paths = _matching(folder / pattern)
        if len(paths) > left:
            raise fail(f"templates[{number}]", f"{pattern[:200]} and those before match over {FILES_MAX} files")
        left -= len(paths)
        own: dict[str, DefinedText] = {}
        faults = [fault for path in paths if (fault := _read(path, own))]
        defined |= own
        what = _told(own) if paths else "it matches no file"
        told = "; ".join([what, *faults])
        warnings.append(str(fail(f"templates[{number}]", f"{pattern[:200]} is passed over, as {_RENDERED}: {told}")))
    return defined, warnings


def check_receivers(receivers: Any, defined: dict[str, DefinedText], fail: Fail) -> None:
    """Refuse a text that includes one of these. receivers: as written. Raises: what ``fail`` makes."""
    for place, text in _texts(receivers, "receivers"):
        for name in map(_named, _INCLUDED.finditer(text)):
            if name in defined:
                what = f"the template {name[:80]!r} of {defined[name]} is not rendered: {_RENDERED}"
                raise fail(place, what)


def _matching(path: Path) -> list[Path]:
    anchor = Path(path.anchor)
    return sorted(one for one in anchor.glob(str(path.relative_to(anchor))) if one.is_file())


def _read(path: Path, own: dict[str, DefinedText]) -> str:
    """Add the texts of a file to ``own``; returns why it cannot be read, or nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX).decode(errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    for match in _DEFINED.finditer(text):
        own[_named(match)] = DefinedText(path, text.count("\n", 0, match.start()) + 1)
    return ""


def _told(own: dict[str, DefinedText]) -> str:
    if not own:
        return "it defines no text"
    shown = ", ".join(f"{name[:80]!r} ({place})" for name, place in list(own.items())[:NAMES_SHOWN_MAX])
    more = f" and {len(own) - NAMES_SHOWN_MAX} more" if len(own) > NAMES_SHOWN_MAX else ""
    return f"Nissa's own texts are sent in place of {shown}{more}"


def _named(match: re.Match[str]) -> str:
    return match[1] if match[1] is not None else match[2]


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """(place, text) of all texts, at any depth."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _texts(one, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, f"{place}.{name}")
