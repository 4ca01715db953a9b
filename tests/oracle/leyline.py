"""Slow obvious twin of the Leyline decoder, on Google's classes, and a generator of Leyline messages."""

import random
from typing import Any

from nissa._proto import leyline_pb2 as leyline
from oracle.expected import Expected, parse_one, sample, series_labels
from oracle.wire import TIMES_MS, Refused, a_double, a_text, bits_of, check, parse, shallow, undelimit

BUS, EVENT, PACKET = 3, 4, 5
CLASSES = {BUS: leyline.BusEnvelope, EVENT: leyline.EventEnvelope, PACKET: leyline.TelemetryPacket}
SECONDS_MAX = 9_223_372_036_854_000
PAYLOAD_TYPES = ("TelemetryPacket", "esper.leyline.v1.TelemetryPacket", "a.b/x.TelemetryPacket", "XTelemetryPacket", "")
NAMES = ("tolaria.training.loss", "kasmina.isolation.violations", "a", "oona.queue.depth", "b.c")
KEYS = ("status", "node", "job", "source", "kind", "__name__")


def expect(body: bytes, codec: int, delimited: bool, received_ms: int) -> Expected:
    """Return the body as it must become. Raises: Refused, where it is refused as a whole."""
    out = Expected([], [], [], 0)
    if not delimited:
        return expect_message(out, body, codec, received_ms)
    for message in undelimit(body):
        try:
            out = expect_message(out, message, codec, received_ms)
        except Refused as fault:
            out.refused.append({fault.reason})
    return out


def expect_message(out: Expected, data: bytes, codec: int, received_ms: int) -> Expected:
    """Add one message. Raises: Refused, before anything of it is added."""
    if codec == BUS:
        bus = {number: value for number, value, _ in shallow(leyline.BusEnvelope.DESCRIPTOR, data, ())}
        if bus.get(1, 0) & 0xFFFFFFFF != leyline.BUS_MESSAGE_TYPE_TELEMETRY:
            return out._replace(ignored=out.ignored + 1)
        data = bus.get(2, b"")
    elif codec == EVENT:
        texts = ("payload_type", "content_encoding")
        event = {number: value for number, value, _ in shallow(leyline.EventEnvelope.DESCRIPTOR, data, texts)}
        if event.get(11, b"").replace(b"/", b".").split(b".")[-1] != b"TelemetryPacket":
            return out._replace(ignored=out.ignored + 1)
        data = event.get(10, b"")
    expect_packet(out, data, received_ms)
    return out


def expect_packet(out: Expected, data: bytes, received_ms: int) -> None:
    """Add one packet: its header, of which everything depends, then each metric and event by itself."""
    header, metrics, events = b"", [], []
    for number, value, raw in shallow(leyline.TelemetryPacket.DESCRIPTOR, data, ("packet_id", "source_subsystem")):
        if number == 2:
            check(leyline.TelemetryPacket.DESCRIPTOR.fields_by_number[2].message_type, value)
        header += raw if number <= 3 else b""
        metrics += [value] if number == 10 else []
        events += [value] if number == 20 else []
    packet = parse(leyline.TelemetryPacket, header)
    ts_ms = received_ms
    if packet.HasField("timestamp"):
        if abs(packet.timestamp.seconds) > SECONDS_MAX:
            raise Refused("time overflow")
        ts_ms = packet.timestamp.seconds * 1000 + packet.timestamp.nanos // 1_000_000
    for each in metrics:
        metric = parse_one(out, leyline.MetricPoint, each)
        if metric is not None:
            labels = series_labels(metric.name, list(metric.attributes.items()), packet.source_subsystem)
            sample(out, labels, ts_ms, bits_of(metric.value))
    for each in events:
        event = parse_one(out, leyline.TelemetryEvent, each)
        if event is None:
            continue
        out.events.append(
            {
                "time_ms": ts_ms,
                "level": event.level if 0 <= event.level <= 4 else 0,
                "source": packet.source_subsystem,
                "event_id": event.event_id,
                "description": event.description,
                "packet_id": packet.packet_id,
                "attributes": dict(event.attributes),
            }
        )


# ---- Generation ------------------------------------------------------------------------------------------------------


def a_packet(rng: random.Random) -> Any:
    packet = leyline.TelemetryPacket(source_subsystem=a_text(rng, ("tolaria", "oona")), level=rng.randrange(6))
    if rng.random() < 0.9:
        seconds = rng.choice((1_758_000_000, 0, -1, SECONDS_MAX, -SECONDS_MAX, SECONDS_MAX + 1, 2**63 - 1))
        packet.timestamp.seconds = seconds if rng.random() < 0.2 else 1_758_000_000
        packet.timestamp.nanos = rng.choice((0, 5, 999_999_999, -1, -(2**31), 2**31 - 1, 123_456_789))
    if rng.random() < 0.7:
        packet.packet_id = a_text(rng, ("telemetry-sample",))
    for _ in range(rng.randrange(5)):
        metric = packet.metrics.add(name=a_text(rng, NAMES), value=a_double(rng), unit=a_text(rng, ("ms", "loss", "")))
        fill(metric.attributes, rng)
    for _ in range(rng.choice((0, 0, 1, 2))):
        event = packet.events.add(
            event_id=a_text(rng, ("evt-1",)), description=a_text(rng, ("timeout",)), level=rng.randrange(7)
        )
        fill(event.attributes, rng)
    if rng.random() < 0.2:
        span = packet.spans.add(span_id="s", name="n", parent_span_id="p")
        span.start_time.seconds = 5
        fill(span.attributes, rng)
    if rng.random() < 0.4:
        packet.system_health.status = rng.randrange(5)
        packet.system_health.summary = a_text(rng, ("stable",))
        fill(packet.system_health.indicators, rng)
    return packet


def fill(entries: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        entries[a_text(rng, KEYS)] = a_text(rng, ("1", "gpu-0", "seed", ""))


def a_message(codec: int, rng: random.Random) -> Any:
    payload = a_packet(rng)
    if codec == PACKET:
        return payload
    if codec == BUS:
        envelope = leyline.BusEnvelope(
            message_type=rng.choice((4, 4, 4, 4, 0, 3, 10)), payload=payload.SerializeToString()
        )
        fill(envelope.attributes, rng)
        return envelope
    envelope = leyline.EventEnvelope(
        event_id="e",
        event_type="telemetry",
        payload=payload.SerializeToString(),
        payload_type=rng.choice(PAYLOAD_TYPES),
        content_encoding=rng.choice(("", "identity", "protobuf")),
        routing_keys=["a", "b"][: rng.randrange(3)],
        max_attempts=rng.randrange(3),
    )
    envelope.created_at.seconds = rng.choice(TIMES_MS)
    envelope.ttl.seconds = 5
    return envelope
