"""Routes that evaluate PromQL, and those that format or parse it."""

from collections.abc import Generator
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from nissa.api.answer_stream import AnswerStream
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import success
from nissa.api.federate import MEDIA_TYPE, federate
from nissa.api.parameters import Parameters
from nissa.api.promql_answers import answer_pieces, read_instant, read_span
from nissa.api.promql_drawings import drawing_answer
from nissa.api.state import api_state_of
from nissa.model.errors import BadQuery
from nissa.promql.parse import pretty, read_expression
from nissa.promql.syntax_tree import syntax_tree
from nissa.query.limits import Allowance

Pieces = Generator[bytes, None, None]
router = APIRouter()
COMMON = ("limit", "timeout", "lookback_delta", "stats", "resolution", "max_source_resolution")
INSTANT = ("query", "time", *COMMON)
SPAN = ("query", "start", "end", "step", *COMMON)
DRAWING = (*(name for name in SPAN if name != "stats"), "columns")
DRAWING_TYPE = "application/octet-stream"
DRAWING_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {DRAWING_TYPE: {}}}}


@router.get("/api/v1/query", openapi_extra=documented(*INSTANT, needed=("query",)))
@router.post("/api/v1/query", openapi_extra=documented_form(*INSTANT, needed=("query",)))
async def query(request: Request) -> Response:
    """The answer of an expression at one time."""
    api_state, headers = api_state_of(request), dict[str, str]()

    def make(parameters: Parameters, allowance: Allowance) -> Pieces:
        yield from answer_pieces(api_state, read_instant(parameters), allowance, client_of(request), headers)

    return AnswerStream(api_state, request, make, more_headers=headers)


@router.get("/api/v1/query_range", openapi_extra=documented(*SPAN, needed=SPAN[:4]))
@router.post("/api/v1/query_range", openapi_extra=documented_form(*SPAN, needed=SPAN[:4]))
async def query_range(request: Request) -> Response:
    """The answer of an expression at start, start + step … up to and including end."""
    api_state, headers = api_state_of(request), dict[str, str]()

    def make(parameters: Parameters, allowance: Allowance) -> Pieces:
        yield from answer_pieces(api_state, read_span(parameters), allowance, client_of(request), headers)

    return AnswerStream(api_state, request, make, more_headers=headers)


@router.get(
    "/api/v1/query_drawing",
    openapi_extra=documented(*DRAWING, needed=SPAN[:4]),
    responses=DRAWING_ANSWERS,
    response_class=Response,
)
@router.post(
    "/api/v1/query_drawing",
    openapi_extra=documented_form(*DRAWING, needed=SPAN[:4]),
    responses=DRAWING_ANSWERS,
    response_class=Response,
)
async def query_drawing(request: Request) -> Response:
    """The answer of a range query as the columns of a drawing, in binary."""
    api_state, headers = api_state_of(request), dict[str, str]()

    def make(parameters: Parameters, allowance: Allowance) -> Pieces:
        yield from drawing_answer(api_state, parameters, allowance, client_of(request), headers)

    return AnswerStream(api_state, request, make, DRAWING_TYPE, more_headers=headers)


@router.get("/federate", openapi_extra=documented("match[]", needed=("match[]",)), response_class=PlainTextResponse)
async def federate_samples(request: Request) -> Response:
    """The newest samples of the selected series as text, for a Prometheus that scrapes this."""
    api_state = api_state_of(request)

    def make(parameters: Parameters, allowance: Allowance) -> Pieces:
        yield from federate(api_state, parameters, allowance, api_state.facts.now_ms())

    return AnswerStream(api_state, request, make, MEDIA_TYPE)


@router.get("/api/v1/format_query", openapi_extra=documented("query", needed=("query",)))
@router.post("/api/v1/format_query", openapi_extra=documented_form("query", needed=("query",)))
async def format_query(request: Request) -> Response:
    """An expression as the formatter writes it."""

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        return success(pretty(parameters.text("query")))

    return await api_state_of(request).answer(request, work)


@router.get("/api/v1/parse_query", openapi_extra=documented("query", needed=("query",)))
@router.post("/api/v1/parse_query", openapi_extra=documented_form("query", needed=("query",)))
async def parse_query(request: Request) -> Response:
    """The syntax tree of an expression."""

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        try:
            return success(syntax_tree(parameters.text("query")))
        except orjson.JSONEncodeError:
            raise BadQuery("the tree of the expression is nested too deep for JSON") from None

    return await api_state_of(request).answer(request, work)


@router.get("/api/v1/query_exemplars", openapi_extra=documented("query", "start", "end", needed=("query",)))
@router.post("/api/v1/query_exemplars", openapi_extra=documented_form("query", "start", "end", needed=("query",)))
async def query_exemplars(request: Request) -> Response:
    """No exemplars: none are stored."""

    def work(parameters: Parameters, _allowance: Allowance) -> Response:
        read_expression(parameters.text("query"))
        parameters.interval_ms()
        return success([])

    return await api_state_of(request).answer(request, work)


@router.get("/api/v1/status/active_queries")
async def active_queries(request: Request) -> Response:
    """The queries under way, the longest first."""
    return success(api_state_of(request).active.shown())


def client_of(request: Request) -> str:
    """Address and port of the client."""
    return f"{request.client.host}:{request.client.port}" if request.client else ""
