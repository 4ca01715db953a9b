"""Zones of an import: which tier takes samples of which age."""

import msgspec

from nissa.catalogue.catalogue import NEVER_MS, TierRow
from nissa.model.ladder import DEFAULT_TIERS, SCALARS, Policy, Tier
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.import_zones import import_zones

NOW_MS = 1_758_000_000_000
ROWS = tuple(TierRow(tier, NOW_MS // tier.interval_ms * tier.interval_ms) for tier in DEFAULT_TIERS)
SPAN = (NOW_MS - 100 * DAY_MS, NOW_MS - 7 * HOUR_MS)


def test_each_age_has_its_tier() -> None:
    """Zones follow each other without a gap, and their borders are windows of the tier above that are whole below."""
    zones = import_zones(ROWS, {}, NOW_MS, SPAN)
    assert [zone.place for zone in zones] == [1, 2, 3]
    assert zones[0].end_ms > SPAN[1]
    assert [zone.start_ms for zone in zones[:-1]] == [zone.end_ms for zone in zones[1:]]
    assert zones[-1].start_ms <= SPAN[0]
    for zone in zones[:-1]:
        above = DEFAULT_TIERS[zone.place + 1].interval_ms
        assert zone.start_ms % above == 0
        assert 0 <= zone.start_ms - (NOW_MS - DEFAULT_TIERS[zone.place].retention_ms) < above
    assert 0 <= zones[0].narrow_from_ms - (NOW_MS - DAY_MS) < 5 * MINUTE_MS
    assert zones[0].incomplete == {"raw": SPAN[1], "1m": zones[0].narrow_from_ms - 1}
    assert zones[1].incomplete == {"5m": zones[1].end_ms - 1}
    assert zones[2].incomplete == {"1h": zones[2].end_ms - 1}


def test_what_has_expired_is_no_base() -> None:
    """If windows of a tier have expired before their retention, the tier above is the base."""
    early = import_zones(ROWS, {"5m": NOW_MS - 2 * DAY_MS}, NOW_MS, SPAN)
    assert 0 < early[0].start_ms - (NOW_MS - 2 * DAY_MS) <= HOUR_MS


def test_a_tier_above_that_is_not_written_yet() -> None:
    """Samples stay in the lower tier from where the upper one is not written, to be folded with it later."""
    rows = (*ROWS[:2], msgspec.structs.replace(ROWS[2], written_until_ms=NOW_MS - 9 * DAY_MS), ROWS[3])
    zones = import_zones(rows, {}, NOW_MS, SPAN)
    assert zones[0].start_ms == rows[2].written_until_ms // HOUR_MS * HOUR_MS


def test_one_zone_for_what_is_young() -> None:
    """A span within one tier's time has one zone; nothing below the tiers made of samples is said to be missing."""
    (zone,) = import_zones(ROWS, {}, NOW_MS, (NOW_MS - 8 * HOUR_MS, NOW_MS - 7 * HOUR_MS))
    assert (zone.place, zone.incomplete) == (1, {"raw": NOW_MS - 7 * HOUR_MS})


def test_policies() -> None:
    """Series under a policy go as far as it says, in blocks of its own kinds."""
    policy = Policy("{}", {"1m": DAY_MS, "5m": 10 * DAY_MS})
    zones = import_zones(ROWS, {"5m~10d": NOW_MS - 9 * DAY_MS}, NOW_MS, SPAN, None, policy)
    assert [zone.place for zone in zones] == [1]
    assert 0 <= NOW_MS - 9 * DAY_MS - zones[0].start_ms < HOUR_MS
    assert import_zones(ROWS, {}, NOW_MS, SPAN, None, Policy("{}", {})) == []


def test_other_ladders() -> None:
    """One tier alone takes all its samples; without tiers there is nothing to fold into."""
    tier = Tier(MINUTE_MS, 30 * DAY_MS, SCALARS)
    (zone,) = import_zones([TierRow(tier, NEVER_MS)], {}, NOW_MS, SPAN)
    assert (zone.place, zone.start_ms // MINUTE_MS) == (0, (NOW_MS - 30 * DAY_MS) // MINUTE_MS)
    assert import_zones([], {}, NOW_MS, SPAN) == []
