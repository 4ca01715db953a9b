"""The older JSON dialect of Esper's bus: one object of texts, whose ``payload`` is JSON again.

{"event_id": …, "sender_id": …, "timestamp": ISO, "trace_id": …, "topic": "telemetry.seed.health",
 "payload": "{\"seed_id\": 3, \"health_score\": 0.91, \"metrics\": {\"dead_neurons\": 2}}"}

event      description topic, source sender_id; attributes: trace_id, and the fields of the payload
samples    of each number in the payload: telemetry_seed_health_health_score, …_metrics_dead_neurons; labels: the
           names and ids of what it is about (seed_id, layer_id, layer_name, blueprint_id)
"""

from typing import Any, Final

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec.json_texts import finite_number, flat, read_object, text_of, time_ms_of
from nissa.codec.read_as_packets import decode_as_packets
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.LEYLINE_JSON,)
LABELS: Final = ("seed_id", "layer_id", "layer_name", "blueprint_id")
_INFO: Final = 1


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Decode JSON entries of a Leyline bus into rows and events.

    frame: its received_ms is the time of entries without one. body: decompressed. index, batch: where series and rows
    are added. window: accepted timestamps. Raises: Malformed, TooLarge; then nothing of the frame is added.
    """
    return decode_as_packets(frame, body, index, batch, window, packet_of)


def packet_of(message: bytes) -> Any:
    """The TelemetryPacket for one message. Raises: ValueError."""
    # Loaded at the first such message: Google's runtime costs 30 ms that a daemon should not pay before it is ready.
    from nissa._proto import leyline_pb2

    found = read_object(message)
    payload = found.get("payload", {})
    if isinstance(payload, str):
        payload = read_object(payload.encode())
    topic = text_of(found.get("topic", "")) or "message"
    fields = flat(payload, ".") if isinstance(payload, dict) else {}
    packet = leyline_pb2.TelemetryPacket(
        packet_id=text_of(found.get("event_id", "")), source_subsystem=text_of(found.get("sender_id", ""))
    )
    time_ms = time_ms_of(found["timestamp"]) if "timestamp" in found else None
    if time_ms is not None:
        packet.timestamp.FromMilliseconds(time_ms)
    labels = {name: text_of(fields[name]) for name in LABELS if name in fields}
    for name, value in fields.items():
        number = finite_number(value)
        if number is not None and name not in LABELS:
            packet.metrics.add(name=f"{topic}.{name}", value=number, attributes=labels)
    attributes = {name: text_of(value) for name, value in fields.items()}
    if found.get("trace_id"):
        attributes["trace_id"] = text_of(found["trace_id"])
    packet.events.add(event_id=packet.packet_id, description=topic, level=_INFO, attributes=attributes)
    return packet
