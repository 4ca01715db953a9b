"""Routes that change something: pins set and removed, the wall clock confirmed.

Only where the backend keeps the data (a daemon). A page of another site may send a visitor's browser here: requests
that say they come from another origin are refused.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.mission.documented import documented
from nissa.mission.envelope import refused, success
from nissa.mission.parameters import Parameters
from nissa.mission.state import Mission, mission_of
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.backend import Keeper
from nissa.query.limits import Deadline

router = APIRouter()


@router.get("/api/v1/pins")
async def pins(request: Request) -> Response:
    """All pins, oldest first."""
    mission = mission_of(request)

    def work(_parameters: Parameters, _deadline: Deadline) -> Response:
        return success([msgspec.to_builtins(pin) for pin in _keeper(mission).pins()])

    return await mission.answer(request, work)


@router.post("/api/v1/pins", openapi_extra=documented("start", "end", "name"))
async def add(request: Request) -> Response:
    """Pin a time range: no block with data in it is dropped for its age."""

    def work(keeper: Keeper, parameters: Parameters) -> Any:
        for name in ("start", "end"):
            if not parameters.text(name):
                raise BadQuery(f"no {name} parameter provided")
        return msgspec.to_builtins(keeper.add_pin(parameters.text("name"), *parameters.interval_ms()))

    return await _change(request, work)


@router.delete("/api/v1/pins", openapi_extra=documented("id"))
async def remove(request: Request) -> Response:
    """Remove a pin by its number."""

    def work(keeper: Keeper, parameters: Parameters) -> Any:
        keeper.remove_pin(parameters.count("id"))
        return []

    return await _change(request, work)


@router.post("/api/v1/clock/confirm")
async def confirm(request: Request) -> Response:
    """Say that the wall clock is right, where it is in doubt: what is over by it is dropped."""

    def work(keeper: Keeper, _parameters: Parameters) -> Any:
        keeper.confirm_clock()
        return []

    return await _change(request, work)


async def _change(request: Request, work: Any) -> Response:
    mission = mission_of(request)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return refused(403, "forbidden", f"a page of {origin[:200]!r} may not change anything here")

    def answer(parameters: Parameters, _deadline: Deadline) -> Response:
        return success(work(_keeper(mission), parameters))

    return await mission.answer(request, answer)


def _keeper(mission: Mission) -> Keeper:
    if mission.keeper is None:
        raise Unavailable("nobody keeps this data: no daemon runs on it")
    return mission.keeper
