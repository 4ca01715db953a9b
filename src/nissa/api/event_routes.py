"""The route for events, page by page."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented, documented_form
from nissa.api.envelope import DAMAGED_MAX, missing_data, success
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import Damaged
from nissa.query.events import (
    LIMIT_MAX,
    EventPage,
    EventRequest,
    read_cursor,
    read_levels,
    read_order,
    read_page,
    shown_event,
)
from nissa.query.limits import Allowance

router = APIRouter()
LIMIT = 1_000

PARAMETERS = ("source", "level", "q", "start", "end", "since", "limit", "cursor", "order")


@router.get("/api/v1/events", openapi_extra=documented(*PARAMETERS))
@router.post("/api/v1/events", openapi_extra=documented_form(*PARAMETERS))
async def events(request: Request) -> Response:
    """One page of durable events, oldest or newest first, and where the next one begins."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        question = _question(parameters)
        damages: dict[str, Damaged] = {}
        page = _page(api_state, question, allowance, damages)
        return success(_shown(page, sorted(Path(path).name for path in damages)), missing_data(damages))

    return await api_state.answer(request, work)


def _question(parameters: Parameters) -> EventRequest:
    start_ms, end_ms = parameters.interval_ms()
    cursor = parameters.text("cursor")
    return EventRequest(
        start_ms=start_ms,
        end_ms=end_ms,
        sources=frozenset(parameters.texts("source")),
        levels=read_levels(parameters.texts("level")),
        text=parameters.text("q"),
        limit=min(parameters.count("limit") or LIMIT, LIMIT_MAX),
        cursor=read_cursor(cursor) if cursor else None,
        newest_first=read_order(parameters.text("order")),
    )


def _page(api_state: ApiState, question: EventRequest, allowance: Allowance, damages: dict[str, Damaged]) -> EventPage:
    """The page. damages: by path, filled."""
    with api_state.backend.event_snapshot() as snapshot:
        return read_page(snapshot, question, allowance.check, api_state.noting(damages))


def _shown(page: EventPage, damaged: list[str]) -> dict[str, Any]:
    return {
        "events": [shown_event(row) for row in page.events],
        "cursor": None if page.cursor is None else str(page.cursor),
        "complete": page.complete,
        "damaged": damaged[:DAMAGED_MAX],
    }
