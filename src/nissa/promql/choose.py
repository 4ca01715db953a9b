"""Choosing series of a group: topk, bottomk, limitk, limit_ratio. Rows keep their labels and values.

In a range query each step chooses by itself, so a row has a value where it was chosen. At one instant topk and bottomk
also order: groups as they appear, within a group by value.
"""

import math
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from nissa._fast.ranks import choose_ranked
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Aggregation
from nissa.promql.labels import Labels, SymbolColumn
from nissa.promql.limits import ExecutionFailed
from nissa.promql.number_text import short_text
from nissa.promql.values import Present, Values, Vector

CHOICES = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
COUNT_MOST = 2**62


def choose(
    evaluator: Evaluator,
    aggregation: Aggregation,
    vector: Vector,
    groups: SymbolColumn,
    numbers: Values,
    context: EvaluationContext,
) -> Vector:
    """Evaluate ``topk``, ``bottomk``, ``limitk`` or ``limit_ratio``: return the chosen rows.

    evaluator: of the query. aggregation: the operation. vector: rows to choose from. groups: group of each row.
    numbers: the parameter at each step. context: steps to evaluate.
    """
    if aggregation.operation == "limit_ratio":
        present = _by_ratio(evaluator, aggregation, vector, numbers)
        return Vector(vector.labels, vector.values, present).without_empty()
    counts = _counts(numbers)
    if aggregation.operation == "limitk":
        present = _first_of(groups, vector.present, counts)
        return Vector(vector.labels, vector.values, present).without_empty()
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(int(groups.max()) + 2 if len(groups) else 1))
    largest = aggregation.operation == "topk"
    present = choose_ranked(order, starts, vector.values, vector.present, counts, largest)
    chosen = Vector(vector.labels, vector.values, present)
    if evaluator.edges.step_ms or context.steps.count != 1:
        return chosen.without_empty()
    return _ordered(chosen, groups, largest=largest)


def _counts(numbers: Values) -> npt.NDArray[np.int64]:
    if np.isnan(numbers).any():
        raise ExecutionFailed("Parameter value is NaN")
    return np.clip(numbers, 0, COUNT_MOST).astype(np.int64)


def _ordered(chosen: Vector, groups: SymbolColumn, *, largest: bool) -> Vector:
    """At one instant: by group, then by value with NaN last."""
    rows = np.flatnonzero(chosen.present[:, 0])
    values = chosen.values[rows, 0]
    keys = -values if largest else values
    order = np.lexsort((keys, np.isnan(values), groups[rows]))
    found = chosen.take(rows[order])
    return Vector(found.labels, found.values, found.present, ordered=True)


def _first_of(groups: SymbolColumn, present: Present, counts: npt.NDArray[np.int64]) -> Present:
    """The first rows of each group that have a value, by step."""
    chosen = np.zeros_like(present)
    taken = np.zeros((int(groups.max()) + 1 if len(groups) else 0, present.shape[1]), np.int64)
    for row, group in enumerate(groups.tolist()):
        free = (present[row] != 0) & (taken[group] < counts)
        chosen[row] = free
        taken[group] += free
    return chosen


def _by_ratio(evaluator: Evaluator, aggregation: Aggregation, vector: Vector, numbers: Values) -> Present:
    """A share of rows by the hash of their labels: a negative ratio chooses the others."""
    at = aggregation.parameter.at if aggregation.parameter is not None else aggregation.at
    if np.isnan(numbers).any():
        raise ExecutionFailed("Ratio value is NaN")
    for ratio in np.unique(numbers[np.abs(numbers) > 1]).tolist():
        evaluator.notes.invalid_ratio(short_text(ratio), short_text(math.copysign(1.0, ratio)), at)
    ratios = np.clip(numbers, -1.0, 1.0)
    places = np.array([_place(vector.labels, row) for row in range(len(vector))]).reshape(-1, 1)
    chosen = np.where(ratios >= 0, places < ratios, places >= 1.0 + ratios)
    return (vector.present & chosen).astype(np.uint8)


def _place(labels: Labels, row: int) -> float:
    """A place in [0, 1) that depends on the labels alone."""
    text = "\xff".join(part for pair in labels.row(row).items() for part in pair)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") / 2.0**64
