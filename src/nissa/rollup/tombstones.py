"""Tombstones and windows: which windows a deletion removes, and which are recomputed.

    deleted          ├──────────────────────────────┤
    windows   |  a   |   b   |   b   |   b   |   a   |         b lie inside and go; a are covered in part:
                 ▲                               ▲             computed again from what is left below, or they stay

What lies below a tier is samples, or the tier below it. A window covered in part is computed again while all of that is
still there: no block of it has expired that held rows of the window or later ones, and none over it is in quarantine.
Else it stays as it is. The ladder decides once, when it has written such windows again, and notes with the tombstone
the range of starts that are deleted. Until then readers decide for themselves, the same way.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, TierRow
from nissa.files.names import RAW_KIND, is_tier_kind, tier_of
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.ladder import Tier, WindowBatch, interval_of
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.store.read import Snapshot
from nissa.store.tombstones import Covers, Purge, Tombstone, covers, covers_of, deleted_rows, joined_covers

END_MS = 2**63 - 1


def deleted_of(snapshot: Snapshot, block: BlockRow) -> Covers:
    """Deleted ranges of a block of samples or of windows."""
    if not snapshot.tombstones:
        return ()
    if block.kind == RAW_KIND:
        return covers_of(block, snapshot.tombstones)
    name = tier_of(block.kind)
    place = next((at for at, row in enumerate(snapshot.tiers) if row.tier.name == name), None)
    parts = []
    for one in snapshot.tombstones:
        start_ms, end_ms = starts_inside(one, name) if place is None else deleted_starts(snapshot, place, one)
        if covers(one, block, start_ms, end_ms):
            parts.append((one, start_ms, end_ms))
    return joined_covers(parts)


def surviving_windows(windows: WindowBatch, deleted: Covers) -> WindowBatch:
    """The windows that are not deleted."""
    flags = deleted_rows(deleted, windows.series, windows.start_ms)
    return windows if flags is None else take_windows(windows, np.flatnonzero(~flags))


def purged_windows(purge: Purge, block: BlockRow, run: Iterator[WindowBatch]) -> Iterator[WindowBatch]:
    """Yield the windows of a block without the deleted ones, for a merge.

    purge: the deletions. block: its row. run: its windows.
    """
    name = tier_of(block.kind)
    ranges = ((one, *starts_inside(one, name)) for one in purge.tombstones)
    deleted = joined_covers(part for part in ranges if covers(part[0], block, *part[1:]))
    for windows in run:
        left = surviving_windows(windows, deleted)
        purge.count(len(windows) - len(left))
        yield left


def starts_inside(tombstone: Tombstone, tier: str) -> tuple[int, int]:
    """The starts of windows that are deleted: as the ladder has decided, else of those that lie inside."""
    if tombstone.tiers is not None and tier in tombstone.tiers:
        return tombstone.tiers[tier]
    first_ms, end_ms = _inner(tombstone, interval_of(tier))
    return first_ms, max(first_ms, end_ms)


def done(tombstones: Sequence[Tombstone], blocks: Sequence[BlockRow], *, has_ladder: bool) -> list[Tombstone]:
    """Tombstones that cover nothing of these blocks, which are all there are. has_ladder: it decides on each first."""
    decided = [one for one in tombstones if one.tiers is not None or not has_ladder]
    return [one for one in decided if not any(_covers(one, block) for block in blocks)]


def _covers(tombstone: Tombstone, block: BlockRow) -> bool:
    span = (tombstone.start_ms, tombstone.end_ms)
    if is_tier_kind(block.kind):
        span = starts_inside(tombstone, tier_of(block.kind))
    return covers(tombstone, block, *span)


def deleted_starts(snapshot: Snapshot, place: int, tombstone: Tombstone) -> tuple[int, int]:
    """The same for the tier at ``place``, with the windows covered in part that are computed again."""
    tier = snapshot.tiers[place].tier
    if tombstone.tiers is not None:
        return starts_inside(tombstone, tier.name)
    (first_ms, end_ms), interval_ms = _inner(tombstone, tier.interval_ms), tier.interval_ms
    if tombstone.start_ms < first_ms and _is_whole_below(snapshot, place, first_ms - interval_ms):
        first_ms -= interval_ms
    if end_ms < tombstone.end_ms and _is_whole_below(snapshot, place, end_ms):
        end_ms += interval_ms
    return first_ms, max(first_ms, end_ms)


def windows_again(
    snapshot: Snapshot, row: TierRow, series: SeriesColumn | None, span: tuple[int, int]
) -> Iterator[tuple[SeriesColumn, TimeColumn]]:
    """Written windows, by series and start, that tombstones cover in part and that must be computed again.

    series: ids, None for all. span: half-open, of starts.
    """
    place = next((at for at, one in enumerate(snapshot.tiers) if one.tier.name == row.tier.name), None)
    for one in snapshot.tombstones if place is not None else ():
        if place is None or one.tiers is not None:
            continue
        wanted = one.series if series is None else np.intersect1d(one.series, series)
        for start_ms in _partly(one, row.tier.interval_ms, deleted_starts(snapshot, place, one)):
            if len(wanted) and span[0] <= start_ms < min(span[1], row.written_until_ms):
                yield wanted, np.full(len(wanted), start_ms, np.int64)


def decided_starts(snapshot: Snapshot, tombstone: Tombstone, damaged: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the deleted starts of each tier, after windows covered in part have been recomputed.

    snapshot: of the store. tombstone: the deletion. damaged: tiers where recomputing failed, whose windows stay.
    """
    decided = {}
    for place, row in enumerate(snapshot.tiers):
        name = row.tier.name
        decided[name] = (
            starts_inside(tombstone, name) if name in damaged else deleted_starts(snapshot, place, tombstone)
        )
    return decided


def _inner(tombstone: Tombstone, interval_ms: int) -> tuple[int, int]:
    """Starts of the windows that lie inside; the end is before the first where both ends lie in one window."""
    first_ms = tombstone.start_ms if tombstone.start_ms == NEVER_MS else ceil_ms(tombstone.start_ms, interval_ms)
    end_ms = tombstone.end_ms if tombstone.end_ms == END_MS else floor_ms(tombstone.end_ms, interval_ms)
    return min(first_ms, END_MS), max(end_ms, NEVER_MS)


def _partly(tombstone: Tombstone, interval_ms: int, starts: tuple[int, int]) -> list[int]:
    """Starts of windows that are deleted in part: at most the first and the last."""
    first_ms, end_ms = _inner(tombstone, interval_ms)
    found = {starts[0]} if starts[0] < first_ms else set()
    if starts[1] > end_ms:
        found.add(starts[1] - interval_ms)
    return sorted(start_ms for start_ms in found if starts[0] <= start_ms < starts[1])


def _is_whole_below(snapshot: Snapshot, place: int, start_ms: int) -> bool:
    """True if all rows that a window was folded from are still there, except deleted ones."""
    tier = snapshot.tiers[place].tier
    below = kind_below([row.tier for row in snapshot.tiers], place)
    if any(tier_of(kind) == below and until_ms >= start_ms for kind, until_ms in snapshot.expired.items()):
        return False
    end_ms = start_ms + tier.interval_ms
    lost = (one for one in snapshot.missing if tier_of(one.kind) == below)
    return not any(one.max_ms >= start_ms and one.min_ms < end_ms for one in lost)


def kind_below(tiers: Sequence[Tier], place: int) -> str:
    """The kind of blocks that the windows of a tier are made of."""
    return RAW_KIND if place < tiers_of_samples(tiers) else tiers[place - 1].name
