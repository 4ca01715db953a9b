"""Names of settings: operators write ``seal_interval: 2m``, code sees ``seal_interval_ms = 120000``.

    field of the tree       written as        other forms that are read, each with a plain number
    seal_interval_ms        seal_interval     seal_interval_ms, _s, _seconds, _minutes, _hours, _days
    segment_bytes           segment_size      segment_bytes
    active_max              active_max

The names of the fields themselves are those of earlier versions: they are read with a warning. ``ALIASES`` are names of
the specification whose settings have another name here. Each layer is translated before layers are merged, so a later
layer overrides an earlier one in any spelling.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from nissa.config.document import Document
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import Quantity, Unit, read_quantity, write_quantity
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

Warn = Callable[[str], None]

ROOT = "nissa"  # the specification's examples have every section below this word
ALIASES = {
    "telemetry.scrape_interval_s": "telemetry.interval_s",
    "telemetry.retention.metrics_days": "ladder.raw_retention_days",
    "telemetry.retention.logs_days": "storage.events_retention_days",
}

_FACTORS_MS = {
    "_ms": 1,
    "_s": SECOND_MS,
    "_seconds": SECOND_MS,
    "_minutes": MINUTE_MS,
    "_hours": HOUR_MS,
    "_days": DAY_MS,
}


class Setting(msgspec.Struct, frozen=True):
    """One field of a section. kind: its type. name: as written; spellings: name -> milliseconds or bytes of one."""

    field: str
    name: str
    kind: Any
    quantity: Quantity | None
    spellings: dict[str, int]


@cache
def settings_of_type(section: type) -> dict[str, Setting]:
    """The settings of a section or a list entry by field."""
    found = {}
    for field, hint in get_type_hints(section, include_extras=True).items():
        kind, quantity = hint, None
        if get_origin(hint) is Annotated:
            kind, *extras = get_args(hint)
            quantity = next((one for one in extras if isinstance(one, Quantity)), None)
        found[field] = _setting(field, kind, quantity)
    return found


def _setting(field: str, kind: Any, quantity: Quantity | None) -> Setting:
    if quantity is None or quantity.unit is Unit.COUNT:
        return Setting(field, field, kind, quantity, {})
    if quantity.unit is Unit.SIZE:
        return Setting(field, quantity.name or field.replace("bytes", "size"), kind, quantity, {field: 1})
    name = quantity.name or field.removesuffix("_ms")
    spellings = {name + suffix: factor for suffix, factor in _FACTORS_MS.items()}
    return Setting(field, name, kind, quantity, spellings | {field: 1})


def translate(document: Document, warn: Warn) -> Document:
    """One layer with the tree's names, quantities as numbers. Unknown names stay, for the tree to refuse.

    Raises: ConfigInvalid, naming the path as written.
    """
    layer = dict(document)
    inner = layer.pop(ROOT, {}) or {}
    if not isinstance(inner, dict):
        raise ConfigInvalid(ROOT, "expected a mapping of sections")
    for path, value in inner.items():
        if path in layer:
            raise ConfigInvalid(path, f"is set twice, also below {ROOT}")
        layer[path] = value
    for alias, path in ALIASES.items():
        _move(layer, alias.split("."), path.split("."))
    return _section(layer, settings_of_type(Config), "", warn)


def _move(layer: Document, alias: list[str], path: list[str]) -> None:
    """Put the value at ``alias``, where there is one, to ``path``; a section that only held it goes."""
    sections = [layer]
    for step in alias[:-1]:
        inner = sections[-1].get(step)
        if not isinstance(inner, dict):
            return
        sections[-1][step] = dict(inner)  # the caller's document stays as it is
        sections.append(sections[-1][step])
    if alias[-1] not in sections[-1]:
        return
    value = sections[-1].pop(alias[-1])
    for depth in range(len(sections) - 1, 0, -1):
        if not sections[depth]:
            del sections[depth - 1][alias[depth - 1]]
    section = layer.get(path[0]) or {}
    if not isinstance(section, dict):
        raise ConfigInvalid(path[0], "is a value, not a section")
    section = layer[path[0]] = dict(section)
    if path[1] in section:
        raise ConfigInvalid(".".join(path), f"is set twice, also as {'.'.join(alias)}")
    section[path[1]] = value


def _section(values: Document, settings: dict[str, Setting], path: str, warn: Warn) -> Document:
    spelled = {name: one for one in settings.values() for name in (one.name, *one.spellings)}
    found: Document = {}
    for word, value in values.items():
        here = f"{path}.{word}".removeprefix(".")
        setting = spelled.get(word)
        if setting is None:
            found[word] = value
            continue
        if setting.field in found:
            raise ConfigInvalid(here, f"is set twice, under two names; use {setting.name}")
        found[setting.field] = _value(value, setting, word, here, warn)
    return found


def _value(value: Any, setting: Setting, word: str, path: str, warn: Warn) -> Any:
    quantity = setting.quantity
    if quantity is not None and quantity.unit is not Unit.COUNT:
        factor = setting.spellings.get(word, 0)
        read = _read_each(value, quantity.unit, factor, path)
        if word == setting.field:
            better = path.removesuffix(word) + setting.name
            example = f": {write_quantity(read, quantity.unit)}" if isinstance(read, int) else ""
            warn(f"{path} is the name of earlier versions; write {better}{example}")
        return read
    section = _struct_of(setting.kind)
    if section is None:
        return value
    if is_map(setting.kind):
        return _entries(value, setting.kind, path, warn) if isinstance(value, dict) else value or {}
    if value == "" and section is setting.kind:  # every line below it is commented out
        return {}
    if isinstance(value, dict):
        return _section(value, settings_of_type(section), path, warn)
    if isinstance(value, list):
        return [
            _section(one, settings_of_type(section), f"{path}[{number}]", warn) if isinstance(one, dict) else one
            for number, one in enumerate(value)
        ]
    return value


def _entries(value: Document, kind: Any, path: str, warn: Warn) -> Document:
    """Sections by names. The type of an entry may be in another layer, so settings of all types are read."""
    settings = _settings_of(_structs_of(kind))
    return {
        name: _section(one, settings, f"{path}.{name}", warn) if isinstance(one, dict) else one
        for name, one in value.items()
    }


def _read_each(value: Any, unit: Unit, factor: int, path: str) -> Any:
    """The number behind a text; in a mapping, behind each. factor: of plain numbers; 0 where they need a unit."""
    if isinstance(value, dict):
        return {key: _read_each(one, unit, factor, f"{path}.{key}") for key, one in value.items()}
    if not isinstance(value, str):
        raise ConfigInvalid(path, f"expected {unit.value}, got a list")
    try:
        if factor and value.removeprefix("-").isdigit() and len(value) <= 40:
            return int(value) * factor
        return read_quantity(value, unit)
    except ValueError as error:
        raise ConfigInvalid(path, str(error)) from None


def _struct_of(kind: Any) -> type | None:
    """The section behind a type: itself, or what a tuple or mapping holds."""
    return next(iter(_structs_of(kind)), None)


def _structs_of(kind: Any) -> list[type]:
    """All sections behind a type; several where the setting ``type`` of an entry says which."""
    inner = [two for one in get_args(kind) for two in (one, *get_args(one))]
    return [one for one in (kind, *inner) if isinstance(one, type) and issubclass(one, msgspec.Struct)]


def _settings_of(sections: list[type]) -> dict[str, Setting]:
    """Settings of several types of section; one of the same field has the same name in all."""
    return {field: one for section in sections for field, one in settings_of_type(section).items()}


def is_map(kind: Any) -> bool:
    """True for sections by names that operators choose."""
    return get_origin(kind) is dict and _struct_of(kind) is not None


def written_path(path: str) -> str:
    """A path of the tree, such as ``ladder.tiers[0].interval_ms``, as operators write it."""
    sections: list[type] = [Config]
    words = []
    named = False  # the step is a name that the operator chose
    for step in path.split("."):
        if named:
            words.append(step)
            named = False
            continue
        field, bracket, place = step.partition("[")
        setting = _settings_of(sections).get(field)
        words.append((setting.name if setting else field) + bracket + place)
        sections = _structs_of(setting.kind) if setting else []
        named = setting is not None and is_map(setting.kind)
    return ".".join(words)


@cache
def quantities(section: type = Config) -> dict[str, Quantity]:
    """Path in the tree -> unit and bounds, of every number of the sections, in the order of the tree."""
    found: dict[str, Quantity] = {}
    for one in settings_of_type(section).values():
        if one.quantity is not None:
            found[one.field] = one.quantity
        elif isinstance(one.kind, type) and issubclass(one.kind, msgspec.Struct):
            found |= {f"{one.field}.{path}": number for path, number in quantities(one.kind).items()}
    return found


def shown(section: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Name and value of every field as operators write them; lists with mappings of these; sections as they are."""
    for setting in settings_of_type(type(section)).values():
        value = getattr(section, setting.field)
        yield setting.name, value if isinstance(value, msgspec.Struct) else _shown_value(value, setting.quantity)


def _shown_value(value: Any, quantity: Quantity | None) -> Any:
    if isinstance(value, msgspec.Struct):
        return dict(shown(value))
    if isinstance(value, tuple):
        return [_shown_value(one, quantity) for one in value]
    if isinstance(value, dict) and quantity is None:
        return {key: _shown_value(one, None) for key, one in value.items()}
    if quantity is None or quantity.unit is Unit.COUNT:
        return value
    if isinstance(value, dict):
        return {key: write_quantity(one, quantity.unit) for key, one in value.items()}
    return write_quantity(value, quantity.unit)
