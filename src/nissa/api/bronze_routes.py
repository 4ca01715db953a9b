"""Routes of the Bronze tier: entries, page by page; logs and telemetry of applications without a client.

    POST /api/logs/ingest   {"level": "ERROR", "message": "…", "context": {…}}
    POST /api/telemetry     {"service_id": "shop", "logs": [line, …], "metrics": [{"name": …, "value": 1, "tags": {…}}]}

202 once what was sent is durable. Secrets are taken out before anything is journaled.
"""

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from limits import RateLimitItemPerMinute
from starlette.requests import Request
from starlette.responses import Response

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.api.access_control import principal_of
from nissa.api.documented import documented
from nissa.api.envelope import missing_data, refused, success
from nissa.api.facts import AppIntake
from nissa.api.forwarded import neighbourhood
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.config.bronze import BronzeSettings
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.model.matcher import NAME_LABEL
from nissa.query.events import LIMIT_MAX, EventRequest, Position, read_cursor, read_order, read_page
from nissa.query.limits import Allowance
from nissa.tiers.bronze import BronzeEntry, Int64, LatencyLimits, LogLine, log_entry, log_event

PAGE_EVENTS: Final = 1_000
LIMIT_DEFAULT: Final = 100
WAIT_S: Final = 60
LINES_MAX: Final = 1_000
METRICS_MAX: Final = 10_000
TAGS_MAX: Final = 32
_NAMES: Final = ("service", "log_level", "trace_id", "q", "start", "end", "since", "limit", "cursor", "order")


class TelemetryMetric(msgspec.Struct, frozen=True):
    """One sample. timestamp_ms: 0 for now."""

    name: str
    value: float
    tags: dict[str, str] = {}
    timestamp_ms: Int64 = 0


class TelemetryBody(msgspec.Struct, frozen=True):
    """Body of ``/api/telemetry``."""

    service_id: str = ""
    logs: list[LogLine] = []
    metrics: list[TelemetryMetric] = []


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_LINE: Final = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
router = APIRouter()


@router.get("/api/v1/bronze", openapi_extra=documented(*_NAMES))
async def bronze_entries(request: Request) -> Response:
    """One page of errors and slow requests, the newest first by default, and where the next one begins."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        settings = _apps(api_state).settings
        damages: dict[str, Damaged] = {}
        entries, cursor, complete = _page(api_state, settings, parameters, allowance, damages)
        shown = {"entries": msgspec.to_builtins(entries), "cursor": None if complete else str(cursor)}
        return success({**shown, "complete": complete}, missing_data(damages))

    return await api_state.answer(request, work)


@router.post("/api/logs/ingest", status_code=202, openapi_extra=_body(_LINE))
async def ingest_log(request: Request) -> Response:
    """Take one line of an application's log."""
    api_state = api_state_of(request)
    try:
        apps = _apps(api_state)
        settings = apps.settings
        over = _over_limit(request, settings.logs_per_minute_max, "bronze.logs_per_minute_max")
        if over is not None:
            return over
        body = await _read(request, settings.log_bytes_max)
        if body is None:
            return _too_large(settings.log_bytes_max, "bronze.log_size_max")
        line = _decoded(body, LogLine)
        await apps.events([log_event(line, apps.redaction, api_state.facts.now_ms())])
        return _accepted({"logs": 1})
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


@router.post("/api/telemetry", status_code=202, openapi_extra=_body({"type": "object"}))
async def ingest_telemetry_body(request: Request) -> Response:
    """Take log lines and samples of an application."""
    api_state = api_state_of(request)
    try:
        apps = _apps(api_state)
        settings = apps.settings
        over = _over_limit(request, settings.telemetry_per_minute_max, "bronze.telemetry_per_minute_max")
        if over is not None:
            return over
        body = await _read(request, settings.telemetry_bytes_max)
        if body is None:
            return _too_large(settings.telemetry_bytes_max, "bronze.telemetry_size_max")
        found = _decoded(body, TelemetryBody)
        if len(found.logs) > LINES_MAX or len(found.metrics) > METRICS_MAX:
            raise BadQuery(f"telemetry: over the limit of {LINES_MAX} logs and {METRICS_MAX} metrics")
        await _ingest(apps, found, api_state.facts.now_ms())
        return _accepted({"logs": len(found.logs), "metrics": len(found.metrics)})
    except Exception as error:  # the edge: every failure becomes an answer, and is counted
        return api_state.failed(error)


async def _ingest(apps: AppIntake, body: TelemetryBody, now_ms: int) -> None:
    lines = [msgspec.structs.replace(line, service_id=line.service_id or body.service_id) for line in body.logs]
    events = [log_event(line, apps.redaction, now_ms) for line in lines]
    samples = _samples(body, now_ms)
    if events:
        await apps.events(events)
    if body.metrics:
        await apps.samples(samples)


def _samples(body: TelemetryBody, now_ms: int) -> bytes:
    request = WriteRequest()
    for metric in body.metrics:
        if len(metric.tags) > TAGS_MAX:
            raise BadQuery(f"telemetry: {metric.name[:100]!r} has more than {TAGS_MAX} tags")
        name = metric.name.replace(".", "_").replace("-", "_")
        labels = {**({"service": body.service_id} if body.service_id else {}), **metric.tags, NAME_LABEL: name}
        series = request.timeseries.add()
        for label in sorted(labels):
            if labels[label]:
                series.labels.add(name=label.replace(".", "_"), value=labels[label])
        series.samples.add(value=metric.value, timestamp=metric.timestamp_ms or now_ms)
    return request.SerializeToString()


def _page(
    api_state: ApiState,
    settings: BronzeSettings,
    parameters: Parameters,
    allowance: Allowance,
    damages: dict[str, Damaged],
) -> tuple[list[BronzeEntry], Position | None, bool]:
    """Entries, where the next page begins, and whether that was all."""
    limit = parameters.count("limit", LIMIT_DEFAULT) or LIMIT_DEFAULT
    if limit > LIMIT_MAX:
        raise BadQuery(f"invalid parameter 'limit': expected 1 to {LIMIT_MAX}, got {limit}")
    start_ms, end_ms = parameters.interval_ms()
    cursor = read_cursor(parameters.text("cursor")) if parameters.text("cursor") else None
    newest_first = not parameters.text("order") or read_order(parameters.text("order"))
    asked = EventRequest(start_ms, end_ms, text=parameters.text("q"), newest_first=newest_first, cursor=cursor)
    limits = LatencyLimits(settings.latency_ms_max, {one.service: one.latency_ms_max for one in settings.services})
    wanted = {name: parameters.text(name) for name in ("service", "log_level", "trace_id")}
    snapshot, note = api_state.backend.event_snapshot(), api_state.noting(damages)
    found: list[BronzeEntry] = []
    for _ in range(max(settings.scan_events_max // PAGE_EVENTS, 1)):
        page_asked = msgspec.structs.replace(asked, cursor=cursor, limit=PAGE_EVENTS)
        page = read_page(snapshot, page_asked, allowance.check, note)
        for place, event in enumerate(page.events):
            entry = log_entry(event, limits)
            if entry is None or not _fits(entry, wanted):
                continue
            found.append(entry)
            if len(found) == limit and place + 1 < len(page.events):
                exact = msgspec.structs.replace(page_asked, limit=place + 1)
                return found, read_page(snapshot, exact, allowance.check, note).cursor, False
        cursor = page.cursor
        if page.complete or len(found) == limit:
            return found, cursor, page.complete
    return found, cursor, False


def _fits(entry: BronzeEntry, wanted: dict[str, str]) -> bool:
    has = {"service": entry.service_id, "log_level": entry.level, "trace_id": entry.trace_id}
    return all(not value or has[name] == value for name, value in wanted.items())


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(f"body: {error}"[:500]) from None


async def _read(request: Request, bytes_max: int) -> bytes | None:
    """The body; None where it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return bytes(body)


def _over_limit(request: Request, limit: int, setting: str) -> Response | None:
    sender = f"{setting} {principal_of(request).label} {neighbourhood(request.scope)}"
    if not limit or request.app.state.event_limit.hit(RateLimitItemPerMinute(limit), sender):
        return None
    return refused(429, "too_many_requests", f"more than {limit} requests in a minute ({setting})", WAIT_S)


def _too_large(bytes_max: int, setting: str) -> Response:
    return refused(413, "bad_data", f"body is over the limit of {bytes_max} bytes ({setting})")


def _accepted(counts: dict[str, int]) -> Response:
    answer = success({"accepted": counts})
    answer.status_code = 202
    return answer


def _apps(api_state: ApiState) -> AppIntake:
    apps = api_state.facts.apps
    if apps is None:
        raise Unavailable("this data directory is only read here; the request needs the daemon that writes it")
    return apps
