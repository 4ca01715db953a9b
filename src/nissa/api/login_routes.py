"""Routes of sessions: login by user and password, logout, who one is, and one's own password.

Failed logins are limited by user name and address, so that guessing takes years, also where it is spread over names.
The audit log has the outcome of each password that was looked at, and one refusal by the limit per minute and address.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.roles import Principal, Role, Via
from nissa.access.secret_tokens import csrf_token_of
from nissa.access.sessions import end_session, start_session
from nissa.access.users import change_own_password, login
from nissa.api.access_control import CSRF_NEEDED, has_csrf_token, principal_of
from nissa.api.audit_trail import note_change, note_nothing
from nissa.api.documented import documented_form
from nissa.api.envelope import refused, success
from nissa.api.login_limit import NAME_CHARACTERS_MAX, LoginLimit
from nissa.api.parameters import read_form
from nissa.api.permissions import actions_of
from nissa.api.principals import COOKIE, session_of
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery
from nissa.model.units import SECOND_MS

LOGINS_AT_ONCE_MAX: Final = 2  # each takes 64 MiB

router = APIRouter()


@router.post("/api/v1/login", openapi_extra=documented_form("user", "password", needed=("user", "password")))
async def open_one(request: Request) -> Response:
    """Open a session: a cookie, and the token that changes must carry in X-CSRF-Token."""
    api_state = api_state_of(request)
    note_nothing(request)
    try:
        if not api_state.limits.access.enabled:
            raise BadQuery("access control is off (api.access.enabled): there is nothing to log in to")
        user, password = await _read_login(request, api_state.facts.now_ms())
        known = await _limited(request, user, lambda: login(api_state.database(), user, password))
        if isinstance(known, Response):
            return known
        if not known:
            return refused(401, "unauthorized", "no such user, or another password")
        answer = Response()
        facts = await opened_session(api_state, request, user, answer)
        shown = success(facts)
        shown.headers["set-cookie"] = answer.headers["set-cookie"]
        return shown
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


@router.post("/api/v1/logout")
async def close_one(request: Request) -> Response:
    """End the session of the cookie; one that is alive needs X-CSRF-Token."""
    api_state = api_state_of(request)
    principal = principal_of(request)
    if principal.via is not Via.SESSION:
        note_nothing(request)
    try:
        if principal.via is Via.SESSION and not has_csrf_token(principal, request.scope):
            return refused(403, "forbidden", CSRF_NEEDED)
        secret = session_of(request.headers)
        if secret and api_state.limits.access.enabled:
            await _end(api_state, request, secret)
        answer = success([])
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


@router.get("/api/v1/session")
async def session(request: Request) -> Response:
    """User, role and scopes of this request; without a user, whether one is needed."""
    access = api_state_of(request).limits.access
    shown = _shown(principal_of(request), enabled=access.enabled)
    return success({**shown, "oidc_login": "/api/v1/oidc/login" if access.oidc.issuer else None})


@router.post(
    "/api/v1/session/password",
    openapi_extra=documented_form("password", "new_password", needed=("password", "new_password")),
)
async def own_password(request: Request) -> Response:
    """Change one's own password, by the current one; all other sessions of the user end."""
    api_state = api_state_of(request)
    user = principal_of(request).name
    note_nothing(request)
    try:
        if principal_of(request).via is not Via.SESSION:
            raise BadQuery("a password is changed in a session (POST /api/v1/login), as only users have one")
        form = await read_form(request, api_state.facts.now_ms())
        current, password = form.text("password"), form.text("new_password")
        if not (current and password):
            raise BadQuery("expected a form with password and new_password in the body of the request")
        secret = session_of(request.headers)

        def change() -> bool:
            return change_own_password(api_state.database(), user, current, password, secret)

        known = await _limited(request, user, change)
        if isinstance(known, Response):
            return known
        if not known:
            return refused(403, "forbidden", "the current password is another one")
        note_change(request, after={"password_changed": True})
        return success([])
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


async def _limited(request: Request, user: str, is_known: Callable[[], bool]) -> bool | Response:
    """True if a password is known, which is looked at in a thread; the refusal where there were too many failures."""
    limit: LoginLimit = request.app.state.login_limit
    async with request.app.state.logins:  # the limit too, or many at a time would all pass it
        wait_s = limit.wait_s(user, request.scope)
        if not wait_s or limit.is_first_refusal(request.scope):
            note_change(request, target=user, user=user, skipped=False)
        if wait_s:
            return refused(429, "too_many_requests", "too many failed logins; try again later", wait_s)
        found = await asyncio.to_thread(is_known)
        if not found:
            limit.count(user, request.scope)
        return found


async def _read_login(request: Request, now_ms: int) -> tuple[str, str]:
    """User and password of the form; the query string, which proxies log, is not read. Raises: BadQuery."""
    form = await read_form(request, now_ms)
    user, password = form.text("user"), form.text("password")
    if not (user and password):
        raise BadQuery("expected a form with user and password in the body of the request")
    if len(user) > NAME_CHARACTERS_MAX:
        raise BadQuery(f"user: {len(user)} characters are over the limit of {NAME_CHARACTERS_MAX}")
    return user, password


async def opened_session(api_state: ApiState, request: Request, user: str, answer: Response) -> dict[str, Any]:
    """Open a session for a user, and end that of the browser before; ``answer`` gets its cookie. Returns: its facts."""
    access = api_state.limits.access
    before = session_of(request.headers)
    if before:
        await _end(api_state, request, before)
    now_ms = api_state.facts.now_ms()
    secret = await asyncio.to_thread(
        lambda: start_session(api_state.database(), user, now_ms, access.session_ttl_ms, access.sessions_max)
    )
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=access.session_ttl_ms // SECOND_MS,
        path="/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return {"user": user, "csrf_token": csrf_token_of(secret), "expires_ms": now_ms + access.session_ttl_ms}


async def _end(api_state: ApiState, request: Request, secret: str) -> None:
    await asyncio.to_thread(lambda: end_session(api_state.database(), secret))
    request.app.state.principals.forget(secret)


def _shown(principal: Principal, *, enabled: bool) -> dict[str, Any]:
    known = principal.role is not Role.ANYBODY
    return {
        "access_enabled": enabled,
        "user": principal.name if known else None,
        "role": principal.role.word if known else None,
        "via": principal.via.value,
        "scopes": sorted(principal.scopes) if known else [],
        "actions": actions_of(principal) if known else [],
        "csrf_token": principal.csrf_token or None,
    }
