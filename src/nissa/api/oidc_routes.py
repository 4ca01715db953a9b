"""Routes of logins by an OpenID provider: the authorization code flow with PKCE.

    GET /api/v1/oidc/login      302 to the provider, with a cookie that the answer must come back with
    GET /api/v1/oidc/callback   the provider sends the browser here: session cookie, 302 to the pages

A refusal is a page that says why, since a person reads it. Each one counts as a failed login of its address.
"""

import asyncio
import html
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nissa.access.audit import Change
from nissa.access.roles import Via
from nissa.access.users import provide_user
from nissa.api.documented import documented
from nissa.api.forwarded import address_of, neighbourhood
from nissa.api.login_limit import LoginLimit
from nissa.api.login_routes import opened_session
from nissa.api.oidc_login import COOKIE, LASTS_MS, PendingLogins
from nissa.api.oidc_provider import OidcProvider
from nissa.api.state import ApiState, api_state_of
from nissa.config.oidc import CALLBACK
from nissa.model.errors import BadQuery, NissaError, Unauthorized, Unavailable
from nissa.model.units import SECOND_MS

CODE_CHARACTERS_MAX: Final = 4_096

PAGE: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"description": "A page that says why", "content": {"text/html": {"schema": {"type": "string"}}}}
}

router = APIRouter()


@router.get("/api/v1/oidc/login", response_class=RedirectResponse, status_code=302, responses=PAGE)
async def oidc_login(request: Request) -> Response:
    """Send the browser to the OpenID provider."""
    api_state = api_state_of(request)
    try:
        provider, logins = _parts(request)
        login = logins.begin(api_state.facts.now_ms())
        answer = RedirectResponse(await provider.login_address(login), 302)
        secure = api_state.limits.access.oidc.redirect_url.startswith("https:")
        lasts_s = LASTS_MS // SECOND_MS
        answer.set_cookie(COOKIE, login.cookie, lasts_s, path=CALLBACK, secure=secure, httponly=True, samesite="lax")
        return answer
    except NissaError as error:
        return _refused(api_state, error)


@router.get(
    CALLBACK,
    response_class=RedirectResponse,
    status_code=302,
    responses=PAGE,
    openapi_extra=documented("code"),
)
async def oidc_callback(request: Request) -> Response:
    """Open a session for the user that the OpenID provider names; it sends the browser here."""
    api_state = api_state_of(request)
    limit: LoginLimit = request.app.state.login_limit
    try:
        provider, logins = _parts(request)
        limited = f"oidc {neighbourhood(request.scope)}"  # no name that all share: whoever fails locks out nobody else
        if limit.wait_s(limited, request.scope):
            raise Unavailable("too many failed logins; try again later")
        try:
            code, state = request.query_params.get("code", ""), request.query_params.get("state", "")
            cookie = cookie_parser(request.headers.get("cookie", "")).get(COOKIE, "")
            login = logins.found(cookie, state, api_state.facts.now_ms())
            if not 1 <= len(code) <= CODE_CHARACTERS_MAX:
                given = request.query_params.get("error", "no code")[:100]
                raise Unauthorized(f"the OpenID provider gives no code: {given}")
            identity = await provider.identity(code, login)
        except Unauthorized as error:
            limit.count(limited, request.scope)
            await _note(request, "", f"refused: {error}")
            raise
        now_ms, role = api_state.facts.now_ms(), identity.role
        await asyncio.to_thread(lambda: provide_user(api_state.database(), identity.name, role, now_ms))
        await _note(request, identity.name, "done")
        answer: Response = RedirectResponse("/", 302)
        await opened_session(api_state, request, identity.name, answer)
        answer.delete_cookie(COOKIE, path=CALLBACK, httponly=True, samesite="lax")
        return answer
    except NissaError as error:
        return _refused(api_state, error)


def _parts(request: Request) -> tuple[OidcProvider, PendingLogins]:
    provider: OidcProvider | None = request.app.state.oidc_provider
    if provider is None:
        raise BadQuery("logins by an OpenID provider are off (api.access.oidc.issuer)")
    return provider, request.app.state.oidc_logins


async def _note(request: Request, user: str, outcome: str) -> None:
    api_state = api_state_of(request)
    address = str(address_of(request.scope) or "")
    change = Change(api_state.facts.now_ms(), user, Via.OIDC.value, address, "session.login", user, outcome)
    await api_state.trail.append(change)


def _refused(api_state: ApiState, error: NissaError) -> Response:
    """A page that says why; the error is counted."""
    status = api_state.failed(error).status_code
    text = html.escape(str(error))
    page = f"<!doctype html><title>Nissa: no login</title><h1>No login</h1><p>{text}</p><p><a href='/'>Back</a></p>"
    return HTMLResponse(page, status)
