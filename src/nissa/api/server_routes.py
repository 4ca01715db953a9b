"""Routes about the server itself, for clients of Prometheus: settings, runtime information, targets."""

import os
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from nissa.api.audit_trail import note_change
from nissa.api.documented import documented
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import NissaError
from nissa.model.secrets import hide_in_urls
from nissa.query.limits import Allowance

router = APIRouter()
RETENTION = "ladder.raw_retention"
_NO_TARGETS: dict[str, Any] = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}
_STATES = ("active", "dropped")  # any other word means both, as in Prometheus


@router.get("/api/v1/status/config")
async def config(request: Request) -> Response:
    """The settings in force as YAML; external labels also under ``global``, where clients of Prometheus look."""
    tree: dict[str, Any] = {}
    api_state = api_state_of(request)
    if api_state.limits.external_labels:
        tree["global"] = {"external_labels": api_state.limits.external_labels}
    for path, value in api_state.facts.settings.items():
        section = tree
        *heads, name = path.split(".")
        for head in heads:
            section = section.setdefault(head, {})
        section[name] = yaml.safe_load(value) if value[:1] in "[{" else value
    return success({"yaml": yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)})


@router.get("/api/v1/status/flags")
async def flags(request: Request) -> Response:
    """The settings in force by their names."""
    return success(dict(api_state_of(request).facts.settings))


@router.get("/api/v1/status/runtimeinfo")
async def runtimeinfo(request: Request) -> Response:
    """Since when and where the process runs, in Prometheus' fields; those of Go are empty."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        started = _rfc3339(api_state.facts.started_ms)
        blocks, _ = api_state.backend.status().quarantined()
        shown: dict[str, Any] = {
            "startTime": started,
            "serverTime": _rfc3339(api_state.facts.now_ms()),
            "CWD": str(Path.cwd()),
        }
        shown |= {"hostname": socket.gethostname(), **_reload_facts(api_state, started)}
        shown |= {"corruptionCount": blocks, "goroutineCount": threading.active_count()}
        shown |= {"GOMAXPROCS": os.cpu_count() or 1, "GOMEMLIMIT": 0, "GOGC": "", "GODEBUG": ""}
        return success({**shown, "storageRetention": api_state.facts.settings.get(RETENTION, "")})

    return await api_state.answer(request, work)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics of Nissa itself, as on the ingest port: a Thanos sidecar asks for them here."""
    expose = api_state_of(request).facts.expose
    if expose is None:
        return PlainTextResponse("there are no metrics here; the request needs the daemon\n", 501)
    headers, body = expose(request.headers.get("accept", ""), request.headers.get("accept-encoding", ""))
    return Response(body, headers=headers)


@router.post("/-/reload", response_class=PlainTextResponse)
@router.put("/-/reload", response_class=PlainTextResponse)
async def reload(request: Request) -> Response:
    """Read settings again that can change at run time, all or nothing; 500 with the reason where one is wrong."""
    read_again = api_state_of(request).facts.reload
    if read_again is None:
        return PlainTextResponse("nothing can be reloaded here\n", 501)
    try:
        others = await read_again()
        changed = api_state_of(request).facts.status().get("reload", {}).get("changed", {})
        before, after = ({path: pair[side] for path, pair in changed.items()} for side in (0, 1))
        note_change(request, before=before, after=after)
    except NissaError as error:
        return PlainTextResponse(f"settings are not read again: {hide_in_urls(str(error))}\n", 500)
    return PlainTextResponse(f"these settings need a restart: {', '.join(others)}\n" if others else "")


@router.get("/api/v1/targets", openapi_extra=documented("state", "scrapePool"))
async def targets(request: Request) -> Response:
    """Targets that are scraped, with their health. state: active, dropped or any. scrapePool: of this job alone."""
    found = {**_NO_TARGETS, **api_state_of(request).facts.targets()}
    state, pool = request.query_params.get("state", ""), request.query_params.get("scrapePool", "")
    for name, wanted in (("activeTargets", "active"), ("droppedTargets", "dropped")):
        kept = found[name] if state.lower() not in _STATES or state.lower() == wanted else []
        found[name] = [one for one in kept if not pool or one["scrapePool"] == pool]
    return success(found)


@router.get("/api/v1/alertmanagers")
async def alertmanagers() -> Response:
    """No Alertmanagers."""
    return success({"activeAlertmanagers": [], "droppedAlertmanagers": []})


def _reload_facts(api_state: ApiState, started: str) -> dict[str, Any]:
    """Outcome of the last reload, and the time of the last successful one."""
    facts = api_state.facts.status().get("reload", {})
    last_ms = facts.get("last_success_ms")
    return {
        "reloadConfigSuccess": bool(facts.get("successful", 1)),
        "lastConfigTime": _rfc3339(last_ms) if last_ms else started,
    }


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
