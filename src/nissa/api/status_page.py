"""The public status page: what anybody may know of each service, as one document without script. Pure.

    open incidents, agreements, snapshots ──► ShownService for each listed service ──► HTML, every text escaped

A day without data is shown as such, never as met. The worst agreement of a service decides on its day.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from jinja2 import Environment

from nissa.incidents.lifecycle import Incident, IncidentState
from nissa.model.units import SECOND_MS
from nissa.tiers.sla import SlaDefinition, window_start
from nissa.tiers.sla_report import window_state

DAYS_SHOWN: Final = 90
INCIDENTS_SHOWN_MAX: Final = 20  # of one service
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
STATES: Final = {
    "critical": ("bad", "Major outage"),
    "error": ("bad", "Partial outage"),
    "warning": ("poor", "Degraded"),
    "missed": ("poor", "Below its agreement"),
    "met": ("good", "Operational"),
    "none": ("unknown", "No open incident"),
}
DAY_TEXTS: Final = {
    "good": "as agreed",
    "poor": "as agreed, with downtime",
    "bad": "agreement missed",
    "none": "no data",
}
TEMPLATE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --text: #1a1d21; --quiet: #565d66; --back: #fff; --line: #d5d9de;
  --good: #1a7f37; --poor: #9a6700; --bad: #c4232c; --none: #b9c0c8 }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaed; --quiet: #a3abb5; --back: #14171a; --line: #363c43;
  --good: #3fb950; --poor: #d9a21b; --bad: #ff6b6b; --none: #4d555e } }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 48rem;
  margin: 0 auto; padding: 1.5rem 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 0 1rem } h2 { font-size: 1.1rem; margin: 0 }
section { border-top: 1px solid var(--line); padding: 1rem 0 }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between }
.state { font-weight: 600; margin: 0 } .state.good { color: var(--good) } .state.poor { color: var(--poor) }
.state.bad { color: var(--bad) } .state.unknown, .quiet { color: var(--quiet) }
svg { display: block; width: 100%; height: 2.25rem; margin: .5rem 0 .25rem }
rect.good { fill: var(--good) } rect.poor { fill: var(--poor) } rect.bad { fill: var(--bad) }
rect.none { fill: var(--none) }
.quiet { font-size: .875rem; margin: 0 } ul { padding-left: 1.25rem; margin: .5rem 0 0 }
</style>
<h1>{{ title }}</h1>
<main>
{% for service in services %}
<section>
<header><h2>{{ service.name }}</h2><p class="state {{ service.kind }}">{{ service.state }}</p></header>
<svg viewBox="0 0 {{ 4 * service.days | length }} 20" preserveAspectRatio="none" role="img" \
aria-label="{{ service.summary }}">
{% for day in service.days -%}
<rect class="{{ day.kind }}" x="{{ 4 * loop.index0 }}" width="3" height="{{ 10 if day.kind == "none" else 20 }}" \
y="{{ 10 if day.kind == "none" else 0 }}"><title>{{ day.day }}: {{ day.text }}</title></rect>
{% endfor -%}
</svg>
<p class="quiet">{{ service.summary }}</p>
{% if service.incidents %}<ul>
{% for one in service.incidents -%}
<li>{{ one.title }}<br><span class="quiet">since <time>{{ one.since }}</time>{{ ", acknowledged" if one.acknowledged }}\
</span></li>
{% endfor -%}
</ul>{% endif %}
{% if service.more %}<p class="quiet">and {{ service.more }} further open incidents</p>{% endif %}
</section>
{% else %}
<p>No services are listed.</p>
{% endfor %}
</main>
<footer><p class="quiet">As of <time>{{ as_of }}</time></p></footer>
</html>
"""
_PAGE: Final = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)

Snapshots = Sequence[Mapping[str, Any]]


class ShownDay(msgspec.Struct, frozen=True):
    """A day of the strip. kind: a key of ``DAY_TEXTS``."""

    day: str
    kind: str
    text: str


class ShownIncident(msgspec.Struct, frozen=True):
    """An open incident. since: RFC 3339."""

    title: str
    since: str
    acknowledged: bool


class ShownService(msgspec.Struct, frozen=True):
    """A service. kind, state: a value of ``STATES``. more: open incidents beyond those that are listed."""

    name: str
    kind: str
    state: str
    summary: str
    days: Sequence[ShownDay]
    incidents: Sequence[ShownIncident]
    more: int


class Agreement(msgspec.Struct, frozen=True):
    """Versions of one definition, the oldest first, and its snapshots since ``strip_start`` or its window's."""

    versions: Sequence[SlaDefinition]
    days: Snapshots


def strip_start(last_day: str) -> str:
    """The first day of the strip that ends with a day."""
    return (date.fromisoformat(last_day) - timedelta(days=DAYS_SHOWN - 1)).isoformat()


def shown_service(
    name: str,
    open_incidents: Sequence[Incident],
    agreements: Sequence[Agreement],
    last_day: str,
    title: Callable[[Incident], str],
) -> ShownService:
    """A service as the page has it. open_incidents: of it, the newest first. title: as anybody may read it."""
    days = _strip(agreements, last_day)
    severities = {one.severity for one in open_incidents}
    states = (*(one for one in ("critical", "error", "warning") if one in severities), _agreed(agreements, last_day))
    kind, state = STATES[states[0]]
    counts = [(sum(day.kind == kind for day in days), text) for kind, text in DAY_TEXTS.items()]
    summary = f"Last {DAYS_SHOWN} days: " + "; ".join(f"{count} {text}" for count, text in counts if count)
    listed = [
        ShownIncident(title(one), utc_text(one.started_ms), one.state is IncidentState.ACKNOWLEDGED)
        for one in open_incidents[:INCIDENTS_SHOWN_MAX]
    ]
    return ShownService(name, kind, state, summary, days, listed, len(open_incidents) - len(listed))


def status_page(title: str, services: Sequence[ShownService], now_ms: int) -> str:
    """The document."""
    return _PAGE.render(title=title, services=services, as_of=utc_text(now_ms))


def utc_text(at_ms: int) -> str:
    """A time as RFC 3339, in seconds."""
    return f"{datetime.fromtimestamp(at_ms // SECOND_MS, UTC):%Y-%m-%d %H:%M:%SZ}"


def _strip(agreements: Sequence[Agreement], last_day: str) -> list[ShownDay]:
    met: dict[str, bool] = {}
    downtimes: dict[str, float] = {}
    for agreement in agreements:
        versions = {one.version: one for one in agreement.versions}
        for found in agreement.days:
            day, value = found["day"], found["value"]
            downtimes[day] = max(downtimes.get(day, 0.0), found["downtime_minutes"])
            if value is not None:
                met[day] = met.get(day, True) and versions[found["definition_version"]].is_met(value)
    first = date.fromisoformat(strip_start(last_day))
    days = [(first + timedelta(days=one)).isoformat() for one in range(DAYS_SHOWN)]
    return [_day(day, met.get(day), downtimes.get(day, 0.0)) for day in days]


def _day(day: str, met: bool | None, downtime: float) -> ShownDay:
    kind = "none" if met is None else "bad" if not met else "poor" if downtime else "good"
    minutes = f", {downtime:.0f} minutes of downtime" if downtime else ""
    return ShownDay(day, kind, DAY_TEXTS[kind].partition(",")[0] + minutes)


def _agreed(agreements: Sequence[Agreement], last_day: str) -> str:
    """A key of ``STATES``: ``met`` where the windows up to a day meet the agreements in force."""
    found = []
    for agreement in agreements:
        newest = agreement.versions[-1]
        if newest.active_to_ms:
            continue
        first = window_start(newest.time_window, last_day)
        found.append(window_state(newest, [day for day in agreement.days if day["day"] >= first])["is_met"])
    known = [one for one in found if one is not None]
    return "none" if not known else "met" if all(known) else "missed"
