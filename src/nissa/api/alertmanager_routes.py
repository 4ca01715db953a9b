"""Routes of Alertmanager's API v2: Prometheus sends alerts to them, amtool and Grafana read them.

Answers have Alertmanager's form, without the envelope of the other routes: data as JSON, an error as a JSON text.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.alerting.notification import rfc3339_text
from nissa.alerting.posted_alerts import faults_text, read_posted_alerts, read_posted_silence
from nissa.alerting.silences import Silence
from nissa.alerting.views import AlertQuery, AlertView, AlertViews, alert_query, filter_matchers
from nissa.api.alert_control import AlertControl
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented
from nissa.api.parameters import Parameters, read_body
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery, NissaError, Unavailable

PREFIX: Final = "/api/v2"
_QUERY = documented("active", "silenced", "inhibited", "muted", "filter", "receiver")
_FILTER = documented("filter")
_ALERTS_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}},
    }
}
_SILENCE_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
_ID = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]}

Work = Callable[[AlertControl, Parameters], Awaitable[Any]]
router = APIRouter()


@router.post(f"{PREFIX}/alerts", openapi_extra=_ALERTS_BODY)
async def post_alerts(request: Request) -> Response:
    """Take alerts that fire or have resolved; they are stored when this answers 200."""

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        body = await read_body(request, control.settings.request_bytes_max, "alerting.request_size_max")
        timeout_ms = await control.look(lambda views: views.routing.resolve_timeout_ms)
        alerts, faults = read_posted_alerts(body, control.settings, timeout_ms, parameters.now_ms)
        await control.take(alerts)
        incidents = api_state_of(request).facts.incidents
        if incidents is not None:
            await asyncio.to_thread(incidents.open_for, alerts, parameters.now_ms)
        if faults:
            raise BadQuery(faults_text(faults))
        return None

    return await _answer(request, work)


@router.get(f"{PREFIX}/alerts", openapi_extra=_QUERY)
async def get_alerts(request: Request) -> Response:
    """Alerts that fire, with what mutes them and their receivers."""

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        query = _query(parameters)
        return await control.look(lambda views: [_alert(one) for one in views.alerts(query)])

    return await _answer(request, work)


@router.get(f"{PREFIX}/alerts/groups", openapi_extra=_QUERY)
async def get_alert_groups(request: Request) -> Response:
    """Groups of alerts that fire, by receiver."""

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        query = _query(parameters)

        def groups(views: AlertViews) -> Any:
            return [
                {
                    "labels": one.labels,
                    "receiver": {"name": one.receiver},
                    "alerts": [_alert(each) for each in one.alerts],
                }
                for one in views.groups(query)
            ]

        return await control.look(groups)

    return await _answer(request, work)


@router.get(f"{PREFIX}/silences", openapi_extra=_FILTER)
async def get_silences(request: Request) -> Response:
    """Silences, expired ones too until they are forgotten."""

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        matchers = filter_matchers(parameters.texts("filter"))
        now_ms = parameters.now_ms
        return await control.look(lambda views: [_silence(one, now_ms) for one in views.silences(matchers)])

    return await _answer(request, work)


@router.post(f"{PREFIX}/silences", openapi_extra=_SILENCE_BODY)
async def post_silence(request: Request) -> Response:
    """Have a silence in force: a new one, or with the id of one another form of it."""

    async def work(control: AlertControl, _parameters: Parameters) -> Any:
        body = await read_body(request)
        wanted = read_posted_silence(body)
        silence_id = await control.set_silence(wanted)
        note_change(request, target=silence_id, after=orjson.loads(body))
        return {"silenceID": silence_id}

    return await _answer(request, work)


@router.get(f"{PREFIX}/silence/{{id}}", openapi_extra=_ID)
async def get_silence(request: Request) -> Response:
    """One silence."""
    silence_id = request.path_params["id"]

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        found = await control.look(lambda views: views.silence(silence_id))
        if found is None:
            raise BadQuery(f"silence {silence_id[:80]!r} not found")
        return _silence(found, parameters.now_ms)

    return await _answer(request, work)


@router.delete(f"{PREFIX}/silence/{{id}}", openapi_extra=_ID)
async def delete_silence(request: Request) -> Response:
    """End a silence now."""
    silence_id = request.path_params["id"]

    async def work(control: AlertControl, parameters: Parameters) -> Any:
        found = await control.look(lambda views: views.silence(silence_id))
        before = None if found is None else _silence(found, parameters.now_ms)
        await control.end_silence(silence_id)
        note_change(request, target=silence_id, before=before)

    return await _answer(request, work)


@router.get(f"{PREFIX}/receivers")
async def get_receivers(request: Request) -> Response:
    """Names of the receivers."""

    async def work(control: AlertControl, _parameters: Parameters) -> Any:
        return await control.look(lambda views: [{"name": name} for name in views.routing.receivers])

    return await _answer(request, work)


@router.get(f"{PREFIX}/status")
async def get_alertmanager_status(request: Request) -> Response:
    """Version, start and configuration, without its secrets."""
    facts = api_state_of(request).facts

    async def work(control: AlertControl, _parameters: Parameters) -> Any:
        version = dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
        return {
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {**version, "version": facts.version},
            "config": {"original": await control.look(lambda views: views.routing.original)},
            "uptime": rfc3339_text(facts.started_ms),
        }

    return await _answer(request, work)


async def _answer(request: Request, work: Work) -> Response:
    api_state = api_state_of(request)
    try:
        alerting = api_state.facts.alerting
        if alerting is None:
            raise BadQuery("alerting is not configured (alerting.config_file, alerting.receivers)")
        pairs = Parameters(tuple(request.query_params.multi_items()), api_state.facts.now_ms())
        found = await work(alerting(), pairs)
        return Response(b"" if found is None else orjson.dumps(found), media_type="application/json")
    except BadQuery as error:
        api_state.failed(error)
        return _fault(404 if str(error).endswith("not found") else 400, str(error))
    except Unavailable as error:
        api_state.failed(error)
        answer = _fault(503, str(error))
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        api_state.failed(error)
        return _fault(500, str(error) if isinstance(error, NissaError) else type(error).__name__)


def _fault(code: int, text: str) -> Response:
    return Response(orjson.dumps(text), code, media_type="application/json")


def _query(parameters: Parameters) -> AlertQuery:
    states = {name: _flag(parameters, name) for name in ("active", "silenced", "inhibited", "muted")}
    return alert_query(parameters.texts("filter"), parameters.text("receiver"), **states)


def _flag(parameters: Parameters, name: str) -> bool:
    text = parameters.text(name, "true")
    if text not in ("true", "false"):
        raise BadQuery(f"invalid parameter {name!r}: expected true or false, got {text[:40]!r}")
    return text == "true"


def _alert(view: AlertView) -> dict[str, Any]:
    one = view.alert
    state = "suppressed" if view.inhibited_by or view.silenced_by or view.muted_by else "active"
    return {
        "annotations": one.annotations,
        "endsAt": rfc3339_text(one.ends_at_ms or one.updated_at_ms),
        "fingerprint": one.fingerprint,
        "receivers": [{"name": name} for name in view.receivers],
        "startsAt": rfc3339_text(one.starts_at_ms),
        "status": {
            "inhibitedBy": view.inhibited_by,
            "mutedBy": view.muted_by,
            "silencedBy": view.silenced_by,
            "state": state,
        },
        "updatedAt": rfc3339_text(one.updated_at_ms),
        "generatorURL": one.generator_url,
        "labels": one.labels,
    }


def _silence(one: Silence, now_ms: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "status": {"state": one.state(now_ms)},
        "updatedAt": rfc3339_text(one.updated_at_ms),
        "comment": one.comment,
        "createdBy": one.created_by,
        "endsAt": rfc3339_text(one.ends_at_ms),
        "matchers": [
            {"isEqual": not each.op.negated, "isRegex": each.op.by_pattern, "name": each.name, "value": each.value}
            for each in one.matchers
        ],
        "startsAt": rfc3339_text(one.starts_at_ms),
    }
