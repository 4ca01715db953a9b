"""The control API as one ASGI application.

Imported after the daemon is ready to receive: FastAPI takes a third of a second, and nobody asks in the first one.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from nissa.config.tree import Api
from nissa.mission import event_routes, pin_routes, query_routes, request_routes, status_routes
from nissa.mission.envelope import refused
from nissa.mission.headers import SecurityHeaders
from nissa.mission.state import Mission
from nissa.query.backend import Backend


def create_app(backend: Backend, limits: Api, facts: Mapping[str, Any]) -> ASGIApp:
    """The API over ``backend``. facts: see ``Mission``; ``version`` is one of them."""
    return app_of(Mission(backend, limits, facts))


def app_of(mission: Mission) -> ASGIApp:
    """The API over ``mission``; whoever made the mission closes it."""
    app = FastAPI(
        title="Nissa",
        version=str(mission.facts.get("version", "unknown")),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header
    )
    app.state.mission = mission
    app.include_router(query_routes.router)
    app.include_router(event_routes.router)
    app.include_router(status_routes.router)
    app.include_router(pin_routes.router)
    app.include_router(request_routes.router)
    app.add_exception_handler(HTTPException, _no_such_route)
    return SecurityHeaders(app)


async def _no_such_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return refused(500, "internal", type(error).__name__)
    if error.status_code == 405:
        answer = refused(405, "not_acceptable", f"method {request.method} is not allowed here")
        answer.headers.update(error.headers or {})
        return answer
    return refused(error.status_code, "not_found", f"no route {request.url.path!r}")
