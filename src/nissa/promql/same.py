"""Merges rows with the same labels if no step has values of both; otherwise it is an error."""

import numpy as np

from nissa._fast.groups import add_counts
from nissa.promql.limits import ExecutionFailed
from nissa.promql.values import Vector


def merged(vector: Vector) -> Vector:
    """One row per label set. Raises: ExecutionFailed where two have a value at one step."""
    groups, firsts = vector.labels.groups()
    if len(firsts) == len(vector):
        return vector
    counts = np.zeros((len(firsts), vector.steps), np.uint64)
    add_counts(groups, np.ascontiguousarray(vector.present), counts)
    if (counts > 1).any():
        raise ExecutionFailed("vector cannot contain metrics with the same labelset")
    rows = firsts.astype(np.int64)
    values, present = vector.values[rows], vector.present[rows]
    first_of_its_kind = np.zeros(len(vector), np.bool_)
    first_of_its_kind[rows] = True
    for row in np.flatnonzero(~first_of_its_kind).tolist():
        there = vector.present[row] != 0
        values[groups[row]][there] = vector.values[row][there]
        present[groups[row]] |= vector.present[row]
    return Vector(vector.labels.take(rows), values, present, vector.ordered)
