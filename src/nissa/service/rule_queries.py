"""Answers of the evaluator as rules want them: series with their labels as texts. Offers ``rules.queries.Queries``.

sum by (job) (rate(x[5m])) > 5        the left side is evaluated once for all rules of a group that have it,
sum by (job) (rate(x[5m])) > 9        and compared with the number of each
sum by (job) (rate(y[5m])) > 9        those of other metrics are evaluated together with it (``promql/alike.py``)

Where rules that are evaluated together fail, each is evaluated by itself, and they are divided for the next time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from nissa.model.allowance import Check, no_check
from nissa.model.errors import BadQuery, NissaError
from nissa.model.matcher import NAME_LABEL, MatchOp
from nissa.promql.alike import Metrics, OwnRows, common_shape, evaluate_alike
from nissa.promql.evaluate import evaluate_instant
from nissa.promql.expression import Binary, Expression, Number, is_scalar
from nissa.promql.info import info_selectors
from nissa.promql.limits import LIMITS, ExecutionFailed, Limits
from nissa.promql.operators import COMPARE
from nissa.promql.parse import read_expression
from nissa.promql.plan import selectors_of
from nissa.promql.source import SampleSource
from nissa.promql.values import QueryResult
from nissa.query.events import EventRequest, read_page
from nissa.rules.event_match import AlertingEvents, count_events
from nissa.rules.queries import RuleSample
from nissa.store.event_runs import EventSnapshot

NAMES_CACHED_MAX: Final = 65_536
SHARED_MAX: Final = 16  # answers that are kept for the next rules of a group
ALIKE_MAX: Final = 256  # expressions that are evaluated together
ALIKE_SERIES_MAX: Final = 65_536  # and their series; with more they are divided for the next time
EVENTS_AT_ONCE: Final = 10_000
EVENTS_MAX: Final = 100_000  # of one rule at one time
OpenSource = Callable[[Check], AbstractContextManager[SampleSource]]
Allow = Callable[[], AbstractContextManager[Check]]


class SourceQueries:
    """Queries of one evaluation of a group. One thread at a time."""

    def __init__(
        self,
        open_source: OpenSource,
        allow: Allow | None = None,
        limits: Limits = LIMITS,
        open_events: Callable[[], EventSnapshot] | None = None,
    ) -> None:
        """open_source: what is stored now, for one query. allow: time and memory of one query; None for no bound.

        open_events: events as they are now; None where there are none.
        """
        self._open_events = open_events
        self._expected: Sequence[str] = ()
        self._expected_ms = -1
        self._portions: list[AlikeRules] = []
        self._waiting: dict[str, AlikeRules] = {}  # expressions to be evaluated together with others
        self._found: dict[str, OwnRows | None] = {}  # those that have been
        self._shared: dict[Expression, QueryResult] = {}  # at _shared_ms
        self._shared_ms = -1
        self._open = open_source
        self._allow = allow
        self._limits = limits

    def names(self, expression: str) -> frozenset[str] | None:
        """Metrics that an expression reads; None where a selector names none. Raises: BadQuery."""
        return metric_names(expression)

    def expect(self, expressions: Sequence[str], at_ms: int) -> None:
        """As ``Queries`` says."""
        self.renew()
        if expressions is not self._expected:
            self._expected = expressions
            self._portions = _portions_of(expressions)
        self._expected_ms = at_ms
        self._waiting = {text: portion for portion in self._portions for text in portion.metrics}

    def renew(self) -> None:
        """Forget answers that rules share."""
        self._shared.clear()
        self._waiting.clear()
        self._found.clear()

    def instant(self, expression: str, at_ms: int) -> list[RuleSample]:
        """Series of an expression at one time, Unix milliseconds. Raises: NissaError."""
        if at_ms == self._expected_ms:
            portion = self._waiting.get(expression)
            if portion is not None:
                self._evaluate_alike(portion, at_ms)
            if expression in self._found:
                found = self._found[expression]
                return [] if found is None else _chosen(found, _prepared(expression)[1])
        with self._allowed() as check:
            return self._instant(expression, at_ms, check)

    def events(self, match: AlertingEvents, at_ms: int) -> list[RuleSample]:
        """As ``Queries`` says. Raises: BadQuery where there are no events."""
        if self._open_events is None:
            raise BadQuery("there are no events here")
        with self._allowed() as check:
            return self._events(self._open_events(), match, at_ms, check)

    @staticmethod
    def _events(snapshot: EventSnapshot, match: AlertingEvents, at_ms: int, check: Check) -> list[RuleSample]:
        request = EventRequest(
            at_ms - match.window_ms + 1, at_ms + 1, match.sources, match.levels, match.text, EVENTS_AT_ONCE
        )
        events: list[Mapping[str, Any]] = []
        while True:
            page = read_page(snapshot, request, check, lambda _: None)
            events += page.events
            if page.complete or len(events) >= EVENTS_MAX:
                return count_events(events, match)
            request = msgspec.structs.replace(request, cursor=page.cursor)

    def _allowed(self) -> AbstractContextManager[Check]:
        return nullcontext(no_check) if self._allow is None else self._allow()

    def _evaluate_alike(self, portion: "AlikeRules", at_ms: int) -> None:
        """Evaluate a portion. Where that fails its expressions are evaluated each by itself."""
        for text in portion.metrics:
            del self._waiting[text]
        wanted = list(dict.fromkeys(portion.metrics.values()))
        try:
            with self._allowed() as check, self._open(check) as source:
                alike = evaluate_alike(source, portion.shape, wanted, at_ms, check, self._limits)
        except NissaError:
            self._divide(portion, wanted)
            return
        self._found.update({text: alike.found.get(metrics) for text, metrics in portion.metrics.items()})
        if alike.series > ALIKE_SERIES_MAX:
            self._divide(portion, wanted)

    def _divide(self, portion: "AlikeRules", wanted: Sequence[Metrics]) -> None:
        """Have less evaluated together the next time."""
        self._portions.remove(portion)
        middle = len(wanted) // 2
        halves = [_portion(portion.shape, portion.metrics, half) for half in (wanted[:middle], wanted[middle:])]
        self._portions += [half for half in halves if half is not None]

    def _instant(self, expression: str, at_ms: int, check: Check) -> list[RuleSample]:
        parsed, threshold = _prepared(expression)
        if threshold is None:
            return rule_samples(self._evaluated(expression, parsed, at_ms, check))
        if at_ms != self._shared_ms or len(self._shared) >= SHARED_MAX:
            self._shared.clear()
            self._shared_ms = at_ms
        answer = self._shared.get(threshold.left)
        if answer is None:
            answer = self._shared[threshold.left] = self._evaluated(expression, threshold.left, at_ms, check)
        if answer.vector is None:
            raise ExecutionFailed("rule result is not a vector or scalar")
        labels, values = answer.vector.labels, answer.vector.values[:, 0]
        return _chosen(OwnRows(labels, values, np.arange(len(values))), threshold)

    def _evaluated(self, text: str, expression: Expression, at_ms: int, check: Check) -> QueryResult:
        with self._open(check) as source:
            return evaluate_instant(source, text, at_ms, check=check, limits=self._limits, expression=expression)


class Threshold(NamedTuple):
    """A comparison of series with a number, whose left side many rules may have in common."""

    left: Expression
    operator: str
    number: float


@lru_cache(NAMES_CACHED_MAX)
def _prepared(text: str) -> tuple[Expression, Threshold | None]:
    """An expression, and its threshold where it is a comparison of series with a number. Raises: BadQuery."""
    parsed = read_expression(text)
    if not isinstance(parsed, Binary) or parsed.operator not in COMPARE or not isinstance(parsed.right, Number):
        return parsed, None
    if parsed.returns_bool or is_scalar(parsed.left):
        return parsed, None
    return parsed, Threshold(parsed.left, parsed.operator, parsed.right.value)


class AlikeRules(NamedTuple):
    """Expressions that are evaluated together. metrics: of each."""

    shape: Expression
    metrics: Mapping[str, Metrics]


def _portions_of(expressions: Sequence[str]) -> list[AlikeRules]:
    """Expressions that are alike, in portions; those that are like no other are in none."""
    by_shape: dict[Expression, dict[str, Metrics]] = {}
    for text in expressions:
        try:
            parsed, threshold = _prepared(text)
        except BadQuery:  # its rule says so
            continue
        found = common_shape(parsed if threshold is None else threshold.left)
        if found is not None:
            by_shape.setdefault(found[0], {})[text] = found[1]
    portions = [
        _portion(shape, metrics, wanted)
        for shape, metrics in by_shape.items()
        for wanted in _apart(list(dict.fromkeys(metrics.values())))
    ]
    return [one for one in portions if one is not None]


def _apart(every: Sequence[Metrics]) -> Iterator[list[Metrics]]:
    """Lists in which no two have the same metric at the same place."""
    while every:
        wanted: list[Metrics] = []
        left: list[Metrics] = []
        taken: set[tuple[int, str]] = set()
        for metrics in every:
            places = set(enumerate(metrics))
            if len(wanted) < ALIKE_MAX and taken.isdisjoint(places):
                wanted.append(metrics)
                taken |= places
            else:
                left.append(metrics)
        yield wanted
        if len(wanted) == 1:
            return  # what is left has that metric too
        every = left


def _portion(shape: Expression, metrics: Mapping[str, Metrics], wanted: Sequence[Metrics]) -> AlikeRules | None:
    """The expressions with these metrics; None where one is all there is."""
    if len(wanted) < 2:
        return None
    chosen = frozenset(wanted)
    return AlikeRules(shape, {text: own for text, own in metrics.items() if own in chosen})


def _chosen(found: OwnRows, threshold: Threshold | None) -> list[RuleSample]:
    """The series that were found, those whose values are over the threshold where there is one."""
    rows, values = found.rows, found.values[found.rows]
    if threshold is not None:
        kept = COMPARE[threshold.operator](values, np.array(threshold.number))
        rows, values = rows[kept], values[kept]
    pairs = zip(rows.tolist(), values.tolist(), strict=True)
    return [RuleSample(found.labels.row(row), value) for row, value in pairs]


def rule_samples(answer: QueryResult) -> list[RuleSample]:
    """The series of an answer. Raises: ExecutionFailed where it is neither a vector nor a scalar."""
    if answer.kind == "scalar" and answer.scalar is not None:
        return [RuleSample({}, float(answer.scalar.values[0]))]
    if answer.kind != "vector" or answer.vector is None:
        raise ExecutionFailed("rule result is not a vector or scalar")
    labels, values = answer.vector.labels, answer.vector.values[:, 0].tolist()
    return [RuleSample(labels.row(row), value) for row, value in enumerate(values)]


@lru_cache(NAMES_CACHED_MAX)
def metric_names(expression: str) -> frozenset[str] | None:
    """Metrics that an expression reads; None where that is not known from its text. Raises: BadQuery."""
    found = set()
    parsed: Expression = read_expression(expression)
    for matchers in [*selectors_of(parsed), *info_selectors(parsed)]:
        name = next((one.value for one in matchers if one.name == NAME_LABEL and one.op is MatchOp.EQUAL), None)
        if name is None:
            return None
        found.add(name)
    return frozenset(found)
