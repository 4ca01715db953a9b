"""The public status page: what it says of a service, and that no text of others becomes markup."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

from nissa.api.status_page import (
    DAYS_SHOWN,
    INCIDENTS_SHOWN_MAX,
    Agreement,
    ShownService,
    shown_service,
    status_page,
    strip_start,
)
from nissa.incidents.lifecycle import Incident, IncidentState
from nissa.tiers.sla import SlaDefinition

LAST = "2024-11-20"
AGREED = SlaDefinition("up", "shop", "UPTIME", 99.0, "30d", "b", "t")
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><svg onload=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style><script>alert(1)</script>\x00\u202e",
)


def incident(severity: str, title: str = "down", state: IncidentState = IncidentState.OPEN) -> Incident:
    """An open incident of the shop."""
    return Incident(1, "key", state, title, "shop", severity, "high", "", "manual", 1_732_190_000_000, 0)


def day(name: str, value: float | None, downtime: float = 0.0, version: int = 1) -> dict[str, Any]:
    """A snapshot."""
    counted = 100.0 if value is not None else None
    bad = 100.0 - value if value is not None else None
    numbers = {"total_events": counted, "error_events": bad, "value": value, "downtime_minutes": downtime}
    return {"day": name, "definition_version": version, **numbers}


def shown(incidents: list[Incident], *agreements: Agreement) -> ShownService:
    """The shop on the page."""
    return shown_service("shop", incidents, agreements, LAST, lambda one: one.title)


class Tags(HTMLParser):
    """Elements of a document with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, tuple(name for name, _ in attrs)))


def test_the_worst_open_incident_is_the_state() -> None:
    """Incidents come before agreements; those of severity info change nothing."""
    met = Agreement([AGREED], [day(LAST, 100.0)])
    missed = Agreement([AGREED], [day(LAST, 90.0)])
    assert shown([incident("warning"), incident("critical")], met).state == "Major outage"
    assert shown([incident("error")], met).state == "Partial outage"
    assert shown([incident("warning")], missed).state == "Degraded"
    assert shown([incident("info")], met).state == "Operational"
    assert shown([], met, missed).state == "Below its agreement"


def test_no_data_is_never_operational() -> None:
    """A service without agreements, or without data of them, has no open incident, and its days have no data."""
    for agreements in ((), (Agreement([AGREED], [day(LAST, None)]),)):
        found = shown([], *agreements)
        assert (found.kind, found.state) == ("unknown", "No open incident")
        assert {one.kind for one in found.days} == {"none"}


def test_the_strip_ends_with_the_last_day() -> None:
    """The worst agreement decides on a day, by the version that held; downtime shows on a day that was met."""
    stricter = SlaDefinition("up", "shop", "UPTIME", 99.9, "30d", "b", "t", version=2)
    days = [day("2024-11-17", 99.5), day("2024-11-18", 99.5, version=2), day("2024-11-19", 100.0, 7.0), day(LAST, None)]
    found = shown([], Agreement([AGREED, stricter], days), Agreement([AGREED], [day(LAST, 100.0)]))
    assert [one.kind for one in found.days[-4:]] == ["good", "bad", "poor", "good"]
    assert found.days[-2].text == "as agreed, 7 minutes of downtime"
    assert (len(found.days), found.days[0].day, found.days[-1].day) == (DAYS_SHOWN, strip_start(LAST), LAST)
    assert found.summary == "Last 90 days: 2 as agreed; 1 as agreed, with downtime; 1 agreement missed; 86 no data"


def test_texts_of_others_stay_texts() -> None:
    """Elements and attributes are the same whatever titles and names hold; each text can be read."""
    plain = status_page("t", [shown_service("s", [incident("error", "x")], (), LAST, lambda one: one.title)], 0)
    for payload in PAYLOADS:
        service = shown_service(payload, [incident("error", payload)], (), LAST, lambda one: one.title)
        document = status_page(payload, [service], 0)
        assert Tags(document).found == Tags(plain).found, payload
        assert unescape(document).count(payload) == plain.count(">t<") + 2, payload
    assert "script" not in plain
    assert not re.search(r"(?:src|href)=|url\(|@import", plain)


def test_long_lists_are_cut() -> None:
    """The number of further incidents is said."""
    found = shown([incident("error")] * (INCIDENTS_SHOWN_MAX + 3))
    assert (len(found.incidents), found.more) == (INCIDENTS_SHOWN_MAX, 3)
    assert "and 3 further open incidents" in status_page("t", [found], 0)
