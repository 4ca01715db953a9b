"""Routes of service level objectives: their budgets now, and snapshots of them."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery
from nissa.query.limits import Allowance
from nissa.slo.budget import Budget, time_left_text
from nissa.slo.objective import Objective

HISTORY_DEFAULT: Final = 1_000
_NAME: Final = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}

router = APIRouter()


@router.get("/api/v1/slos")
async def slos(request: Request) -> Response:
    """Objectives, with their error budgets."""
    control = api_state_of(request).facts.slos
    return success({"slos": [_shape(*one) for one in (control.objectives() if control is not None else ())]})


_DOCUMENTED: Final = documented("start", "end", "since", "limit")


@router.get("/api/v1/slos/{name}/snapshots", openapi_extra={"parameters": [*_DOCUMENTED["parameters"], _NAME]})
async def snapshots(request: Request) -> Response:
    """Snapshots of the budget of an objective, the newest first."""
    api_state, name = api_state_of(request), request.path_params["name"]

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        control = api_state.facts.slos
        if control is None or name not in {one.name for one, _, _ in control.objectives()}:
            raise BadQuery(f"there is no objective {name[:100]!r}")
        start_ms, end_ms = parameters.interval_ms()
        limit = parameters.count("limit", HISTORY_DEFAULT)
        key = f"slo {name} {parameters.pairs}"
        found, warnings = api_state.kept.ask(key, lambda: control.snapshots(name, start_ms, end_ms, limit))
        return success({"snapshots": found}, warnings)

    return await api_state.answer(request, work)


def _shape(objective: Objective, budget: Budget | None, error: str) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": objective.name,
        "description": objective.description,
        "file": objective.file,
        "labels": objective.labels,
        "target_percent": objective.target_percent,
        "window_ms": objective.window_ms,
        "calendar": str(objective.calendar),
        "bad": objective.bad,
        "total": objective.total,
    }
    if error:
        shape["error"] = error
    if budget is not None:
        shape["budget"] = {**msgspec.to_builtins(budget), "time_left": time_left_text(budget)}
    return shape
