"""The route of the audit log."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.audit import PAGE_ENTRIES, entries
from nissa.api.documented import documented
from nissa.api.envelope import success
from nissa.api.parameters import read_parameters
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery

ENTRIES: Final = 100

router = APIRouter()


@router.get("/api/v1/audit", openapi_extra=documented("user", "action", "before", "limit"))
async def audit(request: Request) -> Response:
    """Changes that users made, the newest first; ``before`` continues behind the last entry of a page."""
    api_state = api_state_of(request)
    try:
        parameters = await read_parameters(request, api_state.facts.now_ms())
        limit = parameters.count("limit", ENTRIES)
        if not 1 <= limit <= PAGE_ENTRIES:
            raise BadQuery(f"invalid parameter 'limit': {limit} is not from 1 to {PAGE_ENTRIES}")
        before_id, user, action = parameters.count("before"), parameters.text("user"), parameters.text("action")
        key = f"audit {before_id} {limit} {user} {action}"

        def work() -> Any:
            return entries(api_state.database(), before_id=before_id, limit=limit, user=user, action=action)

        found, warnings = await asyncio.to_thread(lambda: api_state.kept.ask(key, work))
        return success({"entries": found}, warnings)
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)
