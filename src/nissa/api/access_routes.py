"""Routes of users and API tokens, for admins. A password goes in once, a secret out once; neither is shown again."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.roles import read_role, read_scopes
from nissa.access.tokens import ApiToken, add_token, remove_token, tokens
from nissa.access.users import add_user, change_user, remove_user, users
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import success
from nissa.api.login_limit import NAME_CHARACTERS_MAX
from nissa.api.parameters import Parameters, read_form, read_parameters
from nissa.api.state import api_state_of
from nissa.database.database import Database
from nissa.model.errors import BadQuery
from nissa.query.times import read_duration

Work = Callable[[Database, Parameters], Any]
router = APIRouter()


@router.get("/api/v1/users")
async def list_users(request: Request) -> Response:
    """All users with their roles."""

    def work(database: Database, _parameters: Parameters) -> Any:
        return [{"name": one.name, "role": one.role.word, "created_ms": one.created_ms} for one in users(database)]

    return await _answer(request, work)


@router.post("/api/v1/users", openapi_extra=documented_form("user", "password", "role", needed=("user", "password")))
async def post_user(request: Request) -> Response:
    """Add a user."""

    def work(database: Database, parameters: Parameters) -> Any:
        name, role = _named(request, parameters, "user"), read_role(parameters.text("role", "viewer"))
        add_user(database, name, parameters.text("password"), role, parameters.now_ms)
        note_change(request, after={"role": role.word})
        return {"name": name, "role": role.word}

    return await _answer(request, work)


@router.patch("/api/v1/users", openapi_extra=documented_form("user", "password", "role", needed=("user",)))
async def patch_user(request: Request) -> Response:
    """Give a user another role, another password, or both. All sessions of the user end."""

    def work(database: Database, parameters: Parameters) -> Any:
        name, password, role = (parameters.text(key) for key in ("user", "password", "role"))
        _named(request, parameters, "user")
        if not (password or role):
            raise BadQuery("nothing to change: expected role, password or both")
        wanted = read_role(role) if role else None
        before = change_user(database, name, password=password, role=wanted, needs_admin_at_ms=parameters.now_ms)
        shown = {"role": role or before.word}
        note_change(request, before={"role": before.word}, after={**shown, "password_changed": bool(password)})
        return {"name": name, **shown}

    return await _answer(request, work)


@router.delete("/api/v1/users", openapi_extra=documented("user", needed=("user",)))
async def delete_user(request: Request) -> Response:
    """Remove a user, whose sessions end."""

    def work(database: Database, parameters: Parameters) -> Any:
        name = _named(request, parameters, "user")
        before = remove_user(database, name, needs_admin_at_ms=parameters.now_ms)
        note_change(request, before={"role": before.word})
        return []

    return await _answer(request, work)


@router.get("/api/v1/tokens")
async def list_tokens(request: Request) -> Response:
    """All API tokens, without their secrets."""

    def work(database: Database, _parameters: Parameters) -> Any:
        return [_shown(one) for one in tokens(database)]

    return await _answer(request, work)


@router.post("/api/v1/tokens", openapi_extra=documented_form("token", "role", "scope", "expires", needed=("token",)))
async def post_token(request: Request) -> Response:
    """Add an API token; the answer has its secret, this one time."""

    def work(database: Database, parameters: Parameters) -> Any:
        now_ms = parameters.now_ms
        lasts_ms = read_duration(parameters.text("expires"), "expires", 0)
        token = ApiToken(
            _named(request, parameters, "token"),
            read_role(parameters.text("role", "viewer")),
            read_scopes(parameters.texts("scope")),
            now_ms,
            now_ms + lasts_ms if lasts_ms else 0,
        )
        secret = add_token(database, token)
        note_change(request, after=_shown(token))
        return {**_shown(token), "secret": secret}

    return await _answer(request, work)


@router.delete("/api/v1/tokens", openapi_extra=documented("token", needed=("token",)))
async def delete_token(request: Request) -> Response:
    """Remove an API token."""

    def work(database: Database, parameters: Parameters) -> Any:
        name = _named(request, parameters, "token")
        before = [_shown(one) for one in tokens(database) if one.name == name]
        remove_token(database, name, needs_admin_at_ms=parameters.now_ms)
        note_change(request, before=before[0] if before else None)
        return []

    return await _answer(request, work)


async def _answer(request: Request, work: Work) -> Response:
    api_state = api_state_of(request)
    try:
        read = read_form if request.method in ("POST", "PATCH") else read_parameters  # addresses are logged on the way
        parameters = await read(request, api_state.facts.now_ms())
        if request.method != "GET":
            return success(await asyncio.to_thread(lambda: work(api_state.database(), parameters)))
        kept, path = api_state.kept, request.url.path
        return success(*await asyncio.to_thread(lambda: kept.ask(path, lambda: work(api_state.database(), parameters))))
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


def _named(request: Request, parameters: Parameters, what: str) -> str:
    """The user or token that a request names; a refusal is noted under it too."""
    name = parameters.text(what)
    note_change(request, target=name[:NAME_CHARACTERS_MAX])
    return name


def _shown(token: ApiToken) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role.word,
        "scopes": [scope.value for scope in token.scopes],
        "created_ms": token.created_ms,
        "expires_ms": token.expires_ms,
    }
