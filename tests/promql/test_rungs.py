"""The choice of rungs for steps: by retention, by what a function needs, and by the resolution named."""

import numpy as np
import pytest

from nissa.model.errors import BadQuery
from nissa.model.ladder import DEFAULT_TIERS, SCALARS
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.promql.limits import ExecutionFailed
from nissa.promql.memory_source import MemorySource
from nissa.promql.notes import Notes
from nissa.promql.parse import read_expression
from nissa.promql.rungs import Demand, Look, Plan, Rungs, demand_of
from nissa.promql.source import Kept, Rung, Selected

NOW_MS = 20_000 * DAY_MS
TEXT = "rate(x[1h])"


class Ladder(MemorySource):
    """Four tiers, each retained for so long before now; its one selection has four series."""

    samples_from_ms = NOW_MS - 6 * HOUR_MS
    tiers = tuple(tier.name for tier in DEFAULT_TIERS)

    def __init__(self, *, has_policy: bool = False) -> None:
        super().__init__()
        rungs = [Rung(from_ms=self.samples_from_ms)]
        rungs += [Rung(one.name, one.interval_ms, NOW_MS - one.retention_ms, one.aggregates) for one in DEFAULT_TIERS]
        self._kept = [Kept(np.arange(4), tuple(rungs))]
        if has_policy:
            self._kept = [Kept(np.arange(3), tuple(rungs)), Kept(np.array([3]), tuple(rungs[:1]))]

    def kept(self, first: int, last: int) -> list[Kept]:
        """All four."""
        assert (first, last) == (0, 4)
        return self._kept


def plan_of(
    step_ms: int,
    span_ms: tuple[int, int],
    text: str = TEXT,
    function: str = "rate",
    *,
    reach_ms: int = HOUR_MS,
    resolution: str = "auto",
    has_policy: bool = False,
) -> tuple[Plan, Rungs, np.ndarray]:
    """The plan of one selector of an expression over steps of a range before now."""
    source = Ladder(has_policy=has_policy)
    at_ms = np.arange(NOW_MS - span_ms[0], NOW_MS - span_ms[1] + 1, step_ms or 1)
    rungs = Rungs(source, resolution, demand_of(read_expression(text), step_ms), Notes(text))
    selected: Selected = source  # type: ignore[assignment]
    return rungs.plan(selected, (0, 4), Look(at_ms, reach_ms, function, 5)), rungs, at_ms


def pieces(plan: Plan, at_ms: np.ndarray) -> list[tuple[str, int, int]]:
    """Rung, and how long before now its steps begin and end, in hours, later ones first."""
    found = []
    if plan.samples_from < len(at_ms):
        found.append(("raw", plan.samples_from, len(at_ms)))
    found += [(one.rung.name, one.first, one.last) for one in plan.stretches]
    return [(name, *(int(NOW_MS - at_ms[at]) // HOUR_MS for at in (first, last - 1))) for name, first, last in found]


@pytest.mark.parametrize(
    ("step_ms", "days", "text", "expected"),
    [
        (HOUR_MS, 30, TEXT, [("raw", 5, 0), ("1h", 719, 6), ("1d", 720, 720)]),
        (5 * MINUTE_MS, 10, TEXT, [("raw", 5, 0), ("5m", 167, 5), ("1h", 240, 167)]),
        (90 * MINUTE_MS, 20, TEXT, [("raw", 4, 0), ("5m", 166, 6), ("1h", 480, 168)]),  # no whole windows of 1h
        (15_000, 2, TEXT, [("raw", 5, 0), ("1m", 23, 5), ("5m", 48, 23)]),  # none serves: the finest
        (DAY_MS, 40, "rate(x[1d]) / rate(y[5m])", [("raw", 0, 0), ("5m", 144, 24), ("1h", 696, 168), ("1d", 960, 720)]),
        (DAY_MS, 60, "x", [("raw", 0, 0), ("1d", 1440, 24)]),
        (DAY_MS, 60, "max_over_time(x[1d:1h])", [("raw", 0, 0), ("1h", 696, 24), ("1d", 1440, 720)]),
        (DAY_MS, 400, "x", [("raw", 0, 0), ("1d", 9600, 24)]),  # the last tier also where it has expired
        (0, 0, TEXT, [("raw", 0, 0)]),
    ],
)
def test_auto_takes_samples_and_then_the_coarsest_that_serves(
    step_ms: int, days: int, text: str, expected: list[tuple[str, int, int]]
) -> None:
    """Every step once, by a rung that has its whole range: the border is where that is retained."""
    plan, rungs, at_ms = plan_of(step_ms, (days * DAY_MS, 0), text)
    assert pieces(plan, at_ms) == expected
    assert set(rungs.used) == {name for name, _, _ in expected}
    steps = [plan.samples_from, *(at for one in plan.stretches for at in (one.first, one.last))]
    assert sum(one.last - one.first for one in plan.stretches) + len(at_ms) - plan.samples_from == len(at_ms)
    assert min(steps) in (0, plan.samples_from)


@pytest.mark.parametrize(
    ("reach_ms", "name"), [(HOUR_MS, "raw"), (10 * HOUR_MS, "1m"), (5 * DAY_MS, "5m"), (9 * DAY_MS, "1h")]
)
def test_at_one_time_the_finest_that_has_it_answers(reach_ms: int, name: str) -> None:
    """Whatever the range: a border of narrow windows is nearer."""
    plan, rungs, at_ms = plan_of(0, (0, 0), f"rate(x[{reach_ms}ms])", reach_ms=reach_ms)
    assert pieces(plan, at_ms) == [(name, 0, 0)]
    assert rungs.used == (name,)


def test_tiers_without_what_a_function_needs_are_passed_over() -> None:
    """1m keeps no sketches, so quantile skips it; no tier has the data for changes."""
    assert DEFAULT_TIERS[0].aggregates == SCALARS
    plan, _, at_ms = plan_of(60_000, (DAY_MS, 0), function="quantile")
    assert [name for name, _, _ in pieces(plan, at_ms)] == ["raw", "5m"]
    with pytest.raises(ExecutionFailed, match=r"1:6: quantile needs the aggregate quantiles, which the tier 1m"):
        plan_of(60_000, (DAY_MS, 0), function="quantile", resolution="1m")
    plan, _, at_ms = plan_of(60_000, (DAY_MS, 0), function="changes")
    assert pieces(plan, at_ms) == [("raw", 5, 0)]


def test_a_name_is_one_tier_or_samples_for_all_steps() -> None:
    """Whatever is retained; unknown ones are refused with those there are."""
    plan, rungs, at_ms = plan_of(HOUR_MS, (90 * DAY_MS, 0), resolution="5m")
    assert pieces(plan, at_ms) == [("5m", 2160, 0)]
    plan, rungs, at_ms = plan_of(HOUR_MS, (90 * DAY_MS, 0), resolution="raw")
    assert pieces(plan, at_ms) == [("raw", 2160, 0)]
    assert rungs.used == ("raw",)
    with pytest.raises(BadQuery, match="'2m' is none of raw, 1m, 5m, 1h, 1d, auto"):
        plan_of(HOUR_MS, (0, 0), resolution="2m")


def test_series_that_reach_no_tier_keep_their_samples() -> None:
    """Series without a tier answer all steps from samples, as far as there are any, beside series with tiers."""
    plan, _, _ = plan_of(HOUR_MS, (2 * DAY_MS, 0), has_policy=True)
    assert plan.samples_from == 0
    assert [(one.rung.name, one.rows.tolist()) for one in plan.stretches] == [("1h", [0, 1, 2])]
    plan, _, at_ms = plan_of(HOUR_MS, (2 * DAY_MS, 0), has_policy=True, resolution="1h")
    assert (plan.samples_from, len(plan.stretches)) == (len(at_ms), 1)


def test_steps_and_ranges_of_an_expression() -> None:
    """Steps and ranges of all selectors and subqueries; an instant query has no step."""
    parts = read_expression("rate(x[5m]) + max_over_time(rate(y[1h] offset 3h)[1d:10m]) + z")
    assert demand_of(parts, 0) == Demand(frozenset({600_000}), frozenset({300_000, HOUR_MS}))
    assert demand_of(parts, 15_000).steps_ms == {600_000, 15_000}
    assert demand_of(read_expression("max_over_time(y[1d:])"), 0).steps_ms == {60_000}
