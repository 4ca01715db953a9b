"""Routes of rules and alerts: Prometheus' lists, the history of transitions, acknowledgements."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.roles import Via
from nissa.api.access_control import principal_of
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.rule_control import RuleControl
from nissa.api.rule_shapes import RuleFilter, active_alerts, alert_shape, group_shape, time_of
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.limits import Allowance

ALERTS_MAX: Final = 100_000  # in one answer
HISTORY_DEFAULT: Final = 1_000
KINDS: Final = ("", "alert", "record")
RULES: Final = ("type", "rule_name[]", "rule_group[]", "file[]", "match[]", "exclude_alerts", "group_limit")
_FINGERPRINT: Final = {
    "parameters": [{"name": "fingerprint", "in": "path", "required": True, "schema": {"type": "string"}}]
}

router = APIRouter()


@router.get("/api/v1/rules", openapi_extra=documented(*RULES, "group_next_token"))
async def rules(request: Request) -> Response:
    """Rule groups, with their rules and the alerts of these."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        wanted = _filter(parameters)
        control, acknowledged = api_state.facts.rules, known_acknowledgements(api_state)
        found = [
            shape
            for evaluation, interval_ms in (control.evaluations() if control is not None else ())
            if (shape := group_shape(evaluation, interval_ms, wanted, acknowledged)) is not None
        ]
        return success(_page(found, parameters))

    return await api_state.answer(request, work)


@router.get("/api/v1/alerts")
async def alerts(request: Request) -> Response:
    """Alerts that are pending or fire."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        found = active_alert_shapes(api_state, known_acknowledgements(api_state))
        return success({"alerts": found[:ALERTS_MAX]}, ["results truncated"] if len(found) > ALERTS_MAX else None)

    return await api_state.answer(request, work)


@router.get("/api/v1/alerts/history", openapi_extra=documented("start", "end", "since", "fingerprint", "limit"))
async def alert_history(request: Request) -> Response:
    """Transitions of alerts, the newest first."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        start_ms, end_ms = parameters.interval_ms()
        limit = parameters.count("limit", HISTORY_DEFAULT)
        control, fingerprint = _control(api_state), parameters.text("fingerprint")
        key = f"alert history {parameters.pairs}"
        found, warnings = api_state.kept.ask(key, lambda: control.history(start_ms, end_ms, fingerprint, limit))
        shapes = [{**msgspec.to_builtins(one), "at": time_of(one.at_ms)} for one in found]
        return success({"transitions": shapes}, warnings)

    return await api_state.answer(request, work)


@router.post(
    "/api/alerts/{fingerprint}/ack",
    openapi_extra={**documented_form("user", "comment", needed=("user",)), **_FINGERPRINT},
)
@router.post(
    "/api/v1/alerts/{fingerprint}/acknowledge",
    openapi_extra={**documented_form("user", "comment"), **_FINGERPRINT},
)
async def acknowledge(request: Request) -> Response:
    """Note who has seen an alert that fires, until it resolves."""
    api_state, fingerprint = api_state_of(request), request.path_params["fingerprint"]

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        user, comment = _user(request, parameters), parameters.text("comment")
        found = msgspec.to_builtins(_control(api_state).acknowledge(fingerprint, user, comment))
        note_change(request, target=fingerprint, after=found)
        return success(found)

    return await api_state.answer(request, work)


def _user(request: Request, parameters: Parameters) -> str:
    """The user that sends the request; while access control is off, the one that it names."""
    principal = principal_of(request)
    return parameters.text("user") if principal.via is Via.LOOPBACK else principal.label


def active_alert_shapes(api_state: ApiState, acknowledged: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Alerts that are pending or fire. acknowledged: acknowledgements by fingerprint."""
    control = api_state.facts.rules
    return [
        alert_shape(alert, acknowledged)
        for evaluation, _ in (control.evaluations() if control is not None else ())
        for state in evaluation.states
        for alert in active_alerts(evaluation, state)
    ]


def firing_alerts(api_state: ApiState) -> list[dict[str, Any]]:
    """Alerts that fire, without acknowledgements."""
    return [one for one in active_alert_shapes(api_state, {}) if one["state"] == "firing"]


def _control(api_state: ApiState) -> RuleControl:
    if api_state.facts.rules is None:
        raise BadQuery("no rules are configured (setting rules)")
    return api_state.facts.rules


def known_acknowledgements(api_state: ApiState) -> Mapping[str, Any]:
    """Acknowledgements; none while the database does not answer, as alerts are shown all the same."""
    try:
        return api_state.facts.rules.acknowledgements() if api_state.facts.rules is not None else {}
    except Unavailable:
        return {}


def _filter(parameters: Parameters) -> RuleFilter:
    kind = parameters.text("type").lower()
    if kind not in KINDS:
        raise BadQuery(f"invalid parameter 'type': expected alert or record, got {kind[:40]!r}")
    exclude = parameters.text("exclude_alerts").lower()
    if exclude not in ("", "true", "false", "1", "0"):
        raise BadQuery(f"invalid parameter 'exclude_alerts': {exclude[:40]!r}")
    return RuleFilter(
        kind,
        frozenset(parameters.texts("rule_name[]")),
        frozenset(parameters.texts("rule_group[]")),
        frozenset(parameters.texts("file[]")),
        parameters.selectors(needed=False),
        exclude in ("true", "1"),
    )


def _page(groups: list[dict[str, Any]], parameters: Parameters) -> dict[str, Any]:
    """A page of groups, and the token of the next one where there is one."""
    limit, token = parameters.count("group_limit"), parameters.text("group_next_token")
    names = [f"{group['file']};{group['name']}" for group in groups]
    if token and not limit:
        raise BadQuery("group_limit needs to be set in order to paginate over the groups")
    if token and token not in names:
        raise BadQuery(f"invalid group_next_token {token[:100]!r}")
    start = names.index(token) if token else 0
    end = start + limit if limit else len(groups)
    page: dict[str, Any] = {"groups": groups[start:end]}
    if end < len(groups):
        page["groupNextToken"] = names[end]
    return page
