"""Error budgets: how much of them is left, how fast they burn, when they are spent. Pure numbers.

allowed   = total * (1 - target)                       events that may be bad in the window
remaining = (allowed - bad) / allowed                  1 while nothing is bad, below 0 when more than all is spent
burn      = (bad / total) / (1 - target)               1: the budget lasts exactly as long as the window
exhausted = remaining * window / burn                  after this time, at this burn
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.slo.objective import Calendar, Objective

BURN_WINDOWS_MS: Final = {"1h": HOUR_MS, "6h": 6 * HOUR_MS, "1d": DAY_MS, "3d": 3 * DAY_MS}
EXHAUSTION_WINDOW: Final = "1h"
_MONTHS: Final = {Calendar.MONTH: 1, Calendar.QUARTER: 3, Calendar.YEAR: 12}


class EventCount(msgspec.Struct, frozen=True):
    """EventCount of a window: all, and those that are bad."""

    total: float
    bad: float

    @property
    def bad_ratio(self) -> float:
        """Share of bad events; 0 where there are none."""
        return min(max(self.bad / self.total, 0.0), 1.0) if self.total > 0 else 0.0


class BudgetState(StrEnum):
    """State of a budget. too_few_events: nothing can be said."""

    OK = "ok"
    BURNING = "burning"
    EXHAUSTED = "exhausted"
    TOO_FEW_EVENTS = "too_few_events"


class Budget(msgspec.Struct, frozen=True):
    """An error budget at one time. start_ms, end_ms: of the window, half-open. burn: by window; None: too few events.

    remaining_percent: 0 to 100; spent_percent: of the budget, over 100 when more than all is spent. exhausted_in_ms: at
    the burn of the last hour; None: never, or nothing can be said.
    """

    objective: str
    start_ms: int
    end_ms: int
    events: EventCount
    state: BudgetState
    remaining_percent: float
    spent_percent: float
    burn: dict[str, float | None]
    exhausted_in_ms: int | None


def window_of(objective: Objective, now_ms: int) -> tuple[int, int]:
    """The window of an objective at ``now_ms``, half-open, Unix milliseconds."""
    if objective.calendar is Calendar.NONE:
        return now_ms - objective.window_ms, now_ms
    now = datetime.fromtimestamp(now_ms / SECOND_MS, UTC)
    months = _MONTHS[objective.calendar]
    start = datetime(now.year, (now.month - 1) // months * months + 1, 1, tzinfo=UTC)
    return int(start.timestamp()) * SECOND_MS, now_ms


def budget_of(
    objective: Objective, span_ms: tuple[int, int], events: EventCount, recent: dict[str, EventCount]
) -> Budget:
    """The budget from the events of the whole window, and of windows up to now by their name."""
    allowed = objective.allowed_ratio
    burn = {name: None if one.total < objective.events_min else one.bad_ratio / allowed for name, one in recent.items()}
    has_few = events.total < objective.events_min
    spent = 0.0 if has_few else events.bad_ratio / allowed
    remaining = max(1 - spent, 0.0)
    rate = burn.get(EXHAUSTION_WINDOW)
    exhausted = None if has_few or not rate else round(min(remaining * objective.window_ms / rate, 2**53))
    return Budget(
        objective.name,
        *span_ms,
        events,
        _state(has_few, remaining, rate),
        remaining * 100,
        spent * 100,
        burn,
        exhausted,
    )


def _state(has_few: bool, remaining: float, rate: float | None) -> BudgetState:
    if has_few:
        return BudgetState.TOO_FEW_EVENTS
    if remaining <= 0:
        return BudgetState.EXHAUSTED
    return BudgetState.BURNING if rate is not None and rate > 1 else BudgetState.OK


def time_left_text(budget: Budget) -> str:
    """The time until the budget is spent, in words."""
    if budget.state is BudgetState.TOO_FEW_EVENTS:
        return "too few events to say"
    if budget.state is BudgetState.EXHAUSTED:
        return "the budget is spent"
    if budget.exhausted_in_ms is None:
        return "nothing of the budget is being spent"
    for name, unit_ms in (("days", DAY_MS), ("hours", HOUR_MS), ("minutes", MINUTE_MS)):
        if budget.exhausted_in_ms >= 2 * unit_ms:
            return f"spent in {budget.exhausted_in_ms // unit_ms} {name} at the rate of the last hour"
    return "spent within two minutes at the rate of the last hour"
