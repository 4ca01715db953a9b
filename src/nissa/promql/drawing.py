"""Answers of range queries as columns of a drawing (M4): of each column the first, least, greatest and last value.

    steps      3 ·  9 1 | 5 5 · 5 | ·  ·  ·  ·      two or more steps fall into a column of the drawing
    first      3        | 5       | ·
    least      1        | 5       | ·
    greatest   9        | 5       | ·
    last       1        | 5       | ·               a column without a value is a gap

A line drawn from these four planes covers the same pixels as one drawn from all steps, if a column is one pixel wide:
from the last value of a column to the first of the next, and from the least to the greatest value within one (Jugel et
al., M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014). Step i falls into column
⌊i × columns / steps⌋. Values that are not finite are gaps, because they cannot be drawn.

On the wire: a head in JSON, then float64 in little endian, NaN for a gap.

    ┌──────────────┬─────────────────────┬──────────────────────────────────────────┐
    │ uint32       │ head: JSON, padded  │ of each series its planes, one after the │
    │ bytes of it  │ to 8 × n - 4 bytes  │ other, each with ``columns`` float64     │
    └──────────────┴─────────────────────┴──────────────────────────────────────────┘
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from nissa.promql.values import Present, Values, Vector

ALL: Final = ("value",)
M4: Final = ("first", "least", "greatest", "last")
ROWS = 256  # series that are worked on at a time
LITTLE = np.dtype("<f8")


def planes_of(steps: int, columns: int) -> tuple[str, ...]:
    """The planes of an answer: every step where that is no more than four values per column, else ``M4``."""
    return ALL if steps <= len(M4) * columns else M4


def drawing_pieces(vector: Vector, head: dict[str, Any], columns: int) -> Iterator[bytes]:
    """The body of an answer.

    vector: n series. head: of the answer; its planes, columns and series are put there. columns: of the drawing.
    """
    planes = planes_of(vector.steps, columns)
    width = vector.steps if planes == ALL else columns
    rows = [vector.labels.row(row) for row in range(len(vector))]
    text = orjson.dumps({**head, "planes": planes, "columns": width, "series": rows})
    text += b" " * (-(len(text) + 4) % 8)
    yield struct.pack("<I", len(text)) + text
    for row in range(0, len(vector), ROWS):
        values, present = vector.values[row : row + ROWS], vector.present[row : row + ROWS]
        drawn = _finite(values, present) if planes == ALL else m4(values, present, columns)
        yield np.ascontiguousarray(drawn, LITTLE).tobytes()


def m4(values: Values, present: Present, columns: int) -> npt.NDArray[np.float64]:
    """First, least, greatest and last value of each column.

    values, present: float64 and uint8 (n, steps), at least as many steps as columns. Returns: float64 (n, 4, columns).
    """
    steps = values.shape[1]
    finite = _finite(values, present)
    starts = -(-np.arange(columns) * steps // columns)  # the least i with i × columns / steps ≥ column
    known = ~np.isnan(finite)
    at = np.arange(steps)
    first = np.minimum.reduceat(np.where(known, at, steps), starts, axis=1)
    last = np.maximum.reduceat(np.where(known, at, -1), starts, axis=1)
    ends = [np.take_along_axis(finite, np.clip(edge, 0, steps - 1), axis=1) for edge in (first, last)]
    empty = last < 0
    for edge in ends:
        edge[empty] = np.nan
    least, greatest = (reduce.reduceat(finite, starts, axis=1) for reduce in (np.fmin, np.fmax))
    return np.stack([ends[0], least, greatest, ends[1]], axis=1)


def _finite(values: Values, present: Present) -> Values:
    """The values that can be drawn; NaN for the others."""
    return np.where((present == 1) & np.isfinite(values), values, np.nan)
