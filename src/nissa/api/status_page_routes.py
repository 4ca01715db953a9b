"""The route of the public status page, off by default, and the page that it keeps.

    asked ──► younger than ``status_page.cache``? ──► the kept page
                └─ older: one reader makes it anew; the others, and all while the database is away, get the kept one

It reads no more than once in that time, however often it is asked, so strangers cannot load the database.
"""

import asyncio
import hashlib
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.envelope import failure, refused
from nissa.api.state import ApiState
from nissa.api.status_page import POLICY, Agreement, ShownService, shown_service, status_page, strip_start
from nissa.incidents.incident_store import ROWS_MAX, IncidentFilter
from nissa.incidents.lifecycle import LIVE, Incident
from nissa.model.errors import Unavailable
from nissa.model.units import DAY_MS, SECOND_MS
from nissa.tiers.sla import day_of, window_start

WAIT_S: Final = 2.0  # for a fresh page; then the kept one is answered

router = APIRouter(include_in_schema=False)  # it is for browsers


class KeptPage(msgspec.Struct, frozen=True):
    """A page and its ETag."""

    body: bytes
    etag: str


class StatusPage:
    """Makes the page and keeps it. Lives on the loop."""

    def __init__(self, api_state: ApiState) -> None:
        self._facts = api_state.facts
        self._settings = self._facts.status_page
        self._failed = api_state.failed
        self._kept: KeptPage | None = None
        self._tried_ms: int | None = None
        self._failure = failure(Unavailable("the status page is not made yet", int(WAIT_S)))
        self._making: asyncio.Task[None] | None = None

    async def answer(self, known: str) -> Response:
        """The page, or the failure where there has never been one. known: If-None-Match of the request."""
        now_ms = self._facts.now_ms()
        if self._tried_ms is None or not self._tried_ms <= now_ms < self._tried_ms + self._settings.cache_ms:
            self._tried_ms = now_ms
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="status page")
        if self._making is not None and not self._making.done():
            await asyncio.wait((self._making,), timeout=WAIT_S)
        kept = self._kept
        if kept is None:
            return self._failure
        age = f"public, max-age={self._settings.cache_ms // SECOND_MS}"
        headers = {"ETag": kept.etag, "Cache-Control": age, "Content-Security-Policy": POLICY}
        if kept.etag in (one.strip().removeprefix("W/") for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(kept.body, media_type="text/html; charset=utf-8", headers=headers)

    async def _make(self) -> None:
        try:
            body = (await asyncio.to_thread(self._render)).encode()
        except Exception as error:  # the edge: the kept page stays, and the next turn tries again
            self._failure = self._failed(error)
            return
        self._kept = KeptPage(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def _render(self) -> str:
        now_ms = self._facts.now_ms()
        last = day_of(now_ms - DAY_MS)
        shown = [self._service(name, last) for name in self._settings.services]
        return status_page(self._settings.title, shown, now_ms)

    def _service(self, name: str, last: str) -> ShownService:
        incidents, sla = self._facts.incidents, self._facts.sla
        if incidents is None or sla is None:
            raise Unavailable("there are no incidents and agreements here; the page needs the daemon")
        wanted = IncidentFilter(states=LIVE, service=name, limit=ROWS_MAX)
        found = incidents.store().find(wanted)
        agreements = []
        for versions in sla.store().definitions().values():
            if versions[-1].service == name:
                first = min(strip_start(last), window_start(versions[-1].time_window, last))
                agreements.append(Agreement(versions, sla.store().snapshots([versions[0].id], first, last)))
        return shown_service(name, found, agreements, last, self._title)

    def _title(self, one: Incident) -> str:
        """The text of an incident that anybody may read."""
        if self._settings.incident_titles and self._facts.apps is not None:
            return self._facts.apps.redaction.text(one.title)
        return f"Incident of severity {one.severity}"


@router.get("/status")
async def public_status(request: Request) -> Response:
    """The page, or 304 for the browser that has it; 404 while it is off."""
    page: StatusPage | None = request.app.state.status_page
    if page is None:
        return refused(404, "not_found", "there is no status page (status_page.enabled)")
    return await page.answer(request.headers.get("if-none-match", ""))
