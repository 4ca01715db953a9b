"""Routes of incidents: lists, one with its timeline and evidence, and what operators do about them."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.roles import Via
from nissa.api.access_control import principal_of
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import refused, success
from nissa.api.incident_control import IncidentControl
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.incidents.incident_store import IncidentFilter, NoIncident
from nissa.incidents.lifecycle import (
    NAME_CHARACTERS_MAX,
    Entry,
    Incident,
    IncidentReport,
    Step,
    acknowledging,
    commenting,
    downtime_minutes,
    editing,
    merging,
    outages_ms,
    reopening,
    resolving,
)
from nissa.incidents.postmortem import written_postmortem
from nissa.incidents.reports import manual_key
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.limits import Allowance

LIMIT_DEFAULT: Final = 100
EDITED: Final = ("title", "service", "severity", "urgency", "responder")
NUMBER: Final = {"parameters": [{"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}]}
MARKDOWN: Final = "text/markdown; charset=utf-8"
_LIST = ("incident_state", "service", "severity", "start", "end", "since", "before", "limit")
_OPEN = (*EDITED, "key", "user")

router = APIRouter()
Work = Callable[[IncidentControl, Parameters], Response]
StepOf = Callable[[IncidentControl, Parameters, str], Step]


@router.get("/api/v1/incidents", openapi_extra=documented(*_LIST))
async def incident_list(request: Request) -> Response:
    """Incidents, the newest first."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        wanted = IncidentFilter(
            tuple(parameters.texts("incident_state") + parameters.texts("state")),
            parameters.text("service"),
            parameters.text("severity"),
            *parameters.interval_ms(),
            parameters.count("before"),
            parameters.count("limit", LIMIT_DEFAULT) or LIMIT_DEFAULT,
        )
        return success({"incidents": [shown_incident(one) for one in control.store().find(wanted)]})

    return await _answer(request, work)


@router.post("/api/v1/incidents", openapi_extra=documented_form(*_OPEN, needed=("title",)))
async def open_incident(request: Request) -> Response:
    """Open an incident, or give the one that has its key."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        given: dict[str, Any] = {name: parameters.text(name) for name in EDITED if parameters.text(name)}
        title = given.pop("title", "")
        user, key = _user(request, parameters), parameters.text("key") or manual_key(title)
        report = IncidentReport(key, title, **given)
        incident, is_new = control.store().open(report, parameters.now_ms, user, control.escalation)
        shown = {**shown_incident(incident), "new": is_new}
        note_change(request, target=str(incident.id), after=shown)
        return success(shown)

    return await _answer(request, work)


@router.get("/api/v1/incidents/summary", openapi_extra=documented("service", "start", "end", "since"))
async def incident_summary(request: Request) -> Response:
    """Number of incidents of a time range, and mean times to acknowledge and to resolve them."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        return success(control.store().summary(parameters.text("service"), *parameters.interval_ms()))

    return await _answer(request, work)


@router.get("/api/v1/incidents/{number:int}", openapi_extra=NUMBER)
async def incident_room(request: Request) -> Response:
    """An incident with its timeline, alerts and evidence."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        number, store = _number(request), control.store()
        incident, entries = store.one(number), store.entries(number)
        outages = outages_ms(incident, entries, parameters.now_ms)
        return success(
            {
                **shown_incident(incident),
                "trouble_minutes": downtime_minutes(outages, outages[0][0], outages[-1][1]),
                "timeline": msgspec.to_builtins(entries),
                "alerts": msgspec.to_builtins(store.alerts(number)),
                "evidence": store.evidence(number),
            }
        )

    return await _answer(request, work)


@router.get(
    "/api/v1/incidents/{number:int}/postmortem",
    openapi_extra=NUMBER,
    responses={200: {"content": {"text/markdown": {}}}},
    response_class=Response,
)
async def postmortem(request: Request) -> Response:
    """The post-mortem as Markdown, its facts filled in."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        number, store = _number(request), control.store()
        parts = store.one(number), store.entries(number), store.alerts(number), store.evidence(number) or {}
        return Response(written_postmortem(*parts, parameters.now_ms), media_type=MARKDOWN)

    return await _answer(request, work)


@router.post("/api/v1/incidents/{number:int}", openapi_extra={**documented_form(*EDITED, "user"), **NUMBER})
async def edit_incident(request: Request) -> Response:
    """Change title, service, severity, urgency or responder."""

    def step(_control: IncidentControl, parameters: Parameters, user: str) -> Step:
        fields = {name: parameters.text(name) for name in EDITED if parameters.texts(name)}
        if not fields:
            raise BadQuery(f"nothing to change: expected one of {', '.join(EDITED)}")
        return editing(parameters.now_ms, user, fields)

    return await _stepped(request, step)


@router.post(
    "/api/v1/incidents/{number:int}/acknowledge", openapi_extra={**documented_form("user", "comment"), **NUMBER}
)
async def acknowledge_incident(request: Request) -> Response:
    """Acknowledge an open incident: it escalates no further."""
    return await _stepped(request, lambda _, given, user: acknowledging(given.now_ms, user, given.text("comment")))


@router.post("/api/v1/incidents/{number:int}/resolve", openapi_extra={**documented_form("user", "comment"), **NUMBER})
async def resolve_incident(request: Request) -> Response:
    """Resolve an incident."""
    return await _stepped(request, lambda _, given, user: resolving(given.now_ms, user, given.text("comment")))


@router.post("/api/v1/incidents/{number:int}/reopen", openapi_extra={**documented_form("user", "comment"), **NUMBER})
async def reopen_incident(request: Request) -> Response:
    """Open a resolved incident again."""

    def step(control: IncidentControl, parameters: Parameters, user: str) -> Step:
        return reopening(parameters.now_ms, user, control.escalation, parameters.text("comment"))

    return await _stepped(request, step)


@router.post(
    "/api/v1/incidents/{number:int}/comment",
    openapi_extra={**documented_form("user", "comment", needed=("comment",)), **NUMBER},
)
async def comment_incident(request: Request) -> Response:
    """Add a comment to the timeline, in whatever state the incident is."""
    return await _stepped(request, lambda _, given, user: commenting(given.now_ms, user, given.text("comment")))


@router.post(
    "/api/v1/incidents/{number:int}/merge",
    openapi_extra={**documented_form("into", "user", needed=("into",)), **NUMBER},
)
async def merge_incident(request: Request) -> Response:
    """Merge an incident into another one, which takes over its alerts and its key."""

    def work(control: IncidentControl, parameters: Parameters) -> Response:
        number, into = _number(request), parameters.count("into")
        user, now_ms = _user(request, parameters), parameters.now_ms
        note = Entry(now_ms, "merged", user, f"with incident {number}")
        merged = control.store().merge(number, into, lambda target: merging(now_ms, user, target), note)
        return _noted(request, merged)

    return await _answer(request, work)


def shown_incident(incident: Incident) -> dict[str, Any]:
    """An incident as the API gives it; durations are None before their end."""
    shown: dict[str, Any] = msgspec.to_builtins(incident)
    for name, at_ms in (("acknowledge", incident.acknowledged_ms), ("resolve", incident.resolved_ms)):
        shown[f"time_to_{name}_ms"] = at_ms - incident.created_ms if at_ms else None
    return shown


async def _stepped(request: Request, step_of: StepOf) -> Response:
    def work(control: IncidentControl, parameters: Parameters) -> Response:
        step = step_of(control, parameters, _user(request, parameters))
        return _noted(request, control.store().change(_number(request), step))

    return await _answer(request, work)


def _noted(request: Request, incident: Incident) -> Response:
    shown = shown_incident(incident)
    note_change(request, target=str(incident.id), after=shown)
    return success(shown)


async def _answer(request: Request, work: Work) -> Response:
    api_state = api_state_of(request)

    def answer(parameters: Parameters, _allowance: Allowance) -> Response:
        try:
            return work(incident_control(api_state), parameters)
        except NoIncident as error:
            return refused(404, "not_found", str(error))

    return await api_state.answer(request, answer)


def incident_control(api_state: ApiState) -> IncidentControl:
    """The incidents of the daemon. Raises: Unavailable where there are none."""
    control = api_state.facts.incidents
    if control is None:
        raise Unavailable("there are no incidents here; the request needs the daemon")
    return control


def _number(request: Request) -> int:
    text = str(request.path_params["number"])
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise NoIncident(f"there is no incident {text[:40]!r}")
    return int(text)


def _user(request: Request, parameters: Parameters) -> str:
    """The user that sends the request; while access control is off, the one that it names."""
    principal = principal_of(request)
    named = parameters.text("user") if principal.via is Via.LOOPBACK else ""
    if len(named) > NAME_CHARACTERS_MAX or "\0" in named:
        raise BadQuery(
            f"invalid parameter 'user': expected at most {NAME_CHARACTERS_MAX} characters, none of them zero"
        )
    return named or principal.label
