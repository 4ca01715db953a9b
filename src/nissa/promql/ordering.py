"""Functions that order the answer of an instant query: sort, sort_desc, sort_by_label, sort_by_label_desc."""

import re
from functools import cmp_to_key

import numpy as np

from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call, String
from nissa.promql.values import Vector

SORTS = frozenset({"sort", "sort_desc", "sort_by_label", "sort_by_label_desc"})
_CHUNK = re.compile(r"\d+|\D+", re.ASCII)


def sort_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate a sort function. The answer of a range query is always sorted by labels instead.

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    vector = evaluator.vector(call.arguments[0], context).without_empty()
    if evaluator.edges.step_ms:
        evaluator.notes.sort_in_range(call.at)
        return vector
    if call.name in ("sort", "sort_desc"):
        values = vector.values[:, 0]
        order = np.lexsort((-values if call.name == "sort_desc" else values, np.isnan(values)))
    else:
        names = [argument.text for argument in call.arguments[1:] if isinstance(argument, String)]
        order = _by_labels(vector, names)
        order = order[::-1] if call.name == "sort_by_label_desc" else order
    found = vector.take(order)
    return Vector(found.labels, found.values, found.present, ordered=True)


def _by_labels(vector: Vector, names: list[str]) -> np.ndarray:
    """By the natural order of some labels, then by all labels."""
    whole = np.empty(len(vector), np.int64)
    whole[vector.labels.order()] = np.arange(len(vector))
    texts = [vector.labels.text_of(name) for name in names]

    def compare(left: int, right: int) -> int:
        for column in texts:
            if column[left] != column[right]:
                return -1 if comes_before(column[left], column[right]) else 1
        return int(whole[left] - whole[right])

    return np.array(sorted(range(len(vector)), key=cmp_to_key(compare)), np.int64)


def comes_before(left: str, right: str) -> bool:
    """Natural order: runs of digits compare as numbers, other runs as text."""
    for ours, theirs in zip(_CHUNK.findall(left), _CHUNK.findall(right), strict=False):
        if ours == theirs:
            continue
        if ours[0].isdigit() and theirs[0].isdigit() and int(ours) != int(theirs):
            return int(ours) < int(theirs)
        return bool(ours < theirs)
    return len(left) < len(right)
