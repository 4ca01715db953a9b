"""Routes that tell how Nissa is: status, accounting, cardinality, build, health."""

import asyncio
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from nissa.mission.documented import documented
from nissa.mission.envelope import success
from nissa.mission.parameters import Parameters
from nissa.mission.state import mission_of
from nissa.model.errors import BadQuery
from nissa.model.tally import Tallies, Tally
from nissa.query.limits import Deadline
from nissa.query.tsdb_status import tsdb_status

router = APIRouter()
TSDB_ENTRIES = 10
TSDB_ENTRIES_MAX = 10_000


@router.get("/api/status")
async def status(request: Request) -> Response:
    """Durability and mode in force, queue, head, journal, blocks, series, recovery, and how busy the API is."""
    mission = mission_of(request)

    def work(_parameters: Parameters, _deadline: Deadline) -> Response:
        content = {**mission.facts, **mission.backend.status(), "queries": mission.load()}
        return Response(orjson.dumps(content, default=str), media_type="application/json")

    return await mission.answer(request, work)


@router.get("/api/v1/accounting")
async def accounting(request: Request) -> Response:
    """Per source: received = stored + duplicate + refused + quarantined + in flight, and the residue."""
    mission = mission_of(request)

    def work(_parameters: Parameters, _deadline: Deadline) -> Response:
        found = mission.backend.status().get("upkeep", {}).get("quarantine", {})
        damaged = {"blocks": found.get("blocks", 0), "rows": found.get("rows", 0)}
        return success({**balance_sheet(dict(mission.backend.accounting())), "damaged": damaged})

    return await mission.answer(request, work)


def balance_sheet(tallies: Tallies) -> dict[str, Any]:
    """Every source's balance with its residue, and their sum."""
    total = Tally()
    for tally in tallies.values():
        for field in (
            "frames",
            "malformed",
            "received",
            "stored",
            "duplicate",
            "conflicts",
            "quarantined",
            "in_flight",
        ):
            setattr(total, field, getattr(total, field) + getattr(tally, field))
        for reason, count in tally.refused.items():
            total.refuse(reason, count)
    sources = {source: _shown(tally) for source, tally in sorted(tallies.items())}
    return {"sources": sources, "total": _shown(total), "residue": total.residue}


def _shown(tally: Tally) -> dict[str, Any]:
    return {**msgspec.to_builtins(tally), "residue": tally.residue}


@router.get("/api/v1/status/tsdb", openapi_extra=documented("limit"))
async def status_tsdb(request: Request) -> Response:
    """Who uses the cardinality: series by metric name, values by label name, series by label pair."""
    mission = mission_of(request)

    def work(parameters: Parameters, _deadline: Deadline) -> Response:
        entries_max = parameters.count("limit", TSDB_ENTRIES)
        if not 1 <= entries_max <= TSDB_ENTRIES_MAX:
            raise BadQuery(f"invalid parameter 'limit': {entries_max} is not from 1 to {TSDB_ENTRIES_MAX}")
        return success(tsdb_status(mission.backend.index, entries_max, mission.backend.status()))

    return await mission.answer(request, work)


@router.get("/api/v1/status/buildinfo")
async def buildinfo(request: Request) -> Response:
    """Version. Without ``features``: Grafana would take a server that has some for Mimir."""
    mission = mission_of(request)
    empty = {"revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}
    return success({"application": "Nissa", "version": str(mission.facts.get("version", "")), **empty})


@router.get("/-/healthy")
@router.head("/-/healthy", include_in_schema=False)
async def healthy() -> Response:
    """200 while the process answers."""
    return PlainTextResponse("Nissa is Healthy.\n")


@router.get("/-/ready")
@router.head("/-/ready", include_in_schema=False)
async def ready(request: Request) -> Response:
    """200 while queries are answered; says so where only reading works."""
    mode = str((await asyncio.to_thread(mission_of(request).backend.status)).get("mode", "ready"))
    if mode not in ("ready", "read_only"):
        return PlainTextResponse(f"Nissa is not ready: {mode}.\n", 503)
    return PlainTextResponse("Nissa is Ready.\n" if mode == "ready" else "Nissa is Ready to be read only.\n")
