"""A PromQL query over HTTP: parses parameters, evaluates under the limits, and writes the answer in pieces.

query=up&time=4                            →  {"status":"success","data":{"resultType":"vector","result":[…]}}
query=up&start=0&end=600&step=30s&limit=9  →  … "matrix" …,"warnings":["results truncated due to limit"]}
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import numpy as np
import orjson

from nissa.api.envelope import TRUNCATED, missing_data
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState
from nissa.config.tree import Api
from nissa.model.errors import BadQuery, Damaged
from nissa.model.ladder import AUTO, RAW
from nissa.promql.evaluate import LOOKBACK_MS, evaluate_instant, evaluate_range
from nissa.promql.expression import Expression
from nissa.promql.format import answer_json
from nissa.promql.limits import STEPS_MAX, Limits
from nissa.promql.parse import read_expression
from nissa.promql.plan import selectors_of
from nissa.promql.range_cache import CacheRequest, World, reach_ms
from nissa.promql.stored import StoredSource
from nissa.promql.values import QueryResult, Series
from nissa.query.limits import Allowance
from nissa.query.times import read_duration, read_step
from nissa.store.arrivals import Arrivals

POINTS_MAX = 11_000  # per series, as in Prometheus
MOMENT_MS_MAX = 2**53  # times farther off are this: no sample lies there, and sums with ranges and offsets fit 64 bits
SECOND_MS = 1000.0
CELL_BYTES = 32  # of one value of a matrix while it is worked on: a few copies of a number and its mark
SAMPLE_BYTES = 24  # of a sample read: its series, time and value
THANOS_RAW = ("0", "0s")  # Thanos' names of raw
RESOLUTION_HEADER = "X-Nissa-Resolution"


class PromqlRequest(msgspec.Struct, frozen=True):
    """step_ms: 0 at one time, which is end_ms. series_max: in the answer; 0 for all.

    stats: whether they are wanted, where it is not empty; ``all`` for each step too.
    resolution: ``raw``, ``auto`` or the name of a tier.
    """

    expression: str
    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int = LOOKBACK_MS
    timeout_ms: int = 0
    series_max: int = 0
    stats: str = ""
    resolution: str = AUTO


def read_instant(parameters: Parameters) -> PromqlRequest:
    """A question at one time. Raises: BadQuery."""
    at_ms = _moment(parameters, "time") if parameters.text("time") else parameters.now_ms
    return _question(parameters, at_ms, at_ms, 0)


def read_span(parameters: Parameters) -> PromqlRequest:
    """A question over a range, of at most ``POINTS_MAX`` points per series. Raises: BadQuery."""
    start_ms, end_ms = _moment(parameters, "start"), _moment(parameters, "end")
    if end_ms < start_ms:
        raise BadQuery("invalid parameter 'end': end timestamp must not be before start time")
    step_ms = read_step(parameters.text("step"))
    if step_ms <= 0:
        what = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise BadQuery(f"invalid parameter 'step': {what}")
    if (end_ms - start_ms) // step_ms > POINTS_MAX:
        raise BadQuery(
            f"exceeded maximum resolution of {POINTS_MAX:,} points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    return _question(parameters, start_ms, end_ms, step_ms)


def answer_pieces(
    api_state: ApiState, question: PromqlRequest, allowance: Allowance, client: str, headers: dict[str, str]
) -> Generator[bytes, None, None]:
    """The whole body. Evaluates at the first ``next``; raises what evaluation raises, then nothing but what ends it.

    headers: of the answer; which rungs of the ladder it was read from is put there.
    """
    with answering(api_state, question, allowance, client, headers) as (answer, warnings):
        yield b'{"status":"success","data":'
        for piece in answer_json(answer, _stats(answer, allowance, question.stats) if question.stats else b""):
            allowance.check()
            yield piece
        yield _notes("warnings", warnings) + _notes("infos", answer.infos) + b"}"


@contextmanager
def answering(
    api_state: ApiState, question: PromqlRequest, allowance: Allowance, client: str, headers: dict[str, str]
) -> Iterator[tuple[QueryResult, list[str]]]:
    """The answer, cut to its limit of series, with its warnings. Inside, the query is one of those that run.

    headers: as of ``answer_pieces``.
    """
    if question.timeout_ms:
        allowance.shorten(question.timeout_ms)
    span_ms = question.start_ms, question.end_ms, question.step_ms
    with api_state.active.running(question.expression, span_ms, client, allowance) as active:
        damages: dict[str, Damaged] = {}
        answer = evaluated(api_state, question, allowance, damages)
        active.samples_read, active.resolutions = answer.samples_read, answer.resolutions
        if answer.resolutions:
            headers[RESOLUTION_HEADER] = ", ".join(answer.resolutions)
        answer, is_cut = limited_answer(answer, question.series_max)
        yield answer, [*answer.warnings, *missing_data(damages), *([TRUNCATED] if is_cut else [])]


def evaluated(
    api_state: ApiState, question: PromqlRequest, allowance: Allowance, damages: dict[str, Damaged]
) -> QueryResult:
    """Evaluate a PromQL request over blocks and head.

    api_state: backend and limits. question: the request. allowance: time and memory. damages: filled with each damage
    found, by path of its file.
    """
    bounds: dict[str, Any] = {
        "lookback_ms": question.lookback_ms,
        "check": allowance.check,
        "limits": query_limits(api_state.limits, api_state.samples_setting),
        "resolution": question.resolution,
        "stats": bool(question.stats),
    }
    arrivals = api_state.backend.arrivals
    mark = arrivals.mark() if arrivals is not None and question.step_ms else 0
    index, noting = api_state.backend.index, api_state.noting(damages)
    with msgspec.structs.replace(api_state.backend.snapshot(), check=allowance.check) as snapshot:
        source = StoredSource(index, snapshot, check=allowance.check, on_damage=noting)
        if not question.step_ms:
            return evaluate_instant(source, question.expression, question.end_ms, **bounds)
        expression = read_expression(question.expression)

        def evaluate(start_ms: int) -> QueryResult:
            span_ms = start_ms, question.end_ms, question.step_ms
            return evaluate_range(source, question.expression, *span_ms, expression=expression, **bounds)

        if arrivals is None or not _is_cacheable(question, expression, source):
            return evaluate(question.start_ms)
        version = snapshot.deletions, snapshot.missing
        earliest_since = partial(_earliest_since, arrivals, source, expression)
        world = World(index, source.texts, version, mark, earliest_since, source.symbol_total)
        span_ms = question.start_ms, question.end_ms, question.step_ms
        request = CacheRequest(question.expression, *span_ms, question.lookback_ms, question.resolution)
        return api_state.range_cache.answer(request, world, evaluate, allowance.check, lambda: not damages)


def _earliest_since(arrivals: Arrivals, source: StoredSource, expression: Expression, mark: int) -> int:
    """The time of the earliest row that came behind ``mark``; late rows count if the expression reads their series."""
    return arrivals.earliest_since(mark, lambda: source.series_of(selectors_of(expression)))


def _is_cacheable(question: PromqlRequest, expression: Expression, source: StoredSource) -> bool:
    """True if the range cache serves the query: it reaches no sample that has expired, and wants no statistics."""
    if question.stats or question.resolution not in (AUTO, RAW):
        return False
    before_ms = reach_ms(expression, question.lookback_ms)
    return before_ms is not None and question.start_ms - before_ms >= source.samples_from_ms


def query_limits(limits: Api, setting: str) -> Limits:
    """The bounds of an evaluation. setting: that ``limits.query_samples_max`` follows from."""
    bytes_max = limits.query_memory_bytes_max
    samples_max = bytes_max // SAMPLE_BYTES
    if limits.query_samples_max <= samples_max:
        return Limits(limits.query_samples_max, bytes_max // CELL_BYTES, STEPS_MAX, setting)
    return Limits(samples_max, bytes_max // CELL_BYTES, STEPS_MAX, "api.query_memory_size_max")


def _question(parameters: Parameters, start_ms: int, end_ms: int, step_ms: int) -> PromqlRequest:
    lookback_ms = read_duration(parameters.text("lookback_delta"), "lookback_delta", LOOKBACK_MS)
    timeout_ms = read_duration(parameters.text("timeout"), "timeout", 0)
    series_max = parameters.count("limit")
    stats = parameters.text("stats")
    expression = parameters.text("query")
    resolution = _resolution(parameters)
    return PromqlRequest(expression, start_ms, end_ms, step_ms, lookback_ms, timeout_ms, series_max, stats, resolution)


def _resolution(parameters: Parameters) -> str:
    """The name under either parameter; which tiers there are is known where it is evaluated. Raises: BadQuery."""
    name, alias = parameters.text("resolution"), parameters.text("max_source_resolution")
    alias = RAW if alias in THANOS_RAW else alias
    if name and alias and name != alias:
        raise BadQuery(f"invalid parameter 'max_source_resolution': {alias[:40]!r} beside resolution={name[:40]}")
    return name or alias or AUTO


def _moment(parameters: Parameters, name: str) -> int:
    return max(-MOMENT_MS_MAX, min(parameters.moment_ms(name), MOMENT_MS_MAX))


def limited_answer(answer: QueryResult, series_max: int) -> tuple[QueryResult, bool]:
    """The answer with its first series alone, and whether some were left out."""
    if series_max and answer.vector is not None and len(answer.vector) > series_max:
        kept = answer.vector.take(np.arange(series_max))
        return msgspec.structs.replace(answer, vector=kept), True
    if series_max and answer.samples is not None and len(answer.samples.labels) > series_max:
        samples = answer.samples
        kept_samples = Series(
            samples.labels.take(slice(0, series_max)), samples.offsets[: series_max + 1], samples.ts_ms, samples.value
        )
        return msgspec.structs.replace(answer, samples=kept_samples), True
    return answer, False


def _stats(answer: QueryResult, allowance: Allowance, which: str) -> bytes:
    """Prometheus' statistics: its names, the times that are measured here, and with ``all`` the samples by step."""
    elapsed_s = round(allowance.elapsed_s, 6)
    timings = {"evalTotalTime": elapsed_s, "innerEvalTime": elapsed_s, "execTotalTime": elapsed_s}
    timings |= {"execQueueTime": 0, "queryPreparationTime": 0, "resultSortTime": 0}
    counts = answer.samples_by_step if answer.samples_by_step is not None else np.zeros(0, np.int64)
    samples: dict[str, Any] = {"totalQueryableSamples": int(counts.sum()), "peakSamples": answer.samples_peak}
    if which == "all":
        steps = zip((answer.at_ms / SECOND_MS).tolist(), counts.tolist(), strict=True)
        samples["totalQueryableSamplesPerStep"] = [[at_s, count] for at_s, count in steps]
    return orjson.dumps({"timings": timings, "samples": samples})


def _notes(name: str, notes: list[str] | tuple[str, ...]) -> bytes:
    return b',"%s":%s' % (name.encode(), orjson.dumps(notes)) if notes else b""
