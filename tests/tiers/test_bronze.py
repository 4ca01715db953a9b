"""Log lines as events, and events as entries of the tier."""

import pytest

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.config.redaction import Redaction
from nissa.model.errors import BadQuery
from nissa.redaction.context import ContextRedaction
from nissa.tiers.bronze import LatencyLimits, LogLine, log_entry, log_event

RULES = ContextRedaction(Redaction(), b"s" * 32)
LIMITS = LatencyLimits(1000, {"slow": 5000})
TRACE = "0af7651916cd43dd8448eb211c80319c"


def stored(line: LogLine) -> dict:
    """The event as the store gives it."""
    event = TelemetryEvent.FromString(log_event(line, RULES, 77))
    return {
        "time_ms": event.timestamp_ms,
        "level": event.level,
        "source": event.source,
        "event_id": "e",
        "description": event.description,
        "attributes": {one.name: one.value for one in event.attributes},
    }


def test_an_error_is_an_entry_without_its_secrets() -> None:
    """With service, trace, hashed user and flat context."""
    line = LogLine("a@b.org failed", "error", {"stack": "x\ny", "auth": "k", "n": [1]}, "shop", TRACE, "ann", 12.5)
    entry = log_entry(stored(line), LIMITS)
    assert entry is not None
    assert (entry.service_id, entry.level, entry.message) == ("shop", "ERROR", "[redacted:email] failed")
    assert entry.context == {"stack": "x\ny", "auth": "[redacted:secret]", "n": "[1]"}
    assert (entry.trace_id, entry.user_id, entry.duration_ms) == (TRACE, RULES.hashed("ann"), 12.5)
    assert entry.timestamp_ms == 77


@pytest.mark.parametrize(
    ("level", "service", "duration_ms", "is_kept"),
    [
        ("INFO", "shop", 1000.0, False),
        ("INFO", "shop", 1000.1, True),
        ("INFO", "slow", 1000.1, False),
        ("WARN", "slow", 5001.0, True),
        ("WARN", "shop", None, False),
        ("CRITICAL", "shop", None, True),
        ("INFO", "shop", float("nan"), False),
    ],
)
def test_errors_and_slow_ones_are_kept(level: str, service: str, duration_ms: float | None, is_kept: bool) -> None:
    """Each service has its own limit, else that of all."""
    line = LogLine("m", level, {}, service, duration_ms=duration_ms)
    assert (log_entry(stored(line), LIMITS) is not None) == is_kept


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (TRACE.upper(), TRACE),
        ("0" * 32, ""),
        ("nothing", ""),
    ],
)
def test_trace_ids_are_those_of_w3c(header: str, expected: str) -> None:
    """The header or the id alone; anything else is none."""
    assert stored(LogLine("m", trace_id=header))["attributes"].get("trace_id", "") == expected


def test_integers_of_any_size_are_kept() -> None:
    """JSON has no limit of integers."""
    line = LogLine("m", context={"huge": 10**30, "list": [2**64, True, None]})
    attributes = stored(line)["attributes"]
    assert (attributes["context.huge"], attributes["context.list"]) == (str(10**30), f"[{2**64},true,null]")


@pytest.mark.parametrize(("line", "field"), [(LogLine(" "), "message"), (LogLine("m", "LOUD"), "level")])
def test_bad_lines_name_their_field(line: LogLine, field: str) -> None:
    """A line without a message, or with a level that there is not."""
    with pytest.raises(BadQuery, match=field):
        log_event(line, RULES, 1)
