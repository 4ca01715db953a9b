"""Priorities read at the door are those that the messages state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._proto import leyline_pb2, telemetry_pb2
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.safeguards.priority import Priority, priority_of, read_priority


def frame(codec: Codec, body: bytes, source: Source = Source.HTTP, encoding: Encoding = Encoding.IDENTITY) -> Frame:
    """A frame as a door sees it."""
    return Frame(codec, encoding, source, 0, body)


def leyline(level: int, indicator: str = "") -> bytes:
    """A packet of Esper."""
    packet = leyline_pb2.TelemetryPacket(packet_id="p-1", source_subsystem="tolaria")
    packet.timestamp.seconds = 1_758_000_000
    packet.level = level  # type: ignore[assignment]
    packet.metrics.add(name="tolaria.training.loss", value=0.5)
    if indicator:
        packet.system_health.indicators["priority"] = indicator
    return packet.SerializeToString()


@pytest.mark.parametrize(
    ("level", "indicator", "expected"),
    [
        (1, "", Priority.NORMAL),
        (2, "", Priority.HIGH),
        (4, "", Priority.HIGH),
        (1, "MESSAGE_PRIORITY_HIGH", Priority.HIGH),
        (1, "MESSAGE_PRIORITY_CRITICAL", Priority.CRITICAL),
        (4, "MESSAGE_PRIORITY_LOW", Priority.LOW),
        (0, "MESSAGE_PRIORITY_NORMAL", Priority.NORMAL),
    ],
)
def test_packets_of_esper(level: int, indicator: str, expected: Priority) -> None:
    """The indicator wins over the level; warning and above is high. In the envelope of the bus as well."""
    body = leyline(level, indicator)
    assert priority_of(frame(Codec.LEYLINE_PACKET, body)) is expected
    if indicator:
        wrapped = leyline_pb2.BusEnvelope(message_type=4, payload=body).SerializeToString()  # type: ignore[arg-type]
        assert priority_of(frame(Codec.LEYLINE_BUS, wrapped)) is expected


@pytest.mark.parametrize("priority", list(Priority))
def test_packets_of_nissa(priority: Priority) -> None:
    """The field of the packet."""
    packet = telemetry_pb2.TelemetryPacket(packet_id="p", source="s", epoch=7, request_id="r")
    packet.priority = int(priority)  # type: ignore[assignment]
    packet.points.add(name="m", value=1.0)
    assert priority_of(frame(Codec.NISSA_PACKET, packet.SerializeToString())) is priority


def test_what_says_nothing_is_normal() -> None:
    """Compressed bodies and other languages are normal, imports low, alerts critical; a header decides over all."""
    assert priority_of(frame(Codec.REMOTE_WRITE_1, b"x")) is Priority.NORMAL
    compressed = frame(Codec.LEYLINE_PACKET, leyline(4, "MESSAGE_PRIORITY_CRITICAL"), encoding=Encoding.ZSTD)
    assert priority_of(compressed) is Priority.NORMAL
    assert priority_of(compressed, Priority.LOW) is Priority.LOW
    assert priority_of(frame(Codec.REMOTE_WRITE_1, b"x", Source.IMPORT)) is Priority.LOW
    assert priority_of(frame(Codec.NISSA_ALERT, b"")) is Priority.CRITICAL
    warning = telemetry_pb2.TelemetryEvent(event_id="e", level=2).SerializeToString()  # type: ignore[arg-type]
    assert priority_of(frame(Codec.NISSA_EVENT, warning)) is Priority.HIGH


def test_headers() -> None:
    """Four words in any case; another one is the sender's fault."""
    assert [read_priority(word) for word in (b"low", b" High ", b"CRITICAL", b"normal")] == [
        *(Priority.LOW, Priority.HIGH, Priority.CRITICAL, Priority.NORMAL)
    ]
    with pytest.raises(Malformed, match=r"X-Nissa-Priority: expected low, normal, high, critical, got 'urgent'"):
        read_priority(b"urgent")


@given(st.sampled_from(list(Codec)), st.binary(max_size=100))
def test_any_bytes_have_a_priority(codec: Codec, body: bytes) -> None:
    """Whatever is sent, reading a priority neither fails nor loops."""
    assert priority_of(frame(codec, body)) in Priority
