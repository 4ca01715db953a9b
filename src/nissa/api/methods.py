"""Rules for methods and paths of all routes: HEAD, OPTIONS, a complete Allow, redirects for superfluous slashes.

HEAD     is asked as GET; the answer ends where its body begins
OPTIONS  204 with Allow
405      with Allow over all routes of the path, where the framework knows those of one
404      308 to the path that differs by doubled or trailing slashes only, else the paths there are
"""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nissa.api.envelope import refused

_NO_METHOD = ""  # routes match it in part: by their path


class Heads:
    """An application around ``app`` that answers HEAD as GET without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun = False

        async def receive_until_begun() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()

        async def send_head(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                await send(message)
            elif not begun:
                begun = True  # a stream ends here
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive_until_begun, send_head)


def allowed_methods(routes: Sequence[Route], scope: Scope) -> list[str]:
    """Methods of all routes that fit the path of ``scope``; none where no route does."""
    methods: set[str] = set()
    for route in routes:
        if route.matches({**scope, "method": _NO_METHOD})[0] is not Match.NONE:
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return [*sorted(methods), "OPTIONS"] if methods else []


def answer_options(routes: Sequence[Route], request: Request) -> Response | None:
    """The answer to OPTIONS; None where the path is of no route."""
    everything = request.scope["path"] == "*"
    allow = ["DELETE", "GET", "HEAD", "OPTIONS", "POST"] if everything else allowed_methods(routes, request.scope)
    return Response(status_code=204, headers={"Allow": ", ".join(allow)}) if allow else None


def no_such_path(routes: Sequence[Route], request: Request) -> Response:
    """A redirect where only slashes are wrong (method and body go with it), else an error that names the paths."""
    path = request.scope["path"]
    cleaned = "/" + "/".join(part for part in path.split("/") if part)
    if cleaned != path and allowed_methods(routes, {**request.scope, "path": cleaned, "raw_path": cleaned.encode()}):
        query = request.scope["query_string"].decode("latin-1")
        location = quote(cleaned) + (f"?{query}" if query else "")
        answer = refused(308, "not_found", f"this path is spelled {cleaned[:200]!r}")
        answer.headers["Location"] = location
        return answer
    paths = sorted({route.path for route in routes})
    return refused(404, "not_found", f"no route {path[:200]!r}; there are {', '.join(paths)}")
