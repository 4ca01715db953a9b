"""The policy of a series, by the start of its windows."""

import numpy as np

from nissa.model.ladder import AS_THE_TIER, Policy, PolicyEpoch, Tier
from nissa.model.units import DAY_MS, MINUTE_MS
from nissa.series.policies import SeriesPolicies
from oracle.series_twin import SeriesTwin

FINE, WIDE = Tier(MINUTE_MS, DAY_MS), Tier(5 * MINUTE_MS, DAY_MS)
LABELS = [{"__name__": "debug_a"}, {"__name__": "up", "job": "x"}, {"__name__": "debug_b", "job": "x"}]
EPOCHS = (
    PolicyEpoch(1_000, (Policy('{__name__=~"debug_.*"}'), Policy('{job="x"}', {"1m": 7}))),
    PolicyEpoch(2_000, ()),
    PolicyEpoch(3_000, (Policy("up", {"1m": 8, "5m": 9}),)),
)
SERIES = np.array([0, 1, 2], np.uint32)


def kept(keeping: SeriesPolicies, tier: Tier, start_ms: int) -> list[int]:
    """Retention of the three series at a moment."""
    return keeping.kept_ms(tier, SERIES, np.full(3, start_ms, np.int64)).tolist()


def test_the_first_policy_that_matches_decides_in_its_epoch() -> None:
    """Before the first epoch, without policies, and for series that no policy selects, the tier decides."""
    keeping = SeriesPolicies(SeriesTwin(LABELS), EPOCHS)
    assert kept(keeping, FINE, 999) == [AS_THE_TIER] * 3
    assert kept(keeping, FINE, 1_000) == [0, 7, 0]
    assert kept(keeping, WIDE, 1_999) == [0, 0, 0]
    assert kept(keeping, FINE, 2_000) == [AS_THE_TIER] * 3
    assert kept(keeping, WIDE, 3_000) == [AS_THE_TIER, 9, AS_THE_TIER]
    mixed = keeping.kept_ms(FINE, SERIES, np.array([3_000, 1_500, 1_500]))
    assert mixed.tolist() == [AS_THE_TIER, 7, 0]


def test_new_series_are_judged_too() -> None:
    """Series that are created after the first call have their policies too."""
    twin = SeriesTwin(LABELS[:1])
    keeping = SeriesPolicies(twin, EPOCHS[:1])
    first = np.array([0], np.uint32)
    assert keeping.kept_ms(FINE, first, np.array([1_000])).tolist() == [0]
    grown = SeriesPolicies(SeriesTwin(LABELS), EPOCHS[:1])
    assert kept(grown, FINE, 1_000) == [0, 7, 0]


def test_series_are_grouped_by_the_policy_in_force() -> None:
    """Series for which the tiers decide are in the group None."""
    groups = SeriesPolicies(SeriesTwin(LABELS), EPOCHS).groups(SERIES)
    assert [(policy and policy.match, series.tolist()) for policy, series in groups] == [("up", [1]), (None, [0, 2])]
    assert SeriesPolicies(SeriesTwin(LABELS), EPOCHS[:2]).groups(SERIES)[0][0] is None
