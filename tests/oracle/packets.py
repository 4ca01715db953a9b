"""Slow obvious twin of the nissa.v2 decoders, on Google's classes, and a generator of nissa.v2 messages."""

import random
from typing import Any

from nissa._proto import columns_pb2, telemetry_pb2
from oracle.expected import Expected, sample, series_labels
from oracle.wire import TIMES_MS, Refused, a_double, a_text, bits_of, parse, undelimit

PACKET, COLUMNS, POINT, EVENT = 6, 7, 8, 9
CLASSES = {
    PACKET: telemetry_pb2.TelemetryPacket,
    COLUMNS: columns_pb2.SampleColumns,
    POINT: telemetry_pb2.MetricPoint,
    EVENT: telemetry_pb2.TelemetryEvent,
}
NAMES = ("tolaria.training.loss", "kasmina.isolation.violations", "a", "oona.queue.depth", "b.c")
KEYS = ("status", "node", "job", "source", "kind", "le")


def expect(body: bytes, codec: int, delimited: bool, received_ms: int) -> Expected:
    """What the body must become. Raises: Refused."""
    out = Expected([], [], [], 0)
    for data in undelimit(body) if delimited else [body]:
        message = parse(CLASSES[codec], data)
        packet = telemetry_pb2.TelemetryPacket()
        if codec == COLUMNS:
            expect_columns(out, message, received_ms)
            continue
        if codec == PACKET:
            packet = message
        elif codec == POINT:
            packet.points.append(message)
        else:
            packet.events.append(message)
        expect_packet(out, packet, received_ms)
    return out


def expect_packet(out: Expected, packet: Any, received_ms: int) -> None:
    time_ms = packet.timestamp_ms if packet.HasField("timestamp_ms") else received_ms
    for point in packet.points:
        labels = series_labels(point.name, [(label.name, label.value) for label in point.labels], packet.source)
        ts_ms = point.timestamp_ms if point.HasField("timestamp_ms") else time_ms
        sample(out, labels, ts_ms, bits_of(point.value))
    for event in packet.events:
        out.events.append(
            {
                "time_ms": event.timestamp_ms if event.HasField("timestamp_ms") else time_ms,
                "level": event.level,
                "source": event.source if event.HasField("source") else packet.source,
                "event_id": event.event_id,
                "description": event.description,
                "packet_id": packet.packet_id,
                "attributes": {label.name: label.value for label in event.attributes},
            }
        )


def expect_columns(out: Expected, message: Any, received_ms: int) -> None:
    start_ms = message.timestamp_ms if message.HasField("timestamp_ms") else received_ms
    if message.symbols and message.symbols[0]:
        raise Refused("symbols[0]")
    definitions = [labels_of(message, series) for series in message.series]
    values, deltas = list(message.values), list(message.time_deltas_ms)
    if message.run_lengths:
        lengths = list(message.run_lengths)
        counts = (len(lengths), sum(lengths), len(deltas))
        if message.by_round or counts != (len(definitions), len(values), len(values)):
            raise Refused("runs")
        runs = []
        for length in lengths:
            runs.append((summed(start_ms, deltas[:length]), values[:length]))
            deltas, values = deltas[length:], values[length:]
    else:
        times = summed(start_ms, deltas)
        if not deltas and values:
            times = [start_ms]
        count = len(definitions)
        if count * len(times) != len(values):
            raise Refused("grid")
        if message.by_round:
            runs = [(times, values[series::count]) for series in range(count)]
        else:
            runs = [(times, values[series * len(times) : (series + 1) * len(times)]) for series in range(count)]
    for labels, (times, own) in zip(definitions, runs, strict=True):
        for ts_ms, value in zip(times, own, strict=True):
            sample(out, labels, ts_ms, bits_of(value))


def labels_of(message: Any, series: Any) -> list[tuple[str, str]]:
    refs = list(series.label_refs)
    if any(ref >= len(message.symbols) for ref in refs) or len(refs) % 2:
        raise Refused("references")
    if series.unit_ref and series.unit_ref >= len(message.symbols):
        raise Refused("unit")
    texts = [message.symbols[ref] for ref in refs]
    return list(zip(texts[::2], texts[1::2], strict=True))


def summed(start_ms: int, deltas: list[int]) -> list[int]:
    out = []
    for delta in deltas:
        start_ms += delta
        if not -(2**63) <= start_ms < 2**63:
            raise Refused("time overflow")
        out.append(start_ms)
    return out


# ---- Generation ------------------------------------------------------------------------------------------------------


def a_message(codec: int, rng: random.Random) -> Any:
    if codec == COLUMNS:
        return a_columns(rng)
    if codec == POINT:
        return a_point(telemetry_pb2.MetricPoint(), rng)
    if codec == EVENT:
        return an_event(telemetry_pb2.TelemetryEvent(), rng)
    packet = telemetry_pb2.TelemetryPacket(source=a_text(rng, ("tolaria", "oona")))
    if rng.random() < 0.7:
        packet.packet_id, packet.epoch, packet.request_id, packet.priority = "p", 7, "r", rng.randrange(5)
        packet.timestamp_ms = rng.choice(TIMES_MS)
    for _ in range(rng.randrange(5)):
        a_point(packet.points.add(), rng)
    for _ in range(rng.choice((0, 0, 1, 2))):
        an_event(packet.events.add(), rng)
    return packet


def a_point(point: Any, rng: random.Random) -> Any:
    if rng.random() < 0.95:
        point.name = a_text(rng, NAMES)
    if rng.random() < 0.8:
        point.value = a_double(rng)
    if rng.random() < 0.5:
        point.timestamp_ms = rng.choice(TIMES_MS)
    if rng.random() < 0.5:
        point.type = rng.randrange(5)
        point.unit = a_text(rng, ("ms", ""))
    if rng.random() < 0.3:
        point.epoch, point.request_id = rng.getrandbits(64), a_text(rng, ("r-1",))
    fill(point.labels, rng)
    return point


def an_event(event: Any, rng: random.Random) -> Any:
    event.event_id = a_text(rng, ("evt-1",))
    if rng.random() < 0.8:
        event.description, event.level = a_text(rng, ("timeout",)), rng.randrange(5)
    if rng.random() < 0.4:
        event.source, event.timestamp_ms, event.epoch = a_text(rng, ("oona",)), rng.choice(TIMES_MS), 3
    fill(event.attributes, rng)
    return event


def fill(labels: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        labels.add(name=a_text(rng, KEYS), value=a_text(rng, ("1", "gpu-0", "seed", "")))


def a_columns(rng: random.Random) -> Any:
    message = columns_pb2.SampleColumns(packet_id="p", source="s")
    if rng.random() < 0.8:
        message.timestamp_ms = rng.choice(TIMES_MS)
    message.symbols.extend(["", "__name__", "a", "b", "host", "x", "ü", "ms"])
    for _ in range(rng.randrange(4)):
        series = message.series.add(label_refs=[1, rng.choice((2, 3, 5))])
        if rng.random() < 0.5:
            series.label_refs.extend([rng.choice((4, 4, 4, 0, 1)), rng.choice((5, 6, 0))])
        if rng.random() < 0.5:
            series.type, series.unit_ref = rng.randrange(5), rng.choice((0, 7))
    rounds = rng.randrange(4)
    count = len(message.series)
    if rng.random() < 0.5:
        lengths = [rng.randrange(3) for _ in range(count)]
        message.run_lengths.extend(lengths)
        samples = deltas = sum(lengths)
    else:
        deltas = rounds
        samples = count * (rounds or rng.randrange(2))
        if rng.random() < 0.4:
            message.by_round = rng.random() < 0.8
    message.time_deltas_ms.extend(
        rng.choice((0, 1000, -1, 2**40, 2**62)) if rng.random() < 0.1 else 1000 for _ in range(deltas)
    )
    message.values.extend(a_double(rng) for _ in range(samples))
    return message
