"""The route of the Events API, in the form of PagerDuty's version 2: other systems open, acknowledge and resolve.

    {"event_action": "trigger", "dedup_key": "disk-7", "payload": {"summary": …, "source": …, "severity": "critical"}}
    202 {"status": "success", "message": "Event processed", "dedup_key": "disk-7", "incident_id": 12}

An event about a key that no open incident has is taken and changes nothing, as senders repeat themselves.
"""

import secrets
from typing import Any, Final

import msgspec
import orjson
from fastapi import APIRouter
from limits import RateLimitItemPerMinute
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.access_control import principal_of
from nissa.api.envelope import refused
from nissa.api.forwarded import neighbourhood
from nissa.api.incident_control import IncidentControl
from nissa.api.incident_routes import incident_control
from nissa.api.parameters import Parameters, read_body
from nissa.api.state import api_state_of
from nissa.incidents.lifecycle import Incident, IncidentState, acknowledging, resolving
from nissa.incidents.reports import IncidentEvent, cleaned, event_key, event_report
from nissa.model.errors import BadQuery
from nissa.query.limits import Allowance

EVENT_BYTES_MAX: Final = 512 * 1024
WAIT_S: Final = 60
USER_CHARACTERS_MAX: Final = 100
BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["event_action"],
                    "properties": {
                        "event_action": {"type": "string", "enum": ["trigger", "acknowledge", "resolve"]},
                        "dedup_key": {"type": "string", "maxLength": 512},
                        "payload": {"type": "object"},
                    },
                }
            }
        },
    }
}

router = APIRouter()


@router.post("/api/events", status_code=202, openapi_extra=BODY)
async def take_event(request: Request) -> Response:
    """Take an event that triggers, acknowledges or resolves an incident."""
    api_state = api_state_of(request)
    try:
        control = incident_control(api_state)
        sender = f"{principal_of(request).label} {neighbourhood(request.scope)}"
        limit = control.events_per_minute_max
        if limit and not request.app.state.event_limit.hit(RateLimitItemPerMinute(limit), sender):
            text = f"more than {limit} events in a minute (incidents.events_per_minute_max)"
            return refused(429, "too_many_requests", text, WAIT_S)
        event = read_incident_event(await read_body(request, EVENT_BYTES_MAX))
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        dedup_key = event.dedup_key or (secrets.token_hex(16) if event.event_action == "trigger" else "")
        if not dedup_key:
            raise BadQuery(f"event: {event.event_action} needs dedup_key")
        user = cleaned(event.client, USER_CHARACTERS_MAX) or principal_of(request).label
        incident = _taken(control, event, dedup_key, user, parameters.now_ms)
        content: dict[str, Any] = {"status": "success", "message": "Event processed", "dedup_key": dedup_key}
        if incident is not None:
            content["incident_id"] = incident.id
        return Response(orjson.dumps(content), 202, media_type="application/json")

    return await api_state.answer(request, work, Parameters((), api_state.facts.now_ms()))


def read_incident_event(body: bytes) -> IncidentEvent:
    """The event of a body. Raises: BadQuery, naming the field."""
    try:
        return msgspec.json.decode(body, type=IncidentEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(f"event: {error}"[:500]) from None


def _taken(control: IncidentControl, event: IncidentEvent, dedup_key: str, user: str, at_ms: int) -> Incident | None:
    store = control.store()
    if event.event_action == "trigger":
        return store.open(event_report(event, dedup_key), at_ms, user, control.escalation)[0]
    incident = store.by_key(event_key(dedup_key))
    if incident is None:
        return None
    resolves = event.event_action == "resolve"
    if not resolves and incident.state is not IncidentState.OPEN:
        return incident
    try:
        return store.change(incident.id, (resolving if resolves else acknowledging)(at_ms, user, "by event"))
    except BadQuery:  # somebody has resolved, acknowledged or merged it meanwhile
        return _taken(control, event, dedup_key, user, at_ms)
