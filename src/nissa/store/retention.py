"""Retention: which blocks are over. Nothing is read or deleted here; ``ingest/upkeep.py`` does that.

    kind     over when all its rows are older than …   and
    ──────   ───────────────────────────────────────   ──────────────────────────────────────────────────────────
    raw      ladder.raw_retention_ms                    the tiers made of samples are written past it, and no sample
                                                        that may still come falls into one of their windows with it
    5m …     the tier's retention                       the same of the tier above it
    5m~30d   30 days, as a policy says                  the same
    events   storage.events_retention_ms

Blocks go whole. The age of one is that of its newest row or of its file, whichever is younger: what was sent late is
kept as long as what was sent in time. A file that is dated in the future says nothing; its rows alone count then.

A block with rows inside a pin never goes. Where the tiers above have not come far enough (a ladder that was switched on
yesterday, one that cannot be written), nothing goes from under them, however old.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nissa.model.ladder import interval_of
from nissa.model.units import MINUTE_MS
from nissa.store.catalogue import BlockRow, TierRow
from nissa.store.names import EVENTS_KIND, RAW_KIND, kept_of, tier_of
from nissa.store.pins import Pin

ALWAYS = 2**63 - 1
LATE_MARGIN_MS = (
    2 * MINUTE_MS
)  # from the moment a sample is taken until it is seen in a head, and a minute for the clock


class Rules(msgspec.Struct, frozen=True):
    """What the settings say. past_ms: how old samples may be that are taken. has_ladder: whether raw is rolled up."""

    raw_retention_ms: int
    events_retention_ms: int
    past_ms: int
    has_ladder: bool


class Horizon(msgspec.Struct, frozen=True):
    """Blocks with rows before ``before_ms`` only, of frames up to ``lsn``, may go once they are ``retention_ms`` old.

    width_ms: how much time a row stands for, from its own time on.
    """

    retention_ms: int
    before_ms: int = ALWAYS
    lsn: int = ALWAYS
    width_ms: int = 1


def horizons(
    now_ms: int, rules: Rules, tiers: Sequence[TierRow], unused: Sequence[TierRow], unfolded_ms: int
) -> dict[str, Horizon]:
    """How far each kind may go; a kind that is not among them keeps everything.

    tiers: the ladder, finest first. unused: tiers that were in use once. unfolded_ms: time of the oldest sample that
    the tiers do not know of (``oldest_unfolded``).
    """
    found = {EVENTS_KIND: Horizon(rules.events_retention_ms)}
    coming_ms = min(
        now_ms - rules.past_ms - LATE_MARGIN_MS, unfolded_ms
    )  # nothing that will be folded is older than this
    made_of_samples = tiers[:2]
    if made_of_samples or not rules.has_ladder:
        found[RAW_KIND] = _below(rules.raw_retention_ms, made_of_samples, coming_ms)
    for place, row in enumerate(tiers):
        above = tiers[place + 1 : place + 2] if place else ()  # the second one is made of samples too
        found[row.tier.name] = _below(row.tier.retention_ms, above, coming_ms, row.tier.interval_ms)
    for row in unused:
        found[row.tier.name] = Horizon(row.tier.retention_ms, width_ms=row.tier.interval_ms)
    return found


def oldest_unfolded(blocks: Sequence[BlockRow], tiers: Sequence[TierRow], head_ms: int | None) -> int:
    """Time of the oldest sample that may not be in the tiers yet. head_ms: of the heads, None where they are empty."""
    lsn = min((row.lsn for row in tiers[:2]), default=0)
    times = [block.min_ms for block in blocks if block.kind == RAW_KIND and block.last_lsn > lsn]
    return min(times if head_ms is None else [*times, head_ms], default=ALWAYS)


def blocks_over(
    blocks: Sequence[BlockRow], now_ms: int, reach: Mapping[str, Horizon], pins: Sequence[Pin]
) -> list[BlockRow]:
    """Blocks that may go, oldest first."""
    return [
        block
        for block in blocks
        if (horizon := _horizon(block.kind, reach)) is not None and _is_over(block, now_ms, horizon, pins)
    ]


def _horizon(kind: str, reach: Mapping[str, Horizon]) -> Horizon | None:
    """That of the tier; where a policy keeps the block, for as long as its kind says."""
    horizon, kept = reach.get(tier_of(kind)), kept_of(kind)
    return horizon if horizon is None or not kept else msgspec.structs.replace(horizon, retention_ms=interval_of(kept))


def _below(retention_ms: int, above: Sequence[TierRow], coming_ms: int, width_ms: int = 1) -> Horizon:
    """What tiers made of these rows leave free: windows that are written, and that nothing will touch any more."""
    free = [min(row.written_until_ms, _floor(coming_ms, row.tier.interval_ms)) for row in above]
    return Horizon(retention_ms, min(free, default=ALWAYS), min((row.lsn for row in above), default=ALWAYS), width_ms)


def _is_over(block: BlockRow, now_ms: int, horizon: Horizon, pins: Sequence[Pin]) -> bool:
    end_ms = block.max_ms + horizon.width_ms
    if end_ms > horizon.before_ms or (horizon.width_ms == 1 and block.last_lsn > horizon.lsn):
        return False
    born_ms = block.created_ms if block.created_ms <= now_ms else end_ms
    if max(end_ms, born_ms) > now_ms - horizon.retention_ms:
        return False
    return not any(pin.start_ms < end_ms and block.min_ms < pin.end_ms for pin in pins)


def _floor(time_ms: int, interval_ms: int) -> int:
    return time_ms // interval_ms * interval_ms
