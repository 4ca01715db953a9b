"""Events beside samples: whole columns of many events, over the bounds of their memory."""

from oracle import fuzz_wire, leyline


def test_many_events_in_many_packets() -> None:
    """Each event keeps its own packet, attributes and order when the columns have grown several times."""
    harness = fuzz_wire.Harness()
    bodies = []
    for number in range(50):
        packet = leyline.leyline.TelemetryPacket(packet_id=f"p-{number}", source_subsystem=f"s-{number % 3}")
        for place in range(number):
            packet.events.add(event_id=f"{number}/{place}", attributes={f"k{i}": str(i) for i in range(place % 4)})
        bodies.append(packet.SerializeToString())
    assert harness.compare(fuzz_wire.delimit(bodies), leyline.PACKET, True) == ""
    assert harness.batch.events == sum(range(50))
