"""Routes for data: export, series, labels, label values, and metadata."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented, documented_form
from nissa.api.envelope import TRUNCATED, missing_data, success
from nissa.api.export_stream import ExportStream
from nissa.api.parameters import INTEGER_MAX, Parameters
from nissa.api.state import ApiState, api_state_of
from nissa.model.allowance import PAIR_BYTES
from nissa.model.errors import Damaged
from nissa.query.export_form import ExportForm
from nissa.query.limits import Allowance
from nissa.query.series_answers import SeriesRequest, label_names, label_sets, label_values

router = APIRouter()
EXPORT = ("match[]", "start", "end", "since", "format", "resolution", "step", "quantiles", "stale")
EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {form.media_type: {} for form in ExportForm}}}
SERIES = ("match[]", "start", "end", "since", "limit")
METADATA_BYTES = 4 * PAIR_BYTES  # of one metric's entry, without its characters


@router.get("/api/v1/export", openapi_extra=documented(*EXPORT, needed=("match[]",)), responses=EXPORTED)
@router.post("/api/v1/export", openapi_extra=documented_form(*EXPORT, needed=("match[]",)), responses=EXPORTED)
async def export_samples(request: Request) -> Response:
    """Samples of the selected series as JSON lines, CSV, Parquet or an Arrow stream, or windows of them."""
    return ExportStream(api_state_of(request), request)


@router.get("/api/v1/series", openapi_extra=documented(*SERIES, needed=("match[]",)))
@router.post("/api/v1/series", openapi_extra=documented_form(*SERIES, needed=("match[]",)))
async def series(request: Request) -> Response:
    """Label sets of the selected series."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(api_state, parameters, allowance, damages, needed=True)
        entries_max = min(
            parameters.count("limit") or api_state.limits.query_series_max, api_state.limits.query_series_max
        )
        return _limited(label_sets(api_state.backend, question, entries_max + 1), entries_max, damages)

    return await api_state.answer(request, work)


@router.get("/api/v1/labels", openapi_extra=documented(*SERIES))
@router.post("/api/v1/labels", openapi_extra=documented_form(*SERIES))
async def labels(request: Request) -> Response:
    """Label names of the selected series, or of all."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(api_state, parameters, allowance, damages, needed=False)
        return _limited(label_names(api_state.backend, question), parameters.count("limit"), damages)

    return await api_state.answer(request, work)


@router.get("/api/v1/label/{name}/values", openapi_extra=documented(*SERIES))
async def values(request: Request, name: str) -> Response:
    """Values of one label in the selected series, or in all."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        damages: dict[str, Damaged] = {}
        question = _question(api_state, parameters, allowance, damages, needed=False)
        return _limited(
            label_values(api_state.backend, _label_name(name), question), parameters.count("limit"), damages
        )

    return await api_state.answer(request, work)


@router.get("/api/v1/metadata", openapi_extra=documented("metric", "limit", "limit_per_metric"))
async def metadata(request: Request) -> Response:
    """Type, help and unit by metric name."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        wanted, entries_max = parameters.text("metric"), parameters.count("limit", INTEGER_MAX)
        parameters.count("limit_per_metric")  # there is one entry per metric
        found: dict[str, list[dict[str, str]]] = {}
        for one in api_state.backend.metadata():
            if len(found) >= entries_max:
                break
            if not wanted or one.name == wanted:
                allowance.check(METADATA_BYTES + len(one.name) + len(one.type) + len(one.help) + len(one.unit))
                found[one.name] = [{"type": one.type, "help": one.help, "unit": one.unit}]
        return success(found)

    return await api_state.answer(request, work)


def _question(
    api_state: ApiState, parameters: Parameters, allowance: Allowance, damages: dict[str, Damaged], *, needed: bool
) -> SeriesRequest:
    return SeriesRequest(
        selectors=parameters.selectors(needed=needed),
        interval_ms=parameters.interval_ms(),
        samples_max=api_state.limits.query_samples_max,
        check=allowance.check,
        on_damage=api_state.noting(damages),
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
