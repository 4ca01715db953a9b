"""From an alert to the report of the next day, through the pages, on a daemon whose wall clock goes over midnight."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.page_data import send_event, write_series
from journeys.rig import Daemon, nissa_command, running
from journeys.test_import import post, wait_folded
from journeys.test_rules import wait_for
from journeys.wall_clock import WallClock, confirm

from nissa.model.units import HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.tiers.sla import day_start_ms

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
DAY = "2027-03-10"
SHARES = {"total": 1.0, "failed": 0.005}
RULES = """
groups:
  - name: checkout
    interval: 200ms
    rules:
      - alert: ErrorsHigh
        expr: errors_now > 5
        labels: {severity: critical, incident: "true"}
        annotations: {summary: "{{ $labels.service }} answers with errors"}
"""
AGREEMENT = """
sla_definitions:
  - {id: checkout-uptime, service: checkout, target: 99, window: 7d, total: requests_total, bad: requests_failed}
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    """An evening."""
    found = WallClock(tmp_path_factory.mktemp("clock"))
    found.set(f"{DAY} 20:00")
    return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, clock: WallClock) -> Iterator[Daemon]:
    """An agreement in force, and a rule that opens incidents, which people resolve."""
    folder = tmp_path_factory.mktemp("journey")
    files = {"rules": RULES, "sla": AGREEMENT}
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    environment = {
        **clock.environment,
        **{f"NISSA_{name.upper()}__FILES": f'["{folder}/{name}.yaml"]' for name in files},
        "NISSA_INCIDENTS__INTERVAL": "100ms",
        "NISSA_INCIDENTS__RESOLVE_WITH_ALERTS": "false",
        "NISSA_SLA__INTERVAL": "200ms",
        "NISSA_SLA__DELAY": "0",
    }
    with running(folder / "data", environment=environment) as started:
        assert post(started, requests())[0] in (200, 204)
        wait_folded(started)
        yield started


def requests() -> bytes:
    """Lines of an import: ten requests a second from midnight to seven o'clock, of which 5 of 1,000 fail."""
    times = list(range(day_start_ms(DAY), day_start_ms(DAY) + 19 * HOUR_MS + 1, 5 * MINUTE_MS))
    values = {name: [round(at * 3_000 * share) for at in range(len(times))] for name, share in SHARES.items()}
    metrics = (
        {"metric": {"__name__": f"requests_{name}"}, "timestamps": times, "values": values[name]} for name in values
    )
    return b"".join(json.dumps(metric).encode() + b"\n" for metric in metrics)


def snapshots(daemon: Daemon) -> list[dict[str, Any]]:
    """Days of the agreement."""
    return daemon.get("/api/v1/sla/snapshots?sla=checkout-uptime")["data"]["snapshots"]


def go_on(page: Any, daemon: Daemon, clock: WallClock) -> None:
    """Show the browser what the daemon's clock shows, which is right."""
    page.clock.set_system_time(clock.now_ms)
    confirm(daemon)


def step(page: Any, name: str, comment: str) -> None:
    """Take a step in the room."""
    page.get_by_role("button", name=name).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Comment", exact=True).fill(comment)
    dialog.get_by_label("Your name").fill("erika")
    dialog.get_by_role("button", name=name).click()
    expect(dialog).to_have_count(0)
    page.get_by_role("region", name="Timeline").get_by_text(comment, exact=True).wait_for()


def test_the_minutes_of_an_incident_are_in_the_report_of_its_day(
    page: Any, daemon: Daemon, clock: WallClock, tmp_path: Path
) -> None:
    """An alert opens it, with evidence; people look after it and resolve it; the next day has its minutes."""
    page.clock.install(time=clock.now_ms)
    event = {"event_id": "card", "description": "card declined", "level": 3, "source": "checkout"}
    send_event(daemon, {**event, "timestamp_ms": clock.now_ms})
    wait_for(lambda: daemon.get("/api/v1/events?start=0")["data"]["events"])
    labels = {"__name__": "errors_now", "service": "checkout"}
    write_series(daemon, [(labels, [(clock.now_ms - at * 10 * SECOND_MS, 9.0) for at in reversed(range(12))])])
    page.goto("/")
    page.get_by_role("region", name="Incidents").get_by_role("link", name="checkout answers with errors").click()
    page.get_by_role("link", name="errors_now").wait_for()
    page.get_by_text("card declined").first.wait_for()
    step(page, "Acknowledge", "on it")
    clock.jump(clock.off_ms + 45 * MINUTE_MS)
    go_on(page, daemon, clock)
    step(page, "Resolve", "rolled back")
    number = page.url.partition("id=")[2]
    room = daemon.get(f"/api/v1/incidents/{number}")["data"]
    assert 45 <= room["trouble_minutes"] < 60
    assert [entry["kind"] for entry in room["timeline"] if entry["user"]] == ["acknowledged", "resolved"]
    assert any(pin["name"] == f"incident {number}" for pin in daemon.get("/api/v1/pins")["data"])
    assert snapshots(daemon) == []
    clock.set("2027-03-11 00:00:01")
    go_on(page, daemon, clock)
    (day,) = wait_for(lambda: snapshots(daemon))
    assert (day["day"], day["evidence"]["incidents"]) == (DAY, [int(number)])
    assert (day["value"], day["total_events"]) == (pytest.approx(99.5, abs=0.01), pytest.approx(684_000, rel=0.01))
    assert day["downtime_minutes"] == pytest.approx(room["trouble_minutes"], abs=1e-6)
    page.goto("/sla")
    page.get_by_text("snapshots, none altered").wait_for()
    agreement = page.get_by_role("region", name="checkout-uptime", exact=True)
    shown = re.compile(rf"{int(room['trouble_minutes'])} min")
    expect(agreement.locator(".figures")).to_contain_text(shown)
    agreement.get_by_role("button", name=re.compile(f"^{DAY}: ")).click()
    expect(agreement.get_by_role("status")).to_contain_text(shown)
    (report,) = daemon.get("/api/v1/sla/report?service=checkout")["data"]["agreements"]
    assert report["state"]["downtime_minutes"] == pytest.approx(day["downtime_minutes"])
    body = page.request.get(f"/api/v1/sla/report?sla=checkout-uptime&report_period={DAY[:7]}&sla_format=pdf").body()
    path = tmp_path / "report.pdf"
    arguments = ("--period", DAY[:7], "--pdf", path, "--data-dir", daemon.directory)
    nissa_command("sla", "report", "checkout-uptime", *arguments)
    assert body == path.read_bytes()
