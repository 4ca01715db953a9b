"""Functions of ranges: one value per series and step, computed from the samples in the range.

The kernels are compiled (``_fast/windows.pyx``); this file has their names, parameters and warnings.
"""

import numpy as np

from nissa.model.matcher import NAME_LABEL
from nissa.promql.context import EvaluationContext, Evaluator, Windows
from nissa.promql.expression import Call, Range
from nissa.promql.limits import ExecutionFailed
from nissa.promql.number_text import short_text
from nissa.promql.values import Present, Vector, join_vectors

SECOND_MS = 1000.0
COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")

# Function of PromQL -> kernel.
OVER_TIME = {
    f"{kernel}_over_time": kernel
    for kernel in (
        *("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "first", "present", "mad"),
        *("ts_of_first", "ts_of_last", "ts_of_min", "ts_of_max"),
    )
}
OVER_TIME |= {name: name for name in ("changes", "resets", "rate", "increase", "delta", "irate", "idelta", "deriv")}
KEEP_NAME = frozenset({"last_over_time", "first_over_time"})  # they act like an offset
COUNTERS = frozenset({"rate", "increase"})
RANGE_CALLS = frozenset({*OVER_TIME, "quantile_over_time", "predict_linear", "double_exponential_smoothing"})


def range_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate a function of one range and optional numbers, other than ``absent_over_time``.

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    first = second = None
    kernel = OVER_TIME.get(call.name, call.name)
    window_at = 0
    if call.name == "quantile_over_time":
        kernel, window_at = "quantile", 1
        first = evaluator.scalar(call.arguments[0], context).values
    elif call.name == "predict_linear":
        first = evaluator.scalar(call.arguments[1], context).values
        second = context.steps.at_ms.astype(np.float64)
    elif call.name == "double_exponential_smoothing":
        first = evaluator.scalar(call.arguments[1], context).values
        second = evaluator.scalar(call.arguments[2], context).values
        _check_factor("smoothing", first)
        _check_factor("trend", second)
    argument = call.arguments[window_at]
    if isinstance(argument, Range) and len(parts := evaluator.slices(argument, context)) > 1:
        return join_vectors([range_call(evaluator, call, EvaluationContext(context.steps, rows)) for rows in parts])
    windows = evaluator.windows(argument, context, kernel)
    values, present = windows.over(kernel, first, second)
    if call.name == "quantile_over_time" and first is not None:
        _note_quantiles(evaluator, first, present, call.arguments[0].at)
    if call.name in COUNTERS:
        _note_gauges(evaluator, windows, present, argument.at)
    labels = windows.labels if call.name in KEEP_NAME else windows.labels.marked()
    return Vector(labels, values, present)


def _check_factor(kind: str, factors: np.ndarray) -> None:
    wrong = factors[~((factors > 0) & (factors < 1)) & ~np.isnan(factors)]
    if len(wrong):
        short = "sf" if kind == "smoothing" else "tf"
        raise ExecutionFailed(f"invalid {kind} factor. Expected: 0 < {short} < 1, got: {wrong[0]:f}")


def _note_quantiles(evaluator: Evaluator, quantiles: np.ndarray, present: np.ndarray, at: int) -> None:
    wrong = ~((quantiles >= 0) & (quantiles <= 1))
    if wrong.any() and present[:, wrong].any():
        for value in np.unique(quantiles[wrong]).tolist():
            evaluator.notes.invalid_quantile(short_text(value), at)


def _note_gauges(evaluator: Evaluator, windows: Windows, present: Present, at: int) -> None:
    """Note names that are not those of counters, of series that have samples."""
    names = windows.labels.column(NAME_LABEL)
    found = names[:1] if len(names) and (names == names[0]).all() else np.unique(names)
    for symbol in found.tolist():
        name = windows.labels.texts.text(symbol)
        if name and not name.endswith(COUNTER_SUFFIXES):
            filled = np.diff(windows.columns.offsets) > 0
            if windows.older:
                filled |= present.any(axis=1)
            if filled[names == symbol].any():
                evaluator.notes.not_a_counter(name, at)
