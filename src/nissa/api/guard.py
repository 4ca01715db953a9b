"""The guard: refuses requests by their headers, before any route sees them.

==========================  ================================================================  ======
header                      passed                                                            else
==========================  ================================================================  ======
all of them                 ``HEADERS_MAX`` at most                                           431
Host                        an IP address, localhost, a name in ``api.allowed_hosts``         403
Sec-Fetch-Site              same-origin, none, or a page that somebody opens by a link        403
Origin, by POST, streams …  absent (no browser), or the origin that Host names                403
==========================  ================================================================  ======

A page of another site can make its own name resolve to this address (DNS rebinding). Its requests then come from the
same origin in the browser's eyes, but they carry that name as Host. An address cannot be rebound. Health checks are
answered under any name, because load balancers use their own.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nissa.api.envelope import in_form_of, refused
from nissa.config.tree import Api

HEADERS_MAX = 100
_FOR_ALL = ("/-/healthy", "/-/ready")
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class Guard:
    """Middleware around ``app`` that refuses requests not addressed to it."""

    def __init__(self, app: ASGIApp, limits: Api) -> None:
        self._app = app
        self._allowed = tuple(name.lower() for name in limits.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            if len(scope["headers"]) > HEADERS_MAX:
                text = f"{len(scope['headers'])} headers are over the limit of {HEADERS_MAX}"
                await in_form_of(scope["path"], refused(431, "bad_data", text))(scope, receive, send)
                return
            reason = None if scope["path"] in _FOR_ALL else self._reason(_method(scope), Headers(scope=scope))
            if reason is not None:
                await in_form_of(scope["path"], refused(403, "forbidden", reason))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _reason(self, method: str, headers: Headers) -> str | None:
        """The reason to refuse a request, or None."""
        host = headers.get("host", "")
        if host and not self._is_allowed(host):
            return f"Host {host[:200]!r} is no name of this API (api.allowed_hosts)"
        site = headers.get("sec-fetch-site", "none")
        opened = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not opened:
            return f"a page of another site may not ask here (Sec-Fetch-Site: {site[:40]})"
        origin = headers.get("origin")
        if method in _CHANGING and origin is not None and not _names(origin, host):
            return f"a page of {origin[:200]!r} may not change anything here"
        return None

    def _is_allowed(self, host: str) -> bool:
        """True if the Host header is a name of this API; ports do not matter."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == "localhost" or _is_address(name) or any(_fits(name, allowed) for allowed in self._allowed)


def _method(scope: Scope) -> str:
    """The method of a request; a stream, which a browser opens from any page, counts as one that changes something."""
    return "POST" if scope["type"] == "websocket" else str(scope["method"])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _fits(name: str, allowed: str) -> bool:
    """``*.example.org`` stands for all names below example.org, and ``*`` for every name."""
    if allowed == "*":
        return True
    return name.endswith(allowed[1:]) if allowed.startswith("*.") else name == allowed


def _names(origin: str, host: str) -> bool:
    """True if ``origin`` is that of the Host header."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
