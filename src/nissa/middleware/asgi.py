"""ASGI: records requests of Starlette, FastAPI, Litestar and others.

    app.add_middleware(AsgiMiddleware, recorder=RequestRecorder("shop"))

The route is the template that the router has left in the scope (``route.path``, ``path_template``). A request that
no route took has none: its path is never recorded, as anybody may send any path.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from nissa.middleware.recorder import RequestRecorder, written_failure
from nissa.service.clock import monotonic_ms

UNROUTED: Final = "unrouted"

AsgiScopeOfApp = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApplication = Callable[[AsgiScopeOfApp, AsgiReceive, AsgiSend], Awaitable[None]]


class AsgiMiddleware:
    """An application around an application."""

    def __init__(self, app: AsgiApplication, recorder: RequestRecorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: AsgiScopeOfApp, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin_ms, status, failure = monotonic_ms(), 500, ""  # of an application that fails before it answers

        async def send_seen(message: AsgiMessage) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        except Exception as error:  # raised again: the line of the log names it
            failure = written_failure(error)
            raise
        finally:
            duration_s = (monotonic_ms() - begin_ms) / 1000
            self._recorder.record(scope["method"], _route_of(scope), status, duration_s, _trace_of(scope), failure)


def _route_of(scope: AsgiScopeOfApp) -> str:
    route = scope.get("route")
    found = getattr(route, "path", None) or scope.get("path_template")
    return str(found) if found else UNROUTED


def _trace_of(scope: AsgiScopeOfApp) -> str:
    found = next((value for name, value in scope.get("headers", ()) if name.lower() == b"traceparent"), b"")
    return str(found[:100].decode("latin-1"))
