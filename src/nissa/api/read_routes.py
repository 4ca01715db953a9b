"""Prometheus' remote read, so that a Prometheus or a Thanos sidecar can query Nissa.

    remote_read:
      - url: http://127.0.0.1:9471/api/v1/read

Samples are one answer, bounded by the memory of a query; chunks are a stream of any length. Series have the external
labels of the API.
"""

from collections.abc import Generator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.answer_stream import AnswerStream
from nissa.api.parameters import read_body
from nissa.api.state import ApiState, api_state_of
from nissa.codec.remote_read import (
    CHUNKS_TYPE,
    SAMPLES_TYPE,
    ReadQueries,
    compressed_response,
    frames,
    read_request,
    series_field,
)
from nissa.model.errors import BadQuery, Damaged, TooLarge
from nissa.query.external_labels import ExternalLabels
from nissa.query.limits import Allowance
from nissa.query.ordered_series import Ordered, ordered_series
from nissa.query.times import TIME_MS_MAX
from nissa.store.quarantine import Quarantined

router = APIRouter()
READ = {
    "requestBody": {"required": True, "content": {SAMPLES_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}
READ_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {SAMPLES_TYPE: {}, CHUNKS_TYPE.partition(";")[0]: {}}}
}
Pieces = Generator[bytes, None, None]


@router.post("/api/v1/read", openapi_extra=READ, responses=READ_ANSWERS, response_class=Response)
async def read(request: Request) -> Response:
    """Samples or chunks of the series of each query, as the client accepts them."""
    api_state = api_state_of(request)
    try:
        asked = read_request(await read_body(request))
    except BadQuery as error:
        return api_state.failed(error)

    def make(_body: None, allowance: Allowance) -> Pieces:
        return _streamed(api_state, asked, allowance) if asked.streamed else _sampled(api_state, asked, allowance)

    if asked.streamed:
        return AnswerStream(api_state, request, make, CHUNKS_TYPE, read=_nothing, coding="")
    return AnswerStream(api_state, request, make, SAMPLES_TYPE, read=_nothing, coding="snappy")


async def _nothing(_request: Request, _now_ms: int) -> None:
    """The body has been read."""


def _streamed(api_state: ApiState, asked: ReadQueries, allowance: Allowance) -> Pieces:
    for query in range(len(asked.queries)):
        for labels, ts_ms, value in _series(api_state, asked, query, allowance):
            yield from frames(labels, ts_ms, value, query)


def _sampled(api_state: ApiState, asked: ReadQueries, allowance: Allowance) -> Pieces:
    results: list[list[bytes]] = []
    samples, samples_max = 0, api_state.limits.query_samples_max
    for query in range(len(asked.queries)):
        results.append([])
        for labels, ts_ms, value in _series(api_state, asked, query, allowance):
            samples += len(ts_ms)
            if samples > samples_max:
                raise TooLarge("samples of a read", got=samples, limit=samples_max, setting=api_state.samples_setting)
            results[-1].append(series_field(labels, ts_ms, value))
            allowance.check(2 * len(results[-1][-1]))  # and once more, joined
    yield compressed_response(results)


def _series(
    api_state: ApiState, asked: ReadQueries, query: int, allowance: Allowance
) -> Generator[Ordered, None, None]:
    """New damage fails the answer, which has no place for a warning; what is in quarantine is left out."""
    own = asked.queries[query]
    interval_ms = own.start_ms, min(own.end_ms, TIME_MS_MAX - 1) + 1
    damages: list[Damaged] = []
    look_at = api_state.noting({})

    def note(damage: Damaged) -> None:
        if not isinstance(damage, Quarantined):
            damages.append(damage)
        look_at(damage)

    external = ExternalLabels(api_state.limits.external_labels)
    yield from ordered_series(api_state.backend, own.selector, interval_ms, allowance.check, note, external)
    if damages:
        raise damages[0]
