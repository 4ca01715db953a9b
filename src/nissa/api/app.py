"""The control API as one ASGI application.

Imported after the ingest port is ready, because importing FastAPI takes a third of a second.
"""

import asyncio

from fastapi import FastAPI
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nissa.api import (
    access_routes,
    admin_routes,
    alertmanager_routes,
    audit_routes,
    backtest_routes,
    bronze_routes,
    event_routes,
    growth_routes,
    incident_event_routes,
    incident_routes,
    login_routes,
    mode_routes,
    notification_routes,
    oidc_routes,
    page_routes,
    performance_routes,
    pin_routes,
    promql_routes,
    query_routes,
    read_routes,
    request_routes,
    rule_routes,
    server_routes,
    silver_routes,
    sink_routes,
    sla_routes,
    slo_routes,
    status_page_routes,
    status_routes,
    stream_routes,
    summary_routes,
)
from nissa.api.access_control import AccessControl
from nissa.api.documented import ERRORS, TEXT_ERRORS
from nissa.api.envelope import refused
from nissa.api.guard import Guard
from nissa.api.headers import SecurityHeaders
from nissa.api.login_limit import LoginLimit
from nissa.api.methods import Heads, allowed_methods, answer_options, no_such_path
from nissa.api.oidc_login import PendingLogins
from nissa.api.oidc_provider import OidcProvider
from nissa.api.state import ApiState
from nissa.api.streams import Streams

MODULES = (
    slo_routes,
    rule_routes,
    backtest_routes,
    promql_routes,
    query_routes,
    read_routes,
    event_routes,
    status_routes,
    growth_routes,
    server_routes,
    pin_routes,
    mode_routes,
    sink_routes,
    alertmanager_routes,
    notification_routes,
    admin_routes,
    request_routes,
    page_routes,
    login_routes,
    oidc_routes,
    access_routes,
    audit_routes,
    summary_routes,
    incident_routes,
    incident_event_routes,
    sla_routes,
    bronze_routes,
    silver_routes,
    performance_routes,
    status_page_routes,
)


def app_of(api_state: ApiState) -> ASGIApp:
    """The API over ``api_state``; the caller closes it."""
    app = FastAPI(
        title="Nissa",
        version=api_state.facts.version or "unknown",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header
    )
    app.state.api_state = api_state
    routes = [route for route in app.router.routes if isinstance(route, Route)]
    for module in MODULES:
        app.include_router(module.router, responses=TEXT_ERRORS if module is alertmanager_routes else ERRORS)
        routes += [route for route in module.router.routes if isinstance(route, Route)]
    app.include_router(stream_routes.router)
    app.state.routes = routes
    app.add_exception_handler(HTTPException, _no_such_route)
    limits = api_state.limits
    facts = api_state.facts
    counts, database = facts.api_counts, api_state.database
    control = AccessControl(Heads(app), routes, limits, database, facts.now_ms, api_state.trail, counts)
    app.state.principals = control.principals
    app.state.access_control = control
    app.state.streams = Streams(api_state)
    app.state.status_page = status_page_routes.StatusPage(api_state) if facts.status_page.enabled else None
    app.state.login_limit = LoginLimit(limits.access.login_failures_per_minute_max)
    app.state.event_limit = FixedWindowRateLimiter(MemoryStorage())
    oidc = limits.access.oidc
    app.state.oidc_provider = OidcProvider(oidc, facts.now_ms) if oidc.issuer else None
    app.state.oidc_logins = PendingLogins()
    app.state.logins = asyncio.Semaphore(login_routes.LOGINS_AT_ONCE_MAX)
    return SecurityHeaders(Guard(control, limits))


async def _no_such_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return refused(500, "internal", type(error).__name__)
    routes = request.app.state.routes
    if request.method == "OPTIONS" and (answer := answer_options(routes, request)) is not None:
        return answer
    if error.status_code == 405:
        allow = ", ".join(allowed_methods(routes, request.scope))
        answer = refused(405, "method_not_allowed", f"method {request.method[:40]} is not allowed here, but {allow}")
        answer.headers["Allow"] = allow
        return answer
    if error.status_code == 404:
        answer = no_such_path(routes, request)
        return answer if answer.status_code != 404 else page_routes.no_such_page(request) or answer
    return refused(error.status_code, "bad_data", str(error.detail))
