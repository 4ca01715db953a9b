"""Routes that ask for data: export, series, labels, label values, and what senders said about metrics."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.mission.documented import documented
from nissa.mission.envelope import missing_data, success
from nissa.mission.export_stream import ExportStream
from nissa.mission.parameters import Parameters
from nissa.mission.state import Mission, mission_of
from nissa.model.columns import Metadata
from nissa.model.errors import Damaged
from nissa.query.limits import Deadline
from nissa.query.series_answers import SeriesQuestion, label_names, label_sets, label_values

router = APIRouter()
EXPORT = ("match[]", "start", "end", "format", "resolution", "step", "quantiles")
TRUNCATED = "results truncated due to limit"


@router.get("/api/v1/export", openapi_extra=documented(*EXPORT))
@router.post("/api/v1/export", openapi_extra=documented(*EXPORT))
async def export_samples(request: Request) -> Response:
    """Samples of the selected series as JSON lines, CSV, Parquet or an Arrow stream, or windows of them."""
    return ExportStream(mission_of(request), request)


@router.get("/api/v1/series", openapi_extra=documented("match[]", "start", "end", "limit"))
@router.post("/api/v1/series", openapi_extra=documented("match[]", "start", "end", "limit"))
async def series(request: Request) -> Response:
    """Label sets of the selected series."""
    mission = mission_of(request)

    def work(parameters: Parameters, deadline: Deadline) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(mission, parameters, deadline, damages, needed=True)
        entries_max = min(parameters.count("limit") or mission.limits.query_series_max, mission.limits.query_series_max)
        return _limited(label_sets(mission.backend, question, entries_max + 1), entries_max, damages)

    return await mission.answer(request, work)


@router.get("/api/v1/labels", openapi_extra=documented("match[]", "start", "end", "limit"))
@router.post("/api/v1/labels", openapi_extra=documented("match[]", "start", "end", "limit"))
async def labels(request: Request) -> Response:
    """Label names of the selected series, or of all."""
    mission = mission_of(request)

    def work(parameters: Parameters, deadline: Deadline) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(mission, parameters, deadline, damages, needed=False)
        return _limited(label_names(mission.backend, question), parameters.count("limit"), damages)

    return await mission.answer(request, work)


@router.get("/api/v1/label/{name}/values", openapi_extra=documented("match[]", "start", "end", "limit"))
async def values(request: Request, name: str) -> Response:
    """Values of one label in the selected series, or in all."""
    mission = mission_of(request)

    def work(parameters: Parameters, deadline: Deadline) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(mission, parameters, deadline, damages, needed=False)
        return _limited(label_values(mission.backend, _label_name(name), question), parameters.count("limit"), damages)

    return await mission.answer(request, work)


@router.get("/api/v1/metadata", openapi_extra=documented("metric", "limit", "limit_per_metric"))
async def metadata(request: Request) -> Response:
    """Type, help and unit by metric name."""
    mission = mission_of(request)

    def work(parameters: Parameters, deadline: Deadline) -> Response:
        wanted = parameters.text("metric")
        known = [one for one in mission.backend.metadata() if not wanted or one.name == wanted]
        deadline.check()
        return success(_by_metric(known[: parameters.count("limit") or None]))

    return await mission.answer(request, work)


def _question(
    mission: Mission, parameters: Parameters, deadline: Deadline, damages: dict[str, Damaged], *, needed: bool
) -> SeriesQuestion:
    return SeriesQuestion(
        selectors=parameters.selectors(needed=needed),
        interval_ms=parameters.interval_ms(),
        samples_max=mission.limits.query_samples_max,
        check=deadline.check,
        on_damage=mission.noting(damages),
    )


def _limited(entries: list[Any], entries_max: int, damages: dict[str, Damaged]) -> Response:
    warnings = missing_data(damages)
    if entries_max and len(entries) > entries_max:
        return success(entries[:entries_max], [TRUNCATED, *warnings])
    return success(entries, warnings)


def _label_name(name: str) -> str:
    """Names of other than ASCII letters may come escaped: ``U__my_2e_dotted`` is ``my.dotted``."""
    return unescaped(name) if name.startswith("U__") else name


def unescaped(name: str) -> str:
    """Prometheus' ``U__`` escaping undone: ``__`` is ``_``, ``_2e_`` is ``.``; a name that breaks the rules stays."""
    out: list[str] = []
    rest = name[3:]
    while rest:
        head, found, rest = rest.partition("_")
        out.append(head)
        if not found:
            break
        if rest.startswith("_"):
            out.append("_")
            rest = rest[1:]
            continue
        digits, closed, rest = rest.partition("_")
        if not closed or not 1 <= len(digits) <= 6 or not set(digits) <= set("0123456789abcdefABCDEF"):
            return name
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            return name
        out.append(chr(code))
    return "".join(out)


def _by_metric(known: Sequence[Metadata]) -> dict[str, list[dict[str, str]]]:
    return {one.name: [{"type": one.type, "help": one.help, "unit": one.unit}] for one in known}
