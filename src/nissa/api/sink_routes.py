"""Routes of sinks: their state, and what operators decide about them.

Skipping a backlog and dropping dead letters give up data, so only requests from the same machine may change anything.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.admin_routes import is_admitted
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import refused, success
from nissa.api.parameters import Parameters, read_parameters
from nissa.api.sink_control import SinkControl
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery

Change = Callable[[SinkControl, Parameters], Awaitable[Any]]
NAME_PARAMETER = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_PATH = {"parameters": [NAME_PARAMETER]}
_LIMITED = {"parameters": [NAME_PARAMETER, *documented("limit")["parameters"]]}
_LETTERS = {**documented_form("letter"), **_PATH}

router = APIRouter()


@router.get("/api/v1/sinks")
async def sinks(request: Request) -> Response:
    """State, backlog and counters of every sink, by name."""
    return success(api_state_of(request).facts.status().get("sinks", {}))


@router.post("/api/v1/sinks/{name}/pause", openapi_extra=_PATH)
async def pause(request: Request) -> Response:
    """Send nothing more to a sink until it is resumed, also after a restart."""
    name = request.path_params["name"]

    async def change(control: SinkControl, _parameters: Parameters) -> Any:
        await control.pause(name)
        return {"paused": True}

    return await _changed(request, change)


@router.post("/api/v1/sinks/{name}/resume", openapi_extra=_PATH)
async def resume(request: Request) -> Response:
    """Send to a paused sink again; to one that fails or is blocked at once."""
    name = request.path_params["name"]

    async def change(control: SinkControl, _parameters: Parameters) -> Any:
        await control.resume(name)
        return {"paused": False}

    return await _changed(request, change)


@router.post("/api/v1/sinks/{name}/skip", openapi_extra=_PATH)
async def skip(request: Request) -> Response:
    """Give up the backlog of a sink; it counts as lost."""
    name = request.path_params["name"]

    async def change(control: SinkControl, _parameters: Parameters) -> Any:
        return {"lost_frames": await control.skip(name)}

    return await _changed(request, change)


@router.post("/api/v1/sinks/{name}/forget", openapi_extra=_PATH)
async def forget(request: Request) -> Response:
    """Keep no journal any more for a sink that is not configured."""
    name = request.path_params["name"]

    async def change(control: SinkControl, _parameters: Parameters) -> Any:
        await control.forget(name)
        return {"forgotten": True}

    return await _changed(request, change)


@router.get("/api/v1/sinks/{name}/dead_letters", openapi_extra=_LIMITED)
async def dead_letters(request: Request) -> Response:
    """Samples that a sink has refused, the oldest first."""
    api_state = api_state_of(request)
    try:
        limit = (await read_parameters(request, api_state.facts.now_ms())).count("limit") or None
        found = await _control(request).dead_letters(request.path_params["name"], limit)
        return success(msgspec.to_builtins(found))
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


@router.post("/api/v1/sinks/{name}/dead_letters/replay", openapi_extra=_LETTERS)
async def replay(request: Request) -> Response:
    """Send dead letters to the sink again: those named, or all."""
    name = request.path_params["name"]

    async def change(control: SinkControl, parameters: Parameters) -> Any:
        delivered, left = await control.replay(name, letters_of(parameters))
        return {"delivered": delivered, "left": left}

    return await _changed(request, change)


@router.post("/api/v1/sinks/{name}/dead_letters/drop", openapi_extra=_LETTERS)
async def drop(request: Request) -> Response:
    """Forget dead letters: those named, or all."""
    name = request.path_params["name"]

    async def change(control: SinkControl, parameters: Parameters) -> Any:
        return {"dropped": await control.drop(name, letters_of(parameters))}

    return await _changed(request, change)


async def _changed(request: Request, change: Change) -> Response:
    api_state = api_state_of(request)
    if not is_admitted(request):
        return refused(403, "forbidden", "sinks are changed from this machine alone")
    try:
        parameters = await read_parameters(request, api_state.facts.now_ms())
        name = request.path_params["name"]
        before = _state(request, name)
        found = await change(_control(request), parameters)
        note_change(request, target=name, before=before, after={**_state(request, name), **found})
        return success(found)
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


def _control(request: Request) -> SinkControl:
    control = api_state_of(request).facts.sinks
    if control is None:
        raise BadQuery("no sinks are configured (setting sinks)")
    return control


def _state(request: Request, name: str) -> dict[str, Any]:
    """The state of a sink, for the audit log."""
    sinks_now = api_state_of(request).facts.status().get("sinks", {})
    return {"state": sinks_now.get(name, {}).get("state")}


def letters_of(parameters: Parameters) -> set[int] | None:
    """Numbers of the parameter ``letter``; None for all."""
    texts = parameters.texts("letter")
    if any(not (text.isascii() and text.isdigit() and len(text) <= 18) for text in texts):
        raise BadQuery("invalid parameter 'letter': expected numbers of dead letters")
    return {int(text) for text in texts} or None
