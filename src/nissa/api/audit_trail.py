"""Writes the audit log: an entry for each request that changes something, before its answer is sent.

The route's permission names the action; the route adds what it changed by ``note_change``. A change that cannot be
noted has been made all the same: its answer says so, and the failure is logged and counted in ``/api/status``.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from nissa.access.roles import Principal
from nissa.api.forwarded import address_of
from nissa.model.errors import NissaError

if TYPE_CHECKING:
    from nissa.access.audit import Change
    from nissa.database.database import Database

NOTED: Final = "nissa.change"  # in the scope of a request

log = structlog.get_logger()


class AuditTrail:
    """The audit log of the API. database: None where there is none. failures: entries that were not written."""

    def __init__(self, database: "Callable[[], Database] | None", now_ms: Callable[[], int]) -> None:
        """database: opens it; called in a worker thread. now_ms: wall clock, Unix milliseconds."""
        self._database = database
        self._now_ms = now_ms
        self.failures = 0

    async def run(
        self, app: ASGIApp, action: str, principal: Principal, request: tuple[AsgiScope, Receive, Send]
    ) -> None:
        """Have ``app`` answer a request, and note it under ``action`` before the answer is sent."""
        scope, receive, send = request
        noted: dict[str, Any] = scope.setdefault(NOTED, {})

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, principal, action, message["status"], noted)
            await send(message)

        await app(scope, receive, send_noted)

    async def _note(
        self, scope: AsgiScope, principal: Principal, action: str, status: int, noted: dict[str, Any]
    ) -> None:
        if self._database is None or noted.get("skipped"):
            return
        from nissa.access.audit import Change  # loads SQLAlchemy, which takes half a second

        change = Change(
            self._now_ms(),
            noted.get("user") or principal.label,
            principal.via.value,
            str(address_of(scope) or ""),
            action,
            noted.get("target") or scope["path"],
            "done" if status < 400 else f"refused: {status}",
            noted.get("before"),
            noted.get("after"),
        )
        await self.append(change)

    async def append(self, change: "Change") -> None:
        """Append an entry; one that cannot be written is logged and counted."""
        from nissa.access.audit import append

        open_database = self._database
        if open_database is None:
            return
        try:
            await asyncio.to_thread(lambda: append(open_database(), change))
        except NissaError as error:
            self.failures += 1
            log.error("a change is missing in the audit log", action=change.action, user=change.user, reason=str(error))


def note_change(request: HTTPConnection, **noted: Any) -> None:
    """Add to the audit entry of a request.

    noted: ``target``, ``before``, ``after``, ``user`` of a login, ``skipped`` where there shall be none.
    """
    request.scope.get(NOTED, {}).update(noted)


def note_nothing(request: HTTPConnection) -> None:
    """Write no entry for a request, which anybody may send as often as they like."""
    note_change(request, skipped=True)
