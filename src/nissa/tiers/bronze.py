"""Bronze: errors and slow requests, as a view on stored events; and logs of applications as events. Pure.

log line {level, message, context, …} ──redacted──► event: level, description, attributes ──► journal, event blocks
event ──► ERROR or CRITICAL, or slower than the service may be ──► log entry
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.model.errors import BadQuery
from nissa.model.level import LEVELS
from nissa.redaction.context import ContextRedaction

LEVEL_WORDS: Final = {
    "DEBUG": "unspecified",
    "INFO": "info",
    "WARN": "warning",
    "ERROR": "error",
    "CRITICAL": "critical",
}
SHOWN_LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")  # by the number of the level
SERIOUS: Final = LEVELS.index("error")
SERVICE_NAMES: Final = ("service_id", "service", "service.name", "service_name")
TRACE_NAMES: Final = ("trace_id", "traceId", "trace.id")
USER_NAMES: Final = ("user_hash", "user_id", "user.id")
DURATION_NAMES: Final = ("duration_ms", "duration.ms", "latency_ms")
MESSAGE_CHARACTERS_MAX: Final = 16_384
CONTEXT_NAMES_MAX: Final = 64
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class LogLine(msgspec.Struct, frozen=True):
    """A line of an application. timestamp_ms: 0 for when it is received. trace_id: of W3C, 32 digits."""

    message: str
    level: str = "INFO"
    context: dict[str, Any] = {}
    service_id: str = ""
    trace_id: str = ""
    user_id: str = ""
    duration_ms: float | None = None
    timestamp_ms: Int64 = 0


class LatencyLimits(msgspec.Struct, frozen=True):
    """Durations over which an event is one of Bronze: of a service, else of all."""

    all_ms: int
    services_ms: Mapping[str, int] = {}

    def of(self, service: str) -> int:
        """The limit of a service."""
        return self.services_ms.get(service, self.all_ms)


class BronzeEntry(msgspec.Struct, frozen=True):
    """An event of the tier. user_id: as a hash. duration_ms: None where it has none."""

    id: str
    timestamp_ms: int
    service_id: str
    level: str
    message: str
    context: dict[str, str]
    trace_id: str
    user_id: str
    duration_ms: float | None


def log_event(line: LogLine, redaction: ContextRedaction, received_ms: int) -> bytes:
    """A line as an encoded ``nissa.v2.TelemetryEvent``, without its secrets. Raises: BadQuery, naming the field."""
    word = LEVEL_WORDS.get(line.level.upper().replace("WARNING", "WARN"))
    if word is None:
        raise BadQuery(f"invalid field 'level': {line.level[:40]!r} is none of {', '.join(LEVEL_WORDS)}")
    if not line.message.strip():
        raise BadQuery("invalid field 'message': it is missing or empty")
    event = TelemetryEvent(
        description=redaction.text(line.message[:MESSAGE_CHARACTERS_MAX]),
        timestamp_ms=line.timestamp_ms or received_ms,
        level=LEVELS.index(word),  # type: ignore[arg-type]  # a number of the enumeration
        source=redaction.text(line.service_id)[:200] or "logs",
    )
    own = {
        "service_id": redaction.text(line.service_id)[:200],
        "trace_id": _trace_id(line.trace_id),
        "user_hash": redaction.hashed(line.user_id),
        "duration_ms": "" if line.duration_ms is None else f"{line.duration_ms:.3f}",
    }
    context = redaction.value(line.context)
    names = list(context)[:CONTEXT_NAMES_MAX]
    own |= {f"context.{name}"[:256]: _written(context[name]) for name in names}
    for name, value in own.items():
        if value:
            event.attributes.add(name=name, value=value[:MESSAGE_CHARACTERS_MAX])
    return event.SerializeToString()


def log_entry(event: Mapping[str, Any], limits: LatencyLimits) -> BronzeEntry | None:
    """The entry of a stored event; None where it is neither an error nor slow."""
    attributes: Mapping[str, str] = event["attributes"]
    service = _first(attributes, SERVICE_NAMES) or event["source"]
    duration_ms = _number(_first(attributes, DURATION_NAMES))
    is_slow = duration_ms is not None and duration_ms > limits.of(service)
    if event["level"] < SERIOUS and not is_slow:
        return None
    known = {*SERVICE_NAMES, *TRACE_NAMES, *USER_NAMES, *DURATION_NAMES}
    return BronzeEntry(
        event["event_id"],
        event["time_ms"],
        service,
        SHOWN_LEVELS[event["level"]],
        event["description"],
        {name.removeprefix("context."): value for name, value in attributes.items() if name not in known},
        _first(attributes, TRACE_NAMES),
        _first(attributes, USER_NAMES),
        duration_ms,
    )


def _first(attributes: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((attributes[name] for name in names if attributes.get(name)), "")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _trace_id(text: str) -> str:
    """A trace id of W3C, or one out of its ``traceparent`` header; empty for anything else."""
    parts = text.strip().lower().split("-")
    found = parts[1] if len(parts) == 4 else parts[0]
    is_id = len(found) == 32 and set(found) <= set("0123456789abcdef") and set(found) != {"0"}
    return found if is_id else ""


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()  # of integers of any size
