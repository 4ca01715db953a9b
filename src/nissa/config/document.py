"""YAML text -> nested dictionaries and lists whose leaves are strings. Types come later, from the tree of settings.

Only the plain part of YAML is read: mappings, sequences, scalars. Refused, each with its line: tags (they name types),
anchors and aliases (a small file of them can stand for gigabytes), a key written twice (one of the two would be lost
silently), more than one document, nesting deeper than ``DEPTH_MAX``, files over ``BYTES_MAX``.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from nissa.model.errors import ConfigInvalid

BYTES_MAX = 1 << 20
DEPTH_MAX = 16

# libyaml's parser where PyYAML was built with it; the Python one reads the same language.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Document = dict[str, Any]


def read_document(text: bytes, name: str) -> Document:
    """The mapping that a file holds; empty for an empty file. ``name`` is the file's, for messages.

    Raises: ConfigInvalid, naming file and line.
    """
    if len(text) > BYTES_MAX:
        raise ConfigInvalid("", f"{name}: {len(text)} bytes are over the limit of {BYTES_MAX}")
    try:
        decoded = text.decode()
        events = iter(yaml.parse(decoded, Loader=_Loader))
        return _read_root(events, name)
    except UnicodeDecodeError as error:
        raise ConfigInvalid("", f"{name}: not UTF-8 at byte {error.start}") from error
    except yaml.YAMLError as error:
        raise ConfigInvalid("", f"{name}: not YAML: {' '.join(str(error).split())}") from error


def _read_root(events: Iterator[Any], name: str) -> Document:
    """The first document of the stream, which must be the only one and a mapping."""
    root: Any = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refusal(event, name, "a second document; settings are one document")
        elif isinstance(event, yaml.NodeEvent):
            root = _read_node(event, events, name, 0)
            if root != "" and not isinstance(root, dict):
                raise _refusal(event, name, "expected a mapping of sections")
    return root or {}


def _read_node(event: Any, events: Iterator[Any], name: str, depth: int) -> Any:
    """The value that starts at ``event``."""
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _refusal(event, name, "anchors and aliases are not read; write the value out")
    if event.tag is not None:
        raise _refusal(event, name, f"tag {event.tag[:80]!r} is not read; types come from the setting")
    if depth > DEPTH_MAX:
        raise _refusal(event, name, f"nested deeper than {DEPTH_MAX} levels")
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.SequenceStartEvent):
        return _read_sequence(events, name, depth)
    return _read_mapping(events, name, depth)


def _read_sequence(events: Iterator[Any], name: str, depth: int) -> list[Any]:
    values = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        values.append(_read_node(event, events, name, depth + 1))
    return values


def _read_mapping(events: Iterator[Any], name: str, depth: int) -> Document:
    values: Document = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        key = _read_node(event, events, name, depth + 1)
        if not isinstance(key, str):
            raise _refusal(event, name, "a key must be a plain word")
        if key in values:
            raise _refusal(event, name, f"{key[:80]!r} is written twice")
        values[key] = _read_node(next(events), events, name, depth + 1)
    return values


def _refusal(event: Any, name: str, what: str) -> ConfigInvalid:
    return ConfigInvalid("", f"{name}, line {event.start_mark.line + 1}: {what}")
