"""Where settings come from: defaults < file < environment < command line. What comes out has been checked.

Every layer is text; the tree of settings gives the types. So ``NISSA_STORAGE__SEAL_SAMPLES=1000``, a line
``seal_samples: 1000`` and an override ``{"storage.seal_samples": "1000"}`` mean the same and fail alike.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nissa.config.check import check_config, leaves
from nissa.config.document import Document, read_document
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid

PREFIX = "NISSA_"
LEVEL = "__"

_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def load_config(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Config:
    """The settings in force.

    path: nissa.yaml, or None for no file. environ: variables such as ``NISSA_API__LISTEN``; names without ``__`` are
    not settings. overrides: dotted path -> text, from the command line.
    Raises: ConfigInvalid, whose ``path`` is the dotted path of the setting.
    """
    document = read_document(_read_file(path), str(path)) if path is not None else {}
    _open_empty_sections(document)
    for name, text in sorted((environ or {}).items()):
        if name.startswith(PREFIX) and LEVEL in name:
            _place(document, name.removeprefix(PREFIX).lower().split(LEVEL), text)
    for dotted, text in (overrides or {}).items():
        _place(document, dotted.split("."), text)
    config = _convert(document)
    check_config(config)
    return config


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid("", f"{path}: cannot be read: {error.strerror or error}") from error


def _open_empty_sections(document: Document) -> None:
    """A section whose every line is commented out reads as an empty text; it means an empty section."""
    for name, value in document.items():
        if value == "":
            document[name] = {}


def _place(document: Document, steps: list[str], text: str) -> None:
    """Set the value at the path ``steps``; sections are made where the file has none."""
    section: Any = document
    for depth, step in enumerate(steps[:-1]):
        section = section.setdefault(step, {})
        if not isinstance(section, dict):
            raise ConfigInvalid(".".join(steps), f"{'.'.join(steps[: depth + 1])} is a value, not a section")
    section[steps[-1]] = _list(text, ".".join(steps)) if text.startswith(("[{", '["')) or text == "[]" else text


def _list(text: str, path: str) -> Any:
    """A list out of a variable or the command line, as YAML writes it on one line."""
    try:
        return read_document(f"list: {text}".encode(), path)["list"]
    except ConfigInvalid:
        return text


def _convert(document: Document) -> Config:
    try:
        return msgspec.convert(document, Config, strict=False)
    except msgspec.ValidationError as error:
        raise _as_config_invalid(str(error), document) from error


def _as_config_invalid(message: str, document: Document) -> ConfigInvalid:
    """msgspec's ``Expected `int`, got `str` - at `$.storage.x` `` -> ConfigInvalid("storage.x", ...)."""
    at = _AT.search(message)
    path = at["path"].removeprefix(".") if at else ""
    what = _AT.sub("", message)
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is None:
        written = _written(document, path)
        if isinstance(written, str):
            what = what.replace("got `str`", f"got {written[:120]!r}")
        return ConfigInvalid(path, what[:1].lower() + what[1:])
    full = f"{path}.{unknown['name']}".removeprefix(".")[:200]
    known = leaves(Config())
    sections = {name.split(".")[0] for name in known}
    near = difflib.get_close_matches(full, [*known, *sections], n=1)
    return ConfigInvalid(full, "unknown setting" + (f"; did you mean {near[0]}?" if near else ""))


def _written(document: Document, path: str) -> Any:
    """What stands at ``path``, or None where the path leaves the mappings."""
    value: Any = document
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
