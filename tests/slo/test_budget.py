"""Error budgets: their numbers against exact ones, windows of calendars, words."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.model.units import DAY_MS
from nissa.slo.budget import BudgetState, EventCount, budget_of, time_left_text, window_of
from nissa.slo.objective import Calendar, Objective

MONTH_MS = 30 * DAY_MS


def objective(target: float = 99.9, **changes) -> Objective:
    """An objective of 30 days."""
    return Objective("o", "bad", "total", target, MONTH_MS, **changes)


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(500, 999))
def test_numbers_are_those_of_exact_arithmetic(total: int, bad: int, target_tenths: int) -> None:
    """Spent and burn are bad / (total * (1 - target)), remaining is 1 - spent."""
    bad = min(bad, total)
    target = target_tenths / 10
    found = budget_of(objective(target), (0, MONTH_MS), EventCount(total, bad), {"1h": EventCount(total, bad)})
    spent = Fraction(bad) / (total * (1 - Fraction(target_tenths, 1000)))
    assert found.spent_percent == pytest.approx(float(spent * 100), rel=1e-9)
    assert found.remaining_percent == pytest.approx(float(max(1 - spent, 0) * 100), rel=1e-9, abs=1e-9)
    assert found.burn["1h"] == pytest.approx(float(spent), rel=1e-9)
    if 0 < spent < Fraction(999, 1000):
        assert found.exhausted_in_ms == pytest.approx(
            min(float((1 - spent) * MONTH_MS / spent), 2**53), rel=1e-6, abs=1
        )


def test_too_little_traffic_is_said() -> None:
    """Nothing is guessed from few events: the budget is whole, burn and exhaustion are not known."""
    few = budget_of(objective(events_min=100), (0, 1), EventCount(99, 99), {"1h": EventCount(0, 0)})
    assert (few.state, few.remaining_percent, few.burn, few.exhausted_in_ms) == (
        BudgetState.TOO_FEW_EVENTS,
        100,
        {"1h": None},
        None,
    )
    assert time_left_text(few) == "too few events to say"


def test_states_and_words() -> None:
    """From nothing spent to all spent."""
    whole = EventCount(100_000, 10)
    calm = budget_of(objective(), (0, 1), whole, {"1h": EventCount(1_000, 0)})
    burning = budget_of(objective(), (0, 1), whole, {"1h": EventCount(1_000, 10)})
    gone = budget_of(objective(), (0, 1), EventCount(100_000, 200), {"1h": EventCount(1_000, 10)})
    assert [one.state for one in (calm, burning, gone)] == ["ok", "burning", "exhausted"]
    assert time_left_text(calm) == "nothing of the budget is being spent"
    assert time_left_text(burning) == "spent in 2 days at the rate of the last hour"
    assert burning.exhausted_in_ms == pytest.approx(0.9 * MONTH_MS / 10, abs=1)
    assert time_left_text(gone) == "the budget is spent"


def test_windows_roll_or_begin_with_their_period() -> None:
    """A quarter begins at its first midnight, UTC."""
    now_ms = int(datetime(2026, 5, 17, 13, tzinfo=UTC).timestamp()) * 1000
    assert window_of(objective(), now_ms) == (now_ms - MONTH_MS, now_ms)
    for calendar, month in ((Calendar.MONTH, 5), (Calendar.QUARTER, 4), (Calendar.YEAR, 1)):
        start_ms = int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 1000
        assert window_of(objective(calendar=calendar), now_ms) == (start_ms, now_ms)
