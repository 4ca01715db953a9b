"""Access control: the one place where requests are admitted, by the table in ``permissions.py``.

    who?            token, session, proxy                  no: 401 where the route needs a role
    may?            role and scope of the route            no: 403
    changes?        by a session: X-CSRF-Token             no: 403
    how many?       requests per minute and scope          no: 429

While it is off (``api.access.enabled``), every request is that of the principal ``loopback``, who is an admin.
A browser opens a stream from any page, so the origin of a stream must be the host.
"""

import hmac
from collections.abc import Callable, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from nissa.access.roles import LOOPBACK, NOBODY, Principal, Role, Via
from nissa.api.audit_trail import AuditTrail
from nissa.api.envelope import failure, in_form_of, refused
from nissa.api.forwarded import Proxies
from nissa.api.permissions import STREAM, Permission, permission_of
from nissa.api.principals import Principals
from nissa.api.request_limits import RequestLimits
from nissa.config.tree import Api
from nissa.database.database import Database
from nissa.model.errors import Unavailable
from nissa.query.api_counts import ApiCounts

CSRF_HEADER: Final = "x-csrf-token"
PRINCIPAL: Final = "nissa.principal"  # in the scope of a request
CSRF_NEEDED: Final = "a request by a session needs the header X-CSRF-Token (GET /api/v1/session)"
SAFE: Final = ("GET", "HEAD", "OPTIONS")


class AccessControl:
    """An application around ``app`` that admits requests."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[Route],
        settings: Api,
        database: Callable[[], Database],
        now_ms: Callable[[], int],
        trail: AuditTrail,
        counts: ApiCounts,
    ) -> None:
        """routes: of ``app``. database: opens it; called in a worker thread. now_ms: wall clock, Unix milliseconds.

        trail: notes changes. counts: of refused requests.
        """
        self._app = app
        self._routes = routes
        self._access = settings.access
        self._proxies = Proxies(settings.access.trusted_proxies)
        self._limits = RequestLimits(settings.rate_limits, now_ms)
        self.trail = trail
        self._counts = counts
        self.principals = Principals(settings.access, database, now_ms, settings.database_retry_ms)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        send = _counting(send, self._counts)
        by_proxy = self._proxies.trusts(scope)
        if by_proxy:
            scope = self._proxies.origin(scope)
        permission = self._permission(scope)
        try:
            principal = await self.principals.of(scope, by_proxy=by_proxy) if self._access.enabled else LOOPBACK
        except Unavailable as error:
            await in_form_of(scope["path"], failure(error))(scope, receive, send)
            return
        admitted: AsgiScope = {**scope, PRINCIPAL: principal}
        over_limit = self._over_limit(principal, permission, scope)
        if over_limit is not None:
            await in_form_of(scope["path"], over_limit)(admitted, receive, send)
            return
        refusal = _refusal(principal, permission, scope)
        answerer = self._app if refusal is None else in_form_of(scope["path"], refusal)
        known = principal.role is not Role.ANYBODY or permission.role is Role.ANYBODY
        if permission.action and known and scope["method"] not in SAFE:
            await self.trail.run(answerer, permission.action, principal, (admitted, receive, send))
        else:
            await answerer(admitted, receive, send)

    async def identify(self, scope: AsgiScope) -> Principal:
        """The principal of a request that was admitted before, as it is now."""
        return await self.principals.of(scope, by_proxy=self._proxies.trusts(scope))

    def _over_limit(self, principal: Principal, permission: Permission, scope: AsgiScope) -> Response | None:
        """The answer to one request too many, or None."""
        if permission.role is Role.ANYBODY or principal.role is Role.ANYBODY:
            return None
        wait_s = self._limits.wait_s(principal, permission.scope, scope)
        if not wait_s:
            return None
        text = f"too many requests of {principal.label} (api.rate_limits.*.{permission.scope}_per_minute)"
        return refused(429, "too_many_requests", text, wait_s)

    def _permission(self, scope: AsgiScope) -> Permission:
        if scope["type"] == "websocket":
            return STREAM
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE and scope["method"] in _methods(route):
                return permission_of(scope["method"], route.path)
        return permission_of(scope["method"], None)


def _counting(send: Send, counts: ApiCounts) -> Send:
    """Send, and count refusals by their status."""

    async def counted(message: Message) -> None:
        status = int(message.get("status", 0))
        if status in counts.refused:
            counts.refused[status] += 1
        await send(message)

    return counted


def principal_of(connection: HTTPConnection) -> Principal:
    """The principal of a request that was admitted; NOBODY where none was asked for."""
    found: Principal = connection.scope.get(PRINCIPAL, NOBODY)
    return found


def has_csrf_token(principal: Principal, scope: AsgiScope) -> bool:
    """True if a request carries the token of its session."""
    sent = Headers(scope=scope).get(CSRF_HEADER, "")
    return hmac.compare_digest(sent.encode("utf-8", "replace"), principal.csrf_token.encode())


def _methods(route: Route) -> set[str]:
    methods = route.methods or set()
    return {*methods, "HEAD", "OPTIONS"} if "GET" in methods else {*methods, "OPTIONS"}


def _refusal(principal: Principal, permission: Permission, scope: AsgiScope) -> Response | None:
    """The reason not to admit a request, or None."""
    if permission.role is Role.ANYBODY:
        return None
    if principal.role is Role.ANYBODY:
        answer = refused(401, "unauthorized", "log in, or send a token: Authorization: Bearer nissa_…")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="nissa"'
        return answer
    if principal.role < permission.role:
        return refused(
            403, "forbidden", f"needs the role {permission.role.word}; {principal.label} is {principal.role.word}"
        )
    if permission.scope not in principal.scopes:
        return refused(403, "forbidden", f"{principal.label} lacks the scope {permission.scope}")
    changing = scope.get("method", "GET") not in SAFE
    if principal.via is Via.SESSION and changing and not has_csrf_token(principal, scope):
        return refused(403, "forbidden", CSRF_NEEDED)
    return None
