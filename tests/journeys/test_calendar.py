"""Days of agreements and escalations of a daemon whose wall clock goes over the edges of the calendar, or jumps."""

from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, running
from journeys.test_rules import post_form, wait_for
from journeys.wall_clock import WallClock, confirm

from nissa.model.units import MINUTE_MS

pytestmark = pytest.mark.long
SETTINGS = {
    "NISSA_SLA__INTERVAL": "100ms",
    "NISSA_SLA__DELAY": "0",
    "NISSA_INCIDENTS__INTERVAL": "100ms",
    "NISSA_INCIDENTS__ESCALATE_AFTER": "10m",
    "NISSA_INCIDENTS__ESCALATIONS_MAX": "20",
}
# The zone of the machine; when an incident opens, and how many minutes later it is resolved; the days with a snapshot
# and their downtime; the first day of their quarter.
LEAP = {"2028-02-28": 30, "2028-02-29": 24 * 60, "2028-03-01": 30}
EDGES = {
    "midnight": ("UTC", "2027-03-10 23:50", 25, {"2027-03-10": 10, "2027-03-11": 15}, "2027-01-01"),
    "leap day": ("UTC", "2028-02-28 23:30", 25 * 60, LEAP, "2028-01-01"),
    "no leap day": ("UTC", "2027-02-28 23:30", 60, {"2027-02-28": 30, "2027-03-01": 30}, "2027-01-01"),
    "a new year": ("Pacific/Kiritimati", "2027-12-31 23:40", 50, {"2027-12-31": 20, "2028-01-01": 30}, "2028-01-01"),
    "an hour left out": ("Europe/Berlin", "2027-03-28 00:30", 60, {"2027-03-28": 60}, "2027-01-01"),
    "an hour twice": ("America/New_York", "2027-11-07 05:30", 90, {"2027-11-07": 90}, "2027-10-01"),
}


def snapshots(daemon: Daemon) -> list[dict[str, Any]]:
    """Snapshots, the oldest first."""
    return daemon.get("/api/v1/sla/snapshots?sla=up")["data"]["snapshots"]


def go_on(daemon: Daemon, clock: WallClock, minutes: int) -> None:
    """Let time pass."""
    clock.jump(clock.off_ms + minutes * MINUTE_MS)
    confirm(daemon)


@pytest.mark.parametrize("edge", EDGES)
def test_days_are_those_of_utc(edge: str, tmp_path: Path) -> None:
    """Over midnight, a leap day, the end of a year and changes of summer time each minute is in its day, once."""
    zone, begin, minutes, expected, quarter = EDGES[edge]
    clock = WallClock(tmp_path)
    clock.set(begin)
    with running(tmp_path / "data", environment={**SETTINGS, **clock.environment, "TZ": zone}) as daemon:
        form = {"sla": "up", "service": "api", "metric_type": "MTTR", "target": "60", "window": "quarterly"}
        assert post_form(daemon, "/api/v1/sla/definitions", **form)[0] == 200
        assert post_form(daemon, "/api/v1/incidents", title="down", service="api", severity="critical")[0] == 200
        go_on(daemon, clock, minutes)
        assert post_form(daemon, "/api/v1/incidents/1/resolve")[0] == 200
        trouble = daemon.get("/api/v1/incidents/1")["data"]["trouble_minutes"]
        assert minutes <= trouble < minutes + 10
        last = max(expected)
        clock.set(f"{last} 23:59:59")
        confirm(daemon)
        wait_for(lambda: snapshots(daemon)[-1:] and snapshots(daemon)[-1]["day"] >= last)
        days = {one["day"]: one for one in snapshots(daemon)}
        assert list(days) == sorted(expected)
        downtimes = {day: one["downtime_minutes"] for day, one in days.items()}
        assert downtimes == {day: pytest.approx(least, abs=10) for day, least in expected.items()}
        assert sum(downtimes.values()) == pytest.approx(trouble, abs=1e-6)
        assert days[last]["value"] == pytest.approx(trouble, abs=1)  # the mean of one
        (report,) = daemon.get("/api/v1/sla/report?service=api")["data"]["agreements"]
        assert report["first_day"] == quarter
        assert daemon.stop() == 0


def test_a_clock_that_was_ahead_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ten years for a moment: no snapshot of days to come, and escalations go on as before once it is right again."""
    clock = WallClock(tmp_path)
    with running(tmp_path / "data", environment={**SETTINGS, **clock.environment}) as daemon:
        form = {"sla": "up", "service": "api", "metric_type": "MTTR", "target": "60", "window": "7d"}
        assert post_form(daemon, "/api/v1/sla/definitions", **form)[0] == 200
        assert post_form(daemon, "/api/v1/incidents", title="down", service="api")[0] == 200
        clock.jump(3_650 * 24 * 60 * MINUTE_MS)
        wait_for(lambda: daemon.get("/api/v1/incidents/1")["data"]["escalation"])
        clock.jump(0)
        wait_for(lambda: daemon.get("/api/v1/incidents/1")["data"]["escalate_ms"] <= clock.now_ms + 10 * MINUTE_MS)
        assert daemon.get("/api/v1/incidents/1")["data"]["escalation"] == 1
        assert snapshots(daemon) == []
        go_on(daemon, clock, 11)
        wait_for(lambda: daemon.get("/api/v1/incidents/1")["data"]["escalation"] == 2)
        assert daemon.stop() == 0


def test_a_clock_that_goes_back_ends_nothing(tmp_path: Path) -> None:
    """A day back: the incident escalates in the time that the setting says, is resolved, and has lasted no time."""
    clock = WallClock(tmp_path)
    with running(tmp_path / "data", environment={**SETTINGS, **clock.environment}) as daemon:
        assert post_form(daemon, "/api/v1/incidents", title="down", service="api")[0] == 200
        clock.jump(-24 * 60 * MINUTE_MS)
        wait_for(lambda: daemon.get("/api/v1/incidents/1")["data"]["escalate_ms"] <= clock.now_ms + 10 * MINUTE_MS)
        go_on(daemon, clock, 11)
        wait_for(lambda: daemon.get("/api/v1/incidents/1")["data"]["escalation"] == 1)
        assert post_form(daemon, "/api/v1/incidents/1/resolve")[0] == 200
        room = daemon.get("/api/v1/incidents/1")["data"]
        assert (room["state"], room["trouble_minutes"] >= 0) == ("resolved", True)
        assert daemon.stop() == 0
