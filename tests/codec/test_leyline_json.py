"""The older JSON dialect of the bus."""

import json

import pytest

from nissa.codec.leyline_json import packet_of


def message(payload: object, **fields: str) -> bytes:
    return json.dumps({"payload": payload if isinstance(payload, str) else json.dumps(payload), **fields}).encode()


def test_a_message() -> None:
    """Numbers become metrics under the topic, labelled by what they are about; everything is in the event."""
    payload = {"seed_id": 3, "layer_name": "l1", "health_score": 0.9, "ok": True, "metrics": {"dead": 2}, "note": "x"}
    packet = packet_of(
        message(
            payload,
            event_id="e-1",
            sender_id="kasmina",
            trace_id="t",
            topic="telemetry.seed.health",
            timestamp="2025-09-16T05:20:00+00:00",
        )
    )
    assert (packet.packet_id, packet.source_subsystem) == ("e-1", "kasmina")
    assert packet.timestamp.ToMilliseconds() == 1_758_000_000_000
    assert [(each.name, each.value, dict(each.attributes)) for each in packet.metrics] == [
        ("telemetry.seed.health.health_score", 0.9, {"seed_id": "3", "layer_name": "l1"}),
        ("telemetry.seed.health.ok", 1.0, {"seed_id": "3", "layer_name": "l1"}),
        ("telemetry.seed.health.metrics.dead", 2.0, {"seed_id": "3", "layer_name": "l1"}),
    ]
    event = packet.events[0]
    assert (event.description, event.level) == ("telemetry.seed.health", 1)
    assert event.attributes["note"] == "x"
    assert event.attributes["trace_id"] == "t"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", message("not json"), message("[1]"), b"[" * 100_000])
def test_what_is_no_such_message(body: bytes) -> None:
    """Bytes that are no object, or whose payload is none, are refused by ValueError."""
    with pytest.raises(ValueError):
        packet_of(body)
