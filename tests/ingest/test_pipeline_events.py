"""Events and samples of one frame are judged by the same window, whatever codec carries them."""

from collections.abc import Callable
from typing import Any

import pytest
from ingest.test_pipeline import NOW_MS, Bench

from nissa._proto import control_pb2, leyline_pb2, telemetry_pb2
from nissa.model.frame import Codec
from nissa.model.units import HOUR_MS, MINUTE_MS


def leyline_packet(time_ms: int) -> Any:
    """A packet of Esper with one metric and one event, which have the packet's time."""
    packet = leyline_pb2.TelemetryPacket(packet_id="p", source_subsystem="s")
    packet.timestamp.seconds, packet.timestamp.nanos = time_ms // 1000, time_ms % 1000 * 1_000_000
    packet.metrics.add(name="m", value=1.0)
    packet.events.add(event_id="e")
    return packet


def bus(time_ms: int) -> Any:
    """The same in a BusEnvelope."""
    return leyline_pb2.BusEnvelope(message_type=4, payload=leyline_packet(time_ms).SerializeToString())


def envelope(time_ms: int) -> Any:
    """The same in an EventEnvelope."""
    payload = leyline_packet(time_ms).SerializeToString()
    return leyline_pb2.EventEnvelope(payload=payload, payload_type="TelemetryPacket")


def packet(time_ms: int) -> Any:
    """A packet of nissa.v2 whose point and event have the packet's time."""
    made = telemetry_pb2.TelemetryPacket(packet_id="p", source="s", timestamp_ms=time_ms)
    made.points.add(name="m", value=1.0)
    made.events.add(event_id="e")
    return made


BODIES: dict[Codec, tuple[Callable[[int], Any], int]] = {  # what makes a body, and how many samples it has
    Codec.LEYLINE_BUS: (bus, 1),
    Codec.LEYLINE_EVENT: (envelope, 1),
    Codec.LEYLINE_PACKET: (leyline_packet, 1),
    Codec.NISSA_PACKET: (packet, 1),
    Codec.NISSA_EVENT: (lambda time_ms: telemetry_pb2.TelemetryEvent(event_id="e", timestamp_ms=time_ms), 0),
    Codec.NISSA_ALERT: (lambda time_ms: control_pb2.AlertNotification(alert_id="a", timestamp_ms=time_ms), 0),
    Codec.NISSA_COMMAND: (lambda time_ms: control_pb2.ControlCommand(command_id="c", issued_at_ms=time_ms), 0),
}
LEYLINE = (Codec.LEYLINE_BUS, Codec.LEYLINE_EVENT, Codec.LEYLINE_PACKET)


def events_in(bench: Bench) -> list[int]:
    """The times of all events in the head."""
    return [int(time_ms) for _, events in bench.pipeline.head.events for time_ms in events.time_ms]


@pytest.mark.parametrize("codec", BODIES)
@pytest.mark.parametrize(
    ("time_ms", "reason"),
    [
        (NOW_MS - 6 * HOUR_MS, None),
        (NOW_MS - 6 * HOUR_MS - 1, "too_old"),
        (NOW_MS // 1000, "too_old"),
        (-1, "too_old"),
        (-(2**63), "too_old"),
        (NOW_MS + 10 * MINUTE_MS, None),
        (NOW_MS + 10 * MINUTE_MS + 1, "too_new"),
        (NOW_MS * 1000, "too_new"),
        (4_070_908_800_000, "too_new"),
        (2**63 - 1, "too_new"),
    ],
)
def test_a_packet_and_its_events_are_judged_alike(codec: Codec, time_ms: int, reason: str | None) -> None:
    """Whatever codec carries an event, outside the window it is refused with a reason and a count, as a sample is."""
    if codec in LEYLINE and abs(time_ms) >= 2**63 - 1:
        pytest.skip("seconds and nanoseconds cannot say it")
    make, samples = BODIES[codec]
    bench = Bench()
    receipt = bench.take(make(time_ms).SerializeToString(), codec)
    counters = bench.pipeline.tallies[f"http/{codec.name.lower()}"]
    if reason is None:
        assert (receipt.samples, receipt.events, receipt.refused) == (samples, 1, {})
        assert events_in(bench) == [time_ms]
    else:
        assert (receipt.samples, receipt.events, receipt.refused) == (0, 0, {reason: samples + 1})
        assert counters.refused == {reason: samples + 1}
        assert events_in(bench) == []
    assert counters.received == samples + 1
    assert counters.unaccounted == 0
    replayed = bench.replayed()
    assert events_in(replayed) == events_in(bench)
    assert replayed.pipeline.tallies == bench.pipeline.tallies
