"""Routes of the Silver tier: rollups, trends, the janitor, and the system's configuration."""

from collections.abc import Callable

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.access_control import principal_of
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import refused, success
from nissa.api.parameters import Parameters
from nissa.api.silver_control import SilverControl
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.limits import Allowance
from nissa.tiers.janitor import read_system_config, write_system_config

_KEY = {"parameters": [{"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}]}

router = APIRouter()
Work = Callable[[SilverControl, Parameters], Response]


@router.get(
    "/api/v1/silver/rollups", openapi_extra=documented("granularity", "service", "metric", "start", "end", "since")
)
async def silver_rollups(request: Request) -> Response:
    """Rollups by minute or hour, the oldest first."""

    def work(control: SilverControl, parameters: Parameters) -> Response:
        asked = parameters.text("granularity", "hour"), parameters.text("service"), parameters.text("metric")
        return success({"rollups": control.silver().rollups(*asked, *parameters.interval_ms())})

    return await _answer(request, work)


@router.get("/api/v1/silver/trends", openapi_extra=documented("service", "metric", "period"))
async def silver_trends(request: Request) -> Response:
    """The last day, week or month against the one before, for each combination of tags."""

    def work(control: SilverControl, parameters: Parameters) -> Response:
        asked = parameters.text("service"), parameters.text("metric"), parameters.text("period", "week")
        return success({"trends": control.silver().trend(*asked, parameters.now_ms)})

    return await _answer(request, work)


@router.post("/api/v1/silver/janitor", openapi_extra=documented_form("dry"))
async def run_janitor(request: Request) -> Response:
    """Delete rollups over their age now; dry: only count them."""

    def work(control: SilverControl, parameters: Parameters) -> Response:
        found = msgspec.to_builtins(control.tidy(dry=parameters.text("dry") == "true"))
        note_change(request, target="janitor", after=found)
        return success(found)

    return await _answer(request, work)


@router.get("/api/v1/system_config/{key}", openapi_extra=_KEY)
async def get_system_config(request: Request) -> Response:
    """An entry of the system's configuration."""
    key = request.path_params["key"]

    def work(control: SilverControl, _parameters: Parameters) -> Response:
        found = read_system_config(control.database(), key)
        return refused(404, "not_found", f"{key[:100]} is not set") if found is None else success(found)

    return await _answer(request, work)


@router.post("/api/v1/system_config/{key}", openapi_extra={**documented_form("value", needed=("value",)), **_KEY})
async def set_system_config(request: Request) -> Response:
    """Set an entry of the system's configuration, such as ``retention_policy``."""
    key = request.path_params["key"]

    def work(control: SilverControl, parameters: Parameters) -> Response:
        try:
            value = msgspec.json.decode(parameters.text("value"))
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadQuery(f"invalid parameter 'value': {error}") from None
        before = read_system_config(control.database(), key)
        user = principal_of(request).label
        after = write_system_config(control.database(), key, value, user, parameters.now_ms)
        note_change(request, target=key, before=before, after=after)
        return success(after)

    return await _answer(request, work)


async def _answer(request: Request, work: Work) -> Response:
    api_state = api_state_of(request)

    def answer(parameters: Parameters, _allowance: Allowance) -> Response:
        return work(_control(api_state), parameters)

    return await api_state.answer(request, answer)


def _control(api_state: ApiState) -> SilverControl:
    control = api_state.facts.silver
    if control is None:
        raise Unavailable("there are no rollups here; the request needs the daemon")
    return control
