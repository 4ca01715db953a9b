"""Workloads of sinks: frames of the journal to compressed bodies of requests, as the worker thread of sinks does it."""

import random
from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.load import Shape, encoded_bodies, samples_of
from bench.workloads import CODECS, MINUTE, Workload
from nissa.config.sinks import RemoteWriteSink
from nissa.config.tree import Acceptance, Config
from nissa.forwarders.event_lines import bulk_lines
from nissa.forwarders.journal_columns import JournalColumns
from nissa.forwarders.portion import PortionMaker, SinkRequest
from nissa.forwarders.sink_labels import SinkLabels, SinkRules
from nissa.journal.segment import JournalFrame
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.frame import Encoding, Frame, Source
from nissa.model.units import MINUTE_MS

HOSTS: Final = 1_000  # of ten series each
ROUNDS: Final = 10
PORTION_FRAMES: Final = 25  # about what is read at a time
CONNECTIONS: Final = 4
REQUEST_SAMPLES: Final = 10_000
FRAME_EVENTS: Final = 500


def sink_requests(received: int, version: str, rounds: int = ROUNDS) -> Workload:
    """Remote write bodies of 2,000 samples, as Prometheus sends them, to bodies for a sink; samples are counted.

    received: version of the bodies, 1 or 2. version: that the sink speaks; the same and they are passed through.
    """
    entries = list(_entries(received, rounds))
    shape = Shape(kind=f"remote_write_{received}", hosts=HOSTS, rounds=rounds, end_ms=MINUTE * MINUTE_MS)
    count = samples_of(shape)
    columns = JournalColumns(Config(acceptance=Acceptance(past_ms=10**13, future_ms=10**10)))
    rules = SinkRules(RemoteWriteSink())
    first = columns.decode(entries[0])
    assert first is not None
    labels = SinkLabels(first.index, rules, CONNECTIONS)

    def run() -> int:
        sent = 0
        for at in range(0, len(entries), PORTION_FRAMES):
            maker = PortionMaker(labels, version, CONNECTIONS, REQUEST_SAMPLES)
            for entry in entries[at : at + PORTION_FRAMES]:
                found = columns.decode(entry)
                assert found is not None
                maker.add(found, unchanged=rules.none)
            for request in _requests(maker):
                assert request.body(version)
                sent += len(request)
        assert sent == count, (sent, count)
        return sent

    return Workload(f"sink_{received}_to_{version}", count, run)


def event_lines(text: str, packet_id: str = "", frames: int = 10) -> Workload:
    """Events with four attributes to lines of a bulk request; events are counted.

    text: ends each description and each value. packet_id: before a number, of the packets that the events are of.
    """
    batches = [_events(text, packet_id, frame) for frame in range(frames)]
    places = np.arange(FRAME_EVENTS)
    count = frames * FRAME_EVENTS

    def run() -> int:
        found = 0
        for lsn, events in enumerate(batches):
            lines = bulk_lines(events, "7f3a9c0d51e2", lsn, places)
            assert lines.size > 200 * FRAME_EVENTS
            found += len(lines)
        assert found == count, (found, count)
        return found

    return Workload("event_lines", count, run)


def _events(text: str, packet_id: str, frame: int) -> EventBatch:
    names = ("host.name", "http.method", "trace_id", "user")
    rng = random.Random(frame)
    values = [f"{rng.getrandbits(64):016x}{text}" for _ in range(FRAME_EVENTS * len(names))]
    count = range(FRAME_EVENTS)
    return EventBatch(
        np.arange(FRAME_EVENTS, dtype=np.int64) + MINUTE * MINUTE_MS,
        np.full(FRAME_EVENTS, 3, np.uint8),
        _text(["shop.payments"] * FRAME_EVENTS),
        _text([""] * FRAME_EVENTS),
        _text([f"payment {rng.getrandbits(32)} was refused by the bank{text}" for _ in count]),
        _text([f"{packet_id}{frame}-{one}" if packet_id else "" for one in count]),
        np.arange(FRAME_EVENTS + 1, dtype=np.int32) * len(names),
        _text(list(names) * FRAME_EVENTS),
        _text(values),
    )


def _text(words: list[str]) -> TextColumn:
    pieces = [word.encode() for word in words]
    return TextColumn(np.cumsum([0, *map(len, pieces)]).astype(np.int32), b"".join(pieces))


def _requests(maker: PortionMaker) -> Iterator[SinkRequest]:
    waves, _ = maker.waves()
    for lanes in waves:
        for lane in lanes:
            yield from lane


def _entries(received: int, rounds: int) -> Iterator[JournalFrame]:
    """Frames as the journal gives them back."""
    shape = Shape(kind=f"remote_write_{received}", hosts=HOSTS, rounds=rounds, end_ms=MINUTE * MINUTE_MS)
    for number, body in enumerate(encoded_bodies(shape), 1):
        frame = Frame(CODECS[shape.kind], Encoding.SNAPPY, Source.HTTP, MINUTE * MINUTE_MS, body)
        yield JournalFrame(number, 0, 0, frame, 0, len(body), 0, 0)
