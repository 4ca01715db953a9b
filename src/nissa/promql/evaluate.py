"""Evaluation: an expression and a source in, a typed answer out.

    evaluate_instant(source, "sum by (job) (rate(x[5m]))", at_ms)                    ->  vector, scalar …
    evaluate_range(source, "sum by (job) (rate(x[5m]))", start_ms, end_ms, step_ms)  ->  matrix

Every part of an expression is evaluated once, for all steps: a selector becomes a matrix (series × steps), and so does
whatever is made of it. All selectors are resolved before anything is evaluated, so that one text has one symbol
through the whole query. What does not change from step to step is evaluated at one step and repeated.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from nissa._fast.windows import look_back, without_stale
from nissa.model.allowance import Check, no_check
from nissa.model.errors import BadQuery
from nissa.model.ladder import AUTO, WindowBatch
from nissa.model.matcher import Selector
from nissa.promql.absent import absent_call
from nissa.promql.aggregate import aggregate
from nissa.promql.context import Edges, EvaluationContext, Evaluator, Windows
from nissa.promql.elementwise import ELEMENTWISE, element_call, element_scalar, negated, smaller_or_larger
from nissa.promql.expression import (
    Aggregation,
    Binary,
    Call,
    Expression,
    Negate,
    Number,
    Range,
    Select,
    String,
    Subquery,
)
from nissa.promql.histogram import HISTOGRAMS, histogram_call
from nissa.promql.holding import Holding
from nissa.promql.info import info_call, info_selectors
from nissa.promql.label_functions import label_call
from nissa.promql.labels import Labels, LabelTexts
from nissa.promql.limits import LIMITS, ExecutionFailed, Limits, check_steps
from nissa.promql.match import between_vectors
from nissa.promql.notes import Notes
from nissa.promql.operators import between_scalars, with_scalar
from nissa.promql.ordering import SORTS, sort_call
from nissa.promql.parse import read_expression
from nissa.promql.plan import is_constant, select_of, selectors_of
from nissa.promql.recent import read_looking_back
from nissa.promql.rungs import Look, Rungs, Stretch, demand_of
from nissa.promql.same import merged
from nissa.promql.sample_counts import SampleCounts
from nissa.promql.slices import samples_per_slice, slices_of
from nissa.promql.source import Columns, RowColumn, SampleSource, Selected
from nissa.promql.subquery import subquery_windows
from nissa.promql.tiers import Older, numbers_for, span_of
from nissa.promql.values import (
    QueryResult,
    Scalar,
    Series,
    Steps,
    Text,
    Value,
    Vector,
    instant,
    join_vectors,
    one_row,
    repeat_steps,
    steps_between,
)
from nissa.promql.windows import RANGE_CALLS, range_call

LOOKBACK_MS = 300_000
SECOND_MS = 1000.0
SAMPLE_BYTES = 16  # a time and a value: the unit of the peak

VECTOR_CALLS: dict[str, Callable[[Evaluator, Call, EvaluationContext], Vector]] = {
    **dict.fromkeys(RANGE_CALLS, range_call),
    **dict.fromkeys(ELEMENTWISE, element_call),
    **dict.fromkeys(HISTOGRAMS, histogram_call),
    **dict.fromkeys(SORTS, sort_call),
    **dict.fromkeys(("label_replace", "label_join"), label_call),
    **dict.fromkeys(("absent", "absent_over_time"), absent_call),
    "info": info_call,
}


def evaluate_instant(
    source: SampleSource,
    text: str,
    at_ms: int,
    *,
    lookback_ms: int = LOOKBACK_MS,
    check: Check = no_check,
    limits: Limits = LIMITS,
    resolution: str = AUTO,
    stats: bool = False,
    expression: Expression | None = None,
) -> QueryResult:
    """Evaluate an expression at one time.

    source: of samples and windows. text: the expression. at_ms: Unix milliseconds. lookback_ms: maximum age of the
    sample of an instant selector. check: called between slices of work with the bytes of matrices and samples held;
    raises to cancel. limits: of steps, cells and samples. resolution: ``raw``, the name of a tier, or ``auto``
    (``rungs.py``). stats: count samples by step. expression: the text, or a part of it, parsed before.
    Raises: BadQuery (the expression), ExecutionFailed (the data), and what ``check`` raises.
    """
    expression = read_expression(text) if expression is None else expression
    edges = Edges(at_ms, at_ms, 0, lookback_ms)
    evaluation = Evaluation(source, text, expression, instant(at_ms), edges, check, limits, resolution, stats)
    return evaluation.answer(expression)


def evaluate_range(
    source: SampleSource,
    text: str,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    *,
    lookback_ms: int = LOOKBACK_MS,
    check: Check = no_check,
    limits: Limits = LIMITS,
    resolution: str = AUTO,
    stats: bool = False,
    expression: Expression | None = None,
) -> QueryResult:
    """Evaluate an expression at start_ms, start_ms + step_ms … up to and including end_ms (Unix milliseconds).

    source, text, lookback_ms, check, limits, resolution, stats, expression and errors: as for ``evaluate_instant``.
    """
    if step_ms <= 0:
        raise BadQuery("zero or negative query resolution step widths are not accepted. Try a positive integer")
    if end_ms < start_ms:
        raise BadQuery("end timestamp must not be before start time")
    expression = read_expression(text) if expression is None else expression
    if isinstance(expression, Range | Subquery | String):
        kind = "string" if isinstance(expression, String) else "range vector"
        raise BadQuery(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
    check_steps((end_ms - start_ms) // step_ms + 1, limits.steps_max)
    edges = Edges(start_ms, end_ms, step_ms, lookback_ms)
    steps = steps_between(start_ms, end_ms, step_ms)
    return Evaluation(source, text, expression, steps, edges, check, limits, resolution, stats).answer(expression)


class Evaluation:
    """One query under way: an ``Evaluator``."""

    def __init__(
        self,
        source: SampleSource,
        text: str,
        expression: Expression,
        steps: Steps,
        edges: Edges,
        check: Check,
        limits: Limits,
        resolution: str,
        stats: bool,
    ) -> None:
        self.edges = edges
        self.check = check
        self._holding = Holding(check)
        self.notes = Notes(text)
        self.samples_read = 0
        self._counts = SampleCounts(steps.count, wanted=stats)
        self._limits = limits
        self._context = EvaluationContext(steps)
        self._texts = source.texts
        self._rungs = Rungs(source, resolution, demand_of(expression, edges.step_ms), self.notes)
        self._selected: dict[Selector, Selected] = {}
        for matchers in [*selectors_of(expression), *info_selectors(expression)]:
            check()
            if matchers not in self._selected:
                self._selected[matchers] = source.select(matchers)

    @property
    def texts(self) -> LabelTexts:
        """Symbols of this query."""
        return self._texts

    # ---- the answer ----

    def answer(self, expression: Expression) -> QueryResult:
        """The whole expression."""
        at_ms = self._context.steps.at_ms
        if isinstance(expression, String):
            return self._with_notes(QueryResult("string", at_ms, text=expression.text))
        if isinstance(expression, Range | Subquery):
            windows = self.windows(expression, self._context, "")
            series = _inside(windows)
            return self._with_notes(QueryResult("matrix", at_ms, samples=series))
        value = self.value(expression, self._context)
        if isinstance(value, Vector):
            vector = merged(Vector(value.labels.named(), value.values, value.present, value.ordered)).without_empty()
            if self.edges.step_ms:
                return self._with_notes(QueryResult("matrix", at_ms, vector=vector.take(vector.labels.order())))
            return self._with_notes(QueryResult("vector", at_ms, vector=vector))
        if isinstance(value, Text):
            return self._with_notes(QueryResult("string", at_ms, text=value.text))
        if self.edges.step_ms:
            return self._with_notes(QueryResult("matrix", at_ms, vector=one_row(self.texts, value.values)))
        return self._with_notes(QueryResult("scalar", at_ms, scalar=value))

    def _with_notes(self, answer: QueryResult) -> QueryResult:
        self._rungs.note_end()
        return QueryResult(
            answer.kind,
            answer.at_ms,
            answer.scalar,
            answer.text,
            answer.vector,
            answer.samples,
            self.notes.warnings,
            self.notes.infos,
            self.samples_read,
            self._rungs.used,
            self._counts.by_step,
            self._holding.peak_bytes // SAMPLE_BYTES,
        )

    # ---- parts ----

    def value(self, expression: Expression, context: EvaluationContext) -> Value:
        """An expression that is no range."""
        self.check()
        if context.steps.count > 1 and not isinstance(expression, Number | String) and is_constant(expression):
            value = repeat_steps(self._value(expression, context.at_once()), context.steps.count)
        else:
            value = self._value(expression, context)
        if isinstance(value, Vector):
            self._holding.add(value.values, value.present)
        return value

    def _value(self, expression: Expression, context: EvaluationContext) -> Value:
        match expression:
            case Number(value=number):
                return Scalar(np.full(context.steps.count, number))
            case String(text=text):
                return Text(text)
            case Select():
                return self.select(expression, context)
            case Negate(expression=inner):
                value = self.value(inner, context)
                return Scalar(-value.values) if isinstance(value, Scalar) else negated(_vector_of(value))
            case Aggregation():
                return aggregate(self, expression, context)
            case Binary():
                return self._binary(expression, context)
            case Call():
                return self._call(expression, context)
        raise ExecutionFailed(f"a {type(expression).__name__.lower()} has no value at one time")

    def vector(self, expression: Expression, context: EvaluationContext) -> Vector:
        """An expression that gives series."""
        return _vector_of(self.value(expression, context))

    def scalar(self, expression: Expression, context: EvaluationContext) -> Scalar:
        """An expression that gives numbers."""
        value = self.value(expression, context)
        if not isinstance(value, Scalar):
            raise ExecutionFailed("expected a scalar")
        return value

    def windows(self, expression: Expression, context: EvaluationContext, function: str) -> Windows:
        """Evaluate a range selector or a subquery, without staleness markers.

        expression: the range. context: steps to evaluate. function: name of the function that reads the ranges.
        """
        if isinstance(expression, Subquery):
            with self._counts.paused():
                windows = subquery_windows(self, expression, context)
            self._counts.add_windows(windows)
            return windows
        if not isinstance(expression, Range):
            raise ExecutionFailed("expected a range")
        times = self.edges.times(expression.select.shift, context.steps)
        look = Look(times, expression.range_ms, function, expression.at)
        labels, columns, samples_from, older = self._read(expression.select, context, look)
        columns = Columns(*without_stale(columns))
        windows = Windows(labels, columns, times, expression.range_ms, samples_from, older)
        self._counts.add_windows(windows)
        return windows

    def select(self, select: Select, context: EvaluationContext, *, times: bool = False) -> Vector:
        """Evaluate an instant selector.

        select: the selector. context: steps to evaluate. times: return the times of samples in seconds as values.
        """
        parts = self.slices(select, context)
        if len(parts) > 1:
            return join_vectors(
                [self.select(select, EvaluationContext(context.steps, rows), times=times) for rows in parts]
            )
        look = Look(
            self.edges.times(select.shift, context.steps),
            self.edges.lookback_ms,
            "ts_of_last" if times else "last",
            select.at,
            is_range=False,
        )
        labels, columns, samples_from, older = self._read(select, context, look)
        values, present = look_back(columns, look.at_ms, look.reach_ms, times)
        present[:, :samples_from] = 0
        self._counts.add_present(present)
        for part in older:
            part.put(look.function, values, present)
        return Vector(labels, values, present)

    def labels_of(self, part: Select | Range) -> Labels:
        """Labels of all series that a selector means."""
        return self._selected[select_of(part).matchers].labels

    def slices(self, part: Select | Range, context: EvaluationContext) -> list[tuple[int, int]]:
        """Series of a selector that are evaluated at a time."""
        select = select_of(part)
        selected = self._selected[select.matchers]
        if context.rows is not None or len(selected.labels) < 2:
            return [context.rows or (0, len(selected.labels))]
        reach_ms = part.range_ms if isinstance(part, Range) else self.edges.lookback_ms
        start_ms, end_ms = _span_ms(self.edges.times(select.shift, context.steps), reach_ms)
        samples_max = self._limits.samples_max
        expected = selected.expected(start_ms, end_ms, samples_per_slice(samples_max))
        return slices_of(context.steps.count, expected, samples_max)

    def _read(
        self, select: Select, context: EvaluationContext, look: Look
    ) -> tuple[Labels, Columns, int, tuple[Older, ...]]:
        """Labels, samples, the first step that samples answer, and what tiers answer before it."""
        selected = self._selected[select.matchers]
        first, last = context.rows or (0, len(selected.labels))
        self._limits.check_cells((last - first) * context.steps.count)
        plan = self._rungs.plan(selected, (first, last), look)
        older = tuple(self._older(selected, (first, last), stretch, look) for stretch in plan.stretches)
        at_ms = look.at_ms[plan.samples_from :]
        if look.is_range:
            columns = selected.read(slice(first, last), *_span_ms(at_ms, look.reach_ms))
        else:
            columns = read_looking_back(selected, first, last, at_ms, look.reach_ms)
        self._count(len(columns.ts_ms), columns.ts_ms, columns.value)
        return selected.labels.take(slice(first, last)), columns, plan.samples_from, older

    def _older(self, selected: Selected, rows: tuple[int, int], stretch: Stretch, look: Look) -> Older:
        """Windows of a tier for some steps; those with sketches are read when they are used."""
        at_ms, rung = look.at_ms[stretch.first : stretch.last], stretch.rung
        span_ms = span_of(look.function, at_ms, look.reach_ms, rung.interval_ms)
        own = stretch.rows + rows[0]
        whole = None if len(own) == rows[1] - rows[0] else stretch.rows
        older = Older(whole, stretch.first, stretch.last, at_ms, look.reach_ms, rung.interval_ms)
        if look.function == "quantile":
            return msgspec.structs.replace(older, sketches=lambda: self._sketches(selected, own, rung.name, span_ms))
        columns = selected.read_tier(own, rung.name, *span_ms, numbers_for(look.function))
        self._count(len(columns.start_ms), *columns.keys, *columns.numbers.values())
        return msgspec.structs.replace(older, columns=columns)

    def _sketches(
        self, selected: Selected, rows: RowColumn, tier: str, span_ms: tuple[int, int]
    ) -> Iterator[WindowBatch]:
        for batch in selected.read_sketches(rows, tier, *span_ms):
            self.check()
            self._count(len(batch))
            yield batch

    def _count(self, rows: int, *arrays: np.ndarray) -> None:
        """Note samples or windows that were read, and the arrays they are held in."""
        self.samples_read += rows
        self._limits.check_samples(rows)
        self._holding.add(*arrays)

    def _binary(self, binary: Binary, context: EvaluationContext) -> Value:
        """A chain of operators leans to the left; it is walked without recursion."""
        chain = [binary]
        while isinstance(chain[-1].left, Binary):
            chain.append(chain[-1].left)
        value = self.value(chain[-1].left, context)
        for link in reversed(chain):
            right = self.value(link.right, context)
            if isinstance(value, Scalar) and isinstance(right, Scalar):
                value = between_scalars(link, value, right)
            elif isinstance(value, Scalar):
                value = with_scalar(link, _vector_of(right), value, swapped=True)
            elif isinstance(right, Scalar):
                value = with_scalar(link, _vector_of(value), right, swapped=False)
            else:
                value = between_vectors(link, _vector_of(value), _vector_of(right))
        return value

    def _call(self, call: Call, context: EvaluationContext) -> Value:
        function = VECTOR_CALLS.get(call.name)
        if function is not None:
            return function(self, call, context)
        match call.name:
            case "timestamp":
                return self._timestamp(call.arguments[0], context)
            case "vector":
                return one_row(self.texts, self.scalar(call.arguments[0], context).values)
            case "scalar":
                return _only(self.vector(call.arguments[0], context))
            case "min_of" | "max_of":
                numbers = [self.scalar(argument, context) for argument in call.arguments]
                return smaller_or_larger(call.name, *numbers)
            case "start" | "end" | "step" | "range":
                return Scalar(np.full(context.steps.count, self.edges.number(call.name)))
            case "time" | "pi":
                return element_scalar(call, context)
        raise ExecutionFailed(f"the function {call.name} is not supported")

    def _timestamp(self, argument: Expression, context: EvaluationContext) -> Vector:
        """Times of samples for a selector; the time of evaluation for any other argument."""
        if isinstance(argument, Select):
            found = self.select(argument, context, times=True)
        else:
            vector = self.vector(argument, context)
            times = np.broadcast_to(context.steps.at_ms / SECOND_MS, vector.values.shape)
            found = Vector(vector.labels, np.ascontiguousarray(times), vector.present)
        return Vector(found.labels.marked(), found.values, found.present)


def _span_ms(at_ms: np.ndarray, reach_ms: int) -> tuple[int, int]:
    """Times of the samples that steps reach, as [start, end)."""
    return (int(at_ms[0]) - reach_ms + 1, int(at_ms[-1]) + 1) if len(at_ms) else (0, 0)


def _vector_of(value: Value) -> Vector:
    if not isinstance(value, Vector):
        raise ExecutionFailed("expected a vector")
    return value


def _only(vector: Vector) -> Scalar:
    """The value of a vector of one series, NaN where it has none or several."""
    single = vector.present.sum(axis=0, dtype=np.int64) == 1
    values = np.where(vector.present != 0, vector.values, 0.0).sum(axis=0)
    return Scalar(np.where(single, values, np.nan))


def _inside(windows: Windows) -> Series:
    """The samples of one window, of the series that have some."""
    after_ms, until_ms = int(windows.at_ms[0]) - windows.range_ms, int(windows.at_ms[0])
    columns = windows.columns
    inside = (columns.ts_ms > after_ms) & (columns.ts_ms <= until_ms)
    counts = (
        np.add.reduceat(np.append(inside, False), columns.offsets[:-1]) if len(columns.offsets) > 1 else np.empty(0)
    )
    counts = np.where(np.diff(columns.offsets) > 0, counts, 0).astype(np.int64)
    kept = np.flatnonzero(counts)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[kept])])
    labels = windows.labels.take(kept).named()
    return Series(labels, offsets, columns.ts_ms[inside], columns.value[inside])
