"""The compiled decoder of nissa.v2 packets, points and events against its twin."""

from pathlib import Path

from nissa._proto.telemetry_pb2 import TelemetryPacket
from oracle import fuzz_wire, packets

GOLDENS = Path(__file__).parent.parent / "goldens"


def test_every_prefix_agrees_with_google() -> None:
    """Cut at any byte, the golden packet is malformed or sound exactly as the twin says."""
    harness = fuzz_wire.Harness()
    body = (GOLDENS / "nissa-packet.bin").read_bytes()
    for size in range(len(body) + 1):
        assert harness.compare(body[:size], packets.PACKET, False) == ""


def test_every_bit_agrees_with_google() -> None:
    """With any one bit turned, the golden packet is malformed or another packet exactly as the twin says."""
    harness = fuzz_wire.Harness()
    body = bytearray((GOLDENS / "nissa-packet.bin").read_bytes())
    for bit in range(len(body) * 8):
        body[bit // 8] ^= 1 << bit % 8
        assert harness.compare(bytes(body), packets.PACKET, False) == ""
        body[bit // 8] ^= 1 << bit % 8


def test_points_of_one_metric_that_say_no_unit() -> None:
    """Two new series of a metric with a type and without a unit: one note, and nothing compared that is not there."""
    packet = TelemetryPacket()
    for host in ("a", "b"):
        point = packet.points.add(name="queue.depth", type=1, value=1.0)
        point.labels.add(name="host", value=host)
    harness = fuzz_wire.Harness()
    assert harness.compare(packet.SerializeToString(), packets.PACKET, False) == ""
    harness = fuzz_wire.Harness()
    notes, _, _ = harness.decode(packet.SerializeToString(), packets.PACKET, False)
    assert [note.name for note in notes] == ["queue_depth"]
