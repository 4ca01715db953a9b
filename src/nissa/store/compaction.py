"""Merges blocks of samples, and of events: several small ones become one of the next level.

    level 0   ▪ ▪ ▪ ▪ ▪ ▪ ▪ ▪  ──►  level 1   ■        once 8 lie at a level, its 8 oldest are merged
                                                 ■ ■ ■ ■ ■ ■ ■ ■  ──►  level 2   █

Queries ask most for the newest samples, and a row group of a merged block has all times of its series: to read its last
minute, all of it is decoded. So blocks whose ends are more than ``SHORT_MS`` apart are merged only once the newest is
as old as that: a query over the last hour decodes two hours at most.

Blocks are dropped whole when they expire, so no merged block spans much more time than ``span_ms`` or than its inputs:
a block of 17 hours would retain samples for a day whose retention is six hours.

A row is rewritten once per level. Samples of equal series and time are resolved by the rule of ``_fast/sample.pxd``.
Events of one millisecond stay in order of arrival, because only adjacent blocks are merged. So a merge does not
change any answer.

It is safe against crashes: the new file is synced, then one transaction replaces the old ones by it, then those are
deleted; files without a row are deleted at the next start.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import EVENTS_KIND, RAW_KIND
from nissa.model.columns import SampleBatch
from nissa.model.errors import BlocksChanged
from nissa.model.slices import Slices
from nissa.model.units import MIB, MINUTE_MS
from nissa.store.block_file import delete_blocks
from nissa.store.block_run import block_run
from nissa.store.blocks import GROUP_ROWS, BlockWriter, OpenBlock, read_keys
from nissa.store.event_blocks import GROUP_BYTES, EventWriter
from nissa.store.event_runs import BlockRun, merge_event_runs
from nissa.store.read import join_batches, merge_runs
from nissa.store.tombstones import Purge

if TYPE_CHECKING:
    import pyarrow as pa

Rows = TypeVar("Rows")
EVENTS_BYTES_MAX = 32 * MIB  # of a merged block: where many arrive, blocks are large as sealed, and cost nothing more
LEVEL_MAX = 3  # sealed every 2 min and merged by 8: a block of level 3 spans 17 h
FAN_IN_ABOVE = 3  # times as many blocks lie above level 0 before they are merged where the ladder merges them by hours
SHORT_MS = MINUTE_MS
YOUNG_BLOCKS_MAX = 100  # of a level: of more, the oldest are merged whatever the clock says
START_MS, END_MS = -(2**63), 2**63 - 1


def plan_compaction(
    blocks: Sequence[BlockRow],
    fan_in: int,
    span_ms: int = END_MS,
    kind: str = RAW_KIND,
    passed_by: Collection[int] = (),
    fan_in_above: int = 0,
    now_ms: int = END_MS,
) -> tuple[BlockRow, ...]:
    """The blocks to merge next: the ``fan_in`` oldest of the lowest level that has as many; none where no level has.

    Those that would span more than ``span_ms`` together, and more than twice what one of them spans, are passed by, as
    are events that are large enough, and blocks whose ids the caller says. fan_in_above: of levels above 0, if another.
    now_ms: the wall clock; samples that are too young wait.
    """
    arrived = sorted((one for one in blocks if one.kind == kind), key=lambda one: (one.first_lsn, one.id))
    for level in range(LEVEL_MAX):
        there = [at for at, one in enumerate(arrived) if one.level == level and one.id not in passed_by]
        count = (fan_in_above if level else 0) or fan_in
        for first in range(len(there) - count + 1):
            places = there[first : first + count]
            chosen = [arrived[at] for at in places]
            if kind == EVENTS_KIND and places[-1] - places[0] >= count:
                continue  # something arrived between them
            if kind == EVENTS_KIND and sum(one.bytes for one in chosen) > EVENTS_BYTES_MAX:
                continue
            if kind == RAW_KIND and len(there) <= YOUNG_BLOCKS_MAX and _are_young(chosen, now_ms):
                continue
            widest_ms = max(one.max_ms - one.min_ms for one in chosen)
            if max(one.max_ms for one in chosen) - min(one.min_ms for one in chosen) <= max(span_ms, 2 * widest_ms):
                return tuple(chosen)
    return ()


def _are_young(blocks: Sequence[BlockRow], now_ms: int) -> bool:
    """True where the newest is not as old as the time between their ends, unless that is short."""
    ends = [one.max_ms for one in blocks]
    return max(ends) - min(ends) > max(now_ms - max(ends), SHORT_MS)


def merge_blocks(
    directory: Path,
    catalogue: Catalogue,
    blocks: Sequence[BlockRow],
    created_ms: int,
    publish: Callable[[tuple[BlockRow, ...]], None] | None = None,
    purge: Purge | None = None,
) -> Slices[BlockRow | None]:
    """Merge blocks of samples, or of events, into one and put it in their place; None where all rows were deleted.

    Cost: about 90 ns per sample, about 1.8 us per event of 350 bytes. Memory: a row group per block whose time it is.

    A slice is a row group. publish: called with the new block to put it in the place of the old ones in the catalogue;
    their files are the caller's to delete then. Without it both are done here. purge: the tombstones to carry out.
    Raises: Damaged where one of them is damaged, OSError where the disk refuses; the old blocks stay then.
    """
    level = min(max(block.level for block in blocks) + 1, LEVEL_MAX)
    of_events = blocks[0].kind == EVENTS_KIND
    if of_events:  # an event dated in the future goes by the age of its file
        created_ms = max(block.created_ms for block in blocks)
    purge = purge or Purge()
    row_groups = _event_groups if of_events else _sample_groups
    number = catalogue.new_id()
    writer: Any
    if of_events:
        writer = EventWriter(directory, number, level=level, created_ms=created_ms)
    else:
        keys_of = read_keys(directory, blocks)
        writer = BlockWriter(directory, number, level=level, created_ms=created_ms, keys_of=keys_of)
    merged: tuple[BlockRow, ...] = ()
    try:
        with ExitStack() as stack:
            for rows in row_groups(directory, blocks, stack, purge):
                writer.write(rows)
                yield 0.0
        lsns = min(block.first_lsn for block in blocks), max(block.last_lsn for block in blocks)
        if writer.rows:
            merged = (purge.stamp(writer.finish(*lsns, [block.id for block in blocks])),)
        else:
            writer.discard()
    except BaseException:  # raised again; the new file must not stay
        writer.discard()
        raise
    # After an error of a commit it may have reached the disk or not: after a power cut the catalogue may name the new
    # file, so it stays; where the catalogue does not, the next start deletes it.
    try:
        if publish is None:
            catalogue.replace_blocks(blocks, merged)
            delete_blocks(directory, blocks)
        else:
            publish(merged)
    except BlocksChanged:  # raised again; nothing was committed
        delete_blocks(directory, merged)
        raise
    return merged[0] if merged else None


def _sample_groups(
    directory: Path, blocks: Sequence[BlockRow], stack: ExitStack, purge: Purge
) -> Iterator[SampleBatch]:
    opened = [OpenBlock(directory, block) for block in blocks]
    for one in opened:
        stack.callback(one.close)
    merged = merge_runs([purge.samples(one.block, block_run(one, None, START_MS, END_MS)) for one in opened])
    return _full_groups(merged, len, GROUP_ROWS, join_batches)


def _event_groups(directory: Path, blocks: Sequence[BlockRow], stack: ExitStack, _: Purge) -> Iterator["pa.Table"]:
    import pyarrow as pa  # heavy, and not needed for receiving

    runs = []
    for block in sorted(blocks, key=lambda one: one.first_lsn):
        runs.append(BlockRun(directory, block))
        stack.callback(runs[-1].close)
    return _full_groups(merge_event_runs(runs), lambda table: int(table.nbytes), GROUP_BYTES, pa.concat_tables)


def _full_groups(
    parts: Iterator[Rows], weigh: Callable[[Rows], int], full: int, join: Callable[[list[Rows]], Rows]
) -> Iterator[Rows]:
    """Parts joined until they fill a row group: runs of unlike density come out of the merge in small pieces."""
    pending: list[Rows] = []
    weight = 0
    for part in parts:
        pending.append(part)
        weight += weigh(part)
        if weight >= full:
            yield join(pending)
            pending, weight = [], 0
    if pending:
        yield join(pending)
