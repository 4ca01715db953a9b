"""Folds samples while raw blocks are merged, so that they are read and decoded only once.

    blocks of the span   ▪▪▪▪▪▪▪▪ ─┐                        ┌─► one block in their place
                                   ├─► sorted, resolved ────┤
    others that reach in      ▪▪▪▪ ┴────────────────────────┴─► windows of the span

Decoding samples costs more than folding them, and all are merged once after they are sealed. A block that extends
beyond the span is only read: it is merged with the next one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import RAW_KIND
from nissa.model.columns import SampleBatch
from nissa.model.ladder import Tier, WindowBatch
from nissa.rollup.fold import fold_raw
from nissa.rollup.read import whole_windows
from nissa.store.block_run import block_run
from nissa.store.blocks import GROUP_ROWS, BlockWriter, OpenBlock, read_keys
from nissa.store.compaction import END_MS, LEVEL_MAX, START_MS
from nissa.store.read import merge_parts, resolve
from nissa.store.tombstones import Purge

BLOCKS_MIN = 4  # fewer are not worth a merge
ROWS_MAX = 512 * 1024 * 1024  # of the block that is written
REACH = 4  # a block may begin before the span by the REACH-th part of it: its windows there are written already

Keep = Callable[[SampleBatch], None]


def plan_span_merge(blocks: Sequence[BlockRow], start_ms: int, end_ms: int) -> tuple[BlockRow, ...]:
    """Return the raw blocks of a span if merging them is useful: several, none of which is most of it.

    blocks: all raw blocks. start_ms, end_ms: half-open interval, Unix milliseconds.
    """
    begin_ms = start_ms - (end_ms - start_ms) // REACH
    found = [
        one for one in blocks if one.kind == RAW_KIND and begin_ms <= one.min_ms and start_ms <= one.max_ms < end_ms
    ]
    rows = sum(one.rows for one in found)
    if len(found) < BLOCKS_MIN or rows > ROWS_MAX or 2 * max(one.rows for one in found) > rows:
        return ()
    return tuple(sorted(found, key=lambda one: one.id))


def fold_merging(
    directory: Path,
    blocks: Sequence[BlockRow],
    merged: Sequence[BlockRow],
    tiers: Sequence[Tier],
    span: tuple[int, int],
    keep: Keep,
    purge: Purge | None = None,
) -> Iterator[list[WindowBatch]]:
    """Windows of ``tiers`` in the span, of all raw blocks, and each resolved batch of those to be merged to ``keep``.

    purge: the tombstones to carry out.
    Raises: Damaged; what has come until then is to be thrown away.
    """
    start_ms, end_ms = span
    ids = {one.id for one in merged}
    beside = [
        one
        for one in blocks
        if one.kind == RAW_KIND and one.id not in ids and one.min_ms < end_ms and one.max_ms >= start_ms
    ]
    with ExitStack() as stack:
        opened = [OpenBlock(directory, one) for one in (*merged, *beside)]
        for one in opened:
            stack.callback(one.close)
        purge = purge or Purge()
        beside_purge = Purge(purge.tombstones)  # what is only read is not dropped
        runs = [purge.samples(one.block, block_run(one, None, START_MS, END_MS)) for one in opened[: len(merged)]]
        runs += [
            beside_purge.samples(one.block, block_run(one, None, start_ms, end_ms)) for one in opened[len(merged) :]
        ]
        steps = _kept(merge_parts(runs), len(merged), keep)
        for whole in whole_windows(steps, tiers[-1].interval_ms):
            yield fold_raw(whole, tiers, start_ms, end_ms)


def _kept(
    steps: Iterator[tuple[list[tuple[int, SampleBatch]], bool]], merged: int, keep: Keep
) -> Iterator[tuple[list[SampleBatch], bool]]:
    for parts, goes_on in steps:
        own = [part for number, part in parts if number < merged]
        beside = [part for number, part in parts if number >= merged]
        if own:
            batch = resolve(own)
            keep(batch)
            beside.append(batch)
        yield beside, goes_on


class MergeWriter:
    """The block that several are merged into. Runs of unlike density come out of a merge in small pieces: they are
    gathered until they fill a row group."""

    def __init__(self, directory: Path, number: int, blocks: Sequence[BlockRow], created_ms: int) -> None:
        """number: a new id of the catalogue. blocks: those that are merged."""
        level = min(max(block.level for block in blocks) + 1, LEVEL_MAX)
        keys_of = read_keys(directory, blocks)
        self._writer = BlockWriter(directory, number, level=level, created_ms=created_ms, keys_of=keys_of)
        self._lsn = min(block.first_lsn for block in blocks), max(block.last_lsn for block in blocks)
        self._sources = [block.id for block in blocks]
        self._pending: list[SampleBatch] = []
        self._rows = 0

    def write(self, batch: SampleBatch) -> None:
        """Add resolved rows that come after all rows so far."""
        self._pending.append(batch)
        self._rows += len(batch)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def finish(self) -> BlockRow | None:
        """The block, synced; it exists once it stands in the catalogue in the others' place. None without any rows."""
        self._flush()
        if self._writer.rows:
            return self._writer.finish(*self._lsn, self._sources)
        self._writer.discard()
        return None

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        self._writer.discard()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write(*self._pending)
        self._pending, self._rows = [], 0
