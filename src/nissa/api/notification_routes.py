"""Routes of notifications that their channels have refused, or did not take in time.

Dropping a dead letter gives up a notification, so only requests that access control has admitted, or that come from the
same machine, may change anything.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.alerting.routing_store import OutboxEntry
from nissa.api.admin_routes import is_admitted
from nissa.api.alert_control import AlertControl
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented_form
from nissa.api.envelope import refused, success
from nissa.api.parameters import Parameters, read_parameters
from nissa.api.sink_routes import letters_of
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery

Change = Callable[[AlertControl, Parameters], Awaitable[Any]]
_LETTERS = documented_form("letter")

LETTERS_NOTED_MAX = 100  # in the audit log

router = APIRouter()


@router.get("/api/v1/notifications/dead_letters")
async def notification_letters(request: Request) -> Response:
    """Notifications that were given up, the oldest first."""
    api_state = api_state_of(request)
    try:
        return success([_letter(one) for one in await _control(request).dead_letters()])
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


@router.post("/api/v1/notifications/dead_letters/replay", openapi_extra=_LETTERS)
async def replay_notifications(request: Request) -> Response:
    """Deliver dead letters again: those named, or all whose channel is configured."""

    async def change(control: AlertControl, parameters: Parameters) -> Any:
        revived = await control.replay(letters_of(parameters))
        return {"delivered": 0, "left": 0, "queued": revived}

    return await _changed(request, change)


@router.post("/api/v1/notifications/dead_letters/drop", openapi_extra=_LETTERS)
async def drop_notifications(request: Request) -> Response:
    """Forget dead letters: those named, or all."""

    async def change(control: AlertControl, parameters: Parameters) -> Any:
        return {"dropped": await control.drop(letters_of(parameters))}

    return await _changed(request, change)


async def _changed(request: Request, change: Change) -> Response:
    api_state = api_state_of(request)
    if not is_admitted(request):
        return refused(403, "forbidden", "dead letters are changed from this machine alone")
    try:
        parameters = await read_parameters(request, api_state.facts.now_ms())
        found = await change(_control(request), parameters)
        letters = sorted(letters_of(parameters) or ())[:LETTERS_NOTED_MAX]
        note_change(request, target="notifications", before={"letters": letters or "all"}, after=found)
        return success(found)
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


def _control(request: Request) -> AlertControl:
    alerting = api_state_of(request).facts.alerting
    if alerting is None:
        raise BadQuery("alerting is not configured (alerting.config_file, alerting.receivers)")
    return alerting()


def _letter(entry: OutboxEntry) -> dict[str, Any]:
    one = entry.notification
    labels = " ".join(f"{name}={value}" for name, value in one.group_labels.items())
    return {
        "id": entry.id,
        "first_seen_ms": entry.created_at_ms,
        "attempts": entry.attempts,
        "reason": entry.reason,
        "key": one.group_key,
        "event": {
            "source": one.path,
            "description": f"{one.status}: {labels or one.group_key}, {len(one.alerts)} alerts",
            "alerts": [{"labels": alert.labels, "state": str(alert.state)} for alert in one.alerts],
        },
    }
