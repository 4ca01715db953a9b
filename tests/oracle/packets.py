"""Slow obvious twin of the nissa.v2 decoders, on Google's classes, and a generator of nissa.v2 messages."""

import random
from typing import Any

from nissa._proto import columns_pb2, telemetry_pb2
from oracle.expected import Expected, parse_one, sample, series_labels
from oracle.wire import (
    BYTES,
    TIMES_MS,
    VARINT,
    Refused,
    a_double,
    a_text,
    bits_of,
    parse,
    read_varint,
    shallow,
    split,
    undelimit,
)

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
    """Return the body as it must become. Raises: Refused, where it is refused as a whole."""
    out = Expected([], [], [], 0)
    for data in undelimit(body) if delimited else [body]:
        try:
            expect_message(out, data, codec, received_ms)
        except Refused as fault:
            if not delimited:
                raise
            lenient = {"record_malformed", "text_not_utf8", "reference_invalid"}  # columns: whatever is seen first
            out.refused.append(lenient if codec == COLUMNS else {fault.reason})
    return out


def expect_message(out: Expected, data: bytes, codec: int, received_ms: int) -> None:
    """Add one message. Raises: Refused, before anything of it is added."""
    if codec == COLUMNS:
        expect_columns(out, data, received_ms)
    elif codec == PACKET:
        expect_packet(out, data, received_ms)
    else:
        alone = telemetry_pb2.TelemetryPacket()
        records = (out, alone, [data], received_ms)
        add_points(*records) if codec == POINT else add_events(*records)


def expect_packet(out: Expected, data: bytes, received_ms: int) -> None:
    """Add one packet: its header, of which everything depends, then each point and event by itself."""
    header, points, events = b"", [], []
    texts = ("packet_id", "source", "request_id")
    for number, value, raw in shallow(telemetry_pb2.TelemetryPacket.DESCRIPTOR, data, texts):
        header += raw if number not in (10, 20) else b""
        points += [value] if number == 10 else []
        events += [value] if number == 20 else []
    packet = parse(telemetry_pb2.TelemetryPacket, header)
    time_ms = packet.timestamp_ms if packet.HasField("timestamp_ms") else received_ms
    add_points(out, packet, points, time_ms)
    add_events(out, packet, events, time_ms)


def add_points(out: Expected, packet: Any, points: list[bytes], time_ms: int) -> None:
    for data in points:
        point = parse_one(out, telemetry_pb2.MetricPoint, data)
        if point is not None:
            labels = series_labels(point.name, [(label.name, label.value) for label in point.labels], packet.source)
            ts_ms = point.timestamp_ms if point.HasField("timestamp_ms") else time_ms
            sample(out, labels, ts_ms, bits_of(point.value))


def add_events(out: Expected, packet: Any, events: list[bytes], time_ms: int) -> None:
    for data in events:
        event = parse_one(out, telemetry_pb2.TelemetryEvent, data)
        if event is None:
            continue
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


def expect_columns(out: Expected, data: bytes, received_ms: int) -> None:
    """Add one SampleColumns: first what refuses it as a whole, then its series."""
    rest, symbols, series = b"", [], []
    for number, value, raw in shallow(columns_pb2.SampleColumns.DESCRIPTOR, data, ("packet_id", "source")):
        rest += raw if number not in (4, 5) else b""
        symbols += [value] if number == 4 else []
        series += [value] if number == 5 else []
    message = parse(columns_pb2.SampleColumns, rest)
    if symbols and symbols[0]:
        raise Refused("symbols[0]", "reference_invalid")
    runs = runs_of(message, len(series), message.timestamp_ms if message.HasField("timestamp_ms") else received_ms)
    for definition, (times, own) in zip(series, runs, strict=True):
        reason, labels = labels_of(out, definition, symbols)
        for ts_ms, value in zip(times, own, strict=True):
            if reason:
                out.refused.append({reason})
            else:
                sample(out, labels, ts_ms, bits_of(value))


def runs_of(message: Any, count: int, start_ms: int) -> list[tuple[list[int], list[float]]]:
    """Times and values of each series. Raises: Refused, where the columns do not fit together."""
    values, deltas = list(message.values), list(message.time_deltas_ms)
    if message.run_lengths:
        lengths = list(message.run_lengths)
        counts = (len(lengths), sum(lengths), len(deltas))
        if message.by_round or counts != (count, len(values), len(values)):
            raise Refused("runs")
        runs = []
        for length in lengths:
            runs.append((summed(start_ms, deltas[:length]), values[:length]))
            deltas, values = deltas[length:], values[length:]
        return runs
    times = summed(start_ms, deltas)
    if not deltas and values:
        times = [start_ms]
    if count * len(times) != len(values):
        raise Refused("grid")
    if message.by_round:
        return [(times, values[series::count]) for series in range(count)]
    return [(times, values[series * len(times) : (series + 1) * len(times)]) for series in range(count)]


def labels_of(out: Expected, definition: bytes, symbols: list[bytes]) -> tuple[str, list[tuple[str, str]]]:
    """(why a series is refused or empty, its labels). A unit at fault is refused alone."""
    refs: list[int] = []
    unit = 0
    try:
        for number, wire, value, raw in split(definition):
            if number == 1 and wire in (BYTES, VARINT):
                packed = value if wire == BYTES else raw[read_varint(raw, 0)[1] :]
                refs += [ref & 0xFFFFFFFF for ref in varints(packed, len(symbols))]
            elif number <= 3 and wire != VARINT:
                raise Refused("wire type")
            elif number == 3:
                unit = value & 0xFFFFFFFF
    except Refused as fault:
        return fault.reason, []
    if (unit and unit >= len(symbols)) or len(refs) % 2:
        return "reference_invalid", []
    try:
        texts = [symbols[ref].decode() for ref in refs]
    except UnicodeDecodeError:
        texts = []
    if refs and unit and not is_utf8(symbols[unit]):
        out.refused.append({"text_not_utf8"})
    return "text_not_utf8" if refs and not texts else "", list(zip(texts[::2], texts[1::2], strict=True))


def varints(packed: bytes, end: int) -> list[int]:
    """Packed references below ``end``. Raises: Refused, for the first that is not."""
    out, at = [], 0
    while at < len(packed):
        ref, at = read_varint(packed, at)
        if ref & 0xFFFFFFFF >= end:
            raise Refused("reference", "reference_invalid")
        out.append(ref)
    return out


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


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
