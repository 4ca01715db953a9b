"""Routes of the mode under load: shown, and forced by an operator.

Emergency mode refuses work, so only requests from the same machine may force a mode, unless
``safeguards.conservative_mode.remote`` is set.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.admin_routes import is_admitted
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented_form
from nissa.api.envelope import refused, success
from nissa.api.parameters import read_parameters
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery, Unavailable

REASON_CHARACTERS_MAX = 1_000

router = APIRouter()


@router.get("/api/v1/mode")
async def mode(request: Request) -> Response:
    """The mode in force, why, and the load that it follows."""
    return success(api_state_of(request).facts.mode())


@router.post("/api/v1/mode", openapi_extra=documented_form("mode", "reason", needed=("mode",)))
async def force_mode(request: Request) -> Response:
    """Force a mode, or with ``auto`` let the load decide again."""
    api_state = api_state_of(request)
    facts = api_state.facts
    if not facts.remote_mode and not is_admitted(request):
        text = "modes are forced from this machine alone (safeguards.conservative_mode.remote)"
        return refused(403, "forbidden", text)
    try:
        parameters = await read_parameters(request, facts.now_ms())
        if facts.force_mode is None:
            raise Unavailable("this data directory is only read here; the request needs the daemon that writes it")
        wanted, reason = parameters.text("mode"), parameters.text("reason")
        if not wanted:
            raise BadQuery("no mode parameter provided")
        if len(reason) > REASON_CHARACTERS_MAX:
            raise BadQuery(f"invalid parameter 'reason': over the limit of {REASON_CHARACTERS_MAX} characters")
        before = _decided(facts.mode())
        found = facts.force_mode(wanted, reason)
        note_change(request, target=wanted, before=before, after={**_decided(found), "reason": reason})
        return success(found)
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


def _decided(mode: Mapping[str, Any]) -> dict[str, Any]:
    return {name: mode.get(name) for name in ("mode", "forced")}
