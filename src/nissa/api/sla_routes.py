"""Routes of service level agreements: definitions with all their versions, daily snapshots, reports."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.access_control import principal_of
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import refused, success
from nissa.api.parameters import Parameters
from nissa.api.sla_control import SlaControl
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import DAY_MS
from nissa.query.limits import Allowance
from nissa.tiers.heartbeats import BEATS_BY, first_beat_day, heartbeats
from nissa.tiers.sla import SlaDefinition, day_of, day_start_ms, window_start
from nissa.tiers.sla_file import FILED, read_definition
from nissa.tiers.sla_pdf import stored_report_pdf
from nissa.tiers.sla_report import days_csv, window_state
from nissa.tiers.sla_store import NoDefinition

DAYS_DEFAULT: Final = 30
AGREEMENTS_AT_ONCE: Final = 100  # days of a strip of so many are less than a list of snapshots may have
_ID: Final = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]}
_DEFINITION: Final = ("sla", "service", "metric_type", "target", "window", "bad", "total", "latency", "description")

router = APIRouter()
Work = Callable[[SlaControl, Parameters], Response]


@router.get("/api/v1/sla/definitions", openapi_extra=documented("service"))
async def definitions(request: Request) -> Response:
    """Definitions, each with all its versions."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        service = parameters.text("service")
        found = [
            {"id": name, "versions": [_shown(one) for one in versions]}
            for name, versions in control.store().definitions().items()
            if not service or versions[-1].service == service
        ]
        return success({"definitions": found})

    return await _answer(request, work)


@router.post(
    "/api/v1/sla/definitions",
    openapi_extra=documented_form(*_DEFINITION, "active_from", needed=("sla", "service", "target")),
)
async def put_definition(request: Request) -> Response:
    """Define an agreement, or give one a new version; the same fields again change nothing."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        names = {"sla": "id", "window": "time_window"}
        fields = {names.get(name, name): parameters.text(name) for name in _DEFINITION if parameters.text(name)}
        wanted = msgspec.structs.replace(read_definition(fields), changed_by=principal_of(request).label)
        if parameters.text("active_from"):
            wanted = msgspec.structs.replace(wanted, active_from_ms=parameters.moment_ms("active_from"))
        found, is_new = control.store().put(wanted, parameters.now_ms)
        shown = {**_shown(found), "new": is_new}
        note_change(request, target=found.id, after=shown)
        return success(shown)

    return await _answer(request, work)


@router.delete("/api/v1/sla/definitions/{id}", openapi_extra=_ID)
async def end_definition(request: Request) -> Response:
    """End an agreement. Its versions and snapshots stay."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        ended = _shown(control.store().end(request.path_params["id"], parameters.now_ms))
        note_change(request, target=ended["id"], after=ended)
        return success(ended)

    return await _answer(request, work)


@router.get(
    "/api/v1/sla/snapshots",
    openapi_extra=documented("sla", "first_day", "last_day", "sla_format"),
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
    response_class=Response,
)
async def sla_snapshot_list(request: Request) -> Response:
    """Snapshots, the newest revision of each day, the oldest day first; as JSON or CSV."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        first, last = _days(parameters)
        found = control.store().snapshots(parameters.texts("sla"), first, last)
        form = parameters.text("sla_format", "json")
        if form == "csv":
            return Response(days_csv(found), media_type="text/csv; charset=utf-8")
        if form != "json":
            raise BadQuery(f"invalid parameter 'sla_format': {form[:40]!r} is none of json, csv")
        return success({"snapshots": found})

    return await _answer(request, work)


@router.get(
    "/api/v1/sla/snapshots/{id}/{day}",
    openapi_extra={
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in ("id", "day")
        ]
    },
)
async def revisions(request: Request) -> Response:
    """All revisions of the snapshot of a day."""

    def work(control: SlaControl, _parameters: Parameters) -> Response:
        name, day = request.path_params["id"], request.path_params["day"]
        return success({"revisions": control.store().revisions(name, day)})

    return await _answer(request, work)


@router.post(
    "/api/v1/sla/corrections", openapi_extra=documented_form("sla", "day", "reason", needed=("sla", "day", "reason"))
)
async def correct(request: Request) -> Response:
    """Compute a snapshot again from what is stored now, as a new revision with a reason."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        name, day, reason = (parameters.text(one) for one in ("sla", "day", "reason"))
        day_start_ms(day)
        revision = control.engine().correct(name, day, reason, parameters.now_ms)
        note_change(request, target=f"{name} {day}"[:200], after={"revision": revision, "reason": reason})
        return success({"revision": revision})

    return await _answer(request, work)


@router.get(
    "/api/v1/sla/report",
    openapi_extra=documented("service", "last_day", "sla", "report_period", "sla_format"),
    responses={200: {"content": {"application/json": {}, "application/pdf": {}}}},
    response_class=Response,
)
async def sla_report(request: Request) -> Response:
    """The state of every agreement in the window that ends with a day; or a month or quarter of one as PDF."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        form = parameters.text("sla_format", "json")
        if form == "pdf":
            name, period = parameters.text("sla"), parameters.text("report_period")
            return _pdf(stored_report_pdf(control.store(), name, period, parameters.now_ms, control.report_font))
        if form != "json":
            raise BadQuery(f"invalid parameter 'sla_format': {form[:40]!r} is none of json, pdf")
        service, last = parameters.text("service"), _days(parameters)[1]
        shapes = []
        for versions in control.store().definitions().values():
            one = versions[-1]
            if service and one.service != service:
                continue
            first = window_start(one.time_window, last)
            days = control.store().snapshots([one.id], first, last)
            shapes.append({**_shown(one), "first_day": first, "last_day": last, "state": window_state(one, days)})
        return success({"agreements": shapes})

    return await _answer(request, work)


@router.get("/api/v1/sla/heartbeats", openapi_extra=documented("service", "by", "last_day"))
async def sla_heartbeats(request: Request) -> Response:
    """A strip of days or hours for each service: met, missed or without data, by all agreements of it."""

    def work(control: SlaControl, parameters: Parameters) -> Response:
        service, by = parameters.text("service"), parameters.text("by", "day")
        if by not in BEATS_BY:
            raise BadQuery(f"invalid parameter 'by': {by[:40]!r} is none of {', '.join(BEATS_BY)}")
        last = _days(parameters)[1]
        shapes = []
        for name, versions in sorted(_by_service(control.store().definitions(), service).items()):
            ids = sorted({one.id for one in versions})
            days: list[dict[str, Any]] = []
            for start in range(0, len(ids), AGREEMENTS_AT_ONCE):
                part = ids[start : start + AGREEMENTS_AT_ONCE]
                days += control.store().snapshots(part, first_beat_day(last, by), last)
            beats = msgspec.to_builtins(heartbeats(versions, days, last, by))
            shapes.append({"service": name, "agreements": ids, "beats": beats})
        return success({"by": by, "last_day": last, "services": shapes})

    return await _answer(request, work)


@router.get("/api/v1/sla/verification")
async def verification(request: Request) -> Response:
    """Verify the chain of snapshots: their number, and the last hash; 500 where one was altered."""

    def work(control: SlaControl, _parameters: Parameters) -> Response:
        count, last = control.store().verify()
        return success({"snapshots": count, "last_hash": last})

    return await _answer(request, work)


def _by_service(definitions: Mapping[str, list[SlaDefinition]], service: str) -> dict[str, list[SlaDefinition]]:
    """All versions of the agreements of each service, or of one; ended agreements have no beats."""
    found: dict[str, list[SlaDefinition]] = {}
    for versions in definitions.values():
        name = versions[-1].service
        if not versions[-1].active_to_ms and service in ("", name):
            found.setdefault(name, []).extend(versions)
    return found


def _pdf(body: bytes) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="report.pdf"'}
    return Response(body, media_type="application/pdf", headers=headers)


def _shown(one: SlaDefinition) -> dict[str, Any]:
    return {name: getattr(one, name) for name in (*FILED, "version", "changed_by", "active_from_ms", "active_to_ms")}


def _days(parameters: Parameters) -> tuple[str, str]:
    """First and last day, both included: the last 30 days before today by default."""
    yesterday_ms = parameters.now_ms - DAY_MS
    last = parameters.text("last_day") or day_of(yesterday_ms)
    default = day_of(day_start_ms(last) - timedelta(days=DAYS_DEFAULT - 1) // timedelta(milliseconds=1))
    first = parameters.text("first_day") or default
    day_start_ms(first)
    return first, last


async def _answer(request: Request, work: Work) -> Response:
    api_state = api_state_of(request)

    def answer(parameters: Parameters, _allowance: Allowance) -> Response:
        try:
            return work(_control(api_state), parameters)
        except NoDefinition as error:
            return refused(404, "not_found", str(error))

    return await api_state.answer(request, answer)


def _control(api_state: ApiState) -> SlaControl:
    control = api_state.facts.sla
    if control is None:
        raise Unavailable("there are no service level agreements here; the request needs the daemon")
    return control
