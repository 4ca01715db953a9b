"""Frames of the journal as messages for Kafka.

    samples   key: shard of the series       value: remote write 2.0, snappy: series of one shard
    events    key: source                    value: nissa.v2.TelemetryPacket with events of one frame and source,
                                                    or one JSON document for each event

All samples of one series have one key, so they are in one partition, in order. A packet has an id that follows from the
place of its events in the journal: another Nissa that reads it twice stores it once. Headers say what a value is, as
those of HTTP do.

Messages are made one after the other while they are sent; the columns they are made of are bounded by
``PORTION_SAMPLES_MAX`` and ``PORTION_EVENT_BYTES_MAX``.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np

from nissa.config.sinks import KafkaSink
from nissa.forwarders.event_columns import Distinct
from nissa.forwarders.event_lines import document_of, event_documents
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.journal_columns import FrameColumns, JournalColumns
from nissa.forwarders.journal_events import FrameEvents, JournalEvents
from nissa.forwarders.portion import PORTION_SAMPLES_MAX, PortionMaker, SinkRequest
from nissa.forwarders.sink_labels import SinkLabels, SinkRules
from nissa.journal.segment import JournalFrame
from nissa.model.level import LEVELS
from nissa.model.units import MIB
from nissa.redaction.event_filter import take_events

VERSION: Final = "2.0"
SAMPLES: Final = (
    ("content-type", b"application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("content-encoding", b"snappy"),
)
PACKET: Final = (("content-type", b"application/x-protobuf;proto=nissa.v2.TelemetryPacket"),)
DOCUMENT: Final = (("content-type", b"application/json"),)
PORTION_EVENT_BYTES_MAX: Final = 32 * MIB  # of text; the frame that reaches it is taken whole
Headers = tuple[tuple[str, bytes], ...]


class KafkaMessage(msgspec.Struct, frozen=True):
    """One message, whose value is made when it is sent: of rows of samples, or of events."""

    topic: str
    key: bytes
    headers: Headers
    request: SinkRequest | None = None
    events: FrameEvents | None = None
    packet_id: str = ""

    @property
    def records(self) -> int:
        """Number of samples or events."""
        return len(self.request) if self.request is not None else len(self.events or ())

    def value(self) -> bytes:
        """The bytes that are sent; none at all where there is nothing to send."""
        if self.request is not None:
            return self.request.body(VERSION)
        if self.events is None:
            return b""
        if self.headers is DOCUMENT:
            return bytes(event_documents(self.events.events)[0].as_buffer())
        return event_packet(self.events, self.packet_id)

    def halves(self) -> "list[KafkaMessage]":
        """Two messages with half of the records each; of at least two."""
        if self.request is not None:
            return [msgspec.structs.replace(self, request=one) for one in self.request.halves()]
        middle, found = self.records // 2, self.events
        parts = [] if found is None else [found.part(0, middle), found.part(middle, len(found))]
        return [msgspec.structs.replace(self, events=one, packet_id=_packet_id(self.packet_id, one)) for one in parts]

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Id and document of each event, for dead letters."""
        found = self.events
        for row in range(len(found) if found is not None else 0):
            if found is not None:
                yield f"{self.packet_id}/{int(found.places[row])}", document_of(found.events, row)


class KafkaPortion(msgspec.Struct, frozen=True):
    """The first of the frames that were read. samples: events too. messages: made of them, each once."""

    lsn: int
    frames: int
    received_ms: int
    samples: int
    filtered: int
    left_out: dict[str, int]
    messages: Iterator[KafkaMessage]


class KafkaMessages:
    """Makes portions for one sink. For one thread."""

    def __init__(
        self, config: KafkaSink, columns: JournalColumns, events: JournalEvents, routes: EventRoutes, prefix: str
    ) -> None:
        """columns, events: the decoders. prefix: of ids, which distinguishes data directories."""
        self._config, self._columns, self._events = config, columns, events
        self._routes, self._prefix = routes, prefix
        self.rules = SinkRules(config)
        self._labels: SinkLabels | None = None
        self._levels = np.array([LEVELS.index(word) for word in config.levels], np.uint8)

    def portion(self, entries: Sequence[JournalFrame]) -> KafkaPortion:
        """The portion of the first of these frames, one at least."""
        left_out: dict[str, int] = {}
        requests, events = list[KafkaMessage](), list[FrameEvents]()
        maker: PortionMaker | None = None
        frames = samples = filtered = rows = event_bytes = 0
        for entry in entries:
            if rows >= PORTION_SAMPLES_MAX or event_bytes >= PORTION_EVENT_BYTES_MAX:
                break
            frames += 1
            columns = self._columns.decode(entry) if self._config.samples_topic else None
            if columns is not None:
                rows += len(columns)
                if maker is None or self._labels is None or self._labels.index is not columns.index:
                    filtered += self._finish(maker, requests)
                    maker = self._maker(columns)
                maker.add(columns, unchanged=False)
            found = self._events.decode(entry) if self._config.events_topic else None
            if found is not None:
                samples += len(found)
                sent = self._sent(found, left_out)
                filtered += len(found) - len(sent)
                event_bytes += sent.events.text_bytes
                events.append(sent)
        filtered += self._finish(maker, requests)
        messages = chain(requests, chain.from_iterable(map(self._of_events, events)))
        last, received_ms = entries[frames - 1], entries[0].frame.received_ms
        return KafkaPortion(last.lsn, frames, received_ms, samples + rows, filtered, left_out, messages)

    # ---- samples ----

    def _maker(self, columns: FrameColumns) -> PortionMaker:
        if self._labels is None or self._labels.index is not columns.index:
            self._labels = SinkLabels(columns.index, self.rules, self._config.shards)
        return PortionMaker(self._labels, VERSION, self._config.shards, self._config.batch_samples_max)

    def _finish(self, maker: PortionMaker | None, messages: list[KafkaMessage]) -> int:
        if maker is None:
            return 0
        lanes, filtered = maker.encoded_anew()
        for shard, requests in enumerate(lanes):
            key = struct.pack(">H", shard)
            messages += [KafkaMessage(self._config.samples_topic, key, SAMPLES, request) for request in requests]
        return filtered

    # ---- events ----

    def _sent(self, found: FrameEvents, left_out: dict[str, int]) -> FrameEvents:
        if len(self._levels):
            found = _rows(found, np.flatnonzero(np.isin(found.events.level, self._levels)))
        return self._routes.chosen(found, left_out)

    def _of_events(self, found: FrameEvents) -> Iterator[KafkaMessage]:
        as_json = self._config.event_format == "json"
        events_max = 1 if as_json else self._config.batch_events_max
        sources = Distinct(found.events.source)
        for code, source in enumerate(sources.texts):
            own = _rows(found, np.flatnonzero(sources.codes == code))
            for first in range(0, len(own), events_max):
                part = own.part(first, min(first + events_max, len(own)))
                name = _packet_id(f"{self._prefix}-{found.lsn:x}", part)
                headers = DOCUMENT if as_json else PACKET
                yield KafkaMessage(self._config.events_topic, source.encode(), headers, None, part, name)


def _packet_id(name: str, part: FrameEvents) -> str:
    return f"{name}-{int(part.places[0])}" if len(part) else name


def _rows(found: FrameEvents, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> FrameEvents:
    if len(rows) == len(found):
        return found
    return FrameEvents(found.lsn, take_events(found.events, rows), found.places[rows])


def event_packet(found: FrameEvents, packet_id: str) -> bytes:
    """Events of one source as a packet. The id of a packet they came in becomes an attribute."""
    from nissa._proto import telemetry_pb2  # Google's runtime costs 30 ms

    packet = telemetry_pb2.TelemetryPacket(packet_id=packet_id, source=found.events.source.text(0))
    for place in range(len(found)):
        row = found.events.row(place)
        event = packet.events.add(event_id=row["event_id"], description=row["description"], level=row["level"])
        event.timestamp_ms = row["time_ms"]
        attributes = {**row["attributes"], **({"packet_id": row["packet_id"]} if row["packet_id"] else {})}
        for name, value in attributes.items():
            event.attributes.add(name=name, value=value)
    encoded: bytes = packet.SerializeToString()
    return encoded
