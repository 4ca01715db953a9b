"""Classic histograms: series ``…_bucket`` with a bound in the label ``le``, cumulative counts as values.

    {le="0.1"} 3   {le="1"} 7   {le="+Inf"} 9      one histogram: equal labels but for le
       rank 0.5 * 9 = 4.5 lies between 3 and 7  ->  0.1 + (1 - 0.1) * (4.5 - 3) / (7 - 3)

Native histograms are not stored; functions that read nothing else give nothing.
"""

import re

import numpy as np
import numpy.typing as npt

from nissa._fast.classic_histogram import bucket_fractions, bucket_quantiles
from nissa.model.matcher import NAME_LABEL
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call, String
from nissa.promql.labels import Labels
from nissa.promql.number_text import label_text, short_text
from nissa.promql.values import Vector, join_vectors

BOUND_LABEL = "le"
NATIVE = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"})
HISTOGRAMS = NATIVE | {"histogram_quantile", "histogram_quantiles", "histogram_fraction"}
_NUMBER = re.compile(r"[+-]?(?:inf(?:inity)?|\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)", re.IGNORECASE | re.ASCII)

Grouped = tuple[Labels, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], Vector]


def histogram_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate a function of classic histograms, such as ``histogram_quantile``.

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    if call.name in NATIVE:
        vector = evaluator.vector(call.arguments[0], context)
        evaluator.notes.add("info", f"{call.name} reads native histograms, which are not stored", call.at)
        return Vector(vector.labels, vector.values, np.zeros_like(vector.present)).without_empty()
    if call.name == "histogram_quantiles":
        return _several(evaluator, call, context)
    if call.name == "histogram_quantile":
        numbers = evaluator.scalar(call.arguments[0], context).values
        _note_quantiles(evaluator, numbers, call.arguments[0].at)
        grouped = _buckets(evaluator, evaluator.vector(call.arguments[1], context), call.arguments[1].at)
        return _quantiles(evaluator, grouped, numbers, call.arguments[1].at)
    lower = evaluator.scalar(call.arguments[0], context).values
    upper = evaluator.scalar(call.arguments[1], context).values
    labels, order, starts, bounds, vector = _buckets(
        evaluator, evaluator.vector(call.arguments[2], context), call.arguments[2].at
    )
    values, present = bucket_fractions(order, starts, bounds, vector.values, vector.present, lower, upper)
    return Vector(labels.marked(), values, present).without_empty()


def _several(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """histogram_quantiles(vector, label, quantiles…): each quantile as a series of its own."""
    name = call.arguments[1].text if isinstance(call.arguments[1], String) else ""
    grouped = _buckets(evaluator, evaluator.vector(call.arguments[0], context), call.arguments[0].at)
    found = []
    for argument in call.arguments[2:]:
        numbers = evaluator.scalar(argument, context).values
        _note_quantiles(evaluator, numbers, argument.at)
        vector = _quantiles(evaluator, grouped, numbers, call.arguments[1].at)
        for number in np.unique(numbers).tolist():
            symbol = evaluator.texts.symbol(label_text(number))
            labels = vector.labels.put(name, np.full(len(vector), symbol, np.uint32))
            same = np.isnan(numbers) if np.isnan(number) else numbers == number
            found.append(Vector(labels, vector.values, (vector.present & same).astype(np.uint8)))
    return join_vectors(found).without_empty()


def _note_quantiles(evaluator: Evaluator, numbers: npt.NDArray[np.float64], at: int) -> None:
    for number in np.unique(numbers[~((numbers >= 0) & (numbers <= 1))]).tolist():
        evaluator.notes.invalid_quantile(short_text(number), at)


def _quantiles(evaluator: Evaluator, grouped: Grouped, numbers: npt.NDArray[np.float64], at: int) -> Vector:
    labels, order, starts, bounds, vector = grouped
    values, present, forced = bucket_quantiles(order, starts, bounds, vector.values, vector.present, numbers)
    if forced.any():
        for name in set(labels.take(np.flatnonzero(forced.any(axis=1))).text_of(NAME_LABEL)):
            evaluator.notes.forced_monotonic(name, at)
    return Vector(labels.marked(), values, present).without_empty()


def _buckets(evaluator: Evaluator, vector: Vector, at: int) -> Grouped:
    """Labels of histograms; rows by histogram and ascending bound; where each histogram begins; bounds; the rows."""
    bounds, valid = _bounds(evaluator, vector, at)
    vector, bounds = vector.take(np.flatnonzero(valid)), bounds[valid]
    labels = vector.labels.without([BOUND_LABEL])
    groups, firsts = labels.groups()
    order = np.lexsort((bounds, groups))
    starts = np.searchsorted(groups[order], np.arange(len(firsts) + 1)).astype(np.int64)
    return labels.take(firsts.astype(np.int64)), order, starts, bounds, vector


def _bounds(evaluator: Evaluator, vector: Vector, at: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The bound of each row, and whether it has one that is a number."""
    there = np.asarray(vector.present.any(axis=1), np.bool_)
    bounds = np.full(len(vector), np.nan)
    texts = vector.labels.text_of(BOUND_LABEL)
    names = vector.labels.text_of(NAME_LABEL)
    for row, text in enumerate(texts):
        if _NUMBER.fullmatch(text):
            bounds[row] = float(text)
        elif there[row]:
            evaluator.notes.bad_bucket(text, names[row], at)
    return bounds, there & ~np.isnan(bounds)
