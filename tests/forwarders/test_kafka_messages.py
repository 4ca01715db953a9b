"""Messages for Kafka: all samples of a series by one key, events by source, and everything counted."""

import json
from collections.abc import Sequence

import cramjam
import msgspec

from nissa._proto.remote_write_v2_pb2 import Request
from nissa.config.events import EventMatch, EventRoute
from nissa.config.sinks import KafkaSink
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.journal_columns import JournalColumns
from nissa.forwarders.journal_events import JournalEvents
from nissa.forwarders.kafka_messages import PORTION_EVENT_BYTES_MAX, KafkaMessages, KafkaPortion
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.engine import NOW_MS, ONE, body_of, config_of
from oracle.log_frames import journal_frame, logs_frame, packet_frame


def samples_frame(count: int, ts_ms: int) -> Frame:
    """One sample of each of so many series."""
    body = body_of([(f"m{number}", ts_ms, ONE) for number in range(count)])
    return Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)


def portion_of(frames: Sequence[Frame], *routes: EventRoute, **changes: object) -> KafkaPortion:
    """The portion of frames with LSNs from 1."""
    config, decoder = KafkaSink(**changes), JournalEvents(config_of(), bytes(32))  # type: ignore[arg-type]
    maker = KafkaMessages(config, JournalColumns(config_of()), decoder, EventRoutes(routes, "s"), "d")
    return maker.portion([journal_frame(frame, place + 1) for place, frame in enumerate(frames)])


def test_samples_of_one_series_have_one_key() -> None:
    """A series has one key in every portion, in order; halves of a message hold its samples."""
    keys: dict[str, set[bytes]] = {}
    for minute in range(2):
        portion = portion_of([samples_frame(50, NOW_MS + minute), samples_frame(50, NOW_MS + minute + 9)], shards=4)
        assert (portion.samples, portion.filtered) == (100, 0)
        messages = list(portion.messages)
        assert sum(message.records for message in messages) == 100
        for message in messages:
            parts = [message, *message.halves()]
            bodies = [Request.FromString(bytes(cramjam.snappy.decompress_raw(one.value()))) for one in parts]
            found = [sum(len(series.samples) for series in body.timeseries) for body in bodies]
            assert found[0] == found[1] + found[2] == message.records
            for series in bodies[0].timeseries:
                times = [sample.timestamp for sample in series.samples]
                assert times == sorted(times)
                words = [bodies[0].symbols[ref] for ref in series.labels_refs]
                keys.setdefault(words[1], set()).add(message.key)
    assert len(keys) == 50
    assert {len(found) for found in keys.values()} == {1}
    assert len({key for found in keys.values() for key in found}) > 1


def test_packets_of_events_are_read_back() -> None:
    """Packets are grouped by source; a decoder of Nissa reads the same events."""
    frames = [logs_frame(["a", "b", "c"], "error", {"k": "v"}), packet_frame("p9", ["d"])]
    portion = portion_of(frames, batch_events_max=2, samples_topic="")
    messages = list(portion.messages)
    assert [message.key for message in messages] == [b"shop", b"shop", b"tolaria"]
    rows = []
    for message in (*messages[0].halves(), *messages[1:]):
        frame = Frame(Codec.NISSA_PACKET, Encoding.IDENTITY, Source.HTTP, NOW_MS, message.value())
        found = JournalEvents(config_of(), bytes(32)).decode(journal_frame(frame))
        assert found is not None
        rows += [found.events.row(place) for place in range(len(found))]
    assert [row["description"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["packet_id"] for row in rows] == ["d-1-0-0", "d-1-0-1", "d-1-2", "d-2-0"]
    assert (rows[1]["level"], rows[1]["time_ms"], rows[1]["attributes"]["k"]) == (3, NOW_MS + 1, "v")
    assert rows[3]["attributes"]["packet_id"] == "p9"


def test_documents_levels_and_routes() -> None:
    """Each event is one JSON document; events left out are counted."""
    frames = [logs_frame(["a", "noise"], "error"), logs_frame(["b"], "info")]
    route = EventRoute("noise", EventMatch(text="noise"), sinks=())
    portion = portion_of(frames, route, levels=("error",), event_format="json", samples_topic="")
    (message,) = portion.messages
    assert json.loads(message.value())["description"] == "a"
    assert (portion.samples, portion.filtered, portion.left_out) == (3, 2, {"noise": 1})
    assert [event["description"] for _, event in message.documents()] == ["a"]


def test_bodies_that_grow_a_hundredfold_are_taken_some_at_a_time() -> None:
    """A portion ends with the frame that brings it to a limit of samples or of text, and has the messages of those."""
    grown = body_of([("m", NOW_MS, ONE)] * 25_000)
    packed = bytes(cramjam.zstd.compress(grown))
    assert len(grown) > 100 * len(packed)
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.ZSTD, Source.HTTP, NOW_MS, packed)
    portion = portion_of([frame] * 25, events_topic="")
    assert (portion.frames, portion.lsn, portion.samples) == (20, 20, 500_000)
    assert sum(message.records for message in portion.messages) == 500_000

    plain = logs_frame(["x" * 900_000])
    packed = bytes(cramjam.gzip.compress(plain.body))
    assert len(plain.body) > 100 * len(packed)
    portion = portion_of([msgspec.structs.replace(plain, encoding=Encoding.GZIP, body=packed)] * 60)
    assert (portion.frames, portion.lsn, portion.samples) == (38, 38, 38)
    assert portion.frames * 900_000 > PORTION_EVENT_BYTES_MAX
    assert sum(message.records for message in portion.messages) == 38
