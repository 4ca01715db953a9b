"""Computation of error budgets from samples, and what follows from them."""

import pytest

from nissa.model.units import DAY_MS, MINUTE_MS
from nissa.rules.queries import RecordedSample
from nissa.service.rule_ground import MemoryGround
from nissa.service.slo_tasks import compute_budget
from nissa.slo.budget import BudgetState
from nissa.slo.objective import Objective, ratio_expressions

NOW_MS = 10 * DAY_MS


def objective(**changes) -> Objective:
    """1 % of requests may be errors, in a week."""
    bad, total = ratio_expressions("errors_total", "", "requests_total")
    return Objective("api", bad, total, 99.0, 7 * DAY_MS, **changes)


def ground(errors_per_minute: float, resets: bool = False) -> MemoryGround:
    """100 requests a minute for three hours, with a gap and, where wanted, a reset of the counters."""
    found = MemoryGround()
    minutes = [minute for minute in range(181) if not 60 < minute < 70]
    for name, step in (("requests_total", 100.0), ("errors_total", errors_per_minute)):
        values = [(minute - (90 if resets and minute >= 90 else 0)) * step for minute in minutes]
        start_ms = NOW_MS - 180 * MINUTE_MS
        found.add(
            RecordedSample({"__name__": name}, start_ms + minute * MINUTE_MS, value)
            for minute, value in zip(minutes, values, strict=True)
        )
    return found


def test_budgets_follow_from_stored_increases() -> None:
    """The whole window and recent ones, over gaps; 2 % of errors burn a budget of 1 % twice as fast as evenly."""
    found = compute_budget(objective(), ground(2).queries, NOW_MS)
    assert found.events.total == pytest.approx(18_000, rel=0.02)
    assert found.events.bad == pytest.approx(360, rel=0.02)
    assert found.burn["1h"] == pytest.approx(2, rel=0.01)
    assert (found.state, found.remaining_percent) == (BudgetState.EXHAUSTED, 0)
    calm = compute_budget(objective(), ground(0.5).queries, NOW_MS)
    assert calm.remaining_percent == pytest.approx(50, rel=0.02)
    assert calm.exhausted_in_ms == pytest.approx(7 * DAY_MS, rel=0.05)


def test_a_reset_of_counters_is_no_loss() -> None:
    """Increases are counted across it."""
    found = compute_budget(objective(), ground(2, resets=True).queries, NOW_MS)
    assert found.events.total == pytest.approx(17_900, rel=0.02)


def test_a_burn_over_its_threshold_is_told() -> None:
    """Objectives that are to conserve have a burn rate that does; others never do."""
    assert objective(conserves=True).conserving_burn == 14.4
    assert objective(conserves=True, burn_threshold=2).conserving_burn == 2
    assert objective().conserving_burn == float("inf")


def test_no_traffic_is_said() -> None:
    """Metrics that are not there are no events, and no error."""
    found = compute_budget(objective(), MemoryGround().queries, NOW_MS)
    assert (found.state, found.remaining_percent, found.burn["1h"]) == (BudgetState.TOO_FEW_EVENTS, 100, None)
