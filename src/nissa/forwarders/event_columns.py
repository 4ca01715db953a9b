"""Columns of events as rules look at them: distinct texts are judged once, attributes are found and added by column."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.files.arrow_columns import arrow_text
from nissa.model.columns import EventBatch, TextColumn
from nissa.redaction.event_filter import take_text

Rows = npt.NDArray[np.bool_]
NONE: Final = -1  # place of an attribute that an event does not have


class Distinct:
    """The distinct texts of a column, and which of them stands in each place. codes: int32, shape (n,)."""

    def __init__(self, column: TextColumn) -> None:
        import pyarrow as pa  # heavy: only with a sink of events

        encoded = arrow_text(column.offsets, column.data, pa.string()).dictionary_encode()
        self.texts: list[str] = encoded.dictionary.to_pylist()
        self.codes = np.frombuffer(encoded.indices.buffers()[1], np.int32)[: len(column)]

    def fitting(self, fits: Callable[[str], bool]) -> Rows:
        """True for each place whose text fits."""
        return np.array([fits(text) for text in self.texts], np.bool_)[self.codes] if len(self.codes) else _EMPTY


_EMPTY: Final = np.zeros(0, np.bool_)


class EventColumns:
    """Events with cached facts about their columns."""

    def __init__(self, events: EventBatch) -> None:
        self.events = events
        self._sources: Distinct | None = None
        self._names: Distinct | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def sources(self) -> Distinct:
        """Distinct sources."""
        if self._sources is None:
            self._sources = Distinct(self.events.source)
        return self._sources

    def places_of(self, name: str) -> npt.NDArray[np.int64]:
        """Place of the last attribute of this name of each event among all attributes; ``NONE`` without one."""
        if self._names is None:
            self._names = Distinct(self.events.attribute_names)
        found = np.full(len(self), NONE, np.int64)
        places = np.flatnonzero(self._names.fitting(lambda text: text == name))
        owners = np.searchsorted(self.events.attribute_offsets, places, "right") - 1
        found[owners] = places  # ascending, so the last one stays
        return found

    def texts_of(self, name: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Rows of events with this attribute, and its text in each; ``source`` is that of the event."""
        if name == "source":
            return np.arange(len(self)), [self.sources.texts[code] for code in self.sources.codes.tolist()]
        places = self.places_of(name)
        rows = np.flatnonzero(places != NONE)
        column = take_text(self.events.attribute_values, places[rows])
        return rows, [column.text(row) for row in range(len(rows))]

    def with_level(self, rows: Rows, level: int) -> "EventColumns":
        """A copy with another level for ``rows``, a mask."""
        levels = np.where(rows, np.uint8(level), self.events.level)
        return EventColumns(msgspec.structs.replace(self.events, level=levels))

    def with_attribute(
        self, name: str, rows: npt.NDArray[np.int64], texts: Sequence[str], *, replace: bool
    ) -> "EventColumns":
        """A copy with an attribute added to ``rows``, ascending. replace: it wins over one of the same name."""
        if not len(rows):
            return self
        events = self.events
        at = events.attribute_offsets[rows + 1 if replace else rows]  # of attributes of one name the last is read
        first = len(events.attribute_names)
        order = np.insert(np.arange(first), at, np.arange(first, first + len(rows)))
        added = np.zeros(len(events) + 1, np.int64)
        added[rows + 1] = 1
        offsets = (events.attribute_offsets + np.cumsum(added)).astype(np.int32)
        names = take_text(_appended(events.attribute_names, [name] * len(rows)), order)
        values = take_text(_appended(events.attribute_values, texts), order)
        found = EventColumns(
            msgspec.structs.replace(events, attribute_offsets=offsets, attribute_names=names, attribute_values=values)
        )
        found._sources = self._sources
        return found


def _appended(column: TextColumn, texts: Sequence[str]) -> TextColumn:
    pieces = [text.encode() for text in texts]
    ends = int(column.offsets[-1]) + np.cumsum([len(piece) for piece in pieces])
    return TextColumn(np.concatenate([column.offsets, ends.astype(np.int32)]), column.data + b"".join(pieces))
