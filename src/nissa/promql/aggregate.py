"""Aggregations: series of a group become one series, or some of a group are chosen.

    sum avg min max count group stddev stdvar     totals per group and step; rows may come in slices
    quantile count_values                         all rows of a group at once
    topk bottomk limitk limit_ratio               rows stay what they are, some at some steps (``choose.py``)

Which row is in which group is found once, from the symbols of its labels (``_fast/groups.pyx``).
"""

import numpy as np

from nissa._fast.groups import (
    MEAN_BYTES,
    SPREAD_BYTES,
    add_counts,
    add_extremes,
    add_means,
    add_spreads,
    add_sums,
    close_means,
    close_spreads,
)
from nissa._fast.ranks import group_quantiles
from nissa.promql.choose import CHOICES, choose
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Aggregation
from nissa.promql.labels import Labels, SymbolColumn
from nissa.promql.limits import ExecutionFailed
from nissa.promql.number_text import plain_text, short_text
from nissa.promql.plan import sliced_by
from nissa.promql.values import Present, Values, Vector, join_vectors


class Totals:
    """Totals of groups, to which slices of rows are added."""

    def __init__(self, operation: str, groups: int, steps: int) -> None:
        """Running totals of groups; slices of rows are added to them.

        operation: such as ``sum``. groups: number of groups. steps: number of steps.
        """
        self._operation = operation
        shape = (groups, steps)
        self._counts = np.zeros(shape, np.uint64)
        match operation:
            case "sum":
                self._sums, self._lost = np.zeros(shape), np.zeros(shape)
            case "min" | "max":
                self._sums, self._seen = np.zeros(shape), np.zeros(shape, np.uint8)
            case "avg":
                self._states = np.zeros((groups, steps * MEAN_BYTES), np.uint8)
            case "stddev" | "stdvar":
                self._states = np.zeros((groups, steps * SPREAD_BYTES), np.uint8)

    def add(self, groups: SymbolColumn, values: Values, present: Present) -> None:
        """Add rows to their groups.

        groups: group of each row. values: float64, rows x steps. present: which of them exist, of the same shape.
        """
        values, present = np.ascontiguousarray(values), np.ascontiguousarray(present)
        match self._operation:
            case "sum":
                add_sums(groups, values, present, self._sums, self._lost, self._counts)
            case "min" | "max":
                add_extremes(groups, values, present, self._operation == "max", self._sums, self._seen)
            case "avg":
                add_means(groups, values, present, self._states)
            case "stddev" | "stdvar":
                add_spreads(groups, values, present, self._states)
            case _:
                add_counts(groups, present, self._counts)

    def close(self) -> tuple[Values, Present]:
        """One row per group."""
        there = (self._counts > 0).astype(np.uint8)
        match self._operation:
            case "sum":
                return np.where(np.isinf(self._sums), self._sums, self._sums + self._lost), there
            case "min" | "max":
                return self._sums, self._seen
            case "avg":
                return close_means(self._states)
            case "stddev" | "stdvar":
                return close_spreads(self._states, self._operation == "stddev")
            case "group":
                return np.ones(there.shape), there
        return self._counts.astype(np.float64), there


def aggregate(evaluator: Evaluator, aggregation: Aggregation, context: EvaluationContext) -> Vector:
    """An aggregation at every step of the context."""
    if aggregation.operation in CHOICES:
        return _chosen(evaluator, aggregation, context)
    if aggregation.operation == "count_values":
        return _count_values(evaluator, aggregation, context)
    if aggregation.operation == "quantile":
        return _quantiles(evaluator, aggregation, context)
    part = sliced_by(aggregation.expression)
    if part is None or context.rows is not None:
        vector = evaluator.vector(aggregation.expression, context)
        return _totals(aggregation, vector, context.steps.count)
    labels = evaluator.labels_of(part)
    groups, firsts = grouped(aggregation, labels).groups()
    totals = Totals(aggregation.operation, len(firsts), context.steps.count)
    for first, last in evaluator.slices(part, context):
        evaluator.check()
        vector = evaluator.vector(aggregation.expression, EvaluationContext(context.steps, (first, last)))
        totals.add(groups[first:last], vector.values, vector.present)
    values, present = totals.close()
    return Vector(_result_labels(aggregation, labels, firsts), values, present).without_empty()


def grouped(aggregation: Aggregation, labels: Labels) -> Labels:
    """The labels that make a group."""
    if aggregation.without:
        return labels.without([*aggregation.labels, "__name__"])
    return labels.keep(aggregation.labels)


def _result_labels(aggregation: Aggregation, labels: Labels, firsts: SymbolColumn) -> Labels:
    return grouped(aggregation, labels.take(firsts.astype(np.int64))).marked(False)


def _totals(aggregation: Aggregation, vector: Vector, steps: int) -> Vector:
    groups, firsts = grouped(aggregation, vector.labels).groups()
    totals = Totals(aggregation.operation, len(firsts), steps)
    totals.add(groups, vector.values, vector.present)
    values, present = totals.close()
    return Vector(_result_labels(aggregation, vector.labels, firsts), values, present).without_empty()


def _chosen(evaluator: Evaluator, aggregation: Aggregation, context: EvaluationContext) -> Vector:
    """Rows of each group; of many series, a slice at a time leaves only rows that may still be chosen."""
    numbers = _parameter(evaluator, aggregation, context)
    part = sliced_by(aggregation.expression)
    parts = evaluator.slices(part, context) if part is not None else []
    if len(parts) < 2 or context.rows is not None or aggregation.operation not in ("topk", "bottomk"):
        vector = evaluator.vector(aggregation.expression, context)
        return choose(evaluator, aggregation, vector, _groups(aggregation, vector.labels), numbers, context)
    kept = []
    for rows in parts:
        evaluator.check()
        found = evaluator.vector(aggregation.expression, EvaluationContext(context.steps, rows))
        kept.append(choose(evaluator, aggregation, found, _groups(aggregation, found.labels), numbers, context))
    vector = join_vectors(kept)
    return choose(evaluator, aggregation, vector, _groups(aggregation, vector.labels), numbers, context)


def _groups(aggregation: Aggregation, labels: Labels) -> SymbolColumn:
    return grouped(aggregation, labels).groups()[0]


def _parameter(evaluator: Evaluator, aggregation: Aggregation, context: EvaluationContext) -> Values:
    if aggregation.parameter is None:
        raise ExecutionFailed(f"{aggregation.operation} needs a parameter")
    return evaluator.scalar(aggregation.parameter, context).values


def _quantiles(evaluator: Evaluator, aggregation: Aggregation, context: EvaluationContext) -> Vector:
    numbers = _parameter(evaluator, aggregation, context)
    vector = evaluator.vector(aggregation.expression, context)
    at = aggregation.parameter.at if aggregation.parameter is not None else aggregation.at
    wrong = numbers[~((numbers >= 0) & (numbers <= 1))]
    for number in np.unique(wrong).tolist():
        evaluator.notes.invalid_quantile(short_text(number), at)
    groups, firsts = grouped(aggregation, vector.labels).groups()
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(len(firsts) + 1))
    values, present = group_quantiles(order, starts, vector.values, vector.present, numbers)
    return Vector(_result_labels(aggregation, vector.labels, firsts), values, present).without_empty()


def _count_values(evaluator: Evaluator, aggregation: Aggregation, context: EvaluationContext) -> Vector:
    """One series per group and value, which stands as text in the label named by the parameter."""
    name = getattr(aggregation.parameter, "text", "")
    if not name or not name.isprintable():
        shown = name.encode("utf-8", "backslashreplace").decode()  # may hold bytes that are no UTF-8
        raise ExecutionFailed(f'invalid label name "{shown}"')
    vector = evaluator.vector(aggregation.expression, context)
    rows, steps = np.nonzero(vector.present)
    bits = vector.values[rows, steps].view(np.uint64)
    texts = evaluator.texts
    distinct, places = np.unique(bits, return_inverse=True)
    symbols = [texts.symbol(plain_text(value)) for value in distinct.view(np.float64).tolist()]
    labels = grouped(aggregation, vector.labels)
    if aggregation.without or name not in aggregation.labels:
        labels = labels.without([name])
    cells = labels.take(rows).put(name, np.array(symbols, np.uint32)[places] if len(places) else np.empty(0, np.uint32))
    groups, firsts = cells.groups()
    counts = np.zeros((len(firsts), context.steps.count))
    np.add.at(counts, (groups, steps), 1.0)
    found = cells.take(firsts.astype(np.int64)).marked(False)
    return Vector(found, counts, (counts > 0).astype(np.uint8))
