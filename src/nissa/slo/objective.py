"""An objective as it is measured: two expressions over a range, a target, a window.

    bad    sum(increase(http_requests_total{code=~"5.."}[$window]))      events that count against the budget
    total  sum(increase(http_requests_total[$window]))                   all events

``$window`` stands for a duration. Every form of definition becomes this (``objective_file.py``, ``open_slo.py``).
"""

import math
from enum import StrEnum
from typing import Final

import msgspec

from nissa.model.errors import BadQuery
from nissa.model.selector import read_selector

WINDOW: Final = "$window"
CONSERVING_BURN: Final = 14.4  # of objectives without a threshold: 2 % of 30 days in an hour
STAND_INS: Final = (WINDOW, "{{.window}}", "{{ .window }}")


class Calendar(StrEnum):
    """The period of a calendar window, which begins at its first midnight, UTC."""

    NONE = ""
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Objective(msgspec.Struct, frozen=True):
    """One objective. bad, total: expressions with ``$window``. target_percent: of events that are not bad.

    window_ms: rolling window; of a calendar window, its usual length. burn_threshold: burn rate over an hour that
    alerts, 0 for none. events_min: with fewer in a window nothing is said about it. conserves: its burn
    puts Nissa into conservative mode. file: as named in the settings.
    """

    name: str
    bad: str
    total: str
    target_percent: float
    window_ms: int
    calendar: Calendar = Calendar.NONE
    burn_threshold: float = 0.0
    events_min: float = 1.0
    conserves: bool = False
    labels: dict[str, str] = {}
    description: str = ""
    file: str = ""

    @property
    def conserving_burn(self) -> float:
        """Burn rate over an hour that puts Nissa into conservative mode; infinite where none does."""
        return (self.burn_threshold or CONSERVING_BURN) if self.conserves else math.inf

    @property
    def allowed_ratio(self) -> float:
        """Share of events that may be bad."""
        return 1 - self.target_percent / 100


def windowed_increase(text: str) -> str:
    """A counter's selector, or a sum of one, as its increase over the window. Raises: BadQuery."""
    return _windowed(text, "increase")


def windowed_sum(text: str) -> str:
    """A gauge's selector as the sum of its samples over the window. Raises: BadQuery."""
    return _windowed(text, "sum_over_time")


def windowed_count(text: str) -> str:
    """A selector as the number of its samples over the window. Raises: BadQuery."""
    return _windowed(text, "count_over_time")


def _windowed(text: str, function: str) -> str:
    text = text.strip()
    for stand_in in STAND_INS:
        if stand_in in text:
            return text.replace(stand_in, WINDOW)
    inner = text[4:-1] if text.startswith("sum(") and text.endswith(")") else text
    try:
        read_selector(inner)
    except BadQuery as error:
        raise BadQuery(f"expected a selector, sum(selector), or an expression with {WINDOW}: {error}") from None
    return f"sum({function}({inner}[{WINDOW}]))"


def ratio_expressions(bad: str, good: str, total: str) -> tuple[str, str]:
    """Bad events and all events over ``$window``; one of bad and good is given. Raises: BadQuery."""
    if bool(bad) == bool(good):
        raise BadQuery("one of bad and good must be set")
    everything = windowed_increase(total)
    return (
        (windowed_increase(bad), everything)
        if bad
        else (f"({everything}) - (({windowed_increase(good)}) or vector(0))", everything)
    )


def over(expression: str, window: str) -> str:
    """An expression with its range put in, such as ``1h``."""
    return expression.replace(WINDOW, window)
