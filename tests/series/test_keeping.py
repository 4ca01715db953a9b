"""Which policy a series falls under, by when its windows start."""

import numpy as np

from nissa.model.ladder import AS_THE_TIER, Policy, PolicyEpoch, Tier
from nissa.model.units import DAY_MS, MINUTE_MS
from nissa.series.keeping import SeriesKeeping
from oracle.series_twin import SeriesTwin

FINE, WIDE = Tier(MINUTE_MS, DAY_MS), Tier(5 * MINUTE_MS, DAY_MS)
LABELS = [{"__name__": "debug_a"}, {"__name__": "up", "job": "x"}, {"__name__": "debug_b", "job": "x"}]
EPOCHS = (
    PolicyEpoch(1_000, (Policy('{__name__=~"debug_.*"}'), Policy('{job="x"}', {"1m": 7}))),
    PolicyEpoch(2_000, ()),
    PolicyEpoch(3_000, (Policy("up", {"1m": 8, "5m": 9}),)),
)
SERIES = np.array([0, 1, 2], np.uint32)


def kept(keeping: SeriesKeeping, tier: Tier, start_ms: int) -> list[int]:
    """Of the three series at a moment."""
    return keeping.kept_ms(tier, SERIES, np.full(3, start_ms, np.int64)).tolist()


def test_the_first_policy_that_matches_decides_in_its_epoch() -> None:
    """Before the first epoch, without policies, and for series nobody means, the tier decides."""
    keeping = SeriesKeeping(SeriesTwin(LABELS), EPOCHS)
    assert kept(keeping, FINE, 999) == [AS_THE_TIER] * 3
    assert kept(keeping, FINE, 1_000) == [0, 7, 0]
    assert kept(keeping, WIDE, 1_999) == [0, 0, 0]
    assert kept(keeping, FINE, 2_000) == [AS_THE_TIER] * 3
    assert kept(keeping, WIDE, 3_000) == [AS_THE_TIER, 9, AS_THE_TIER]
    mixed = keeping.kept_ms(FINE, SERIES, np.array([3_000, 1_500, 1_500]))
    assert mixed.tolist() == [AS_THE_TIER, 7, 0]


def test_new_series_are_judged_too() -> None:
    """Those that come after the first question."""
    twin = SeriesTwin(LABELS[:1])
    keeping = SeriesKeeping(twin, EPOCHS[:1])
    first = np.array([0], np.uint32)
    assert keeping.kept_ms(FINE, first, np.array([1_000])).tolist() == [0]
    grown = SeriesKeeping(SeriesTwin(LABELS), EPOCHS[:1])
    assert kept(grown, FINE, 1_000) == [0, 7, 0]


def test_series_are_grouped_by_the_policy_in_force() -> None:
    """None for those the tiers decide about."""
    groups = SeriesKeeping(SeriesTwin(LABELS), EPOCHS).groups(SERIES)
    assert [(policy and policy.match, series.tolist()) for policy, series in groups] == [("up", [1]), (None, [0, 2])]
    assert SeriesKeeping(SeriesTwin(LABELS), EPOCHS[:2]).groups(SERIES)[0][0] is None
