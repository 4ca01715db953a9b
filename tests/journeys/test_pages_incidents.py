"""Pages of incidents and agreements: opened, looked after, resolved; every day of a window."""

import re
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from journeys.page_data import write_series
from journeys.rig import Daemon, running
from journeys.test_import import post, wait_folded
from journeys.test_rules import post_form, wait_for
from journeys.test_sla import DAY_S, DAYS, history

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
RULES = """
groups:
  - name: incidents
    interval: 1s
    rules:
      - alert: ErrorsHigh
        expr: errors_now > 5
        labels: {severity: critical, incident: "true"}
        annotations: {summary: "{{ $labels.service }} answers with errors"}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An alert that opened an incident, and an agreement that one of three days missed."""
    directory = tmp_path_factory.mktemp("incidents")
    (directory / "rules.yaml").write_text(RULES)
    environment = {
        "NISSA_RULES__FILES": f'["{directory}/rules.yaml"]',
        "NISSA_SLA__INTERVAL": "200ms",
        "NISSA_SLA__DELAY": "0",
    }
    with running(directory / "data", environment=environment) as started:
        now_s = time.time_ns() // 10**9
        assert post(started, history(now_s))[0] in (200, 204)
        wait_folded(started)
        form = {"sla": "up", "service": "api", "target": "99.9", "window": "7d", "bad": "requests_failed"}
        first_s = now_s // DAY_S * DAY_S - DAYS * DAY_S
        post_form(started, "/api/v1/sla/definitions", **form, total="requests_total", active_from=str(first_s))
        write_errors(started)
        wait_for(lambda: len(snapshots(started)) >= DAYS)
        wait_for(lambda: started.get("/api/v1/incidents")["data"]["incidents"])
        yield started


def write_errors(daemon: Daemon) -> None:
    """A sample over the threshold, now."""
    labels = {"__name__": "errors_now", "service": HOSTILE}
    write_series(daemon, [(labels, [(time.time_ns() // 1_000_000, 9.0)])])


@pytest.fixture(autouse=True)
def _fires(daemon) -> None:
    """The sample is never old, however long the tests take: the incident would end after five minutes."""
    write_errors(daemon)


def snapshots(daemon: Daemon) -> list[dict]:
    """Days of the agreement."""
    return daemon.get("/api/v1/sla/snapshots?" + urlencode({"sla": "up"}))["data"]["snapshots"]


def test_an_incident_is_looked_after(page) -> None:
    """An incident opened by an alert is in the overview; it is acknowledged, commented and resolved in its room."""
    page.goto("/")
    page.get_by_role("region", name="Incidents").get_by_role("link", name="answers with errors").click()
    page.get_by_role("heading", level=1, name="answers with errors").wait_for()
    assert page.locator("main img").count() == 0
    assert page.title() == "Incidents · Nissa"
    page.get_by_role("link", name="errors_now").wait_for()
    for step, comment in (("Acknowledge", "on it"), ("Comment", HOSTILE), ("Resolve", "rolled back")):
        page.get_by_role("button", name=step).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Comment", exact=True).fill(comment)
        dialog.get_by_label("Your name").fill("erika")
        dialog.get_by_role("button", name=step).click()
        expect(dialog).to_have_count(0)
        page.get_by_role("region", name="Timeline").get_by_text(comment, exact=True).wait_for()
    page.get_by_role("button", name="Reopen").wait_for()
    assert page.locator("main img").count() == 0
    report = page.request.get(page.get_by_role("link", name="Post-mortem").get_attribute("href"))
    assert "rolled back" in report.text()


def test_an_incident_is_opened_by_hand_and_merged(page) -> None:
    """The room opens; merged into another one, it says which."""
    page.goto("/incidents")
    for title in ("the disk is slow", "the disk is slow again"):
        page.get_by_role("button", name="Open an incident").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill(title)
        dialog.get_by_label("Severity").select_option("warning")
        dialog.get_by_label("Your name").fill("erika")
        dialog.get_by_role("button", name="Open").click()
        page.get_by_role("heading", level=1, name=title).wait_for()
        page.get_by_role("link", name="Incidents", exact=True).last.click()
    page.get_by_role("link", name="the disk is slow again").click()
    page.get_by_role("button", name="Merge").click()
    dialog.get_by_label("Into the incident").fill(number_of(page, "the disk is slow"))
    dialog.get_by_label("Your name").fill("erika")
    dialog.get_by_role("button", name="Merge").click()
    page.get_by_text("Merged into").wait_for()
    expect(page.get_by_text("goes on for")).to_have_count(0)
    page.goto("/incidents?state=merged")
    page.get_by_role("link", name="the disk is slow again").wait_for()
    page.get_by_text("1 shown").wait_for()
    page.get_by_text(re.compile(r"into #\d+")).wait_for()


def number_of(page, title: str) -> str:
    """The number of the incident with this title."""
    listed = page.request.get("/api/v1/incidents").json()["data"]["incidents"]
    return str(next(one["id"] for one in listed if one["title"] == title))


def test_every_day_of_an_agreement_is_shown(page, daemon) -> None:
    """The day that missed its target differs from the others without colours, and opens its numbers."""
    days = snapshots(daemon)
    page.goto("/sla")
    page.get_by_text("snapshots, none altered").wait_for()
    agreement = page.get_by_role("region", name="up", exact=True)
    agreement.get_by_text("1 of 3").wait_for()
    expect(agreement.locator(".calendar .day")).to_have_count(7)
    missed = agreement.get_by_role("button", name=re.compile(f"{days[1]['day']}: missed with 9[89]"))
    missed.click()
    agreement.get_by_text("24 hours missed").wait_for()
    assert f"day={days[1]['day']}" in page.url
