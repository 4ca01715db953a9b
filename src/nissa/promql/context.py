"""Context in which a part of an expression is evaluated: the interface between the evaluator and functions.

A context has the steps and, if a query over many series is evaluated in slices, the rows of the selector inside.
"""

from typing import Protocol

import msgspec
import numpy as np

from nissa._fast.windows import over_windows
from nissa.model.allowance import Check
from nissa.promql.expression import Expression, Range, Select, Shift
from nissa.promql.labels import Labels, LabelTexts
from nissa.promql.notes import Notes
from nissa.promql.source import Columns
from nissa.promql.tiers import Older
from nissa.promql.values import Present, Scalar, Steps, TimeColumn, Value, Values, Vector


class EvaluationContext(msgspec.Struct, frozen=True):
    """steps: times of evaluation. rows: [first, last) of the series of the selector inside; None for all."""

    steps: Steps
    rows: tuple[int, int] | None = None

    def at_once(self) -> "EvaluationContext":
        """The first step alone."""
        return EvaluationContext(self.steps.first(), self.rows)


class Edges(msgspec.Struct, frozen=True):
    """Of the whole query: first and last step, their distance, how far an instant selector looks back."""

    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int

    def number(self, name: str) -> float:
        """Values of ``start()``, ``end()``, ``step()`` and ``range()``, in seconds."""
        range_ms = self.end_ms - self.start_ms
        numbers_ms = {"start": self.start_ms, "end": self.end_ms, "step": self.step_ms, "range": range_ms}
        return numbers_ms[name] / 1000.0

    def times(self, shift: Shift, steps: Steps) -> TimeColumn:
        """The steps as a selector with this shift sees them."""
        if shift.moment is None:
            return steps.at_ms - shift.offset_ms
        at_ms = shift.moment.at_ms
        if shift.moment.edge:
            at_ms = self.start_ms if shift.moment.edge == "start" else self.end_ms
        return np.full(steps.count, at_ms - shift.offset_ms, np.int64)


class Windows(msgspec.Struct, frozen=True):
    """The samples a range function looks at. at_ms: the end of each step's window.

    samples_from: the first step that samples answer. older: what tiers answer of those before.
    """

    labels: Labels
    columns: Columns
    at_ms: TimeColumn
    range_ms: int
    samples_from: int = 0
    older: tuple[Older, ...] = ()

    def over(self, function: str, first: Values | None = None, second: Values | None = None) -> tuple[Values, Present]:
        """Result of a kernel for each window: values and present. first, second: its parameters by step."""
        columns, at_ms = self.columns, np.ascontiguousarray(self.at_ms)
        values, present = over_windows(function, columns, at_ms, self.range_ms, first, second)
        present[:, : self.samples_from] = 0
        for older in self.older:
            older.put(function, values, present, first)
        return values, present


class Evaluator(Protocol):
    """Evaluator of the parts of an expression."""

    @property
    def texts(self) -> LabelTexts: ...
    @property
    def notes(self) -> Notes: ...
    @property
    def edges(self) -> Edges: ...
    @property
    def check(self) -> Check:
        """Called between slices of work; raises when the query is to end."""

    def value(self, expression: Expression, context: EvaluationContext) -> Value:
        """An expression that is no range."""

    def vector(self, expression: Expression, context: EvaluationContext) -> Vector:
        """An expression that gives series."""

    def scalar(self, expression: Expression, context: EvaluationContext) -> Scalar:
        """An expression that gives numbers."""

    def windows(self, expression: Expression, context: EvaluationContext, function: str) -> Windows:
        """Evaluate a range selector or a subquery, without staleness markers.

        expression: the range. context: steps to evaluate. function: name of the function that reads the ranges.
        """

    def select(self, select: Select, context: EvaluationContext, *, times: bool = False) -> Vector:
        """Evaluate an instant selector.

        select: the selector. context: steps to evaluate. times: return the times of samples in seconds as values.
        """

    def labels_of(self, part: Select | Range) -> Labels:
        """Labels of all series that a selector means."""

    def slices(self, part: Select | Range, context: EvaluationContext) -> list[tuple[int, int]]:
        """Series of a selector that are evaluated at a time, as [first, last); one slice where the context is one."""
