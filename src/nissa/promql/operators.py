"""Operators on values: arithmetic and comparisons of floating-point numbers."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nissa.promql.expression import COMPARISONS, Binary
from nissa.promql.values import Present, Scalar, Values, Vector

ARITHMETIC: dict[str, Callable[[Values, Values], Values]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARE: dict[str, Callable[[Values, Values], npt.NDArray[np.bool_]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def apply(
    operator: str, returns_bool: bool, left: Values, right: Values, present: Present, kept: Values
) -> tuple[Values, Present]:
    """Values and presence of ``left operator right``. kept: what a comparison that filters gives."""
    with np.errstate(all="ignore"):
        if operator in ARITHMETIC:
            return ARITHMETIC[operator](left, right), present
        holds = COMPARE[operator](left, right)
    if returns_bool:
        return holds.astype(np.float64), present
    return np.ascontiguousarray(np.broadcast_to(kept, holds.shape)), (present & holds).astype(np.uint8)


def drops_name(binary: Binary) -> bool:
    """True if the result is another quantity than its sides."""
    return binary.operator not in COMPARISONS or binary.returns_bool


def between_scalars(binary: Binary, left: Scalar, right: Scalar) -> Scalar:
    """Evaluate a binary operator between two numbers per step; a comparison gives 0 or 1.

    binary: the operator. left, right: a number per step.
    """
    present = np.ones(len(left.values), np.uint8)
    return Scalar(apply(binary.operator, True, left.values, right.values, present, left.values)[0])


def with_scalar(binary: Binary, vector: Vector, scalar: Scalar, *, swapped: bool) -> Vector:
    """Evaluate a binary operator between series and one number per step.

    binary: the operator. vector: the series. scalar: the numbers. swapped: the number is the left operand.
    """
    left, right = (scalar.values, vector.values) if swapped else (vector.values, scalar.values)
    values, present = apply(binary.operator, binary.returns_bool, left, right, vector.present, vector.values)
    return Vector(vector.labels.marked() if drops_name(binary) else vector.labels, values, present)
