"""Tiers by name, and tiers that cannot be."""

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.model.ladder import (
    DEFAULT_TIERS,
    POLICIES_MAX,
    SCALARS,
    TIERS_MAX,
    Policy,
    Tier,
    check_policies,
    check_tiers,
    interval_name,
    interval_of,
)
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS


def test_default_tiers_are_those_of_the_specification() -> None:
    """1m 24 h, 5m 7 d, 1h 30 d, 1d 365 d; quantiles from 5m up; and they pass their own check."""
    shown = [(tier.name, tier.retention_ms // HOUR_MS, tier.has_sketch) for tier in DEFAULT_TIERS]
    assert shown == [("1m", 24, False), ("5m", 168, True), ("1h", 720, True), ("1d", 8760, True)]
    check_tiers(DEFAULT_TIERS, 6 * HOUR_MS)


def test_an_interval_is_called_by_its_largest_whole_unit() -> None:
    """Names of intervals, as ``resolution=`` takes them, and back."""
    named = {1: "1ms", 1500: "1500ms", 90_000: "90s", MINUTE_MS: "1m", 90 * MINUTE_MS: "90m", DAY_MS: "1d"}
    assert {interval_ms: interval_name(interval_ms) for interval_ms in named} == named
    assert {interval_of(name): name for name in named.values()} == named


MINUTES = Tier(MINUTE_MS, DAY_MS)
WRONG = {
    "ladder.tiers[1].interval": (MINUTES, Tier(90_000, DAY_MS)),
    "ladder.tiers[0].interval": (Tier(0, DAY_MS),),
    "ladder.tiers[0].retention": (Tier(MINUTE_MS, HOUR_MS), Tier(2 * HOUR_MS, DAY_MS)),
    "ladder.tiers[1].retention": (MINUTES, Tier(HOUR_MS, MINUTE_MS)),
    "ladder.tiers[0].aggregates[1]": (Tier(MINUTE_MS, DAY_MS, ("sum", "p95")),),
    "ladder.tiers[0].aggregates[2]": (Tier(MINUTE_MS, DAY_MS, ("sum", "min", "sum")),),
    "ladder.tiers[1].aggregates": (Tier(MINUTE_MS, DAY_MS, ("sum",)), Tier(HOUR_MS, DAY_MS, ("sum", "max"))),
    "ladder.tiers[2].aggregates": (
        MINUTES,
        Tier(5 * MINUTE_MS, DAY_MS, SCALARS),
        Tier(HOUR_MS, DAY_MS),
    ),
    "ladder.raw_retention": (MINUTES, Tier(12 * HOUR_MS, DAY_MS)),
    "ladder.tiers": tuple(Tier(MINUTE_MS << shift, DAY_MS) for shift in range(TIERS_MAX + 1)),
}


@pytest.mark.parametrize(("path", "tiers"), WRONG.items(), ids=WRONG.keys())
def test_tiers_that_cannot_be_are_refused_with_their_path(path: str, tiers: tuple[Tier, ...]) -> None:
    """Intervals that do not divide, retention shorter than the next window, unknown or missing aggregates."""
    with pytest.raises(ConfigInvalid) as refused:
        check_tiers(tiers, 6 * HOUR_MS)
    assert refused.value.path == path


def test_no_tier_and_one_tier_are_ladders_too() -> None:
    """Raw alone, or one resolution with quantiles."""
    check_tiers((), 6 * HOUR_MS)
    check_tiers((MINUTES,), 6 * HOUR_MS)


IMPOSSIBLE = {
    "ladder.policies[1].retention": {"2m": DAY_MS},
    "ladder.policies[1].retention ": {"1m": DAY_MS, "1h": DAY_MS},
    "ladder.policies[1].retention.5m": {"1m": DAY_MS, "5m": MINUTE_MS},
    "ladder.policies[1].retention.1m": {"1m": 0},
    "ladder.policies[1].retention.5m ": {"1m": DAY_MS, "5m": HOUR_MS // 2, "1h": DAY_MS},
    "ladder.policies[1].retention.1m ": {"1m": 2**62},
}


@pytest.mark.parametrize(("path", "kept"), IMPOSSIBLE.items(), ids=list(IMPOSSIBLE))
def test_policies_that_cannot_be_are_refused_with_their_path(path: str, kept: dict[str, int]) -> None:
    """Tiers there are not, gaps between them, and times too short for the next one."""
    with pytest.raises(ConfigInvalid) as refusal:
        check_policies((Policy("a"), Policy("b", kept)), DEFAULT_TIERS)
    assert refusal.value.path == path.strip()


def test_policies_that_can_be() -> None:
    """Off, a part of the way, and all of it; not any number of them."""
    whole = {tier.name: tier.retention_ms for tier in DEFAULT_TIERS}
    check_policies((Policy("a"), Policy("b", {"1m": HOUR_MS}), Policy("c", whole)), DEFAULT_TIERS)
    with pytest.raises(ConfigInvalid, match="at most"):
        check_policies((Policy("a"),) * (POLICIES_MAX + 1), DEFAULT_TIERS)
