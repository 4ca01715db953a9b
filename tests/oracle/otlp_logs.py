"""Slow obvious twin of the OTLP logs decoder, on the classes of opentelemetry-proto, and a generator of requests."""

import random
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1 import logs_pb2

from oracle.otlp import NOW_NS, WHO, a_value, add_attributes, fields, pairs_of, resource_fields, text_of, utf8, without
from oracle.wire import Refused

Pairs = list[tuple[str, str]]


class LogEvent(NamedTuple):
    """An event as columns have it; attributes in their order, repeated ones too."""

    time_ms: int
    level: int
    source: str
    description: str
    attributes: Pairs


class LogAnswer(NamedTuple):
    """events: of the sound records. refused: reason -> records."""

    events: list[LogEvent]
    refused: dict[str, int]


def expect(body: bytes, received_ms: int) -> LogAnswer:
    """Return the body as it must become. Raises: Refused, where it is refused as a whole."""
    answer = LogAnswer([], {})
    for _, value, _ in fields(ExportLogsServiceRequest.DESCRIPTOR, body):
        found = list(fields(logs_pb2.ResourceLogs.DESCRIPTOR, value, ("schema_url",)))
        resource = next((each for name, each, _ in found if name == "resource"), b"")
        own = texts_of([each for name, each, _ in resource_fields(resource) if name == "attributes"])
        for name, each, _ in found:
            if name == "scope_logs":
                _scope(each, own, answer, received_ms)
    return answer


def _scope(data: bytes, resource: Pairs, answer: LogAnswer, received_ms: int) -> None:
    found = list(fields(logs_pb2.ScopeLogs.DESCRIPTOR, data, ("schema_url",)))
    scope = next((each for name, each, _ in found if name == "scope"), b"")
    said, attributes = {"name": "", "version": ""}, []
    for name, value, _ in fields(InstrumentationScope.DESCRIPTOR, without(scope, 4)):
        if name == "attributes":
            attributes.append(value)
        elif name in said:
            said[name] = utf8(value)
    shared = resource + texts_of(attributes) + [(f"otel.scope.{name}", text) for name, text in said.items() if text]
    for name, value, _ in found:
        if name == "log_records":
            try:
                answer.events.append(_record(value, source_of(resource), shared, received_ms))
            except Refused as fault:
                answer.refused[fault.reason] = answer.refused.get(fault.reason, 0) + 1


def _record(data: bytes, source: str, shared: Pairs, received_ms: int) -> LogEvent:
    said: dict[str, Any] = {}
    attributes: Pairs = []
    for name, value, _ in fields(logs_pb2.LogRecord.DESCRIPTOR, data):
        if name == "attributes":
            attributes += texts_of([value])
        else:
            said[name] = utf8(value) if name in ("severity_text", "event_name") else value
    times = [number_of(said.get(name)) for name in ("time_unix_nano", "observed_time_unix_nano")]
    severity = said.get("severity_number", 0) & 0xFFFFFFFF
    named = {
        "severity_number": str(severity - (1 << 32) if severity >> 31 else severity) if severity else "",
        "severity_text": said.get("severity_text", ""),
        "trace_id": id_text(said.get("trace_id", b"")),
        "span_id": id_text(said.get("span_id", b"")),
        "event_name": said.get("event_name", ""),
    }
    level = (
        0 if not 1 <= severity <= 24 else 1 if severity <= 12 else 2 if severity <= 16 else 3 if severity <= 20 else 4
    )
    time_ns = times[0] or times[1]
    return LogEvent(
        time_ns // 10**6 if time_ns else received_ms,
        level,
        source,
        utf8(text_of(said.get("body", b""))),
        shared + attributes + [pair for pair in named.items() if pair[1]],
    )


def texts_of(values: list[bytes]) -> Pairs:
    """KeyValues as text."""
    out = []
    for each in values:
        ((key, value),) = pairs_of([each])
        out.append((utf8(key), utf8(text_of(value))))
    return out


def source_of(resource: Pairs) -> str:
    last = dict(resource)
    name, space = last.get("service.name", ""), last.get("service.namespace", "")
    return f"{space}/{name}" if name and space else name


def number_of(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "little")


def id_text(value: bytes) -> str:
    return value.hex() if any(value) else ""


# ---- Generator -------------------------------------------------------------------------------------------------------


def a_request(rng: random.Random) -> ExportLogsServiceRequest:
    """Any mixture of log records."""
    request = ExportLogsServiceRequest()
    for _ in range(rng.choice((0, 1, 1, 2))):
        resource = request.resource_logs.add(schema_url=rng.choice(("", "http://s")))
        add_attributes(resource.resource.attributes, rng, (*WHO, *WHO, "host.name", "os"))
        for _ in range(rng.choice((1, 1, 2))):
            scope = resource.scope_logs.add()
            if rng.random() < 0.5:
                scope.scope.name, scope.scope.version = rng.choice(("", "lib")), rng.choice(("", "1"))
                add_attributes(scope.scope.attributes, rng, ("name", "x.y"))
            for _ in range(rng.choice((0, 1, 1, 4))):
                fill_record(scope.log_records.add(), rng)
    return request


def fill_record(record: Any, rng: random.Random) -> None:
    record.time_unix_nano = rng.choice((0, NOW_NS, NOW_NS + 1, 2**64 - 1))
    record.observed_time_unix_nano = rng.choice((0, NOW_NS, 999_999))
    record.severity_number = rng.choice((0, 1, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, -1))
    record.severity_text = rng.choice(("", "ERROR", "ü"))
    record.event_name = rng.choice(("", "", "device.added"))
    record.flags, record.dropped_attributes_count = rng.choice((0, 1)), rng.choice((0, 7))
    record.trace_id = rng.choice((b"", bytes(16), rng.randbytes(16), rng.randbytes(3)))
    record.span_id = rng.choice((b"", bytes(8), rng.randbytes(8)))
    add_attributes(record.attributes, rng)
    if rng.random() < 0.9:
        record.body.CopyFrom(a_value(rng))
