"""Redaction: applies the rules of ``config/redaction.py`` to events before they are stored.

    attributes    user.id = alice          region = eu        key rules judge each distinct name once
                            ▼
                  user.id = [hash:…]       region = eu
    description   mail to a@b.org     ──►  mail to [redacted:email]
    and values

Ids, sources, names and times are not changed: events are searched by them. If no rule matches, the batch is returned
unchanged. A pure function of the batch, the rules and the secret.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from nissa.config.redaction import Action, Redaction, RedactionRule, rules_in_force
from nissa.files.arrow_columns import arrow_text
from nissa.model.columns import EventBatch, TextColumn
from nissa.redaction.pattern import ColumnPattern

HASH_BYTES = 8
FEW_NAMES = 256
KNOWN_NAMES_MAX = 10_000
Replace = Callable[[bytes], bytes]
Counts = dict[str, int]


class PreparedRule(msgspec.Struct, frozen=True):
    """A rule, prepared. replace: from what fits to what stands there instead."""

    name: str
    pattern: ColumnPattern
    replace: Replace


class KeyRules:
    """Rules for names, and what they said of names before. One thread."""

    def __init__(self, rules: tuple[PreparedRule, ...]) -> None:
        self.rules = rules
        self._known: dict[bytes, PreparedRule | None] = {}

    def rule_for(self, name: bytes) -> PreparedRule | None:
        """The first rule that the whole name fits."""
        known = self._known
        if name not in known:
            if len(known) >= KNOWN_NAMES_MAX:
                known.clear()
            known[name] = next((rule for rule in self.rules if rule.pattern.fits(name)), None)
        return known[name]


class PreparedRules(msgspec.Struct, frozen=True):
    """All rules of a configuration."""

    keys: KeyRules
    patterns: tuple[PreparedRule, ...]


def prepare_rules(redaction: Redaction, secret: bytes) -> PreparedRules:
    """Rules ready for use; none where redaction is off. Raises ConfigInvalid, naming the path."""
    redaction = rules_in_force(redaction)
    key = blake2b(secret, digest_size=32, person=b"nissa redact").digest()
    keys = KeyRules(_prepared(redaction.keys, "keys", key))
    return PreparedRules(keys, _prepared(redaction.patterns, "patterns", key))


def redact(events: EventBatch, rules: PreparedRules) -> tuple[EventBatch, Counts]:
    """The batch without what the rules name, and how many texts each rule changed."""
    counts: Counts = {}
    values = _by_names(events.attribute_names, events.attribute_values, rules.keys, counts)
    for rule in rules.patterns:
        values = _by_pattern(values, rule, counts)
    description = events.description
    for rule in rules.patterns:
        description = _by_pattern(description, rule, counts)
    if not counts:
        return events, counts
    return msgspec.structs.replace(events, description=description, attribute_values=values), counts


def _prepared(rules: Iterable[RedactionRule], kind: str, key: bytes) -> tuple[PreparedRule, ...]:
    out = []
    for place, rule in enumerate(rules):
        pattern = ColumnPattern(rule.pattern, f"redaction.{kind}[{place}].pattern")
        replace = _hashing(key) if rule.action is Action.HASH else _masking(rule.name)
        out.append(PreparedRule(rule.name, pattern, replace))
    return tuple(out)


def _masking(name: str) -> Replace:
    mask = f"[redacted:{name}]".encode()
    return lambda _: mask


def _hashing(key: bytes) -> Replace:
    return lambda text: b"[hash:%s]" % blake2b(text, digest_size=HASH_BYTES, key=key).hexdigest().encode()


def _by_names(names: TextColumn, values: TextColumn, rules: KeyRules, counts: Counts) -> TextColumn:
    """Replace whole values of the attributes whose name fits a rule, the first that does."""
    if not len(names) or not rules.rules:
        return values
    offsets, changes = values.offsets, dict[int, bytes]()
    replaced: dict[tuple[str, bytes], bytes] = {}
    for place, rule in _judged(names, rules):
        text = values.data[offsets[place] : offsets[place + 1]]
        if not text:
            continue  # nothing is nothing to hide
        new = replaced.get((rule.name, text))
        if new is None:
            new = replaced[rule.name, text] = rule.replace(text)
        changes[place] = new
        counts[rule.name] = counts.get(rule.name, 0) + 1
    return _changed(values, changes)


def _judged(names: TextColumn, rules: KeyRules) -> Iterator[tuple[int, PreparedRule]]:
    """Names that match a rule, ascending."""
    if len(names) <= FEW_NAMES:  # less work than to make an Arrow array of them
        bounds = names.offsets.tolist()
        for place, (first, end) in enumerate(pairwise(bounds)):
            rule = rules.rule_for(names.data[first:end])
            if rule is not None:
                yield place, rule
        return
    import pyarrow as pa  # heavy: the daemon receives before it is needed

    encoded = arrow_text(names.offsets, names.data, pa.string()).dictionary_encode()
    chosen = [rules.rule_for(name.encode()) for name in encoded.dictionary.to_pylist()]
    if any(chosen):
        indices = encoded.indices.to_numpy()
        for place in np.flatnonzero(np.array([rule is not None for rule in chosen])[indices]).tolist():
            rule = chosen[indices[place]]
            if rule is not None:
                yield place, rule


def _by_pattern(column: TextColumn, rule: PreparedRule, counts: Counts) -> TextColumn:
    """Replace the parts of a column's strings that fit."""
    places = rule.pattern.strings(column)
    if not places:
        return column
    changes: dict[int, bytes] = {}

    def replace(found: Any) -> bytes:
        return rule.replace(found.group())

    for place in places:
        text = column.data[column.offsets[place] : column.offsets[place + 1]]
        new, count = rule.pattern.exact.subn(replace, text)
        if count:
            changes[place] = new
    if changes:
        counts[rule.name] = counts.get(rule.name, 0) + len(changes)
    return _changed(column, changes)


def _changed(column: TextColumn, changes: dict[int, bytes]) -> TextColumn:
    """The column with other strings in some places, which ascend."""
    if not changes:
        return column
    offsets, data = column.offsets.tolist(), column.data
    sizes = np.diff(column.offsets)
    pieces, copied = [], 0
    for place, text in changes.items():
        pieces += [data[copied : offsets[place]], text]
        copied = offsets[place + 1]
        sizes[place] = len(text)
    pieces.append(data[copied:])
    return TextColumn(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), b"".join(pieces))
