"""Rules that give events attributes and levels before sinks get them.

    events ──rule 1──► events ──rule 2──► …        a later rule sees what an earlier one has given

A rule without ``replace`` gives an event only attributes that it does not have. The store keeps events as they were
sent (decision 17).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nissa.config.events import EnrichmentRule
from nissa.forwarders.event_columns import EventColumns, Rows
from nissa.forwarders.event_match import EventMatcher
from nissa.forwarders.lookup_table import LookupTable
from nissa.model.columns import EventBatch
from nissa.model.level import LEVELS
from nissa.model.text_search import searched


class Enrichment:
    """All rules, compiled. For one thread."""

    def __init__(self, rules: Sequence[EnrichmentRule]) -> None:
        """Raises: ConfigInvalid for a lookup file that cannot be read."""
        self.rules = [CompiledRule(rule, f"events.enrichment[{number}]") for number, rule in enumerate(rules)]

    def applied(self, events: EventBatch, now_ms: int) -> EventBatch:
        """The events with the attributes and levels that the rules set. now_ms: the wall clock, for lookup files."""
        if not self.rules or not len(events):
            return events
        columns = EventColumns(events)
        for rule in self.rules:
            columns = rule.applied(columns, now_ms)
        return columns.events


class CompiledRule:
    """One rule."""

    def __init__(self, rule: EnrichmentRule, path: str) -> None:
        """path: in the configuration, for messages. Raises: ConfigInvalid."""
        self.path, self._rule = path, rule
        self._matcher = EventMatcher(rule.match)
        self._patterns = {name: searched(pattern) for name, pattern in rule.extract.items()}
        lookup = rule.lookup
        self._table = LookupTable(lookup.file, lookup.key, f"{path}.lookup") if lookup.file else None

    def fits(self, columns: EventColumns) -> bool:
        """True if some event meets the conditions."""
        return bool(self._matcher.rows(columns).any())

    def applied(self, columns: EventColumns, now_ms: int) -> EventColumns:
        """The events with the attributes and level that this rule sets."""
        rows = self._matcher.rows(columns)
        if not rows.any():
            return columns
        found = columns
        for name, value in self._rule.set.items():
            places = np.flatnonzero(rows)
            found = self._given(found, name, places, [value] * len(places))
        for name, other in self._rule.copy.items():
            found = self._given(found, name, *_within(rows, *columns.texts_of(other)))
        for name, pattern in self._patterns.items():
            found = self._given(found, name, *_extracted(columns, rows, pattern))
        if self._table is not None:
            self._table.refresh(now_ms)
            found = self._looked_up(found, rows, self._table)
        return found.with_level(rows, LEVELS.index(self._rule.level)) if self._rule.level else found

    def _looked_up(self, columns: EventColumns, rows: Rows, table: LookupTable) -> EventColumns:
        places, keys = _within(rows, *columns.texts_of(self._rule.lookup.key))
        known = {key: table.row_of(key) for key in set(keys)}
        names = sorted({name for row in known.values() for name in row})
        for name in names:
            hits = [place for place, key in enumerate(keys) if name in known[key]]
            columns = self._given(columns, name, places[hits], [known[keys[place]][name] for place in hits])
        return columns

    def _given(
        self, columns: EventColumns, name: str, rows: npt.NDArray[np.int64], texts: Sequence[str]
    ) -> EventColumns:
        return columns.with_attribute(name, rows, texts, replace=self._rule.replace)


def _within(wanted: Rows, rows: npt.NDArray[np.int64], texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    chosen = wanted[rows]
    return rows[chosen], [text for text, one in zip(texts, chosen.tolist(), strict=True) if one]


def _extracted(columns: EventColumns, rows: Rows, pattern: Any) -> tuple[npt.NDArray[np.int64], list[str]]:
    found, texts = [], []
    for row in np.flatnonzero(rows).tolist():
        hit = pattern.search(columns.events.description.text(row))
        if hit is not None and hit.group(1):
            found.append(row)
            texts.append(hit.group(1))
    return np.array(found, np.int64), texts
