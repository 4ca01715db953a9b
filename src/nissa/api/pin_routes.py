"""Routes that change something: set and remove pins, confirm the wall clock.

They exist only if the backend owns the data (a daemon). Requests by pages of other sites are refused before
(``guard.py``).
"""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.backend import Admin
from nissa.query.limits import Allowance

router = APIRouter()


@router.get("/api/v1/pins")
async def pins(request: Request) -> Response:
    """All pins, oldest first."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        return success([msgspec.to_builtins(pin) for pin in _admin(api_state).pins()])

    return await api_state.answer(request, work)


@router.post("/api/v1/pins", openapi_extra=documented_form("start", "end", "name", needed=("start", "end")))
async def add(request: Request) -> Response:
    """Pin a time range: no block with data in it is dropped for its age."""

    def work(admin: Admin, parameters: Parameters) -> Any:
        for name in ("start", "end"):
            if not parameters.text(name):
                raise BadQuery(f"no {name} parameter provided")
        pin = msgspec.to_builtins(admin.add_pin(parameters.text("name"), *parameters.interval_ms()))
        note_change(request, target=parameters.text("name"), after=pin)
        return pin

    return await _change(request, work)


@router.delete("/api/v1/pins", openapi_extra=documented("id", needed=("id",)))
async def remove(request: Request) -> Response:
    """Remove a pin by its number."""

    def work(admin: Admin, parameters: Parameters) -> Any:
        number = parameters.count("id")
        before = [msgspec.to_builtins(pin) for pin in admin.pins() if pin.id == number]
        admin.remove_pin(number)
        note_change(request, target=str(number), before=before[0] if before else None)
        return []

    return await _change(request, work)


@router.post("/api/v1/clock/confirm")
async def confirm(request: Request) -> Response:
    """Confirm the wall clock after a jump: retention drops expired blocks again."""

    def work(admin: Admin, _parameters: Parameters) -> Any:
        admin.confirm_clock()
        return []

    return await _change(request, work)


async def _change(request: Request, work: Any) -> Response:
    api_state = api_state_of(request)

    def answer(parameters: Parameters, _allowance: Allowance) -> Response:
        return success(work(_admin(api_state), parameters))

    return await api_state.answer(request, answer)


def _admin(api_state: ApiState) -> Admin:
    admin = api_state.backend.admin
    if admin is None:
        raise Unavailable("this data directory is only read here; the request needs the daemon that writes it")
    return admin
