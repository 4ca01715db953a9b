"""absent and absent_over_time: 1 where the argument has no series, with the labels that the selector fixes."""

import numpy as np

from nissa.model.matcher import NAME_LABEL, MatchOp
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call, Expression, Range, Select
from nissa.promql.labels import label_rows
from nissa.promql.values import Vector


def absent_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate ``absent`` or ``absent_over_time``: 1 at the steps where the argument has no value.

    evaluator: of the query. call: the function and its argument. context: steps to evaluate.
    """
    argument = call.arguments[0]
    if call.name == "absent":
        there = evaluator.vector(argument, context).present.any(axis=0)
    else:
        windows = evaluator.windows(argument, context, "present")
        there = _filled(np.sort(windows.columns.ts_ms), windows.at_ms, windows.range_ms)
        if windows.older:
            there = windows.over("present")[1].any(axis=0)
    labels = label_rows(evaluator.texts, [_pinned(argument)])
    present = (~there).astype(np.uint8).reshape(1, -1)
    return Vector(labels, np.ones(present.shape), present).without_empty()


def _filled(ts_ms: np.ndarray, at_ms: np.ndarray, range_ms: int) -> np.ndarray:
    """True if some sample lies in each window."""
    return np.searchsorted(ts_ms, at_ms, "right") > np.searchsorted(ts_ms, at_ms - range_ms, "right")


def _pinned(argument: Expression) -> dict[str, str]:
    """Labels that one matcher of equality names, and no other matcher."""
    select = argument.select if isinstance(argument, Range) else argument
    if not isinstance(select, Select):
        return {}
    found: dict[str, str] = {}
    for matcher in select.matchers:
        if matcher.name == NAME_LABEL:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in found:
            found[matcher.name] = matcher.value
        else:
            found[matcher.name] = ""
    return found
