"""Leyline frames as the engine meets them: the mapping to series, metadata and events."""

from pathlib import Path

import pytest

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._proto import leyline_pb2 as leyline
from nissa.codec.leyline import decode
from nissa.model.columns import Metadata
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import TooLarge, UnsupportedMedia
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.wire import delimit

GOLDENS = Path(__file__).parent.parent / "goldens"
WINDOW = Window(minute=1, admit_max=1_000, oldest_ms=-(2**63), newest_ms=2**63 - 1)
RECEIVED_MS = 1_758_000_009_000


class Reader:
    """One index and batch, and frames decoded into them."""

    def __init__(self, **limits: int) -> None:
        self.index = SeriesIndex(bytes(32), **limits)
        self.batch = Batch()

    def decode(self, body: bytes, codec: Codec = Codec.LEYLINE_PACKET, *, delimited: bool = False) -> Decoded:
        frame = Frame(codec, Encoding.IDENTITY, Source.HTTP, RECEIVED_MS, body, delimited)
        return decode(frame, body, self.index, self.batch, WINDOW)

    def samples(self) -> list[tuple[dict[str, str], int, float]]:
        series, ts_ms, value = (column.tolist() for column in self.batch.columns())
        return [(dict(self.index.labels(s)), t, v) for s, t, v in zip(series, ts_ms, value, strict=True)]


def labels(name: str, source: str = "tolaria", **more: str) -> dict[str, str]:
    return {"__name__": name, "job": "nissa", "source": source, **more}


GOLDEN_SAMPLES = [
    (labels("tolaria_training_loss"), 1_758_000_000_000, 0.456),
    (labels("tolaria_training_latency_ms"), 1_758_000_000_000, 17.2),
    (labels("kasmina_isolation_violations"), 1_758_000_000_000, 0.0),
    (labels("tamiyo_validation_loss"), 1_758_000_000_000, 0.321),
]


@pytest.mark.parametrize(
    ("golden", "codec"), [("leyline-packet", Codec.LEYLINE_PACKET), ("leyline-bus", Codec.LEYLINE_BUS)]
)
def test_golden_packet(golden: str, codec: Codec) -> None:
    """Esper's sample packet, bare and on the bus: four samples, the absent value as 0, units, and the event."""
    reader = Reader()
    decoded = reader.decode((GOLDENS / f"{golden}.bin").read_bytes(), codec)
    assert reader.samples() == GOLDEN_SAMPLES
    assert [(each.name, each.unit) for each in decoded.metadata] == [
        ("tolaria_training_loss", "loss"),
        ("tolaria_training_latency_ms", "ms"),
        ("kasmina_isolation_violations", "count"),
        ("tamiyo_validation_loss", "loss"),
    ]
    assert decoded.events is not None
    assert decoded.events.row(0) == {
        "time_ms": 1_758_000_000_000,
        "level": 1,
        "source": "tolaria",
        "event_id": "evt-1",
        "description": "seed_operation",
        "packet_id": "telemetry-sample",
        "attributes": {"seed_id": "seed-1"},
    }


def test_metadata_comes_once() -> None:
    """Metadata is returned when a series is new or its unit changed, not with every packet."""
    reader = Reader()
    packet = leyline.TelemetryPacket(source_subsystem="oona")
    packet.metrics.add(name="oona.queue.depth", value=1, unit="count")
    body = packet.SerializeToString()
    assert reader.decode(body).metadata == [Metadata("oona_queue_depth", "unknown", "", "count")]
    assert reader.decode(body).metadata == []
    packet.metrics[0].unit = "elems"
    assert [each.unit for each in reader.decode(packet.SerializeToString()).metadata] == ["elems"]
    assert reader.index.series_count == 1


def test_attributes_win_over_job_and_source() -> None:
    """Attributes are labels, and replace job and source as in document 001; an empty one takes the label away."""
    reader = Reader()
    packet = leyline.TelemetryPacket(source_subsystem="tolaria")
    packet.metrics.add(name="a", attributes={"job": "trainer", "node": "gpu-0"})
    packet.metrics.add(name="b", attributes={"source": ""})
    reader.decode(packet.SerializeToString())
    assert [each[0] for each in reader.samples()] == [
        {"__name__": "a", "job": "trainer", "source": "tolaria", "node": "gpu-0"},
        {"__name__": "b", "job": "nissa"},
    ]


def test_last_of_a_repeated_attribute_holds() -> None:
    """A map key that stands twice on the wire has its last value, as protobuf reads maps."""
    reader = Reader()
    metric = b"\x0a\x01a" + b"\x22\x06\x0a\x01k\x12\x011" + b"\x22\x06\x0a\x01k\x12\x012"
    reader.decode(b"\x52" + bytes([len(metric)]) + metric)
    assert reader.samples()[0][0]["k"] == "2"


def test_refusals_have_reasons_and_spare_the_rest() -> None:
    """A metric without a name, with a __name__ or too many attributes is refused; its neighbours are kept."""
    reader = Reader()
    packet = leyline.TelemetryPacket()
    packet.metrics.add(value=1)
    packet.metrics.add(attributes={"__name__": "x"})
    packet.metrics.add(name="a", attributes={"__name__": "x"})
    packet.metrics.add(name="a", attributes={"": "x"})
    packet.metrics.add(name="a", attributes={f"k{i}": "x" for i in range(70)})
    packet.metrics.add(name="a", attributes={f"k{i}": "x" for i in range(300)})
    packet.metrics.add(name="good", value=2)
    for _ in range(2):
        reader.decode(packet.SerializeToString())
        reasons = {"name_missing": 2, "label_duplicate": 1, "label_name_empty": 1, "labels_too_many": 2}
        assert reader.batch.refused == reasons
        assert [each[2] for each in reader.samples()] == [2.0]


def test_packet_without_time_is_of_now() -> None:
    """An absent timestamp is the time of receipt; a present one of zero is 1970."""
    reader = Reader()
    packet = leyline.TelemetryPacket()
    packet.metrics.add(name="a")
    reader.decode(packet.SerializeToString())
    assert reader.samples()[0][1] == RECEIVED_MS
    packet.timestamp.SetInParent()
    reader.decode(packet.SerializeToString())
    assert reader.samples()[0][1] == 0


def test_other_bus_messages_are_accepted_and_counted() -> None:
    """A policy update, and every type that is not read, is no error and no sample, whatever its payload."""
    reader = Reader()
    envelope = leyline.BusEnvelope(message_type=leyline.BUS_MESSAGE_TYPE_POLICY_UPDATE, payload=b"\xff\xff")
    decoded = reader.decode(envelope.SerializeToString(), Codec.LEYLINE_BUS)
    assert (decoded.ignored, len(reader.batch), decoded.events) == (1, 0, None)


def test_event_envelope() -> None:
    """The payload of an EventEnvelope is read where its type is TelemetryPacket; a compressed one is refused."""
    reader = Reader()
    packet = (GOLDENS / "leyline-packet.bin").read_bytes()
    envelope = leyline.EventEnvelope(payload=packet, payload_type="esper.leyline.v1.TelemetryPacket")
    assert reader.decode(envelope.SerializeToString(), Codec.LEYLINE_EVENT).ignored == 0
    assert reader.samples() == GOLDEN_SAMPLES
    envelope.payload_type = "PolicyUpdate"
    assert reader.decode(envelope.SerializeToString(), Codec.LEYLINE_EVENT).ignored == 1
    envelope.payload_type = "TelemetryPacket"
    envelope.content_encoding = "gzip"
    with pytest.raises(UnsupportedMedia, match="gzip"):
        reader.decode(envelope.SerializeToString(), Codec.LEYLINE_EVENT)
    sound = leyline.EventEnvelope(payload=packet, payload_type="TelemetryPacket")
    reader.decode(
        delimit([each.SerializeToString() for each in (envelope, sound)]), Codec.LEYLINE_EVENT, delimited=True
    )
    assert (reader.samples(), reader.batch.refused) == (GOLDEN_SAMPLES, {"encoding_unsupported": 1})


def test_delimited_packets_keep_their_own_source_and_time() -> None:
    """Each metric of a run of packets belongs to its own packet."""
    reader = Reader()
    body = b""
    for number, source in enumerate(("tolaria", "oona", "", "tolaria")):
        packet = leyline.TelemetryPacket(source_subsystem=source)
        packet.timestamp.seconds = number
        packet.metrics.add(name="a", value=number)
        message = packet.SerializeToString()
        body += bytes([len(message)]) + message
    reader.decode(body, delimited=True)
    expected = [labels("a"), labels("a", "oona"), {"__name__": "a", "job": "nissa"}, labels("a")]
    assert reader.samples() == [(each, number * 1000, float(number)) for number, each in enumerate(expected)]


def test_event_text_has_a_bound() -> None:
    """Many small events under one huge packet id are refused before they fill the memory."""
    packet = leyline.TelemetryPacket(packet_id="x" * 100_000)
    for _ in range(1_000):
        packet.events.add()
    with pytest.raises(TooLarge, match="events"):
        Reader().decode(packet.SerializeToString())


def test_series_limit() -> None:
    """New series over the limit are refused one by one, known ones pass."""
    reader = Reader()
    packet = leyline.TelemetryPacket()
    for number in range(1_200):
        packet.metrics.add(name=f"a{number}")
    reader.decode(packet.SerializeToString())
    assert (len(reader.batch), reader.batch.refused) == (1_000, {"series_limit": 200})
