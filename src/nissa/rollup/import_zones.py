"""At each age, the tier that imported samples are folded into: the lowest one that keeps windows of that age.

    1d                  1h                  5m, 1m                       live samples
    ├─ oldest kept ─────┼─ 5m is whole ─────┼─ … ────────────────────────┼─►
                        from here on        (1m within it, from where it is whole)

A border lies where the lower tier is whole from there on, and on a start of the upper tier's windows, so each of these
is made either of whole windows below or of samples.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nissa.catalogue.catalogue import NEVER_MS, TierRow
from nissa.files.names import RAW_KIND, tier_kind
from nissa.model.columns import SeriesColumn
from nissa.model.ladder import Policy, interval_name
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.same_windows import PLACES_MAX
from nissa.rollup.windows import ceil_ms, floor_ms


class ImportZone(msgspec.Struct, frozen=True):
    """Samples of these series (None: all) in [start_ms, end_ms) are folded into windows of the tier at ``place``.

    narrow_from_ms: windows of narrower tiers, made in the same walk, are kept from this start on. incomplete: kinds of
    blocks that lie below, and up to when they will lack what is imported.
    """

    place: int
    series: SeriesColumn | None
    start_ms: int
    end_ms: int
    narrow_from_ms: int
    incomplete: Mapping[str, int]


def import_zones(
    tiers: Sequence[TierRow],
    expired: Mapping[str, int],
    now_ms: int,
    span: tuple[int, int],
    series: SeriesColumn | None = None,
    policy: Policy | None = None,
) -> list[ImportZone]:
    """Zones for samples with times in ``span``, both ends inside, the newest zone first.

    expired: as in a snapshot. series: those under ``policy``, ascending; None for all, where there are no policies.
    """
    made = tiers_of_samples([row.tier for row in tiers])
    kept = [row.tier.retention_ms if policy is None else policy.retention_ms.get(row.tier.name, 0) for row in tiers]
    reached = next((place for place, kept_ms in enumerate(kept) if not kept_ms), len(tiers))
    kinds = [
        tier_kind(row.tier.name, "" if policy is None else interval_name(kept_ms)) if kept_ms else ""
        for row, kept_ms in zip(tiers, kept, strict=True)
    ]
    if not made or reached < made:
        return []
    end_ms = ceil_ms(span[1] + 1, tiers[made - 1].tier.interval_ms)
    narrow_ms = NEVER_MS
    incomplete = {RAW_KIND: span[1]}
    if made > 1:
        narrow_ms = ceil_ms(_whole_from(kept[0], kinds[0], expired, now_ms), tiers[made - 1].tier.interval_ms)
        incomplete |= {kinds[0]: narrow_ms - 1} if span[0] < narrow_ms else {}
    zones = []
    for place in range(made - 1, reached):
        start_ms = _first_start(tiers, place, reached, _whole_from(kept[place], kinds[place], expired, now_ms))
        interval_ms = tiers[place].tier.interval_ms
        from_ms = max(start_ms, floor_ms(span[0], interval_ms), end_ms - (PLACES_MAX - 1) * interval_ms)
        if from_ms < end_ms:
            zones.append(ImportZone(place, series, from_ms, end_ms, narrow_ms, incomplete))
        end_ms = min(end_ms, start_ms)
        incomplete = {kinds[place]: end_ms - 1}
    return zones


def _whole_from(kept_ms: int, kind: str, expired: Mapping[str, int], now_ms: int) -> int:
    """Time from which on all windows of a kind are there, and stay for a while."""
    return max(now_ms - kept_ms, expired.get(kind, NEVER_MS) + 1)


def _first_start(tiers: Sequence[TierRow], place: int, reached: int, whole_ms: int) -> int:
    """The first start of windows that samples are folded into at this place."""
    tier = tiers[place].tier
    if place + 1 == reached:
        return floor_ms(whole_ms, tier.interval_ms)
    above = tiers[place + 1]
    # What the tier above has not written yet is folded from this one when it is asked for.
    until_ms = floor_ms(max(above.written_until_ms, -(2**62)), above.tier.interval_ms)
    return min(ceil_ms(whole_ms, above.tier.interval_ms), until_ms)
