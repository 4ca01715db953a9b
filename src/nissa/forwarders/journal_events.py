"""Decodes events of the journal for sinks, filtered and redacted as in the store.

    journal frame ──► FrameDecoder ──► enrichment ──► events, and the place of each among those of its frame

Frames that cannot have events are not decoded. Samples of the others are refused by an index without room, so that they
cost next to nothing. Redelivered packets are seen again; limits are not applied. For one thread.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Config
from nissa.forwarders.enrichment import Enrichment
from nissa.ingest.event_context import WITHOUT_EVENTS
from nissa.ingest.frame_decoder import FrameDecoder
from nissa.journal.segment import JournalFrame
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.errors import NissaError
from nissa.model.frame import Codec, Source

NOTHING_IN_THEM: Final = WITHOUT_EVENTS | {Codec.TALLY, Codec.OTLP_METRICS_JSON}

log = structlog.get_logger()


class FrameEvents(msgspec.Struct, frozen=True):
    """Events of one frame. places: int64, shape (n,), of each among all events of the frame, dropped ones included."""

    lsn: int
    events: EventBatch
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.events)

    def part(self, first: int, end: int) -> "FrameEvents":
        """Events [first, end)."""
        return FrameEvents(self.lsn, events_between(self.events, first, end), self.places[first:end])


class JournalEvents:
    """The decoder of all sinks of events. undecodable_frames: their number since start; the log has the reasons."""

    def __init__(self, config: Config, secret: bytes) -> None:
        """config: settings in force. secret: of the data directory, which pseudonyms of redaction depend on.

        Raises: ConfigInvalid for a lookup file that cannot be read.
        """
        self._enrichment = Enrichment(config.events.enrichment)
        self._decoder = FrameDecoder(config, secret)
        series = config.series
        limits = (series.labels_per_series_max, series.label_name_bytes_max, series.label_value_bytes_max)
        self._index = SeriesIndex(secret, 1, *limits)
        self.undecodable_frames = 0

    def decode(self, entry: JournalFrame) -> FrameEvents | None:
        """Events of a frame; None where it has none."""
        frame = entry.frame
        if frame.codec in NOTHING_IN_THEM or frame.source == Source.IMPORT:
            return None
        try:
            decoded = self._decoder.decode(frame, self._index, 0)
        except NissaError as error:  # it was accepted once: only another version or configuration refuses it now
            self.undecodable_frames += 1
            log.error("events of a frame of the journal cannot be decoded for sinks", lsn=entry.lsn, reason=str(error))
            return None
        if decoded.events is None or not len(decoded.events):
            return None
        count = len(decoded.events)
        places = np.arange(count) if decoded.kept is None else np.flatnonzero(decoded.kept)
        enriched = self._enrichment.applied(decoded.events, frame.received_ms)
        return FrameEvents(entry.lsn, enriched, places.astype(np.int64, copy=False))


def events_between(events: EventBatch, first: int, end: int) -> EventBatch:
    """Events [first, end). Only their own text is copied."""
    if first == 0 and end == len(events):
        return events
    pairs = events.attribute_offsets[first : end + 1]
    return EventBatch(
        events.time_ms[first:end],
        events.level[first:end],
        _between(events.source, first, end),
        _between(events.event_id, first, end),
        _between(events.description, first, end),
        _between(events.packet_id, first, end),
        pairs - pairs[0],
        _between(events.attribute_names, int(pairs[0]), int(pairs[-1])),
        _between(events.attribute_values, int(pairs[0]), int(pairs[-1])),
    )


def _between(column: TextColumn, first: int, end: int) -> TextColumn:
    offsets = column.offsets[first : end + 1]
    return TextColumn(offsets - offsets[0], column.data[offsets[0] : offsets[-1]])
