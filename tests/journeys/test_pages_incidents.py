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
    into = dialog.get_by_label("Into the incident")
    expect(into).not_to_contain_text("the disk is slow again")
    into.select_option(number_of(page, "the disk is slow"))
    dialog.get_by_label("Your name").fill("erika")
    dialog.get_by_role("button", name="Merge").click()
    page.get_by_text("Merged into").wait_for()
    expect(page.get_by_role("button", name="Comment")).to_have_count(1)
    expect(page.get_by_role("button", name="Reopen")).to_have_count(0)
    expect(page.get_by_text("goes on for")).to_have_count(0)
    page.goto("/incidents?state=merged")
    page.get_by_role("link", name="the disk is slow again").wait_for()
    page.get_by_text("1 shown").wait_for()
    page.get_by_text(re.compile(r"into #\d+")).wait_for()


def test_an_incident_is_assigned_and_changed(page) -> None:
    """What changes is in the timeline, what does not is left alone; an empty responder is nobody again."""
    page.goto("/incidents")
    page.get_by_role("button", name="Open an incident").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Title").fill("mails are late")
    dialog.get_by_label("Your name").fill("erika")
    dialog.get_by_role("button", name="Open").click()
    facts = page.get_by_role("region", name="Incident", exact=True)
    for responder, shown in (("otto", "otto"), ("", "nobody yet")):
        page.get_by_role("button", name="Assign").click()
        dialog.get_by_label("Responder").fill(responder)
        dialog.get_by_label("Severity").select_option("warning")
        dialog.get_by_role("button", name="Change").click()
        expect(dialog).to_have_count(0)
        expect(facts).to_contain_text(f"responder{shown}")
    expect(facts).to_contain_text("severitywarning, urgency medium")
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("responder: otto to none")
    expect(timeline).to_contain_text(re.compile("severity: error to warning, responder: none to otto"))


def test_the_room_lists_the_alerts_that_it_is_about(page) -> None:
    """The firing that opened the incident, with its labels as text."""
    page.goto("/incidents")
    page.get_by_role("link", name="answers with errors").click()
    alerts = page.get_by_role("region", name="Alerts", exact=True).get_by_role("listitem")
    expect(alerts).to_have_count(1)
    expect(alerts.get_by_role("img", name="firing")).to_have_count(1)
    expect(alerts).to_contain_text(f"ErrorsHighservice={HOSTILE}")


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


def test_heartbeats_tell_each_day_and_hour(page, daemon) -> None:
    """A strip of 90 days, of which three have data; the beat that is pointed at is told in words, and by hour too."""
    days = snapshots(daemon)
    page.goto("/sla")
    strip = page.get_by_role("region", name="Heartbeats of api")
    strip.get_by_text("2 days met, 1 missed, 87 without data").wait_for()
    expect(strip.locator(".beat")).to_have_count(90)
    strip.locator(".beat.missed").hover()
    expect(strip).to_contain_text(re.compile(f"{days[1]['day']} UTC: missed: up with 9[89]"))
    page.get_by_role("button", name="7 days by hour").click()
    strip.get_by_text("48 hours met, 24 missed, 96 without data").wait_for()
    strip.locator(".beat.missed").first.hover()
    expect(strip).to_contain_text(f"{days[1]['day']} 00:00 UTC: missed: up with")
    assert "beats=hour" in page.url


def test_a_month_or_quarter_is_kept_as_pdf_or_csv(page, daemon) -> None:
    """The table has the days of the period, and the PDF is one; what is refused is said."""
    day = snapshots(daemon)[1]["day"]
    month, quarter = day[:7], f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}"
    page.goto("/sla")
    reports = page.get_by_role("group", name="Reports of up")
    reports.get_by_role("combobox").select_option(month)
    table = page.request.get(reports.get_by_role("link", name="CSV").get_attribute("href")).text().splitlines()
    rows = [line for line in table[1:] if line.startswith(f"{day},up,1,")]
    assert len(rows) == 1
    assert all(line.startswith(month) for line in table[1:])
    reports.get_by_role("combobox").select_option(quarter)
    with page.expect_download() as kept:
        reports.get_by_role("button", name="PDF").click()
    assert kept.value.suggested_filename == f"up-{quarter}.pdf"
    assert kept.value.path().read_bytes().startswith(b"%PDF-")
    refusal = {"status": "error", "errorType": "bad_data", "error": "the extra is missing"}
    page.route("**/api/v1/sla/report?*sla_format=pdf", lambda route: route.fulfill(status=400, json=refusal))
    reports.get_by_role("button", name="PDF").click()
    expect(reports.get_by_role("alert")).to_have_text("the extra is missing")


def test_a_day_is_corrected_with_a_reason(page, daemon) -> None:
    """Without one nothing is sent; the revision, its reason and the first one are shown."""
    day = snapshots(daemon)[0]["day"]
    page.goto(f"/sla?sla=up&day={day}")
    agreement = page.get_by_role("region", name="up", exact=True)
    agreement.get_by_role("button", name="Correct").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Compute it again").click()
    expect(dialog).to_have_count(1)
    dialog.get_by_label("Reason").fill(f"late samples {HOSTILE}")
    dialog.get_by_role("button", name="Compute it again").click()
    revisions = agreement.locator(".revisions").get_by_role("listitem")
    expect(revisions).to_have_count(2)
    expect(revisions.first).to_contain_text("as first written")
    expect(revisions.last).to_contain_text(f"late samples {HOSTILE}")
    assert page.locator("main img").count() == 0
    assert next(one for one in snapshots(daemon) if one["day"] == day)["revision"] == 1


def test_an_agreement_is_defined_changed_and_ended(page) -> None:
    """A fault of a field stays in the form; a change is a new version, and the history has what it changed."""
    page.goto("/sla")
    page.get_by_role("button", name="New agreement").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Id", exact=True).fill("mail-errors")
    dialog.get_by_label("Service", exact=True).fill("mail")
    dialog.get_by_label("Kind").select_option("ERROR_RATE")
    dialog.get_by_label("Target").fill("200")
    dialog.get_by_role("textbox", name="Bad events").fill("mail_failed")
    dialog.get_by_role("textbox", name="All events").fill("mail_sent")
    dialog.get_by_role("button", name="Define").click()
    expect(dialog.get_by_role("alert")).to_contain_text("'target'")
    dialog.get_by_label("Target").fill("2")
    dialog.get_by_role("button", name="Define").click()
    agreement = page.get_by_role("region", name="mail-errors", exact=True)
    agreement.get_by_text("error rate, target 2 % in 30d").wait_for()
    agreement.get_by_role("button", name="Change").click()
    expect(dialog.get_by_label("Kind")).to_have_value("ERROR_RATE")
    expect(dialog.get_by_role("textbox", name="All events")).to_have_value("mail_sent")
    dialog.get_by_label("Target").fill("1")
    dialog.get_by_role("combobox", name="Window").select_option("quarterly")
    dialog.get_by_role("button", name="Make a new version").click()
    agreement.get_by_text("error rate, target 1 % in quarterly").wait_for()
    agreement.get_by_text("Definition: 2 versions").click()
    versions = agreement.get_by_role("table").get_by_role("row")
    expect(versions).to_have_count(3)
    expect(versions.nth(1)).to_contain_text(re.compile("in force.*1 %.*windowquarterly"))
    expect(versions.nth(2)).to_contain_text(re.compile("2 %.*mail_failed"))
    agreement.get_by_role("button", name="End", exact=True).click()
    dialog.get_by_role("button", name="End the agreement").click()
    agreement.get_by_text(re.compile(r"ended 20\d\d-")).wait_for()
    expect(agreement.get_by_role("button", name="End", exact=True)).to_have_count(0)
    page.goto("/sla?service=mail")
    expect(page.locator(".sla")).to_have_count(1)
