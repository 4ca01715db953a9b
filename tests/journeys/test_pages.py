"""The pages in Debian's Chromium against a real daemon."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.page_data import send_event, send_point
from journeys.rig import Daemon, running

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
ROOT = Path(__file__).parents[2]
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = [
    "/",
    "/explore?q=page_sample&q=rate(nissa_journal_commits_total[1m])",
    "/series?name=page_sample",
    "/events",
    "/alerts?tab=rules",
    "/slos?name=page_objective",
    "/incidents",
    "/incidents?id=1",
    "/sla",
    "/performance",
    "/performance?service=shop&limited=vector(1)&limit=2",
    "/alerts?tab=history",
    "/alerts?tab=test",
    "/explore?view=heatmap&q=nissa_ingest_latency_seconds_bucket",
    "/flow",
    "/storage",
    "/settings",
    "/settings?tab=access",
    "/settings?tab=audit",
]
RULES = """
groups:
  - name: pages
    interval: 1s
    rules:
      - alert: PageAlert
        expr: page_sample > 20
        labels: {incident: "true"}
        annotations: {summary: "{{ $labels.payload }}"}
"""
OBJECTIVES = """
slos:
  - name: page_objective
    target_percentage: 99.9
    measurement_window: 30d
    ratio: {bad: nissa_ingest_refused_total, total: nissa_ingest_received_total}
"""
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that measures itself, with an event and a label of a hostile sender."""
    directory = tmp_path_factory.mktemp("pages")
    (directory / "rules.yaml").write_text(RULES)
    (directory / "slo.yaml").write_text(OBJECTIVES)
    (directory / "alertmanager.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    environment = {
        "NISSA_TELEMETRY__INTERVAL": "1s",
        "NISSA_RULES__FILES": f'["{directory}/rules.yaml"]',
        "NISSA_SLO__FILES": f'["{directory}/slo.yaml"]',
        "NISSA_ALERTING__CONFIG_FILE": f"{directory}/alertmanager.yaml",
    }
    with running(directory / "data", environment=environment) as started:
        event = {"event_id": HOSTILE, "source": HOSTILE, "description": HOSTILE, "level": 3}
        event["timestamp_ms"] = time.time_ns() // 1_000_000
        event["attributes"] = [{"name": "payload", "value": HOSTILE}]
        send_event(started, event)
        yield started


@pytest.fixture(autouse=True)
def _fires(daemon) -> None:
    """The sample over the threshold is never old, however long the tests take: rules look back five minutes."""
    point = {"name": "page.sample", "labels": [{"name": "payload", "value": HOSTILE}], "value": 21.5}
    send_point(daemon, {**point, "timestamp_ms": time.time_ns() // 1_000_000})


def test_the_first_visit_shows_how_things_are(page) -> None:
    """The overview says in one sentence how the daemon is, with live numbers; keys lead to pages, each with a title."""
    page.goto("/")
    page.get_by_role("heading", level=1, name="1 alert is firing.").wait_for()
    page.locator(".tile strong", has_text="/s").first.wait_for()
    page.get_by_role("heading", name="Journal").wait_for()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")

    page.keyboard.press("g")
    page.keyboard.press("e")
    page.get_by_role("heading", level=1, name="Events").wait_for()
    assert page.title() == "Events · Nissa"


@pytest.mark.parametrize(
    "path", ["/", "/explore?q=page_sample", "/events", "/alerts", "/incidents", "/alerts?tab=history"]
)
def test_text_of_senders_stays_text(page, path: str) -> None:
    """Markup in events, labels and texts of alerts is shown as it was sent."""
    page.goto(path)
    page.get_by_text("<img src=x").first.wait_for()
    assert page.title().endswith("· Nissa")
    assert page.locator("img[src=x], main script").count() == 0


def test_a_query_is_completed_and_drawn(page) -> None:
    """Names are completed from the server; Enter draws the graph, and the address contains the query."""
    page.goto("/explore")
    page.locator(".cm-content").click()
    page.keyboard.type("nissa_journal_commits")
    page.get_by_role("option", name="nissa_journal_commits_total").wait_for()
    page.keyboard.type("_total")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="nissa_journal_commits_total{").wait_for()
    expect(page.locator("canvas")).to_have_count(1)
    assert "q=nissa_journal_commits_total" in page.url
    page.go_back()
    page.get_by_text("Write an expression").wait_for()


def test_events_are_followed(page, daemon) -> None:
    """An event that arrives while one follows is shown."""
    page.goto("/events?follow=1&text=late")
    page.get_by_text("No event fits.").wait_for()
    event = {"event_id": "late.arrival", "source": "page", "level": 1, "timestamp_ms": time.time_ns() // 1_000_000}
    send_event(daemon, event)
    page.get_by_text("late.arrival").wait_for()


@pytest.mark.parametrize("path", PATHS)
def test_pages_are_accessible(page, path: str) -> None:
    """axe-core finds nothing against WCAG 2.2 AA, light and dark, and nothing is wider than the narrowest screen."""
    page.goto(path)
    page.locator("h1, h2").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE.read_text())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)["violations"]
        assert [(violation["id"], [node["html"] for node in violation["nodes"][:3]]) for violation in found] == []
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_function("document.documentElement.scrollWidth <= 360")  # drawings follow the size of the window


def test_a_daemon_that_is_gone_is_told(page, tmp_path: Path) -> None:
    """When answers stop the page keeps the last ones and says since when they are old; it goes on when they return."""
    page.goto("/")
    page.get_by_text("1 alert is firing.").wait_for()
    page.route("**/api/**", lambda route: route.fulfill(status=503, json={"status": "error", "error": "starting"}))
    page.get_by_text("This page is stale since").wait_for()
    page.get_by_text("1 alert is firing.").wait_for()
    page.unroute("**/api/**")
    page.get_by_text("This page is stale since").wait_for(state="detached")


def test_an_alert_is_acknowledged(page) -> None:
    """An acknowledged alert shows who has acknowledged it."""
    page.goto("/alerts")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Your name").fill("erika")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    page.get_by_text("seen by erika").wait_for()


def test_an_alert_is_silenced(page) -> None:
    """A silence made from an alert is listed, and can be ended."""
    page.goto("/alerts")
    page.get_by_role("button", name="Silence", exact=True).first.click()
    page.get_by_label("Your name").fill("erika")
    page.get_by_label("Reason").fill("planned work")
    page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Silences").click()
    page.get_by_text("planned work — erika").wait_for()
    page.get_by_role("button", name="Expire").click()
    page.get_by_text("No silence is in force.").wait_for()
