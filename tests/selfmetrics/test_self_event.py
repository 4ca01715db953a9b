"""Events of Nissa itself, as they are on the wire."""

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.selfmetrics.self_event import self_event


def test_an_event_has_its_time_level_and_attributes() -> None:
    """Events that are noted can be read back."""
    event = TelemetryEvent.FromString(self_event(1_700, "mode.changed", "warning", {"to": "conservative"}))
    assert (event.timestamp_ms, event.description, event.level, event.source) == (1_700, "mode.changed", 2, "nissa")
    assert [(label.name, label.value) for label in event.attributes] == [("to", "conservative")]
