"""The route that asks for events, page by page."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.mission.documented import documented
from nissa.mission.envelope import DAMAGED_MAX, missing_data, success
from nissa.mission.parameters import Parameters
from nissa.mission.state import Mission, mission_of
from nissa.model.errors import Damaged
from nissa.query.events import (
    LIMIT_MAX,
    EventPage,
    EventQuestion,
    read_cursor,
    read_levels,
    read_order,
    read_page,
    shown_event,
)
from nissa.query.export import ATTEMPTS_MAX
from nissa.query.limits import Deadline
from nissa.store.checked_file import FileGone

router = APIRouter()
LIMIT = 1_000

PARAMETERS = ("source", "level", "q", "start", "end", "limit", "cursor", "order")


@router.get("/api/v1/events", openapi_extra=documented(*PARAMETERS))
@router.post("/api/v1/events", openapi_extra=documented(*PARAMETERS))
async def events(request: Request) -> Response:
    """One page of durable events, oldest or newest first, and where the next one begins."""
    mission = mission_of(request)

    def work(parameters: Parameters, deadline: Deadline) -> Response:
        question = _question(parameters)
        damages: dict[str, Damaged] = {}
        page = _page(mission, question, deadline, damages)
        return success(_shown(page, sorted(Path(path).name for path in damages)), missing_data(damages))

    return await mission.answer(request, work)


def _question(parameters: Parameters) -> EventQuestion:
    start_ms, end_ms = parameters.interval_ms()
    cursor = parameters.text("cursor")
    return EventQuestion(
        start_ms=start_ms,
        end_ms=end_ms,
        sources=frozenset(parameters.texts("source")),
        levels=read_levels(parameters.texts("level")),
        text=parameters.text("q"),
        limit=min(parameters.count("limit") or LIMIT, LIMIT_MAX),
        cursor=read_cursor(cursor) if cursor else None,
        newest_first=read_order(parameters.text("order")),
    )


def _page(mission: Mission, question: EventQuestion, deadline: Deadline, damages: dict[str, Damaged]) -> EventPage:
    """The page, of a new snapshot where a file was merged into another meanwhile. damages: by path, filled."""
    for _ in range(ATTEMPTS_MAX - 1):
        damages.clear()
        try:
            return read_page(mission.backend.event_snapshot(), question, deadline.check, mission.noting(damages))
        except FileGone:
            continue
    damages.clear()
    return read_page(mission.backend.event_snapshot(), question, deadline.check, mission.noting(damages))


def _shown(page: EventPage, damaged: list[str]) -> dict[str, Any]:
    return {
        "events": [shown_event(row) for row in page.events],
        "cursor": None if page.cursor is None else str(page.cursor),
        "complete": page.complete,
        "damaged": damaged[:DAMAGED_MAX],
    }
