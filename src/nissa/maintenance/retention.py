"""Retention: which blocks are over. Nothing is read or deleted here; ``retainer.py`` does that.

    kind     over when all its rows are older than …   and
    ──────   ───────────────────────────────────────   ──────────────────────────────────────────────────────────
    raw      ladder.raw_retention                    the tiers made of samples are written past it, and no sample
                                                        that may still come falls into one of their windows with it
    5m …     the tier's retention                       the same of the tier above it
    5m~30d   30 days, as a policy says                  the same
    events   storage.events_retention
    import   ladder.raw_retention                    the ladder has folded it

Blocks go whole. The age of one is that of its newest row or of its file, whichever is younger: samples sent late are
kept as long as those sent in time. A file that is dated in the future says nothing; its rows alone count then.

Event blocks lie in one slice of time (``event_slices.py``) and go by the time of their newest event alone, so no event
outlives the retention by more than a slice. An event dated further ahead than events are taken, as older versions
stored them, goes by the age of its file.

A block with rows inside a pin never goes. Where the tiers above have not come far enough (a ladder that was switched on
yesterday, one that cannot be written), nothing goes from under them, however old.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.files.names import EVENTS_KIND, IMPORT_KIND, RAW_KIND, kept_of, tier_of
from nissa.model.ladder import interval_of
from nissa.model.units import MINUTE_MS
from nissa.store.import_blocks import FOLDED
from nissa.store.pins import Pin

ALWAYS = 2**64  # behind every time and LSN, and the ends of windows
LATE_MARGIN_MS = (
    2 * MINUTE_MS
)  # from the moment a sample is taken until it is seen in a head, and a minute for the clock


class Rules(msgspec.Struct, frozen=True):
    """Retention settings. past_ms: age up to which samples are accepted. has_ladder: True if raw is rolled up.

    event_future_ms: how far ahead of the clock events may be that are taken.
    """

    raw_retention_ms: int
    events_retention_ms: int
    past_ms: int
    has_ladder: bool
    event_future_ms: int = 0


class Horizon(msgspec.Struct, frozen=True):
    """Blocks with rows before ``before_ms`` only, of frames up to ``lsn``, may go once they are ``retention_ms`` old.

    width_ms: how much time a row stands for, from its own time on. future_ms: of kinds that go by the time of their
    rows alone, how far ahead of the clock a row may be and still be believed. level: blocks of a lower one stay.
    """

    retention_ms: int
    before_ms: int = ALWAYS
    lsn: int = ALWAYS
    width_ms: int = 1
    future_ms: int | None = None
    level: int = 0


def horizons(
    now_ms: int, rules: Rules, tiers: Sequence[TierRow], unused: Sequence[TierRow], unfolded_ms: int
) -> dict[str, Horizon]:
    """Time up to which each kind may be dropped; other kinds keep everything.

    tiers: the ladder, finest first. unused: tiers that were in use once. unfolded_ms: time of the oldest sample that
    the tiers do not know of (``oldest_unfolded``).
    """
    found = {EVENTS_KIND: Horizon(rules.events_retention_ms, future_ms=rules.event_future_ms)}
    coming_ms = min(
        now_ms - rules.past_ms - LATE_MARGIN_MS, unfolded_ms
    )  # nothing that will be folded is older than this
    made_of_samples = tiers[:2]
    if made_of_samples or not rules.has_ladder:
        found[RAW_KIND] = _below(rules.raw_retention_ms, made_of_samples, coming_ms)
    found[IMPORT_KIND] = Horizon(rules.raw_retention_ms, level=FOLDED if rules.has_ladder else 0)
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


def expired_blocks(
    blocks: Sequence[BlockRow], now_ms: int, reach: Mapping[str, Horizon], pins: Sequence[Pin]
) -> list[BlockRow]:
    """Return the blocks that may be dropped, oldest first.

    blocks: all. now_ms: Unix milliseconds. reach: for each kind, up to when the tiers above are written. pins: ranges
    to leave alone.
    """
    pinned = _joined(pins)
    return [
        block
        for block in blocks
        if (horizon := _horizon(block.kind, reach)) is not None
        and _is_expired(block, now_ms, horizon)
        and not _is_pinned(block, horizon, pinned)
    ]


def _joined(pins: Sequence[Pin]) -> list[tuple[int, int]]:
    """Ranges that pins hold, apart from each other, in order."""
    found: list[tuple[int, int]] = []
    for start_ms, end_ms in sorted((pin.start_ms, pin.end_ms) for pin in pins):
        if found and start_ms <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_ms)
        else:
            found.append((start_ms, end_ms))
    return found


def _is_pinned(block: BlockRow, horizon: Horizon, pinned: Sequence[tuple[int, int]]) -> bool:
    place = bisect_left(pinned, block.max_ms + horizon.width_ms, key=lambda one: one[0])  # those before begin in time
    return place > 0 and pinned[place - 1][1] > block.min_ms


def _horizon(kind: str, reach: Mapping[str, Horizon]) -> Horizon | None:
    """The horizon of a block's tier; if a policy keeps the block, with the retention in its kind."""
    horizon, kept = reach.get(tier_of(kind)), kept_of(kind)
    return horizon if horizon is None or not kept else msgspec.structs.replace(horizon, retention_ms=interval_of(kept))


def _below(retention_ms: int, above: Sequence[TierRow], coming_ms: int, width_ms: int = 1) -> Horizon:
    """Time up to which the tiers no longer need these rows: their windows are written and final."""
    free = [min(row.written_until_ms, _floor(coming_ms, row.tier.interval_ms)) for row in above]
    return Horizon(retention_ms, min(free, default=ALWAYS), min((row.lsn for row in above), default=ALWAYS), width_ms)


def _is_expired(block: BlockRow, now_ms: int, horizon: Horizon) -> bool:
    end_ms = block.max_ms + horizon.width_ms
    if block.level < horizon.level:
        return False
    if end_ms > horizon.before_ms or (horizon.width_ms == 1 and block.last_lsn > horizon.lsn):
        return False
    born_ms = block.created_ms if block.created_ms <= now_ms else end_ms
    if horizon.future_ms is None:
        newest_ms = max(end_ms, born_ms)
    else:
        newest_ms = end_ms if block.max_ms <= now_ms + horizon.future_ms else born_ms
    return newest_ms <= now_ms - horizon.retention_ms


def _floor(time_ms: int, interval_ms: int) -> int:
    return time_ms // interval_ms * interval_ms
