"""Routes of growth: series added since a moment, and the forecast of the disk."""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.state import api_state_of
from nissa.api.status_routes import read_entries_max
from nissa.model.errors import Unavailable
from nissa.model.units import DAY_MS
from nissa.query.limits import Allowance
from nissa.query.series_added import added_series
from nissa.query.times import read_duration

router = APIRouter()


@router.get("/api/v1/status/series_added", openapi_extra=documented("since", "limit"))
async def series_added(request: Request) -> Response:
    """Series added in the last day, or ``since``, by metric name, and the label names with the most new values."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        marks = api_state.facts.series_marks
        if marks is None:
            raise Unavailable("numbers of series are noted by the daemon alone")
        entries_max = read_entries_max(parameters)
        asked_ms = parameters.now_ms - read_duration(parameters.text("since"), "since", DAY_MS)
        index = api_state.backend.index
        (since_ms, first), count = marks.since(asked_ms), index.series_count
        found = added_series(index, min(first, count), count, entries_max, allowance.check)
        content: dict[str, Any] = {
            "asked_since_ms": asked_ms,
            "since_ms": since_ms,
            "complete": since_ms <= asked_ms or not first,  # there were none before the first mark
            **msgspec.to_builtins(found),
            "marks": [{"at_ms": at_ms, "series": number - first} for at_ms, number in marks.between(asked_ms)],
        }
        return success(content)

    return await api_state.answer(request, work)


@router.get("/api/v1/storage/forecast")
async def storage_forecast(request: Request) -> Response:
    """Bytes per day by kind of block, the size at which retention stops growth, and when the disk is full."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        admin = api_state.backend.admin
        if admin is None:
            raise Unavailable("the forecast needs the daemon")
        journal = api_state.backend.status().journal
        return success(msgspec.to_builtins(admin.forecast(0 if journal is None else journal.bytes)))

    return await api_state.answer(request, work)
