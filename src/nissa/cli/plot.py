"""Lines in the terminal: series over time, drawn with the dots of Braille letters.

one letter is 2 × 4 dots:   1 4       the height of a dot is the value; between two neighbouring moments that have
                            2 5       values a line is drawn, so that a gap is one in the data
                            3 6
                            7 8
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nissa.cli.text_table import utc
from nissa.promql.number_text import short_text

if TYPE_CHECKING:
    from rich.text import Text

Line = Sequence[float | None]

COLORS = ("cyan", "magenta", "yellow", "green", "red", "blue", "white")
SERIES_MAX = len(COLORS)
HEIGHT = 16
LABEL_WIDTH = 12
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLANK = 0x2800
DIGITS = 6


def plot(lines: Sequence[tuple[str, Line]], times_ms: Sequence[int], width: int) -> "Text":
    """Draw a chart of named lines; a value is None where a line has none. At most SERIES_MAX lines are drawn.

    lines: name and values of each. times_ms: time of each value, Unix milliseconds. width: in characters.
    """
    from rich.text import Text  # heavy: only for people

    drawn = lines[:SERIES_MAX]
    numbers = [value for _, line in drawn for value in line if value is not None and math.isfinite(value)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    columns = max(width - LABEL_WIDTH - 1, 10)
    letters = [[0] * columns for _ in range(HEIGHT)]
    owners = [[-1] * columns for _ in range(HEIGHT)]
    for number, (_, line) in enumerate(drawn):
        _draw(line, (low, high), letters, owners, number)
    chart = Text()
    for row in range(HEIGHT):
        level = high - (high - low) * row / (HEIGHT - 1)
        has_label = row % 5 == 0 if high > low else row == HEIGHT // 2  # a constant is drawn in the middle
        label = _rounded(level) if has_label else ""
        chart.append(f"{label[:LABEL_WIDTH]:>{LABEL_WIDTH}} ")
        for letter, owner in zip(letters[row], owners[row], strict=True):
            chart.append(chr(BLANK + letter) if letter else " ", style=COLORS[owner] if owner >= 0 else "")
        chart.append("\n")
    if times_ms:
        first, last = (utc(at_ms, to_the_second=True) for at_ms in (times_ms[0], times_ms[-1]))
        chart.append(f"{'':{LABEL_WIDTH}} {first}{last:>{max(columns - len(first), 1)}}\n")
    for number, (name, line) in enumerate(drawn):
        newest = next((value for value in reversed(line) if value is not None), math.nan)
        value = _rounded(newest)
        chart.append(f"  ● {_cut(name, width - len(value) - 6)}", style=COLORS[number])
        chart.append(f"  {value}\n")
    if len(lines) > len(drawn):
        chart.append(f"  and {len(lines) - len(drawn)} more series that are not drawn\n")
    return chart


def _rounded(value: float) -> str:
    return short_text(float(f"{value:.{DIGITS}g}"))


def _cut(name: str, length: int) -> str:
    """A name without its middle, where it is too long: either end may tell it from others."""
    if len(name) <= length:
        return name
    kept = max(length - 1, 2)
    return f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


def _draw(
    line: Line, span: tuple[float, float], letters: list[list[int]], owners: list[list[int]], number: int
) -> None:
    """Set the dots of one line."""
    low, high = span
    columns, rows = len(letters[0]) * 2, len(letters) * 4
    before: tuple[int, int] | None = None
    for at, value in enumerate(line):
        if value is None or not math.isfinite(value):
            before = None
            continue
        column = at * (columns - 1) // max(len(line) - 1, 1)
        share = (value - low) / (high - low) if high > low else 0.5
        here = column, round((1.0 - share) * (rows - 1))
        for one, row in _between(before or here, here):
            letters[row // 4][one // 2] |= DOTS[row % 4][one % 2]
            owners[row // 4][one // 2] = number
        before = here


def _between(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Dots from one to another, as column and row."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = max(abs(across), abs(down), 1)
    for at in range(length + 1):
        yield start[0] + round(across * at / length), start[1] + round(down * at / length)
