"""Merges blocks of windows: small blocks of late windows are merged into those of their time.

    1m  ███ 08:00 ███|███ 09:00 ███|███ 10:00 ███         ───►      ███ 08:00 ███|███ 09:00 ███|███ 10:00 ███
           ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪   ▪▪▪▪▪▪

All blocks that overlap in time, directly or through others, are merged together, so that a merged block, which has the
highest id, never overrides a newer window. The result is cut at the usual block boundaries, or into wider blocks if
there would be many.

    1d   ██ 8 days ██|██ 8 days ██|██ 8 days ██|██ 8 days ██      ───►      ██████████████ 32 days ██████████████

Blocks of coarser tiers have few rows and are also merged with their neighbours once a wider time span is complete, so
that a query over a year opens a dozen files instead of fifty.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import locate
from nissa.model.ladder import Tier, WindowBatch
from nissa.model.slices import Slices
from nissa.rollup.merge import merge_windows
from nissa.rollup.tombstones import purged_windows
from nissa.rollup.windows import floor_ms
from nissa.store.tier_blocks import read_tier_block, write_windows
from nissa.store.tombstones import Purge

FAN_IN = 8  # so many blocks more than there need be
STRETCHES_MAX = 24
RETENTION_SHARE = 8  # a block stays until its last window is over: the first one waits no longer than this part of it


class Heap(msgspec.Struct, frozen=True):
    """Blocks that overlap, by id, and the stretches of time they are merged into: starts, all of one length."""

    blocks: tuple[BlockRow, ...]
    starts_ms: tuple[int, ...]
    length_ms: int


def plan_merges(blocks: Sequence[BlockRow], span_ms: int, fan_in: int = FAN_IN) -> list[Heap]:
    """Picks blocks of one kind to merge. span_ms: the span of one block."""
    found = []
    for heap in _overlapping(blocks):
        first_ms, last_ms = min(one.min_ms for one in heap), max(one.max_ms for one in heap)
        length_ms = span_ms
        while (last_ms - floor_ms(first_ms, length_ms)) // length_ms >= STRETCHES_MAX:
            length_ms *= 2
        starts = tuple(range(floor_ms(first_ms, length_ms), last_ms + 1, length_ms))
        if len(heap) - len(starts) >= fan_in:
            found.append(Heap(tuple(sorted(heap, key=lambda one: one.id)), starts, length_ms))
    return found


def wide_ms(retention_ms: int, span_ms: int) -> int:
    """Span of blocks of this retention once neighbours are merged, in milliseconds. span_ms: as they are written."""
    length_ms = span_ms
    while 2 * length_ms <= retention_ms // RETENTION_SHARE:
        length_ms *= 2
    return length_ms


def plan_neighbours(blocks: Sequence[BlockRow], span_ms: int, length_ms: int, until_ms: int) -> list[Heap]:
    """Stretches of ``length_ms`` behind which all is written, in which no blocks have been merged yet.

    until_ms: how far the tier is written.
    """
    found = []
    for start_ms in sorted({floor_ms(block.min_ms, length_ms) for block in blocks}):
        end_ms = start_ms + length_ms
        inside = [block for block in blocks if block.max_ms >= start_ms and block.min_ms < end_ms]
        narrow = all(
            start_ms <= block.min_ms and block.max_ms < min(end_ms, block.min_ms + span_ms) for block in inside
        )
        if end_ms <= until_ms and len(inside) > 1 and narrow:
            found.append(Heap(tuple(sorted(inside, key=lambda one: one.id)), (start_ms,), length_ms))
    return found


def write_merged(
    directory: Path,
    catalogue: Catalogue,
    tier: Tier,
    heap: Heap,
    created_ms: int,
    purge: Purge | None = None,
) -> Slices[list[BlockRow]]:
    """New blocks for those of a heap, synced; they exist once the catalogue has them in the others' place.

    Nothing stays of it where this raises. purge: the tombstones to carry out, all of them decided on.
    """
    purge = purge or Purge()
    last_lsn = max(block.last_lsn for block in heap.blocks)
    added: list[BlockRow] = []
    try:
        for start_ms in heap.starts_ms:
            windows = _windows(directory, heap.blocks, (start_ms, start_ms + heap.length_ms), purge)
            place, kind = (directory, catalogue.new_id(), tier, windows), heap.blocks[0].kind
            block = yield from write_windows(*place, last_lsn, created_ms, kind, purge.newest)
            added += [block] if block else []
    except BaseException:  # raised again; the files must not stay
        for block in added:
            locate(directory, block.path).unlink(missing_ok=True)
        raise
    return added


def _overlapping(blocks: Sequence[BlockRow]) -> Iterator[list[BlockRow]]:
    """Blocks in groups that have no moment in common with one another."""
    heap: list[BlockRow] = []
    end_ms = 0
    for block in sorted(blocks, key=lambda one: one.min_ms):
        if heap and block.min_ms > end_ms:
            yield heap
            heap = []
        end_ms = max(end_ms, block.max_ms) if heap else block.max_ms
        heap.append(block)
    if heap:
        yield heap


def _windows(
    directory: Path,
    blocks: Sequence[BlockRow],
    span: tuple[int, int],
    purge: Purge,
) -> Iterator[WindowBatch]:
    start_ms, end_ms = span
    inside = [block for block in blocks if block.min_ms < end_ms and block.max_ms >= start_ms]
    runs = [purged_windows(purge, block, read_tier_block(directory, block, None, start_ms, end_ms)) for block in inside]
    return merge_windows(runs)
