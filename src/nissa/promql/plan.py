"""Plans an evaluation: what it reads, which parts are the same at every step, and which can be evaluated in slices.

sum by (job) (rate(x[5m])) / on () group_left () y @ 100

reads      x  [first step - 5m, last step]        y  [100 s - lookback, 100 s]
constant   y @ 100: evaluated once, repeated at every step
sliced     sum … (rate(x[5m])): a slice of the series of x at a time, so memory is bounded whatever their number
"""

from collections.abc import Iterator

from nissa.model.matcher import Selector
from nissa.promql.elementwise import ELEMENTWISE
from nissa.promql.expression import (
    SETS,
    Binary,
    Call,
    Expression,
    Negate,
    Number,
    Range,
    Select,
    String,
    Subquery,
    is_scalar,
    parts_of,
)
from nissa.promql.windows import RANGE_CALLS

# They look at the time of evaluation, whatever their arguments are.
TIMELY = frozenset({"predict_linear", "time", "timestamp", "start", "end", "range", "step"})
TIMELY |= {"days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year"}


def selectors_of(expression: Expression) -> list[Selector]:
    """The matchers of all selectors, in the order they are written."""
    if isinstance(expression, Select):
        return [expression.matchers]
    return [matchers for part in flat_parts(expression) for matchers in selectors_of(part)]


def flat_parts(expression: Expression) -> Iterator[Expression]:
    """The parts inside; a chain of operators, which leans to the left, without recursion."""
    while isinstance(expression, Binary):
        yield expression.right
        expression = expression.left
        if not isinstance(expression, Binary):
            yield expression
            return
    yield from parts_of(expression)


def is_constant(expression: Expression) -> bool:
    """True if it gives the same at every step."""
    match expression:
        case Number() | String():
            return True
        case Select(shift=shift) | Subquery(shift=shift):
            return shift.moment is not None
        case Range(select=select):
            return select.shift.moment is not None
        case Call(name=name) if name in TIMELY:
            return False
        case _:
            return all(is_constant(part) for part in flat_parts(expression))


def select_of(part: Select | Range) -> Select:
    """The selector inside."""
    return part.select if isinstance(part, Range) else part


def sliced_by(expression: Expression) -> Select | Range | None:
    """The one selector by whose series an expression can be evaluated in slices, each row by itself."""
    match expression:
        case Select():
            return expression
        case Negate(expression=inner):
            return sliced_by(inner)
        case Call(name=name, arguments=arguments) if name in RANGE_CALLS:
            return next((argument for argument in arguments if isinstance(argument, Range)), None)
        case Call(name=name, arguments=arguments) if name in ELEMENTWISE and arguments:
            return sliced_by(arguments[0])
        case Binary(operator=operator, left=left, right=right) if operator not in SETS:
            if is_scalar(right) and not is_scalar(left):
                return sliced_by(left)
            if is_scalar(left) and not is_scalar(right):
                return sliced_by(right)
    return None
