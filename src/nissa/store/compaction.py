"""Merging raw blocks: several small ones become one, one level up.

    level 0   ▪ ▪ ▪ ▪ ▪ ▪ ▪ ▪  ──►  level 1   ■        once 8 lie at a level, its 8 oldest are merged
                                                 ■ ■ ■ ■ ■ ■ ■ ■  ──►  level 2   █

Blocks go whole when they are over, so none is made that spans much more time than ``span_ms``, or than those it is made
of do already: one of 17 hours would keep samples for a day that are wanted for six hours.

A sample is rewritten once per level. Rows of equal series and time are resolved by the rule of ``_fast/sample.pxd``,
so what a reader sees does not change. A crash changes nothing either: the new file is synced, then one transaction
puts it in the place of the old ones, then those are deleted; a file that lost its row, or never had one, is garbage
at the next start.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from nissa.model.columns import SampleBatch
from nissa.store.blocks import GROUP_ROWS, BlockWriter, OpenBlock
from nissa.store.catalogue import BlockRow, Catalogue
from nissa.store.checked_file import sync_directory
from nissa.store.names import BLOCKS, RAW_KIND, locate
from nissa.store.read import block_run, join_batches, merge_runs

LEVEL_MAX = 3  # sealed every 2 min and merged by 8: a block of level 3 spans 17 h
START_MS, END_MS = -(2**63), 2**63 - 1


def plan_compaction(blocks: Sequence[BlockRow], fan_in: int, span_ms: int = END_MS) -> tuple[BlockRow, ...]:
    """The blocks to merge next: the ``fan_in`` oldest of the lowest level that has as many; none where no level has.

    Those that would span more than ``span_ms`` together, and more than twice what one of them spans, are passed by.
    """
    for level in range(LEVEL_MAX):
        there = sorted((one for one in blocks if one.kind == RAW_KIND and one.level == level), key=lambda one: one.id)
        for first in range(len(there) - fan_in + 1):
            chosen = there[first : first + fan_in]
            widest_ms = max(one.max_ms - one.min_ms for one in chosen)
            if max(one.max_ms for one in chosen) - min(one.min_ms for one in chosen) <= max(span_ms, 2 * widest_ms):
                return tuple(chosen)
    return ()


def _nothing() -> None:
    """Nobody has anything to do in between."""


def _ignored(_: BlockRow) -> None:
    """Nobody needs to know."""


def merge_blocks(
    directory: Path,
    catalogue: Catalogue,
    blocks: Sequence[BlockRow],
    created_ms: int,
    between: Callable[[], None] = _nothing,
    replaced: Callable[[BlockRow], None] = _ignored,
) -> BlockRow:
    """Merge raw blocks into one and put it in their place. Cost: about 90 ns per row; memory: some MB per block.

    between: called all along, once per row group; what it raises ends the merge. replaced: told of the new block once
    it stands in the catalogue, while the files of the old ones are still there.
    Raises: Damaged where one of them is damaged, OSError where the disk refuses; the old blocks stay then.
    """
    level = min(max(block.level for block in blocks) + 1, LEVEL_MAX)
    writer = BlockWriter(directory, catalogue.new_id(), level=level, created_ms=created_ms)
    try:
        with ExitStack() as stack:
            opened = [OpenBlock(directory, block) for block in blocks]
            for one in opened:
                stack.callback(one.close)
            merged_rows = merge_runs([block_run(one, None, START_MS, END_MS) for one in opened])
            for batch in _full_groups(merged_rows):
                writer.write(batch)
                between()
        merged = writer.finish(min(block.first_lsn for block in blocks), max(block.last_lsn for block in blocks))
    except BaseException:  # raised again; the new file must not stay
        writer.discard()
        raise
    # An error of a commit does not tell whether it reached the disk: after a power cut the catalogue may name the new
    # file, so it stays; where the catalogue does not, the next start deletes it.
    catalogue.replace_blocks(blocks, (merged,))
    replaced(merged)
    for block in blocks:
        locate(directory, block.path).unlink(missing_ok=True)
    sync_directory(directory / BLOCKS)
    return merged


def _full_groups(batches: Iterator[SampleBatch]) -> Iterator[SampleBatch]:
    """Batches joined until they fill a row group: runs of unlike density come out of the merge in small pieces."""
    pending: list[SampleBatch] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += len(batch)
        if rows >= GROUP_ROWS:
            yield join_batches(pending)
            pending, rows = [], 0
    if pending:
        yield join_batches(pending)
