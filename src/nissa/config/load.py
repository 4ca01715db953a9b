"""Loads settings: defaults < file < environment < command line. The result has been checked.

Every layer is text; the tree of settings gives the types. So ``NISSA_STORAGE__SEAL_INTERVAL=2m``, a line
``seal_interval: 2m`` and an override ``{"storage.seal_interval": "2m"}`` mean the same and fail alike.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from nissa.config.check import SCRAPE_CONFIGS, check_config, written_leaves
from nissa.config.document import Document, line_of, read_document
from nissa.config.names import ROOT, Warn, settings_of_type, translate, written_path
from nissa.config.sinks import SINK_TYPES, Sink
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid

PREFIX = "NISSA_"
LEVEL = "__"
# Settings that are refused with the name of the one that stands for them.
MOVED = {f"alerting.dead_letters_redis_{name}": f"dead_letters_redis.{name}" for name in ("url", "list")}

_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def load_config(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    warn: Warn = lambda _: None,
) -> Config:
    """The settings in force.

    path: nissa.yaml, or None for no file. environ: variables such as ``NISSA_API__LISTEN``; names without ``__`` are
    not settings. overrides: dotted path -> text, from the command line. warn: called with each old name that is used.
    Raises: ConfigInvalid, whose ``path`` is the dotted path of the setting.
    """
    written = _read_file(path) if path is not None else b""
    document = read_document(written, str(path))
    document = translate(document, warn)
    layers: tuple[Document, Document] = ({}, {})
    for name, text in sorted((environ or {}).items()):
        if name.startswith(PREFIX) and LEVEL in name:
            _place(layers[0], name.removeprefix(PREFIX).lower().split(LEVEL), text)
    for dotted, text in (overrides or {}).items():
        _place(layers[1], dotted.split("."), text)
    for layer in layers:
        _merge(document, translate(layer, warn), "")
    config = _convert(document)
    try:
        check_config(config)
    except ConfigInvalid as error:
        raise _with_line(error, written, path) from None
    return config


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid("", f"{path}: cannot be read: {error.strerror or error}") from error


def _with_line(error: ConfigInvalid, text: bytes, path: Path | None) -> ConfigInvalid:
    """The error with the line of its setting, where that is far down in lists of the file."""
    place = error.path.removeprefix(f"{ROOT}.")
    if path is None or not place.startswith(SCRAPE_CONFIGS):
        return error
    line = max(line_of(text, place), line_of(text, f"{ROOT}.{place}"))
    return ConfigInvalid(error.path, f"{str(error).removeprefix(f'{error.path}: ')} ({path}, line {line})")


def _place(document: Document, steps: list[str], text: str) -> None:
    """Set the value at the path ``steps``; sections are made where the file has none."""
    section: Any = document
    for depth, step in enumerate(steps[:-1]):
        section = section.setdefault(step, {})
        if not isinstance(section, dict):
            raise ConfigInvalid(".".join(steps), f"{'.'.join(steps[: depth + 1])} is a value, not a section")
    section[steps[-1]] = _list(text, ".".join(steps)) if text.startswith(("[{", '["')) or text == "[]" else text


def _merge(below: Document, layer: Document, path: str) -> None:
    """Put what ``layer`` says over ``below``; sections are merged, values and lists replaced."""
    for name, value in layer.items():
        here = f"{path}.{name}".removeprefix(".")
        if not isinstance(value, dict):
            below[name] = value
            continue
        section = below.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigInvalid(here, "is a value, not a section")
        _merge(section, value, here)


def _list(text: str, path: str) -> Any:
    """A list out of a variable or the command line, as YAML writes it on one line."""
    try:
        return read_document(f"list: {text}".encode(), path)["list"]
    except ConfigInvalid:
        return text


def _convert(document: Document) -> Config:
    sinks = document.pop("sinks", None) or {}
    if not isinstance(sinks, dict):
        raise ConfigInvalid("sinks", "expected a mapping of names to sinks")
    config: Config = _converted(document, Config, document, "")
    document["sinks"] = sinks
    # Each by itself: msgspec does not say which entry of a mapping is at fault.
    read = {}
    for name, one in sinks.items():
        kind = one.get("type") if isinstance(one, dict) else None
        if isinstance(one, dict) and kind not in SINK_TYPES:
            what = "is missing" if kind is None else f"{str(kind)[:80]!r} is no type of sink"
            raise ConfigInvalid(f"sinks.{name}.type"[:100], f"{what}: expected {' or '.join(SINK_TYPES)}")
        read[name] = _converted(one, SINK_TYPES.get(str(kind), Sink), document, f"sinks.{name}")
    found: Config = msgspec.structs.replace(config, sinks=read)
    return found


def _converted(value: Any, kind: Any, document: Document, prefix: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _as_config_invalid(str(error), document, prefix, kind) from error


def _as_config_invalid(message: str, document: Document, prefix: str, kind: Any) -> ConfigInvalid:
    """msgspec's ``Expected `int`, got `str` - at `$.storage.x` `` -> ConfigInvalid("storage.x", ...)."""
    at = _AT.search(message)
    place = (prefix + (at["path"] if at else "")).removeprefix(".")
    path = written_path(place)
    what = _AT.sub("", message).replace("`array`", "a list").replace("`object`", "a mapping")
    found = _kind_at(kind, at["path"] if at else "")
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is None:
        written = _written(document, place)
        if isinstance(written, str):
            what = what.replace("got `str`", f"got {written[:120]!r}")
        if get_origin(found) is Literal:
            what = f"expected {' or '.join(map(str, get_args(found)))}, got {str(written)[:120]!r}"
        return ConfigInvalid(path, what[:1].lower() + what[1:])
    full = f"{path}.{unknown['name']}".removeprefix(".")[:200]
    known = written_leaves(Config())
    sections = {name.split(".")[0] for name in known}
    beside = [f"{path}.{one.name}" for one in settings_of_type(found).values()] if prefix and found else []
    near = [MOVED[full]] if full in MOVED else difflib.get_close_matches(full, [*known, *sections, *beside], n=1)
    return ConfigInvalid(full, "unknown setting" + (f"; did you mean {near[0]}?" if near else ""))


def _kind_at(kind: Any, path: str) -> Any:
    """The type of the setting at a path of fields below a section; None where it leads through a list or a mapping."""
    for step in path.split(".")[1:]:
        fields = settings_of_type(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else {}
        kind = fields[step].kind if step in fields else None
    return kind


def _written(document: Document, path: str) -> Any:
    """The value at ``path``, or None where the path leaves the mappings."""
    value: Any = document
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
