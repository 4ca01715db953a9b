"""Reads blocks and head together: sorted by series, then time, one value per series and time.

    runs        block 3   |0 0 0 1 1 | 1 2 2 …        each run is sorted; a bar ends what is in memory of it
                block 7   |0 1 4 4 |   5 5 …
                head      |1 2 2 2 4 5 5|             sorted as it is needed
                                ▲
                complete up to here: nothing still unread can come before series 1

Of every run one row group is in memory. What lies before the first series that some run may yet continue is complete;
it is taken from all runs, resolved by the rule of ``_fast/sample.pxd``, and handed out. Only a series of more rows
than fit is handed out in several pieces, in order of time. Memory: some MB per block that overlaps the range, whatever
the number of samples.

A snapshot is a value: blocks as the catalogue listed them, and views of the head. In the process that writes the
directory it holds the files of its blocks (``block_set.py``), so one that is not there is damage. A snapshot of a
directory that is read from outside holds nothing: up to ``OPEN_FILES_MAX`` files are opened before the first row is
handed out and stay readable when they are deleted meanwhile; of more blocks the others are opened when their turn
comes, and raise FileGone where they were deleted before.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from nissa._fast.columns import SortedRows, sort_resolve
from nissa._fast.selection import select_rows
from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.files.names import RAW_KIND
from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch, SeriesColumn, empty_batch
from nissa.model.errors import Damaged
from nissa.model.ladder import RetentionPolicy
from nissa.model.units import HOUR_MS
from nissa.series.selections import SelectionCache
from nissa.store.block_run import ROW_BYTES, OnDamage, Run, block_run
from nissa.store.block_set import HeldBlocks
from nissa.store.blocks import GROUP_ROWS, OpenBlock, SeriesChoice, choose_series
from nissa.store.head_index import PAGES_PER_QUESTION, HeadIndex, looked_through
from nissa.store.head_index import SERIES_MAX as INDEXED_SERIES_MAX
from nissa.store.parquet_block import OpenFiles
from nissa.store.quarantine import QuarantineRow, missing_from
from nissa.store.row_groups import ROW_BYTES as CACHED_ROW_BYTES
from nissa.store.row_groups import RowGroupCache
from nissa.store.tombstones import Tombstone, covers_of, surviving_run

HEAD_COPY_ROWS_MAX = 2_000_000  # more chosen rows of the head than this are sorted where they lie
MERGED_ROWS_AIM = 8 * GROUP_ROWS  # rows resolved at a time
RUN_ROWS_MAX = 2 * GROUP_ROWS  # rows in memory of one run
SERIES_MAX = 2**32 - 1
SORTED_ROW_BYTES = 5  # of a row that is sorted where it lies


class Snapshot(msgspec.Struct, frozen=True):
    """All samples at one moment. heads: rows in order of arrival, never changed afterwards. tiers: the ladder then.

    head_indexes: beside heads, where there are any. head_ms: no row of heads is earlier or later; None: not known.
    missing: blocks in quarantine, reported as damage before anything is read. keeping: policies, where there are.
    row_groups, selections: caches of the directory. idle_ttl_ms: after such a silence an increase starts anew.
    tombstones: deletions from the blocks; listed before them. deletions: grows with each deletion, also when its
    tombstone is gone. expired: by kind, the latest time of a row in a block that retention has dropped. held: keeps the
    files of the blocks, for all copies of this snapshot.
    """

    directory: Path
    blocks: tuple[BlockRow, ...] = ()
    heads: tuple[SampleBatch, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    missing: tuple[QuarantineRow, ...] = ()
    keeping: RetentionPolicy | None = None
    row_groups: RowGroupCache | None = None
    idle_ttl_ms: int = 2 * HOUR_MS
    check: Check = no_check
    tombstones: tuple[Tombstone, ...] = ()
    deletions: int = 0
    expired: Mapping[str, int] = {}
    head_indexes: tuple[HeadIndex, ...] = ()
    head_ms: tuple[int, int] | None = None
    selections: SelectionCache | None = None
    held: HeldBlocks | None = None

    def close(self) -> None:
        """Let the files go, before nothing refers to this and its copies any more; they cannot be read afterwards."""
        if self.held is not None:
            self.held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def head_range_ms(snapshot: Snapshot) -> tuple[int, int] | None:
    """Times between which all rows in memory lie, both inside; None where there are no rows."""
    if snapshot.head_ms is not None or not any(map(len, snapshot.heads)):
        return snapshot.head_ms
    heads = [head for head in snapshot.heads if len(head)]
    return min(int(head.ts_ms.min()) for head in heads), max(int(head.ts_ms.max()) for head in heads)


def head_overlaps(snapshot: Snapshot, start_ms: int, end_ms: int) -> bool:
    """True where rows in memory may lie in [start_ms, end_ms)."""
    found = snapshot.head_ms
    return bool(snapshot.heads) and (found is None or (found[0] < end_ms and found[1] >= start_ms))


def read_samples(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None = None,
) -> SampleBatch:
    """Read all selected samples at once, sorted and without duplicates.

    snapshot, series, start_ms, end_ms, on_damage and errors: as for ``stream_samples``.
    """
    with ExitStack() as stack:
        runs = _open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)
        batches = []
        for run in runs:
            for batch in run:
                snapshot.check(ROW_BYTES * len(batch))
                batches.append(batch)
        rows = resolve(batches)
        snapshot.check(-ROW_BYTES * sum(map(len, batches)))
        return rows


def stream_samples(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    rows_max: int,
    on_damage: OnDamage | None = None,
) -> Iterator[SampleBatch]:
    """Wanted samples in [start_ms, end_ms), sorted and resolved, in batches of at most ``rows_max``.

    series: ids in any order; None for all. A batch ends where a series ends, unless the series alone has more rows.
    on_damage: called with each damage, and damaged rows are left out; without it the first damage is raised.
    Raises: Damaged.
    """
    with ExitStack() as stack:
        runs = _open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)
        for batch in merge_runs(runs, snapshot.check):
            yield from _pieces(batch, rows_max)


def stream_parts(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None = None,
) -> Iterator[tuple[list[SampleBatch], bool]]:
    """As ``stream_samples``, for callers that resolve themselves: sorted batches that together hold rows up to a point.

    Beside them: whether their one series may go on, later, in the next ones.
    """
    with ExitStack() as stack:
        runs = _open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)
        for parts, goes_on in merge_parts(runs, snapshot.check):
            yield [part for _, part in parts], goes_on


def merge_runs(runs: Sequence[Run], check: Check = no_check) -> Iterator[SampleBatch]:
    """Sorted runs as one, resolved; whole series unless one has over ``RUN_ROWS_MAX`` rows in a run."""
    for parts, _ in merge_parts(runs, check):
        yield resolve([part for _, part in parts])


def merge_parts(runs: Sequence[Run], check: Check = no_check) -> Iterator[tuple[list[tuple[int, SampleBatch]], bool]]:
    """Merge sorted runs into groups of batches that together hold the rows up to a point, each with its run's number.

    check: called with the bytes in memory. Beside them: whether their one series may go on in the next ones.
    """
    cursors = [_Cursor(number, run, check) for number, run in enumerate(runs)]
    while True:
        for cursor in cursors:
            cursor.fill()
        cursors = [cursor for cursor in cursors if len(cursor.batch)]
        if not cursors:
            return
        series, ts_ms = _horizon(cursors)
        parts = [(cursor.number, part) for cursor in cursors if len(part := cursor.take(series, ts_ms))]
        if parts:
            yield parts, ts_ms is not None


class _Cursor:
    """One run, and the part of it in memory."""

    def __init__(self, number: int, run: Run, check: Check) -> None:
        self.number = number
        self._run = run
        self._check = check
        self.batch = empty_batch()
        self.ended = False

    def fill(self) -> None:
        """Have rows of two series in memory, or the end of the run, or as many rows as may be."""
        while not self.ended and len(self.batch) < RUN_ROWS_MAX:
            if len(self.batch) and self.batch.series[0] != self.batch.series[-1]:
                return
            more = next(self._run, None)
            if more is None:
                self.ended = True
            else:
                self._check(ROW_BYTES * len(more))
                self.batch = join_batches([self.batch, more]) if len(self.batch) else more

    def take(self, series: int, ts_ms: int | None) -> SampleBatch:
        """Give away rows of series before ``series``, and of ``series`` those up to ``ts_ms`` (inclusive)."""
        if series > SERIES_MAX:
            taken, self.batch = self.batch, empty_batch()
            self._check(-ROW_BYTES * len(taken))
            return taken
        key = np.uint32(series)  # of the column's own type: numpy would convert the whole column otherwise
        count = int(np.searchsorted(self.batch.series, key, "left"))
        if ts_ms is not None:
            end = int(np.searchsorted(self.batch.series, key, "right"))
            count += int(np.searchsorted(self.batch.ts_ms[count:end], ts_ms, "right"))
        taken, self.batch = _cut(self.batch, 0, count), _cut(self.batch, count, len(self.batch))
        self._check(-ROW_BYTES * count)
        return taken


def _horizon(cursors: Sequence[_Cursor]) -> tuple[int, int | None]:
    """The point up to which rows are complete, and few enough to be resolved at a time; always at least one row."""
    open_ends = [(int(cursor.batch.series[-1]), int(cursor.batch.ts_ms[-1])) for cursor in cursors if not cursor.ended]
    lowest = min(int(cursor.batch.series[0]) for cursor in cursors)
    series, ts_ms = min(open_ends, default=(SERIES_MAX + 1, 0))
    if series == lowest:
        return series, ts_ms
    share = MERGED_ROWS_AIM // len(cursors)
    for cursor in cursors:
        if len(cursor.batch) > share:
            series = min(series, max(int(cursor.batch.series[share]), lowest + 1))
    return series, None


def _open_runs(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None,
    stack: ExitStack,
) -> list[Run]:
    choice = None if series is None else choose_series(series)
    if start_ms >= end_ms or (choice is not None and not len(choice.ids)):
        return []
    for missing in missing_from(snapshot.missing, snapshot.directory, RAW_KIND, start_ms, end_ms):
        if on_damage is None:
            raise missing
        on_damage(missing)
    opened: list[OpenBlock] = []
    runs: list[Run] = []
    files = OpenFiles()
    stack.callback(files.close)
    for block in snapshot.blocks:
        if block.kind != RAW_KIND or not _may_hold(block, choice, start_ms, end_ms):
            continue
        snapshot.check()
        try:
            opened.append(OpenBlock(snapshot.directory, block, files))
        except Damaged as damage:
            if on_damage is None:
                raise
            on_damage(damage)
    cache = _cache_for(snapshot.row_groups, opened, choice, (start_ms, end_ms))
    for one in opened:
        run = block_run(one, choice, start_ms, end_ms, on_damage, snapshot.check, cache)
        runs.append(surviving_run(run, covers_of(one.block, snapshot.tombstones)))
    if head_overlaps(snapshot, start_ms, end_ms):
        runs.append(_head_run(snapshot, choice, start_ms, end_ms))
    return runs


def _cache_for(
    cache: RowGroupCache | None, opened: Sequence[OpenBlock], choice: SeriesChoice | None, interval_ms: tuple[int, int]
) -> RowGroupCache | None:
    """The cache; None if the query reads more than it holds, which would only evict entries of other queries."""
    if cache is None:
        return None
    rows_left = cache.bytes_max // CACHED_ROW_BYTES
    for one in opened:
        rows_left -= one.rows_in(choice, *interval_ms)
        if rows_left < 0:
            return None
    return cache


def _may_hold(block: BlockRow, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> bool:
    if block.max_ms < start_ms or block.min_ms >= end_ms:
        return False
    if choice is None:
        return True
    first = np.searchsorted(choice.ids, np.uint32(block.series_min), "left")
    return bool(first < np.searchsorted(choice.ids, np.uint32(block.series_max), "right"))


def _head_run(snapshot: Snapshot, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> Run:
    """Chosen rows of the head, sorted and resolved.

    Few are copied and sorted; many are sorted first and copied in pieces.
    """
    parts: list[SampleBatch] = []
    rows = 0
    for part in [] if choice is None else _chosen_rows(snapshot, choice, start_ms, end_ms):
        parts.append(part)
        rows += len(part)
        if rows > HEAD_COPY_ROWS_MAX:
            break
    if choice is None or rows > HEAD_COPY_ROWS_MAX:
        parts.clear()  # the copies are not needed any more
        yield from _sorted_run(snapshot.heads, choice, (start_ms, end_ms), snapshot.check)
    else:
        snapshot.check(ROW_BYTES * rows)
        yield from _sorted_run(parts, None, (start_ms, end_ms), snapshot.check)
        snapshot.check(-ROW_BYTES * rows)


def _chosen_rows(snapshot: Snapshot, choice: SeriesChoice, start_ms: int, end_ms: int) -> Iterator[SampleBatch]:
    """Chosen rows of the head, in pieces; those of one series in order of arrival."""
    pages_left = PAGES_PER_QUESTION if len(choice.ids) <= INDEXED_SERIES_MAX else 0
    for head, index in zip_longest(snapshot.heads, snapshot.head_indexes):
        snapshot.check()
        if index is None:
            yield looked_through(head, choice, start_ms, end_ms)
            continue
        pages_left -= index.grow(head, pages_left)
        for part in index.rows(head, choice, start_ms, end_ms):
            snapshot.check()
            yield part


def _sorted_run(
    parts: Sequence[SampleBatch], choice: SeriesChoice | None, interval_ms: tuple[int, int], check: Check
) -> Run:
    sorted_bytes = SORTED_ROW_BYTES * sum(map(len, parts))
    check(sorted_bytes)
    rows = SortedRows([(part.series, part.ts_ms, part.value) for part in parts if len(part)])
    while True:
        series, ts_ms, value, origins = rows.next_rows(GROUP_ROWS)
        check()
        if not len(origins):
            check(-sorted_bytes)
            return
        mask = np.ones(int(series[-1]) + 1, np.uint8) if choice is None else choice.mask
        chosen = SampleBatch(*select_rows(series, ts_ms, value, mask, *interval_ms))
        if len(chosen):
            yield chosen


def resolve(batches: Sequence[SampleBatch]) -> SampleBatch:
    """Batches, each sorted and resolved, as one."""
    parts = [batch for batch in batches if len(batch)]
    if len(parts) <= 1:
        return parts[0] if parts else empty_batch()
    if all(_ends_before(before, behind) for before, behind in pairwise(parts)):  # as the row groups of one block
        return join_batches(parts)
    series, ts_ms, value, _, _ = sort_resolve([(part.series, part.ts_ms, part.value) for part in parts])
    return SampleBatch(series, ts_ms, value)


def _ends_before(before: SampleBatch, behind: SampleBatch) -> bool:
    """True where all rows of one batch come before those of the other. Both are sorted and not empty."""
    last, first = int(before.series[-1]), int(behind.series[0])
    return last < first or (last == first and int(before.ts_ms[-1]) < int(behind.ts_ms[0]))


def _pieces(batch: SampleBatch, rows_max: int) -> Iterator[SampleBatch]:
    start = 0
    while start < len(batch):
        end = min(start + rows_max, len(batch))
        if end < len(batch):
            series_start = int(np.searchsorted(batch.series, batch.series[end], "left"))
            end = series_start if series_start > start else end
        yield _cut(batch, start, end)
        start = end


def _cut(batch: SampleBatch, start: int, end: int) -> SampleBatch:
    return SampleBatch(batch.series[start:end], batch.ts_ms[start:end], batch.value[start:end])


def join_batches(batches: Sequence[SampleBatch]) -> SampleBatch:
    """Batches one behind the other."""
    if len(batches) == 1:
        return batches[0]
    return SampleBatch(
        np.concatenate([batch.series for batch in batches]),
        np.concatenate([batch.ts_ms for batch in batches]),
        np.concatenate([batch.value for batch in batches]),
    )
