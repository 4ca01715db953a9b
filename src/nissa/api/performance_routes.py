"""Routes of performance: services with their requests, one service with its routes, and forecasts of limits."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented
from nissa.api.envelope import missing_data, success
from nissa.api.parameters import Parameters
from nissa.api.performance_queries import WINDOWS, Compared, PerformanceQueries, graphs_of, shown_numbers
from nissa.api.state import ApiState, api_state_of
from nissa.config.performance import CapacityLimit
from nissa.model.errors import BadQuery, NissaError
from nissa.model.units import DAY_MS
from nissa.query.limits import Allowance
from nissa.query.times import read_duration
from nissa.tiers.capacity import capacity_trend
from nissa.tiers.performance import TOTAL, Key, request_moves

SINCE_MS: Final = 30 * DAY_MS
NAME_CHARACTERS_MAX: Final = 200
CUT: Final = "not all routes are shown (performance.routes_max)"

router = APIRouter()


@router.get("/api/v1/performance/services", openapi_extra=documented("over", "against"))
async def performance_services(request: Request) -> Response:
    """Rate, errors and durations of every service, in the window that ends now and the one before; what moved most."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        queries = PerformanceQueries(api_state, allowance, parameters.now_ms)
        over, against = parameters.text("over", "1d"), parameters.text("against", "previous")
        found = queries.compare(over, against)
        keys = sorted(key for key in found.now.keys() | found.before.keys() if key[2] == TOTAL)
        named = {key[0] for key in keys}
        content = {
            **_asked(over, against),
            "services": [
                *(_pair(found, key) for key in keys),
                *(_without_requests(name) for name in _rolled_up(api_state) if name not in named),
            ],
            "moves": _moves(api_state, found),
        }
        return success(content, _notes(found))

    return await api_state.answer(request, work)


@router.get("/api/v1/performance/service", openapi_extra=documented("service", "over", "against", needed=("service",)))
async def performance_service(request: Request) -> Response:
    """One service: its requests as a whole and by route, what moved, and expressions to draw."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        service = parameters.text("service")
        if not 0 < len(service) <= NAME_CHARACTERS_MAX:
            raise BadQuery(f"invalid parameter 'service': expected 1 to {NAME_CHARACTERS_MAX} characters")
        queries = PerformanceQueries(api_state, allowance, parameters.now_ms)
        over, against = parameters.text("over", "1d"), parameters.text("against", "previous")
        found = queries.compare(over, against, service)
        keys = sorted(found.now.keys() | found.before.keys())
        known = {one.histogram: one for one in api_state.facts.performance.requests}
        label = found.labels.get(service, "")
        content = {
            **_asked(over, against),
            "service": service,
            "requests": [
                {**_pair(found, key), "graphs": graphs_of(known[key[1]], label, service, over)}
                for key in keys
                if key[2] == TOTAL
            ],
            "routes": [_pair(found, key) for key in keys if key[2] != TOTAL],
            "moves": _moves(api_state, found),
        }
        return success(content, _notes(found))

    return await api_state.answer(request, work)


@router.get(
    "/api/v1/performance/capacity", openapi_extra=documented("service", "query", "limit_value", "falls", "since")
)
async def performance_capacity(request: Request) -> Response:
    """Forecasts of configured limits, or of one expression with its limit: when it is reached."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        queries = PerformanceQueries(api_state, allowance, parameters.now_ms)
        since_ms = read_duration(parameters.text("since"), "since", SINCE_MS)
        if parameters.text("query"):
            wanted = [_given(parameters)]
        else:
            service = parameters.text("service")
            wanted = [one for one in api_state.facts.performance.limits if not service or one.service == service]
        shapes = [_forecast(queries, one, since_ms, parameters.now_ms) for one in wanted]
        return success({"since_ms": since_ms, "limits": shapes}, missing_data(queries.damages))

    return await api_state.answer(request, work)


def _asked(over: str, against: str) -> dict[str, Any]:
    return {"over": over, "over_ms": WINDOWS[over], "against": against}


def _pair(found: Compared, key: Key) -> dict[str, Any]:
    service, histogram, route = key
    numbers = {"now": shown_numbers(found.now.get(key)), "before": shown_numbers(found.before.get(key))}
    return {"service": service, "histogram": histogram, "route": route, **numbers}


def _without_requests(service: str) -> dict[str, Any]:
    """A service that rollups name, and no histogram."""
    return {"service": service, "histogram": "", "route": TOTAL, "now": None, "before": None}


def _moves(api_state: ApiState, found: Compared) -> list[dict[str, Any]]:
    shapes = msgspec.to_builtins(request_moves(found.now, found.before, api_state.facts.performance.requests_min))
    return list(shapes)


def _rolled_up(api_state: ApiState) -> Iterable[str]:
    """Services that Silver knows; none where it does not answer: the rest is there all the same."""
    if api_state.facts.silver is None or api_state.facts.database is None:
        return ()
    try:
        return api_state.facts.silver.silver().services()
    except NissaError:
        return ()


def _given(parameters: Parameters) -> CapacityLimit:
    try:
        limit = float(parameters.text("limit_value"))
    except ValueError:
        raise BadQuery(f"invalid parameter 'limit_value': {parameters.text('limit_value')[:40]!r}") from None
    query, falls = parameters.text("query"), parameters.text("falls") == "true"
    return CapacityLimit(query[:NAME_CHARACTERS_MAX], query, limit, parameters.text("service"), falls)


def _forecast(queries: PerformanceQueries, one: CapacityLimit, since_ms: int, now_ms: int) -> dict[str, Any]:
    shown: dict[str, Any] = {**msgspec.to_builtins(one), "error": "", "trend": None}
    try:
        points, step_ms = queries.points(one.query, since_ms)
    except NissaError as error:  # the other limits are there all the same
        return {**shown, "error": str(error)[:500]}
    trend = capacity_trend(points, step_ms, now_ms, one.limit, falls=one.falls)
    return {**shown, "trend": msgspec.to_builtins(trend)}


def _notes(found: Compared) -> list[str]:
    return [*missing_data(found.damages), *([CUT] if found.cut else [])]
