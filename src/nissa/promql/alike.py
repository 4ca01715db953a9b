"""Evaluates expressions that differ in nothing but the metrics of their selectors as one expression.

    sum by (job) (rate(a{env="x"}[5m])) / b  ─┐  shape   sum by (job) (rate({env="x"}[5m])) / {}
    sum by (job) (rate(c{env="x"}[5m])) / d  ─┴─ at once sum by (job, OWNER) (rate({__name__=~"a|c", env="x"}[5m])) / …

Each series gets one more label, which no sender can have: the number of the expression that owns it, by its metric. It
stays with the series through functions, aggregations keep it, and two sides match by it too, so rows of different
expressions never meet; by it the rows of the answer are given back. The rows of one expression are in the order in
which they are for it alone, so the numbers are the same to the last bit.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.allowance import Check
from nissa.model.ladder import WindowBatch
from nissa.model.matcher import NAME_LABEL, Matcher, MatchOp, Selector
from nissa.promql.elementwise import ELEMENTWISE
from nissa.promql.evaluate import evaluate_instant
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
    is_scalar,
)
from nissa.promql.labels import Labels, LabelTexts, Rows
from nissa.promql.limits import Limits
from nissa.promql.source import Columns, Kept, RowColumn, SampleSource, Selected, TierColumns
from nissa.promql.values import Values
from nissa.promql.windows import RANGE_CALLS

OWNER: Final = "\0"
TOTALS: Final = frozenset({"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"})
NUMBERED: Final = frozenset({"topk", "bottomk", "quantile"})
ROW_CALLS: Final = frozenset({*RANGE_CALLS, *ELEMENTWISE, "timestamp", "histogram_quantile"})
_PLAIN = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
Choose = Callable[[Selector], Selector]
Metrics = tuple[str, ...]  # of the selectors of an expression, in order


class OwnRows(NamedTuple):
    """Series at one time: some rows of a table. values: float64, of all rows of the table."""

    labels: Labels
    values: Values
    rows: Rows


class Alike(NamedTuple):
    """Results of expressions that are alike. found: of those that have series. series: how many were selected."""

    found: Mapping[Metrics, OwnRows]
    series: int


def common_shape(expression: Expression) -> tuple[Expression, Metrics] | None:
    """Return the shape of an expression and its metrics; None where it can only be evaluated by itself."""
    if isinstance(expression, Range | Subquery) or is_scalar(expression):
        return None
    metrics: list[str] = []

    def choose(matchers: Selector) -> Selector:
        names = [one.value if one.op is MatchOp.EQUAL else "" for one in matchers if one.name == NAME_LABEL]
        metrics.append(names[0] if len(names) == 1 else "")
        return tuple(one for one in matchers if one.name != NAME_LABEL)

    shape = _changed(expression, choose)
    if shape is None or not metrics or not all(map(_PLAIN.fullmatch, metrics)):
        return None
    return shape, tuple(metrics)


def evaluate_alike(
    source: SampleSource, shape: Expression, wanted: Sequence[Metrics], at_ms: int, check: Check, limits: Limits
) -> Alike:
    """Evaluate the expressions of one shape with these metrics at one time.

    source, at_ms, check, limits and errors: as for ``evaluate_instant``. wanted: no two have the same metric at a
    place.
    """
    patterns = iter(["|".join(names) for names in zip(*wanted, strict=True)])

    def choose(matchers: Selector) -> Selector:
        return (Matcher(NAME_LABEL, MatchOp.FITS, next(patterns)), *matchers)

    marked = _MarkedSource(source)
    answer = evaluate_instant(marked, "", at_ms, check=check, limits=limits, expression=_changed(shape, choose))
    if answer.vector is None:
        raise TypeError("an expression of series gives series")
    labels = answer.vector.labels
    owners = labels.column(OWNER)
    order = np.argsort(owners, kind="stable")
    firsts = np.flatnonzero(np.diff(owners[order], prepend=np.uint32(0)))
    bare, values = labels.without([OWNER]), answer.vector.values[:, 0]
    found = {}
    for rows in np.split(order, firsts[1:]) if len(order) else ():
        found[wanted[int(labels.texts.text(int(owners[rows[0]])))]] = OwnRows(bare, values, rows)
    return Alike(found, marked.series)


def _changed(expression: Expression, choose: Choose) -> Expression | None:
    """The expression with other matchers, without places, and with aggregations and operators that keep owners apart.

    choose: called with the matchers of each selector, in order. None where rows of different owners would meet.
    """
    match expression:
        case Number(value=value):
            return Number(value)
        case String(text=text):
            return String(text)
        case Select(matchers=matchers, shift=shift):
            return Select(choose(matchers), shift)
        case Range(select=select, range_ms=range_ms):
            return Range(Select(choose(select.matchers), select.shift), range_ms)
        case Subquery(expression=inner, range_ms=range_ms, step_ms=step_ms, shift=shift):
            made = _changed(inner, choose)
            return None if made is None else Subquery(made, range_ms, step_ms, shift)
        case Negate(expression=inner):
            made = _changed(inner, choose)
            return None if made is None else Negate(made)
        case Aggregation():
            return _aggregation(expression, choose)
        case Call(name=name, arguments=arguments) if arguments and name in ROW_CALLS:
            parts = [_changed(argument, choose) for argument in arguments]
            return None if None in parts else Call(name, tuple(part for part in parts if part is not None))
        case Call(name="time"):
            return Call("time", ())
        case Binary():
            return _binary(expression, choose)
    return None


def _aggregation(expression: Aggregation, choose: Choose) -> Aggregation | None:
    operation, parameter = expression.operation, expression.parameter
    if operation not in TOTALS and not (operation in NUMBERED and isinstance(parameter, Number)):
        return None
    made = _changed(expression.expression, choose)
    if made is None:
        return None
    number = Number(parameter.value) if isinstance(parameter, Number) else None
    labels = expression.labels if expression.without else _with_owner(expression.labels)
    return Aggregation(operation, made, number, labels, expression.without)


def _binary(expression: Binary, choose: Choose) -> Binary | None:
    left, right, matching = expression.left, expression.right, expression.matching
    if matching.fill_left is not None or matching.fill_right is not None:
        return None
    first, second = _changed(left, choose), _changed(right, choose)
    if first is None or second is None:
        return None
    if matching.on and not is_scalar(left) and not is_scalar(right):
        matching = msgspec.structs.replace(matching, labels=_with_owner(matching.labels))
    return Binary(expression.operator, first, second, matching, expression.returns_bool)


def _with_owner(labels: tuple[str, ...]) -> tuple[str, ...]:
    return labels if OWNER in labels else (*labels, OWNER)


class _MarkedSource:
    """A source whose series have their owner as one more label: the place of their metric in the first matcher."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self.series = 0

    @property
    def texts(self) -> LabelTexts:
        return self._source.texts

    @property
    def tiers(self) -> tuple[str, ...]:
        return self._source.tiers

    @property
    def samples_from_ms(self) -> int:
        return self._source.samples_from_ms

    def select(self, matchers: Selector) -> Selected:
        found = self._source.select(matchers)
        self.series += len(found.labels)
        names, texts = matchers[0].value.split("|"), self.texts
        place = {name: place for place, name in enumerate(names)}
        symbols, rows = np.unique(found.labels.column(NAME_LABEL), return_inverse=True)
        owners = [texts.symbol(str(place[texts.text(symbol)])) for symbol in symbols.tolist()]
        return _MarkedSelection(found, found.labels.put(OWNER, np.array(owners, np.uint32)[rows]))


class _MarkedSelection:
    def __init__(self, selected: Selected, labels: Labels) -> None:
        self.labels = labels
        self._selected = selected

    def expected(self, start_ms: int, end_ms: int, few: float) -> npt.NDArray[np.float64]:
        return self._selected.expected(start_ms, end_ms, few)

    def read(self, rows: slice | RowColumn, start_ms: int, end_ms: int) -> Columns:
        return self._selected.read(rows, start_ms, end_ms)

    def kept(self, first: int, last: int) -> Sequence[Kept]:
        return self._selected.kept(first, last)

    def read_tier(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int, names: Sequence[str]) -> TierColumns:
        return self._selected.read_tier(rows, tier, start_ms, end_ms, names)

    def read_sketches(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int) -> Iterator[WindowBatch]:
        return self._selected.read_sketches(rows, tier, start_ms, end_ms)
