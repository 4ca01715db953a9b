"""Functions of single values: mathematics, rounding, clamping, and parts of dates."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call
from nissa.promql.values import Scalar, Values, Vector, one_row

_SECONDS = np.dtype("datetime64[s]")
SECONDS_MOST = 2.0**62  # what a time can be made of

Function = Callable[[Values], Values]


def _parts(values: Values) -> npt.NDArray[np.datetime64]:
    whole = np.trunc(np.where(np.isfinite(values), values, 0.0))
    return np.clip(whole, -SECONDS_MOST, SECONDS_MOST).astype(np.int64).astype(_SECONDS)


def _numbers(times: npt.NDArray[Any]) -> Values:
    return np.asarray(times.astype(np.int64), np.float64)


def _since(unit: str, base: str) -> Function:
    """The count of ``unit`` since the start of ``base``."""

    def count(values: Values) -> Values:
        times = _parts(values)
        elapsed = times.astype(f"datetime64[{unit}]") - times.astype(f"datetime64[{base}]")
        return _numbers(elapsed)

    return count


def _year(values: Values) -> Values:
    return _numbers(_parts(values).astype("datetime64[Y]")) + 1970.0


def _day_of_week(values: Values) -> Values:
    days = _parts(values).astype("datetime64[D]").astype(np.int64)
    return ((days + 4) % 7).astype(np.float64)  # 1970-01-01 was a Thursday


def _days_in_month(values: Values) -> Values:
    months = _parts(values).astype("datetime64[M]")
    days = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    return _numbers(days)


def _plus_one(count: Function) -> Function:
    return lambda values: count(values) + 1.0


DATES: dict[str, Function] = {
    "minute": _since("m", "h"),
    "hour": _since("h", "D"),
    "day_of_month": _plus_one(_since("D", "M")),
    "day_of_week": _day_of_week,
    "day_of_year": _plus_one(_since("D", "Y")),
    "days_in_month": _days_in_month,
    "month": _plus_one(_since("M", "Y")),
    "year": _year,
}
MATHEMATICS: dict[str, Function] = {
    **{name: getattr(np, name) for name in ("abs", "ceil", "floor", "exp", "sqrt", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "ln": np.log,
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "rad": lambda values: values * np.pi / 180.0,
    "deg": lambda values: values * 180.0 / np.pi,
    "sgn": lambda values: np.where(values < 0, -1.0, np.where(values > 0, 1.0, values)),
}
ELEMENTWISE = frozenset({*DATES, *MATHEMATICS, "round", "clamp", "clamp_min", "clamp_max"})


def element_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate a function of each single value, such as ``abs`` or ``clamp``.

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    if not call.arguments:  # the parts of a date are those of the step where nothing is given
        seconds = np.floor(context.steps.at_ms / 1000.0)
        return one_row(evaluator.texts, DATES[call.name](seconds))
    vector = evaluator.vector(call.arguments[0], context)
    numbers = [evaluator.scalar(argument, context).values for argument in call.arguments[1:]]
    with np.errstate(all="ignore"):
        if call.name == "round":
            values, present = _rounded(vector, numbers), vector.present
        elif call.name.startswith("clamp"):
            values, present = _clamped(call.name, vector, numbers)
        else:
            function = DATES.get(call.name) or MATHEMATICS[call.name]
            values, present = function(vector.values), vector.present
    return Vector(vector.labels.marked(), values, present)


def negated(vector: Vector) -> Vector:
    """Every value with the other sign."""
    return Vector(vector.labels.marked(), -vector.values, vector.present)


def element_scalar(call: Call, context: EvaluationContext) -> Scalar:
    """A number that depends on the time of evaluation alone."""
    if call.name == "pi":
        return Scalar(np.full(context.steps.count, np.pi))
    return Scalar(context.steps.at_ms / 1000.0)


def smaller_or_larger(name: str, left: Scalar, right: Scalar) -> Scalar:
    """Evaluate ``min_of`` or ``max_of`` (``name``) of two numbers per step; NaN if one of them is NaN.

    left, right: a number per step.
    """
    return Scalar((np.minimum if name == "min_of" else np.maximum)(left.values, right.values))


def _rounded(vector: Vector, numbers: list[Values]) -> Values:
    """To the nearest multiple, ties up. The inverse loses less."""
    inverse = 1.0 / numbers[0] if numbers else np.ones(vector.steps)
    return np.floor(vector.values * inverse + 0.5) / inverse


def _clamped(name: str, vector: Vector, numbers: list[Values]) -> tuple[Values, npt.NDArray[np.uint8]]:
    """Within bounds; nothing at steps where the bounds are crossed."""
    low = numbers[0] if name != "clamp_max" else np.full(vector.steps, -np.inf)
    high = np.full(vector.steps, np.inf) if name == "clamp_min" else numbers[-1]
    values = np.maximum(low, np.minimum(high, vector.values))
    return values, vector.present & ~(high < low)
