"""YAML text -> nested dictionaries and lists whose leaves are strings. Types come later, from the tree of settings.

The plain part of YAML is read: mappings, sequences, scalars, anchors with aliases, and the merge key ``<<``. Refused,
each with its line: tags (they name types), a key or an anchor written twice (one of the two would be lost silently),
more than one document, nesting deeper than ``DEPTH_MAX``, files over ``BYTES_MAX``, and aliases that stand for more
than ``ALIASED_VALUES_MAX`` values together: a small file of them can stand for gigabytes.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from nissa.model.errors import ConfigInvalid

BYTES_MAX = 1 << 20
DEPTH_MAX = 16
ALIASED_VALUES_MAX = 100_000
MERGE = "<<"
_STEP = re.compile(r"[^.\[\]]+")

# libyaml's parser where PyYAML was built with it; the Python one reads the same language.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Document = dict[str, Any]
Fail = Callable[[str, str], ConfigInvalid]  # of a place in a document and what is wrong there


def read_document(text: bytes, name: str, bytes_max: int = BYTES_MAX) -> Document:
    """The mapping that a file holds; empty for an empty file. ``name`` is the file's, for messages.

    Raises: ConfigInvalid, naming file and line.
    """
    found = _read(text, name, dict, "a mapping of sections", bytes_max)
    return dict(found)


def read_list(text: bytes, name: str) -> list[Any]:
    """The list that a file holds; empty for an empty file. Raises: ConfigInvalid, naming the file by ``name``."""
    return list(_read(text, name, list, "a list", BYTES_MAX))


def line_of(text: bytes, path: str) -> int:
    """The line, counted from 1, of the setting at ``path``, such as ``scrape_configs[0].scheme``, in a file that was
    read; of the nearest section around it where the path leads out of the file.
    """
    node, line = yaml.compose(text.decode(), Loader=_Loader), 1
    for step in _STEP.findall(path):
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
        else:
            break
    return int(line)


def _read(text: bytes, name: str, kind: type, wanted: str, bytes_max: int) -> Any:
    if len(text) > bytes_max:
        raise ConfigInvalid("", f"{name}: {len(text)} bytes are over the limit of {bytes_max}")
    try:
        events = iter(_Loader(text.decode()).get_event, None)
        return _read_root(events, name, kind, wanted)
    except UnicodeDecodeError as error:
        raise ConfigInvalid("", f"{name}: not UTF-8 at byte {error.start}") from error
    except yaml.YAMLError as error:
        raise ConfigInvalid("", f"{name}: not YAML: {' '.join(str(error).split())}") from error


def _read_root(events: Iterator[Any], name: str, kind: type, wanted: str) -> Any:
    """The first document of the stream, which must be the only one and of this kind."""
    root: Any = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refusal(event, name, "a second YAML document; the file may hold only one")
        elif isinstance(event, yaml.NodeEvent):
            root = _Nodes(events, name).read(event, 0)
            if root != "" and not isinstance(root, kind):
                raise _refusal(event, name, f"expected {wanted}")
    return root or kind()


class _Nodes:
    """Reads nodes, and remembers those that have anchors."""

    def __init__(self, events: Iterator[Any], name: str) -> None:
        self._events, self._name = events, name
        self._anchored: dict[str, Any] = {}
        self._aliased = 0

    def read(self, event: Any, depth: int) -> Any:
        """The value that starts at ``event``."""
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _refusal(event, self._name, f"the alias {str(event.anchor)[:80]!r} names no anchor before it")
            return self._copied(self._anchored[event.anchor], event, depth)
        if event.tag is not None:
            what = f"the tag {event.tag[:80]!r} is not supported; the setting decides the type"
            raise _refusal(event, self._name, what)
        self._check_depth(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if event.anchor is not None:
            if event.anchor in self._anchored:
                raise _refusal(event, self._name, f"duplicate anchor {event.anchor[:80]!r}")
            self._anchored[event.anchor] = value
        return value

    def _sequence(self, depth: int) -> list[Any]:
        values = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self.read(event, depth + 1))
        return values

    def _mapping(self, depth: int) -> Document:
        values: Document = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.read(event, depth + 1)
            if not isinstance(key, str):
                raise _refusal(event, self._name, "a key must be a plain word")
            if key in values:
                raise _refusal(event, self._name, f"duplicate key {key[:80]!r}")
            values[key] = self.read(next(self._events), depth + 1)
        merged = values.get(MERGE)
        if isinstance(merged, dict | list):
            del values[MERGE]
            for one in merged if isinstance(merged, list) else [merged]:
                values = {**one, **values} if isinstance(one, dict) else values
        return values

    def _copied(self, value: Any, event: Any, depth: int) -> Any:
        """A value again, in another place."""
        self._check_depth(event, depth)
        self._aliased += 1
        if self._aliased > ALIASED_VALUES_MAX:
            raise _refusal(event, self._name, f"aliases stand for more than {ALIASED_VALUES_MAX} values")
        if isinstance(value, list):
            return [self._copied(one, event, depth + 1) for one in value]
        if isinstance(value, dict):
            return {key: self._copied(one, event, depth + 1) for key, one in value.items()}
        return value

    def _check_depth(self, event: Any, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise _refusal(event, self._name, f"nested deeper than {DEPTH_MAX} levels")


def _refusal(event: Any, name: str, what: str) -> ConfigInvalid:
    return ConfigInvalid("", f"{name}, line {event.start_mark.line + 1}: {what}")
