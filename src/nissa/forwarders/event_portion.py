"""Events of some frames of the journal as bodies for the bulk API, made one after the other while they are sent.

    frames ──► enriched events ──► levels ──► routes ──► lines, put together up to both limits of a batch ──► next batch

A frame of a few KiB can hold 32 MiB of events, so only what is being sent is held as text.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from nissa.config.sinks import ElasticsearchSink
from nissa.forwarders.event_lines import BulkLines, bulk_lines, together
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.journal_events import FrameEvents, JournalEvents
from nissa.journal.segment import JournalFrame
from nissa.model.level import LEVELS
from nissa.redaction.event_filter import take_events


class EventPortion(msgspec.Struct):
    """Frames that were read at a time. lsn: of the last one. received_ms: of the first one.

    batches: what is sent, each once. samples: events found so far. filtered: of these, those that are not sent; of
    them those that a route leaves out: left_out, by its name.
    """

    lsn: int
    frames: int
    received_ms: int
    batches: Iterator[BulkLines]
    samples: int = 0
    filtered: int = 0
    left_out: dict[str, int] = {}


class EventPortions:
    """Makes portions for one sink. For one thread."""

    def __init__(self, config: ElasticsearchSink, events: JournalEvents, routes: EventRoutes, prefix: str) -> None:
        """events: the decoder. routes: as this sink sees them. prefix: of ids, which distinguishes data directories."""
        self._events, self._routes, self._prefix = events, routes, prefix
        self._levels = np.array([LEVELS.index(word) for word in config.levels], np.uint8)
        self._events_max, self._bytes_max = config.batch_events_max, config.batch_bytes_max

    def portion(self, entries: Sequence[JournalFrame]) -> EventPortion:
        """The portion of these frames, one at least."""
        first, last = entries[0], entries[-1]
        found = EventPortion(last.lsn, len(entries), first.frame.received_ms, iter(()))
        found.batches = self._batches(entries, found)
        return found

    def _batches(self, entries: Sequence[JournalFrame], portion: EventPortion) -> Iterator[BulkLines]:
        waiting: list[BulkLines] = []
        events = size = 0
        for entry in entries:
            for part in self._parts(entry, portion):
                lines = bulk_lines(part.events, self._prefix, part.lsn, part.places)
                for one in lines.parts(self._events_max, self._bytes_max):
                    if events + len(one) > self._events_max or (waiting and size + one.size > self._bytes_max):
                        yield together(waiting)
                        waiting, events, size = [], 0, 0
                    waiting.append(one)
                    events, size = events + len(one), size + one.size
        if waiting:
            yield together(waiting)

    def _parts(self, entry: JournalFrame, portion: EventPortion) -> Iterator[FrameEvents]:
        """Events of a frame that are sent, at most ``batch_events_max`` at a time."""
        found = self._events.decode(entry)
        if found is None:
            return
        portion.samples += len(found)
        if len(self._levels):
            rows = np.flatnonzero(np.isin(found.events.level, self._levels))
            portion.filtered += len(found) - len(rows)
            if len(rows) < len(found):
                found = FrameEvents(found.lsn, take_events(found.events, rows), found.places[rows])
        chosen = self._routes.chosen(found, portion.left_out)
        portion.filtered += len(found) - len(chosen)
        for first in range(0, len(chosen), self._events_max):
            yield chosen.part(first, min(first + self._events_max, len(chosen)))
