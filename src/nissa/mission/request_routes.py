"""The route that says what became of a request: whether its data came, where it stands, and whether it is durable.

Only where the backend remembers requests (a daemon).
"""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.mission.envelope import refused, success
from nissa.mission.parameters import Parameters
from nissa.mission.state import Mission, mission_of
from nissa.model.errors import BadQuery
from nissa.model.receipt import FoundRequest
from nissa.query.limits import Deadline

router = APIRouter()
EPOCH_MAX = 2**64 - 1


@router.get("/api/v1/requests/{epoch}/{request_id:path}")
async def find(request: Request, epoch: str, request_id: str) -> Response:
    """What is remembered of a request: kind, LSN, whether it is durable, for how long it is known still."""
    mission = mission_of(request)

    def work(_parameters: Parameters, _deadline: Deadline) -> Response:
        found = _find(mission, _epoch(epoch), request_id)
        if not found:
            what = f"request {request_id[:200]!r} of epoch {epoch} is not remembered"
            return refused(404, "not_found", f"{what}: it never came, nothing of it was kept, or its time is over")
        entries = [msgspec.to_builtins(one) for one in found]
        return success({"epoch": int(epoch), "request_id": request_id, "entries": entries})

    return await mission.answer(request, work)


def _epoch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:32]) <= EPOCH_MAX and len(text) <= 32):
        raise BadQuery(f"invalid epoch {text[:80]!r}: expected 0 to {EPOCH_MAX}")
    return int(text)


def _find(mission: Mission, epoch: int, request_id: str) -> list[FoundRequest]:
    remembering: Any = mission.backend
    if not hasattr(remembering, "find_request"):
        raise BadQuery("requests are remembered by a running daemon, not by a directory")
    found: list[FoundRequest] = remembering.find_request(epoch, request_id)
    return found
