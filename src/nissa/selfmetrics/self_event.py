"""Encodes an event that Nissa reports about itself: one ``nissa.v2.TelemetryEvent`` from the source ``nissa``."""

from collections.abc import Mapping
from typing import Final

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.model.level import LEVELS

EVENT_SOURCE: Final = "nissa"


def self_event(now_ms: int, description: str, level: str, attributes: Mapping[str, str]) -> bytes:
    """Return the body of a frame of ``Codec.NISSA_EVENT``.

    now_ms: time of the event, Unix milliseconds. description: one token, such as ``circuit_breaker.state_changed``.
    level: one of ``LEVELS``. attributes: name -> value.
    """
    number = LEVELS.index(level)
    event = TelemetryEvent(
        description=description,
        timestamp_ms=now_ms,
        level=number,  # type: ignore[arg-type]  # a number
        source=EVENT_SOURCE,
    )
    for name, value in attributes.items():
        event.attributes.add(name=name, value=value)
    return event.SerializeToString()
