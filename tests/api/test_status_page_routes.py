"""The route of the public status page: over HTTP, and on a database that goes away."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import text

from nissa.api.facts import Facts
from nissa.api.state import ApiState
from nissa.api.status_page_routes import StatusPage
from nissa.config.access import Access
from nissa.config.database import DatabaseSettings
from nissa.config.status_page import StatusPageSettings
from nissa.config.tree import Api
from nissa.database.database import Database, open_database
from nissa.incidents.incident_store import IncidentLimits, IncidentStore
from nissa.incidents.lifecycle import Escalation, IncidentReport, resolving
from nissa.incidents.reports import alert_report
from nissa.model.alert import Alert, AlertState, label_fingerprint
from nissa.query.backend import Backend
from nissa.tiers.sla_store import SlaStore

NOW_MS = 1_732_190_009_000
SETTINGS = StatusPageSettings(enabled=True, title="Example", services=("shop", "search"))


class Control(msgspec.Struct):
    """Gives a store, as the daemon's controls do once the database is open."""

    opened: Any

    def store(self) -> Any:
        """The store."""
        return self.opened


def facts(database: Database) -> dict[str, Any]:
    """Facts of a daemon on a database, with the page switched on."""
    incidents = IncidentStore(database, IncidentLimits(10, 10, 10))
    return {
        "incidents": Control(incidents),
        "sla": Control(SlaStore(database, 10)),
        "status_page": SETTINGS,
        "database": lambda: database,
    }


def open_incident(database: Database, service: str, title: str) -> None:
    """Open a critical incident."""
    store = IncidentStore(database, IncidentLimits(10, 10, 10))
    store.open(IncidentReport(title, title, service, "critical"), NOW_MS, "", Escalation())


def test_it_is_off_by_default(serve) -> None:
    """404, which names the setting."""
    answer = serve(Backend.__new__(Backend)).get("/status")
    assert answer.status_code == 404
    assert "status_page.enabled" in answer.text


def test_anybody_reads_it_and_nothing_else(serve, more_facts: dict[str, Any], tmp_path: Path) -> None:
    """Without a login: listed services, no title of an incident, no script; and it is kept by browsers."""
    database = open_database(DatabaseSettings(), tmp_path)
    more_facts |= facts(database)
    open_incident(database, "shop", "10.0.0.7 of <b>customer</b> is down")
    open_incident(database, "payroll", "hidden")
    client: httpx.Client = serve(Backend.__new__(Backend), Api(access=Access(enabled=True)))
    answer = client.get("/status")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "public, max-age=30"
    assert "Major outage" in answer.text
    assert "No open incident" in answer.text
    assert "Incident of severity critical" in answer.text
    assert not [word for word in ("10.0.0.7", "customer", "payroll", "hidden") if word in answer.text]
    again = client.get("/status", headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head("/status")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    assert client.get("/api/v1/incidents").status_code == 401
    database.close()


def test_who_resolves_an_incident_decides(database: Database) -> None:
    """It is not shown any more, also while its alert fires on; when the alert fires anew, there is another one."""
    clock, own = [NOW_MS], facts(database)
    store = IncidentStore(database, IncidentLimits(10, 10, 10))
    labels = {"alertname": "Down", "service": "shop", "severity": "critical", "incident": "true"}

    def fire(starts_at_ms: int) -> None:
        firing = AlertState.FIRING
        alert = Alert(labels, {}, starts_at_ms, 0, clock[0], "", 1.0, firing, label_fingerprint(labels), "rules")
        store.put_alert(alert, alert_report(alert, ("service",)), clock[0], Escalation(), resolves=True)

    async def shown() -> bool:
        page = StatusPage(ApiState(Backend.__new__(Backend), Api(), Facts(lambda: clock[0], **own)))
        return b"Major outage" in (await page.answer("")).body

    fire(NOW_MS)
    assert asyncio.run(shown())
    store.change(1, resolving(NOW_MS + 1, "ann"))
    fire(NOW_MS)
    assert not asyncio.run(shown())
    fire(NOW_MS + 2)
    assert asyncio.run(shown())


def test_the_kept_page_outlives_the_database(database: Database) -> None:
    """503 before the first page; later the last page while reading fails, and a new one when it does not."""
    clock = [NOW_MS]
    own = facts(database)

    async def run() -> list[tuple[int, bool]]:
        page = StatusPage(ApiState(Backend.__new__(Backend), Api(), Facts(lambda: clock[0], **own)))
        found = []
        for step in ("away", "back", "opened", "later", "away", "back"):
            if step in ("away", "back"):
                names = ("incidents", "elsewhere") if step == "away" else ("elsewhere", "incidents")
                with database.begin() as connection:
                    connection.execute(text("ALTER TABLE {} RENAME TO {}".format(*names)))
            if step == "opened":
                open_incident(database, "shop", "down")
            if step != "opened":
                clock[0] += SETTINGS.cache_ms
            answer = await page.answer("")
            found.append((answer.status_code, b"Major outage" in answer.body))
        return found

    assert asyncio.run(run()) == [(503, False), (200, False), (200, False), (200, True), (200, True), (200, True)]
