"""The judgement of a status."""

from typing import Any

import pytest

from nissa.cli.health import Level, findings, is_call, size_text, span_text, verdict

READY: dict[str, Any] = {
    "mode": "ready",
    "reason": None,
    "watchdog": {"workers": ["engine"], "stalled": []},
    "queue": {"frames": 0},
    "safeguards": {"mode": {"mode": "normal", "load_percent": {"queue": 0.0}}},
    "series": {"active": 10, "limit": 100},
    "sources": {"statsd": {"up": 1, "state": "up", "error": None}},
    "sinks": {"away": {"state": "up", "error": None}},
    "breakers": {"nats": {"state": "closed"}, "sinks.away": {"state": "open", "last_error": "x"}},
}
FIRING = {"state": "firing", "labels": {"alertname": "A", "severity": "page"}}


@pytest.mark.parametrize(
    ("change", "worst", "level"),
    [
        ({}, "Workers", Level.GOOD),
        ({"watchdog": {"workers": ["engine"], "stalled": ["commit"]}}, "Workers", Level.BAD),
        ({"series": {"active": 80, "limit": 100}}, "Series", Level.WARN),
        ({"series": {"active": 100, "limit": 100}}, "Series", Level.BAD),
        ({"sources": {"nats": {"up": 0, "state": "down", "error": "no route"}}}, "Source nats", Level.BAD),
        ({"sinks": {"away": {"state": "paused", "error": None}}}, "Sink away", Level.WARN),
        ({"breakers": {"oona": {"state": "half-open", "last_error": "x"}}}, "Breaker oona", Level.WARN),
        ({"safeguards": {"mode": {"mode": "normal", "load_percent": {"queue": 75.0}}}}, "Queue", Level.BAD),
    ],
)
def test_the_worst_part_is_first(change: dict[str, Any], worst: str, level: Level) -> None:
    """Each rule by a status that it is about; the whole follows the worst part."""
    status = {**READY, **change}
    found = findings(status)
    assert (found[0].name, found[0].level) == (worst, level)
    assert verdict(status, found, []).level is level


@pytest.mark.parametrize(
    ("change", "alerts", "level", "text"),
    [
        ({}, [FIRING], Level.BAD, "1 alert is firing"),
        ({}, [{**FIRING, "acknowledgement": {"by": "ann"}}, {**FIRING, "state": "pending"}], Level.GOOD, "Well."),
        ({"mode": "recovering", "recovery": {"percent": 40}}, [], Level.WARN, "40 %"),
        ({"mode": "read_only", "reason": "disk full"}, [], Level.BAD, "nothing is being stored: disk full"),
        ({"mode": "stalled", "reason": "commit"}, [], Level.BAD, "no progress: commit"),
        (
            {"safeguards": {"mode": {"mode": "conservative", "load_percent": {}}}},
            [],
            Level.WARN,
            "in conservative mode",
        ),
    ],
)
def test_the_whole_in_one_sentence(change: dict[str, Any], alerts: list[Any], level: Level, text: str) -> None:
    """Modes, alerts that call for somebody, and those that do not."""
    status = {**READY, **change}
    found = verdict(status, findings(status), alerts)
    assert found.level is level
    assert text in found.sentence


def test_quiet_alerts_call_for_nobody() -> None:
    """A severity of info or none informs."""
    assert is_call(FIRING)
    assert not is_call({"state": "firing", "labels": {"severity": "info"}})


def test_sizes_and_spans() -> None:
    """The unit that leaves few digits; the two largest units."""
    assert [size_text(n) for n in (0, 1023, 1536, 300 * 1024, 5 * 1024**4)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "300 KiB",
        "5.0 TiB",
    ]
    assert [span_text(ms) for ms in (0.5, 340, 61_000, 90_000_000, 86_400_000)] == [
        "0.5ms",
        "340ms",
        "1m 1s",
        "1d 1h",
        "1d",
    ]
