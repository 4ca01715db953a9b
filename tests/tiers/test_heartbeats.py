"""Beats of services over snapshots."""

from typing import Any

from nissa.model.units import DAY_MS, HOUR_MS
from nissa.tiers.heartbeats import Beat, first_beat_day, heartbeats
from nissa.tiers.sla import SlaDefinition, day_start_ms

LAST = "2024-03-01"  # the day after a leap day
UP = [SlaDefinition("up", "shop", target=99.0), SlaDefinition("up", "shop", target=90.0, version=2)]
FAST = SlaDefinition("fast", "shop", "LATENCY_P99", 0.5, latency="x")


def row(
    name: str, day: str, value: float | None, version: int = 1, hours: tuple = (), down: float = 0
) -> dict[str, Any]:
    """A snapshot as the store shows it."""
    own = {"definition_id": name, "definition_version": version, "day": day, "value": value, "downtime_minutes": down}
    return {**own, "evidence": {"hours": list(hours), "incidents": []}}


def test_the_agreement_that_was_missed_decides() -> None:
    """Each day by the version that held; days without data are none, also over a leap day."""
    rows = [
        row("up", "2024-02-28", 98.0, down=7.0),
        row("fast", "2024-02-28", 0.4),
        row("up", "2024-02-29", 98.0, 2),
        row("up", LAST, None),
        row("gone", LAST, 1.0),
    ]
    beats = heartbeats([*UP, FAST], rows, LAST, "day")
    assert len(beats) == 90
    begin_ms = day_start_ms("2024-02-28")
    assert beats[-3:] == [
        Beat(begin_ms, "missed", {"up": 98.0}, 7.0),
        Beat(begin_ms + DAY_MS, "met"),
        Beat(begin_ms + 2 * DAY_MS, "none"),
    ]
    assert {beat.state for beat in beats[:-3]} == {"none"}


def test_hours_are_those_of_the_evidence() -> None:
    """Seven days of them; agreements without hours, such as mean times of incidents, have none."""
    hours = (100.0, None, 12.0, *(None,) * 21)
    beats = heartbeats(UP, [row("up", LAST, 98.0, hours=hours), row("up", "2024-02-29", 5.0)], LAST, "hour")
    assert len(beats) == 168
    assert [beat.state for beat in beats[-24:-20]] == ["met", "none", "missed", "none"]
    assert beats[-22].missed == {"up": 12.0}
    assert beats[-1].at_ms - beats[0].at_ms == 167 * HOUR_MS
    assert first_beat_day(LAST, "hour") == "2024-02-24"
