"""Relabelling as Prometheus does it: rules that rewrite, keep or drop a label set, one after the other.

    source_labels ──join by separator──► value ──regex, anchored──► replacement ──► target_label
                                           │
                                           └─ keep, drop, keepequal, dropequal: the label set stays or goes

Patterns run in RE2: time linear in the value. Rules are data: what scrapes carries them in the context of its frames,
and a replay applies them again.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import re2

from nissa.model.replacement import expanded

DEFAULT_REGEX: Final = "(.*)"
PATTERN_MEMORY_BYTES: Final = 1 << 20  # of one compiled pattern
ONE_TARGET: Final = ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")

Action = Literal[
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
]
Labels = dict[str, str]


class RelabelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of ``relabel_configs`` or ``metric_relabel_configs``, with Prometheus' names and defaults."""

    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = DEFAULT_REGEX
    modulus: Annotated[int, msgspec.Meta(ge=0)] = 0
    target_label: str = ""
    replacement: str = "$1"
    action: Action = "replace"


class Relabelling:
    """Rules, compiled. Safe from any thread."""

    def __init__(self, rules: Sequence[RelabelRule]) -> None:
        """Raises: ValueError, saying which rule cannot be applied and why."""
        self.rules = tuple(rules)
        self._steps = [_Step(rule, f"rule {number}") for number, rule in enumerate(rules, 1)]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def applied(self, labels: Labels) -> Labels | None:
        """The label set as rules leave it, without empty values; None where it is dropped. ``labels`` may change."""
        for step in self._steps:
            if not step.apply(labels):
                return None
        return labels


class _Step:
    def __init__(self, rule: RelabelRule, name: str) -> None:
        if rule.action in ONE_TARGET and not rule.target_label:
            raise ValueError(f"{name}: {rule.action} needs a target_label")
        if rule.action == "hashmod" and not rule.modulus:
            raise ValueError(f"{name}: hashmod needs a modulus")
        self._rule = rule
        self._regex = _compiled(rule.regex, name)
        self._is_default = rule.regex == DEFAULT_REGEX and "$" not in rule.replacement + rule.target_label
        self._change = getattr(self, f"_{rule.action}")

    def apply(self, labels: Labels) -> bool:
        """Change ``labels``; False where they are dropped."""
        return bool(self._change(labels))

    def _value(self, labels: Labels) -> str:
        return self._rule.separator.join([labels.get(name, "") for name in self._rule.source_labels])

    def _keep(self, labels: Labels) -> bool:
        return self._regex.fullmatch(self._value(labels)) is not None

    def _drop(self, labels: Labels) -> bool:
        return not self._keep(labels)

    def _keepequal(self, labels: Labels) -> bool:
        return labels.get(self._rule.target_label, "") == self._value(labels)

    def _dropequal(self, labels: Labels) -> bool:
        return not self._keepequal(labels)

    def _replace(self, labels: Labels) -> bool:
        value = self._value(labels)
        if not value and self._is_default:
            _set(labels, self._rule.target_label, self._rule.replacement)
            return True
        match = self._regex.fullmatch(value)
        if match is not None:
            name = expanded(self._rule.target_label, match)
            if name:
                _set(labels, name, expanded(self._rule.replacement, match))
        return True

    def _lowercase(self, labels: Labels) -> bool:
        _set(labels, self._rule.target_label, self._value(labels).lower())
        return True

    def _uppercase(self, labels: Labels) -> bool:
        _set(labels, self._rule.target_label, self._value(labels).upper())
        return True

    def _hashmod(self, labels: Labels) -> bool:
        digest = hashlib.md5(self._value(labels).encode(), usedforsecurity=False).digest()
        _set(labels, self._rule.target_label, str(int.from_bytes(digest[8:], "big") % self._rule.modulus))
        return True

    def _labelmap(self, labels: Labels) -> bool:
        for name, value in list(labels.items()):
            match = self._regex.fullmatch(name)
            if match is not None:
                mapped = expanded(self._rule.replacement, match)
                if mapped:
                    _set(labels, mapped, value)
        return True

    def _labeldrop(self, labels: Labels) -> bool:
        for name in [name for name in labels if self._regex.fullmatch(name) is not None]:
            del labels[name]
        return True

    def _labelkeep(self, labels: Labels) -> bool:
        for name in [name for name in labels if self._regex.fullmatch(name) is None]:
            del labels[name]
        return True


def _set(labels: Labels, name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _compiled(pattern: str, name: str) -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{name}: regex {pattern[:200]!r} cannot be read: {text}") from None
