"""Values of expressions while they are evaluated, and the answer at the end.

    Scalar    one number per step                         Vector   rows of labels × steps
    Text      a string                                             values   1.0  NaN   ·        float64
                                                                   present   1    1    0        uint8

Presence is separate from the value, because NaN is a value. ``present`` is 1 for a number; other marks are reserved for
samples that are not numbers.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.promql.labels import Labels, LabelTexts, Rows, join_labels, no_labels

TimeColumn = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Present = npt.NDArray[np.uint8]


class Steps(msgspec.Struct, frozen=True):
    """The times an expression is evaluated at. at_ms: int64, ascending. step_ms: their distance; 0 for one instant."""

    at_ms: TimeColumn
    step_ms: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return len(self.at_ms)

    def first(self) -> "Steps":
        """The first step alone."""
        return Steps(self.at_ms[:1], self.step_ms)


def instant(at_ms: int) -> Steps:
    """One time."""
    return Steps(np.array([at_ms], np.int64), 0)


def steps_between(start_ms: int, end_ms: int, step_ms: int) -> Steps:
    """Return the steps start_ms, start_ms + step_ms … up to and including end_ms, in Unix milliseconds."""
    return Steps(np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64), step_ms)


class Scalar(msgspec.Struct, frozen=True):
    """One number per step: float64 (steps,)."""

    values: Values


class Text(msgspec.Struct, frozen=True):
    """A string."""

    text: str


class Vector(msgspec.Struct, frozen=True):
    """Series × steps. labels: of n series; values float64 and present uint8: (n, steps). ordered: rows are sorted."""

    labels: Labels
    values: Values
    present: Present
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.values.shape[1])

    def take(self, rows: Rows | npt.NDArray[np.bool_]) -> "Vector":
        """Some rows, in the order given."""
        return Vector(self.labels.take(rows), self.values[rows], self.present[rows], self.ordered)

    def without_empty(self) -> "Vector":
        """The rows that have a value at some step."""
        kept = self.present.any(axis=1)
        return self if kept.all() else self.take(np.flatnonzero(kept))


Value = Scalar | Text | Vector


def one_row(texts: LabelTexts, values: Values) -> Vector:
    """A series without labels that has a value at every step."""
    return Vector(no_labels(texts, 1), values.reshape(1, -1).copy(), np.ones((1, len(values)), np.uint8))


def join_vectors(vectors: Sequence[Vector]) -> Vector:
    """Vectors of the same steps, one below the other."""
    if len(vectors) == 1:
        return vectors[0]
    return Vector(
        join_labels([vector.labels for vector in vectors]),
        np.concatenate([vector.values for vector in vectors]),
        np.concatenate([vector.present for vector in vectors]),
    )


def repeat_steps(value: Value, steps: int) -> Value:
    """A value of one step at each of ``steps``."""
    if isinstance(value, Scalar):
        return Scalar(np.repeat(value.values, steps))
    if isinstance(value, Vector):
        return Vector(
            value.labels, np.repeat(value.values, steps, axis=1), np.repeat(value.present, steps, axis=1), value.ordered
        )
    return value


class Series(msgspec.Struct, frozen=True):
    """Samples of n series as columns: series i owns [offsets[i], offsets[i + 1]) of ts_ms and value."""

    labels: Labels
    offsets: TimeColumn
    ts_ms: TimeColumn
    value: Values


class QueryResult(msgspec.Struct, frozen=True):
    """Result of a query. kind: ``scalar``, ``string``, ``vector`` or ``matrix``.

    scalar: values of one step at at_ms[0]. string: text. vector: series at at_ms[0], in the order of the answer.
    matrix: series over at_ms, sorted by their labels, or ``samples`` of a range selector as they are stored.
    resolutions: what it was read from: ``raw``, names of tiers. samples_by_step: looked at, int64 (steps,), zeros where
    not asked for. samples_peak: the most that was held at one time, in samples of 16 bytes.
    """

    kind: str
    at_ms: TimeColumn
    scalar: Scalar | None = None
    text: str = ""
    vector: Vector | None = None
    samples: Series | None = None
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    samples_read: int = 0
    resolutions: tuple[str, ...] = ()
    samples_by_step: TimeColumn | None = None
    samples_peak: int = 0
