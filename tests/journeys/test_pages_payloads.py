"""Texts of senders and people in Debian's Chromium: 500 payloads in each place that shows them stay text."""

import time
from collections.abc import Iterator

import pytest
from journeys.page_data import send_event, write_series
from journeys.rig import Daemon, running
from journeys.test_rules import post_form, wait_for

pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
RULES = """
groups:
  - name: payloads
    interval: 1s
    rules:
      - alert: Payload
        expr: page_payload == 1
        annotations: {summary: "{{ $labels.payload }}", description: "{{ $labels.payload }}"}
"""
INCIDENTS = 50  # a page of the list


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with every payload as a label, in all texts of an event, and in annotations; some as incidents."""
    directory = tmp_path_factory.mktemp("payloads")
    (directory / "rules.yaml").write_text(RULES)
    (directory / "alertmanager.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    environment = {
        "NISSA_RULES__FILES": f'["{directory}/rules.yaml"]',
        "NISSA_ALERTING__CONFIG_FILE": f"{directory}/alertmanager.yaml",
    }
    texts, now_ms = payloads(), time.time_ns() // 1_000_000
    assert len(set(texts)) == 500
    with running(directory / "data", environment=environment) as started:
        for text in texts:
            event = {"event_id": text, "source": text, "description": text, "level": 2, "timestamp_ms": now_ms}
            send_event(started, {**event, "attributes": [{"name": "payload", "value": text}]})
        for text in texts[:: len(texts) // INCIDENTS]:
            fields = {"title": text, "service": text, "responder": text, "user": text}
            assert post_form(started, "/api/v1/incidents", **fields)[0] == 200
        assert post_form(started, "/api/v1/incidents/1/comment", user=texts[1], comment=texts[1])[0] == 200
        write_payloads(started)
        wait_for(lambda: len(started.get("/api/v1/alerts")["data"]["alerts"]) == len(texts))
        yield started


def write_payloads(daemon: Daemon) -> None:
    """A sample of now for each, that an alert fires on."""
    now_ms = time.time_ns() // 1_000_000
    write_series(daemon, [({"__name__": "page_payload", "payload": text}, [(now_ms, 1.0)]) for text in payloads()])


@pytest.fixture(autouse=True)
def _fires(daemon) -> None:
    """The samples are never old, however long the tests take: graphs and rules look back five minutes."""
    write_payloads(daemon)


def payloads() -> list[str]:
    """500 texts that run a script where one of them is taken for markup, an attribute, an address or a template."""
    ways = [
        "{0}",
        '">{0}',
        "'>{0}",
        "</title>{0}",
        "</textarea>{0}",
        "<!--{0}-->",
        "{{{{{0}}}}}",
        "${{{0}}}",
        "javascript:{0}",
    ]
    ways += ["data:text/html,{0}"]
    marks = [
        "<script>{1}</script>",
        "<img src=x onerror={1}>",
        "<svg onload={1}>",
        "<svg/onload={1}//",
        "<iframe srcdoc='{1}'>",
    ]
    marks += [
        "<a href=javascript:{1}>x</a>",
        "<details open ontoggle={1}>",
        "<body onload={1}>",
        "<math><mi xlink:href={1}>",
    ]
    marks += ["<style>@import'{1}'</style>"]
    scripts = [
        "window.taken=1",
        "window['taken']=1",
        "top.taken=1",
        "eval('window.taken=1')",
        "(()=>{window.taken=1})()",
    ]
    texts = [mark.replace("{1}", script) for mark in marks for script in scripts]
    return [way.format(text) if "{0}" in way else text for way in ways for text in texts]


def test_events_stay_text(page) -> None:
    """Names, sources, descriptions and attributes, opened and closed."""
    page.goto("/events?level=warning")
    for shown in (400, 500):
        page.get_by_role("button", name="Older events").click()
        page.get_by_role("heading", name=f"{shown} events").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert nothing_ran(page)


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/explore?q=page_payload&view=table", "500 series"),
        ("/explore?q=page_payload", "500 series"),
        ("/series?name=page_payload", "page_payload"),
        ("/alerts", "500 firing"),
        ("/alerts?tab=history", "500 changes"),
        ("/incidents", f"{INCIDENTS} under way"),
        ("/incidents?id=1", "Timeline"),
        ("/settings?tab=audit", "Changes"),
        ("/", "Incidents"),
    ],
)
def test_labels_annotations_and_incidents_stay_text(page, path: str, heading: str) -> None:
    """On every page that shows them; one is there as it was sent."""
    page.goto(path)
    page.get_by_role("heading", name=heading).first.wait_for()
    page.get_by_text("window.taken=1").first.wait_for(state="attached")
    assert nothing_ran(page)
    assert page.title().endswith("· Nissa")


def nothing_ran(page) -> bool:
    """True if no payload ran, and the content of the page has no element that the pages do not make."""
    taken = page.evaluate("window.taken")
    return (
        taken is None and page.locator("main :is(img, script, iframe, math, style, [onload], [onerror])").count() == 0
    )
