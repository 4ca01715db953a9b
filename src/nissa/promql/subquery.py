"""Subqueries: an expression is evaluated at its own steps, and its values are the samples of a range.

x[10m:1m] at t        inner steps are multiples of a minute in (t - 10m, t], whatever t is
"""

import numpy as np

from nissa._fast.windows import from_matrix
from nissa.promql.context import Edges, EvaluationContext, Evaluator, Windows
from nissa.promql.expression import Subquery
from nissa.promql.limits import check_steps
from nissa.promql.source import Columns
from nissa.promql.values import Steps, steps_between

DEFAULT_STEP_MS = 60_000  # of a subquery that names none


def inner_steps(subquery: Subquery, steps: Steps, edges: Edges) -> Steps:
    """Return the steps at which the inner expression is evaluated, for all steps of the query.

    subquery: has range, step and offset. steps: of the query. edges: its start and end.
    """
    times = edges.times(subquery.shift, steps)
    step_ms = subquery.step_ms or DEFAULT_STEP_MS
    if not len(times):
        return Steps(times, step_ms)
    after_ms = int(times[0]) - subquery.range_ms
    start_ms = (after_ms // step_ms + 1) * step_ms
    check_steps((int(times[-1]) - start_ms) // step_ms + 1)
    return steps_between(start_ms, int(times[-1]), step_ms)


def subquery_windows(evaluator: Evaluator, subquery: Subquery, context: EvaluationContext) -> Windows:
    """Evaluate the inner expression of a subquery and return its values as samples of ranges.

    evaluator: of the query. subquery: the expression with its range. context: steps to evaluate.
    """
    steps = inner_steps(subquery, context.steps, evaluator.edges)
    vector = evaluator.vector(subquery.expression, EvaluationContext(steps))
    columns = from_matrix(vector.values, vector.present, np.ascontiguousarray(steps.at_ms))
    times = evaluator.edges.times(subquery.shift, context.steps)
    return Windows(vector.labels, Columns(*columns), times, subquery.range_ms)
