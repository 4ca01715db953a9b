"""The route that reports whether data of a request has arrived, its position in the journal, and whether it is durable.

It exists only if the backend has dedup maps (a daemon).
"""

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.envelope import refused, success
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery
from nissa.model.receipt import FoundRequest
from nissa.query.limits import Allowance

router = APIRouter()
EPOCH_MAX = 2**64 - 1


@router.get("/api/v1/requests/{epoch}/{request_id:path}")
async def find(request: Request, epoch: str, request_id: str) -> Response:
    """The dedup entry of a request: kind, LSN, durable or not, time until it expires."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        found = _find(api_state, _epoch(epoch), request_id)
        if not found:
            what = f"request {request_id[:200]!r} of epoch {epoch} has no dedup key"
            return refused(
                404, "not_found", f"{what}: it never arrived, nothing of it was stored, or its key has expired"
            )
        entries = [msgspec.to_builtins(one) for one in found]
        return success({"epoch": int(epoch), "request_id": request_id, "entries": entries})

    return await api_state.answer(request, work)


def _epoch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:32]) <= EPOCH_MAX and len(text) <= 32):
        raise BadQuery(f"invalid epoch {text[:80]!r}: expected 0 to {EPOCH_MAX}")
    return int(text)


def _find(api_state: ApiState, epoch: int, request_id: str) -> list[FoundRequest]:
    admin = api_state.backend.admin
    if admin is None:
        raise BadQuery("dedup keys are in the memory of a running daemon; this API only reads a directory")
    return admin.find_request(epoch, request_id)
