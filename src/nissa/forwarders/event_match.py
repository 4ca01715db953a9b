"""Conditions of rules over events, judged by column."""

from fnmatch import fnmatchcase

import numpy as np

from nissa.config.events import EventMatch
from nissa.files.arrow_columns import arrow_text
from nissa.forwarders.event_columns import EventColumns, Rows
from nissa.model.level import LEVELS
from nissa.redaction.event_filter import take_text


class EventMatcher:
    """The compiled conditions of one rule."""

    def __init__(self, match: EventMatch) -> None:
        self._match = match
        self._levels = np.array([LEVELS.index(word) for word in match.levels], np.uint8)

    def rows(self, columns: EventColumns) -> Rows:
        """True for each event that meets all conditions."""
        match, events = self._match, columns.events
        found = np.ones(len(columns), np.bool_)
        if match.levels:
            found &= np.isin(events.level, self._levels)
        if match.sources:
            found &= columns.sources.fitting(lambda text: any(fnmatchcase(text, one) for one in match.sources))
        for name, pattern in match.attributes.items():
            if found.any():
                found &= _with_attribute(columns, name, pattern)
        if match.text and found.any():
            found[found] = _with_text(columns, np.flatnonzero(found), match.text)
        return found


def _with_attribute(columns: EventColumns, name: str, pattern: str) -> Rows:
    found = np.zeros(len(columns), np.bool_)
    rows, texts = columns.texts_of(name)
    found[rows] = [fnmatchcase(text, pattern) for text in texts]
    return found


def _with_text(columns: EventColumns, rows: np.ndarray[tuple[int], np.dtype[np.int64]], pattern: str) -> Rows:
    import pyarrow as pa  # heavy: only with a sink of events
    import pyarrow.compute as pc

    column = take_text(columns.events.description, rows)
    found = pc.match_substring_regex(arrow_text(column.offsets, column.data, pa.string()), pattern)
    return np.fromiter(found.to_pylist(), np.bool_, len(rows))
