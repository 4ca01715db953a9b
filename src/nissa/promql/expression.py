"""The parts of an expression, as the evaluator walks them: what was written, its times in milliseconds.

    sum by (job) (rate(x{a="b"}[5m] offset 1m)) / 2

    Binary(/)
      Aggregation(sum, by job)
        Call(rate)
          Range(Select(x{a="b"}, offset 60_000), 300_000)
      Number(2)

``at`` is the byte of the expression where a part begins: what warnings point to.
"""

import msgspec

from nissa.model.matcher import Selector


class Number(msgspec.Struct, frozen=True):
    """A number or a duration, which is one in seconds."""

    value: float
    at: int = 0


class String(msgspec.Struct, frozen=True):
    """A text in quotes."""

    text: str
    at: int = 0


class AtModifier(msgspec.Struct, frozen=True):
    """The ``@`` modifier. edge: ``start`` or ``end`` of the query, or empty where ``at_ms`` is the time."""

    edge: str = ""
    at_ms: int = 0


class Shift(msgspec.Struct, frozen=True):
    """Shift of the evaluation time: to a moment, where there is one, then back by the offset."""

    offset_ms: int = 0
    moment: AtModifier | None = None


class Select(msgspec.Struct, frozen=True):
    """A vector selector."""

    matchers: Selector
    shift: Shift = Shift()
    at: int = 0


class Range(msgspec.Struct, frozen=True):
    """A range selector."""

    select: Select
    range_ms: int
    at: int = 0


class Subquery(msgspec.Struct, frozen=True):
    """An expression evaluated over a range. step_ms: 0 for the step of the query."""

    expression: "Expression"
    range_ms: int
    step_ms: int
    shift: Shift = Shift()
    at: int = 0


class Call(msgspec.Struct, frozen=True):
    """A function of arguments."""

    name: str
    arguments: tuple["Expression", ...]
    at: int = 0


class Aggregation(msgspec.Struct, frozen=True):
    """An aggregation. without: whether ``labels`` are those left out rather than those kept."""

    operation: str
    expression: "Expression"
    parameter: "Expression | None" = None
    labels: tuple[str, ...] = ()
    without: bool = False
    at: int = 0


class Matching(msgspec.Struct, frozen=True):
    """Matching of two sides' series. on: labels that must be equal, or ``ignoring`` them. many: ``left``, ``right`` or
    empty. include: labels taken from the side of one. fill_left, fill_right: values of a missing side."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: str = ""
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


class Binary(msgspec.Struct, frozen=True):
    """An operator between two sides. returns_bool: a comparison gives 0 or 1 instead of leaving out."""

    operator: str
    left: "Expression"
    right: "Expression"
    matching: Matching = Matching()
    returns_bool: bool = False
    at: int = 0


class Negate(msgspec.Struct, frozen=True):
    """A minus sign before an expression."""

    expression: "Expression"
    at: int = 0


Expression = Number | String | Select | Range | Subquery | Call | Aggregation | Binary | Negate

SETS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside, in the order they are written."""
    match expression:
        case Range(select=select):
            return (select,)
        case Subquery(expression=inner) | Negate(expression=inner):
            return (inner,)
        case Call(arguments=arguments):
            return arguments
        case Aggregation(expression=inner, parameter=parameter):
            return (inner,) if parameter is None else (parameter, inner)
        case Binary(left=left, right=right):
            return (left, right)
        case _:
            return ()


def is_scalar(expression: Expression) -> bool:
    """True if it gives one number per step rather than series."""
    match expression:
        case Number():
            return True
        case Negate(expression=inner):
            return is_scalar(inner)
        case Call(name=name):
            return name in SCALAR_CALLS
        case Binary(left=left, right=right):
            return is_scalar(left) and is_scalar(right)
        case _:
            return False


SCALAR_CALLS = frozenset({"scalar", "time", "pi", "start", "end", "range", "step", "min_of", "max_of"})
