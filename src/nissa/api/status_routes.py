"""Routes for status, accounting, cardinality, build and health."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from nissa.api.documented import documented
from nissa.api.envelope import success
from nissa.api.parameters import Parameters
from nissa.api.rule_routes import firing_alerts
from nissa.api.state import api_state_of
from nissa.model.counters import Counters, Tallies
from nissa.model.errors import BadQuery
from nissa.query.limits import Allowance
from nissa.query.tsdb_status import tsdb_status

router = APIRouter()
TSDB_ENTRIES = 10
TSDB_ENTRIES_MAX = 10_000


@router.get("/api/status")
async def status(request: Request) -> Response:
    """Durability and mode in force, queue, head, journal, blocks, series, recovery, sources, sinks, load of the API."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        facts = api_state.facts
        content = {"version": facts.version, **api_state.backend.status().facts()}
        content |= {"sources": {}, **facts.api_counts.facts(), **facts.status(), "queries": api_state.load()}
        content["active_alerts"] = len(firing_alerts(api_state))
        return Response(orjson.dumps(content, default=str), media_type="application/json")

    return await api_state.answer(request, work)


@router.get("/api/v1/accounting")
async def accounting(request: Request) -> Response:
    """Per source: received = stored + duplicate + refused + in flight, and what is unaccounted. Per sink: samples =
    delivered + filtered + dead."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, _allowance: Allowance) -> Response:
        blocks, rows = api_state.backend.status().quarantined()
        sinks = sink_balances(api_state.facts.status().get("sinks", {}))
        damaged = {"blocks": blocks, "rows": rows}
        shed = api_state.facts.status().get("safeguards", {}).get("shed", {})
        sheet = balance_sheet(dict(api_state.backend.accounting()))
        return success({**sheet, "damaged": damaged, "sinks": sinks, "shed_frames": shed})

    return await api_state.answer(request, work)


def sink_balances(sinks: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Balance of every sink: samples up to its cursor by outcome, and frames that are lost or not sent yet."""
    names = ("samples", "delivered", "filtered", "dead", "frames", "lost_frames", "backlog_frames")
    found = {sink: {name: facts[name] for name in names} for sink, facts in sinks.items() if "samples" in facts}
    for counts in found.values():
        counts["unaccounted"] = counts["samples"] - counts["delivered"] - counts["filtered"] - counts["dead"]
    return found


def balance_sheet(tallies: Tallies) -> dict[str, Any]:
    """Counters of every source, and their sum."""
    total = Counters()
    for counters in tallies.values():
        for field in (
            "frames",
            "malformed",
            "received",
            "stored",
            "duplicate",
            "conflicts",
            "in_flight",
        ):
            setattr(total, field, getattr(total, field) + getattr(counters, field))
        for reason, count in counters.refused.items():
            total.refuse(reason, count)
    sources = {source: _shown(counters) for source, counters in sorted(tallies.items())}
    unaccounted = {"unaccounted": total.unaccounted, "residue": total.unaccounted}
    return {"sources": sources, "total": _shown(total), **unaccounted}


def _shown(counters: Counters) -> dict[str, Any]:
    # residue: the former name, removed in 0.2
    return {**msgspec.to_builtins(counters), "unaccounted": counters.unaccounted, "residue": counters.unaccounted}


@router.get("/api/v1/status/tsdb", openapi_extra=documented("limit"))
async def status_tsdb(request: Request) -> Response:
    """Cardinality: series by metric name, values by label name, series by label pair."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        entries_max = read_entries_max(parameters)
        status = api_state.backend.status()
        return success(tsdb_status(api_state.backend.index, entries_max, status, allowance.check))

    return await api_state.answer(request, work)


def read_entries_max(parameters: Parameters) -> int:
    """Entries per list of statistics, by ``limit``. Raises: BadQuery."""
    entries_max = parameters.count("limit", TSDB_ENTRIES)
    if not 1 <= entries_max <= TSDB_ENTRIES_MAX:
        raise BadQuery(f"invalid parameter 'limit': {entries_max} is not from 1 to {TSDB_ENTRIES_MAX}")
    return entries_max


@router.get("/api/v1/status/buildinfo")
async def buildinfo(request: Request) -> Response:
    """Version. Without ``features``: Grafana would take a server that has some for Mimir."""
    api_state = api_state_of(request)
    empty = {"revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}
    return success({"application": "Nissa", "version": api_state.facts.version, **empty})


@router.get("/-/healthy", response_class=PlainTextResponse)
async def healthy() -> Response:
    """200 while the process answers."""
    return PlainTextResponse("Nissa is Healthy.\n")


@router.get("/-/ready", response_class=PlainTextResponse)
async def ready(request: Request) -> Response:
    """200 while queries are answered; names sources that are not up, and says where only reading works. 503 while a
    worker makes no progress."""
    status = await asyncio.to_thread(api_state_of(request).backend.status)
    if status.mode not in ("ready", "read_only"):
        reason = f" ({status.reason})" if status.reason else ""
        return PlainTextResponse(f"Nissa is not ready: {status.mode}{reason}.\n", 503)
    missing = "".join(f"Source is not up: {line}\n" for line in api_state_of(request).facts.missing())
    first = "Nissa is Ready.\n" if status.mode == "ready" else "Nissa is Ready to be read only.\n"
    return PlainTextResponse(first + missing)
