"""Blocks and head read as one: sorted by series, then time, one value per series and time.

    runs        block 3   |0 0 0 1 1 | 1 2 2 …        each run is sorted; a bar ends what is in memory of it
                block 7   |0 1 4 4 |   5 5 …
                head      |1 2 2 2 4 5 5|             sorted as it is needed
                                ▲
                complete up to here: nothing still unread can come before series 1

Of every run one row group is in memory. What lies before the first series that some run may yet continue is complete;
it is taken from all runs, resolved by the rule of ``_fast/sample.pxd``, and handed out. Only a series of more rows
than fit is handed out in several pieces, in order of time. Memory: some MB per block that overlaps the range, whatever
the number of samples.

A snapshot is a value: blocks as the catalogue listed them, and views of the head. Files are opened before the first
row is handed out and stay readable when they are deleted meanwhile; one deleted before that raises FileGone, and the
caller takes a new snapshot.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import numpy as np

from nissa._fast.columns import SortedRows, sort_resolve
from nissa._fast.selection import select_rows
from nissa.model.columns import SampleBatch, SeriesColumn, empty_batch
from nissa.model.errors import Damaged
from nissa.model.ladder import Keeping
from nissa.store.blocks import GROUP_ROWS, OpenBlock, SeriesChoice, choose_series
from nissa.store.catalogue import BlockRow, TierRow
from nissa.store.names import RAW_KIND
from nissa.store.quarantine import QuarantineRow, missing_from
from nissa.store.remembered import GROUPS_MAX, Remembered, within

HEAD_COPY_ROWS_MAX = 2_000_000  # more chosen rows of the head than this are sorted where they lie
MERGED_ROWS_AIM = 8 * GROUP_ROWS  # rows resolved at a time
RUN_ROWS_MAX = 2 * GROUP_ROWS  # rows in memory of one run
SERIES_MAX = 2**32 - 1

Run = Iterator[SampleBatch]
OnDamage = Callable[[Damaged], None]


class Snapshot(msgspec.Struct, frozen=True):
    """All samples at one moment. heads: rows in order of arrival, never changed afterwards. tiers: the ladder then.

    missing: blocks in quarantine. They are told as damage before anything is read. keeping: policies, where there are.
    remembered: what a question that comes to the same samples twice has read.
    """

    directory: Path
    blocks: tuple[BlockRow, ...] = ()
    heads: tuple[SampleBatch, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    missing: tuple[QuarantineRow, ...] = ()
    keeping: Keeping | None = None
    remembered: Remembered | None = None


def read_samples(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None = None,
) -> SampleBatch:
    """All wanted samples in [start_ms, end_ms) at once, sorted and resolved.

    Arguments and errors as ``stream_samples``.
    """
    with ExitStack() as stack:
        runs = _open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)
        return resolve([batch for run in runs for batch in run])


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
    on_damage: told of each damage, what is damaged being left out; without it the first one is raised.
    Raises: FileGone before the first batch (take a new snapshot); Damaged.
    """
    with ExitStack() as stack:
        runs = _open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)
        for batch in merge_runs(runs):
            yield from _pieces(batch, rows_max)


def stream_parts(
    snapshot: Snapshot,
    series: SeriesColumn | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None = None,
) -> Iterator[tuple[list[SampleBatch], bool]]:
    """As ``stream_samples``, for whoever resolves by itself: sorted batches that together hold the rows up to a point.

    Beside them: whether their one series may go on, later, in the next ones.
    """
    with ExitStack() as stack:
        for parts, goes_on in merge_parts(_open_runs(snapshot, series, start_ms, end_ms, on_damage, stack)):
            yield [part for _, part in parts], goes_on


def merge_runs(runs: Sequence[Run]) -> Iterator[SampleBatch]:
    """Sorted runs as one, resolved; whole series unless one has over ``RUN_ROWS_MAX`` rows in a run."""
    for parts, _ in merge_parts(runs):
        yield resolve([part for _, part in parts])


def merge_parts(runs: Sequence[Run]) -> Iterator[tuple[list[tuple[int, SampleBatch]], bool]]:
    """Of sorted runs, batch beside batch, what together holds the rows up to a point; each with the run's number.

    Beside them: whether their one series may go on in the next ones.
    """
    cursors = [_Cursor(number, run) for number, run in enumerate(runs)]
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


def block_run(
    opened: OpenBlock, choice: SeriesChoice | None, start_ms: int, end_ms: int, on_damage: OnDamage | None = None
) -> Run:
    """The wanted rows of an open block, one batch per row group."""
    for group in opened.groups(choice, start_ms, end_ms).tolist():
        try:
            batch = opened.read_group(group, choice, start_ms, end_ms)
        except Damaged as damage:
            if on_damage is None:
                raise
            on_damage(damage)
            continue
        if len(batch):
            yield batch


class _Cursor:
    """One run and what of it is in memory."""

    def __init__(self, number: int, run: Run) -> None:
        self.number = number
        self._run = run
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
                self.batch = join_batches([self.batch, more]) if len(self.batch) else more

    def take(self, series: int, ts_ms: int | None) -> SampleBatch:
        """Give away rows of series before ``series``, and of ``series`` those up to ``ts_ms`` (inclusive)."""
        if series > SERIES_MAX:
            taken, self.batch = self.batch, empty_batch()
            return taken
        key = np.uint32(series)  # of the column's own type: numpy would convert the whole column otherwise
        count = int(np.searchsorted(self.batch.series, key, "left"))
        if ts_ms is not None:
            end = int(np.searchsorted(self.batch.series, key, "right"))
            count += int(np.searchsorted(self.batch.ts_ms[count:end], ts_ms, "right"))
        taken, self.batch = _cut(self.batch, 0, count), _cut(self.batch, count, len(self.batch))
        return taken


def _horizon(cursors: Sequence[_Cursor]) -> tuple[int, int | None]:
    """Up to where rows are complete, and no more of them than are well resolved at a time; always at least one row."""
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
    runs: list[Run] = []
    remembered = snapshot.remembered if choice is not None and len(choice.ids) == 1 else None
    for block in snapshot.blocks:
        if block.kind != RAW_KIND or not _may_hold(block, choice, start_ms, end_ms):
            continue
        rows = None if choice is None or remembered is None else remembered.find(block, choice)
        if rows is not None:
            runs.append(iter([within(rows, start_ms, end_ms)]))
            continue
        try:
            opened = OpenBlock(snapshot.directory, block)
        except Damaged as damage:
            if on_damage is None:
                raise
            on_damage(damage)
            continue
        stack.callback(opened.close)
        if choice is None or remembered is None:
            runs.append(block_run(opened, choice, start_ms, end_ms, on_damage))
        else:
            runs.append(_remembered_run(remembered, opened, choice, (start_ms, end_ms), on_damage))
    if snapshot.heads:
        runs.append(_head_run(snapshot.heads, choice, start_ms, end_ms))
    return runs


def _remembered_run(
    remembered: Remembered,
    opened: OpenBlock,
    choice: SeriesChoice,
    interval_ms: tuple[int, int],
    on_damage: OnDamage | None,
) -> Run:
    """The rows of one series in the interval; all that the block has of it are remembered, where they are few."""
    whole_ms = opened.block.min_ms, opened.block.max_ms + 1
    run = block_run(opened, choice, *interval_ms, on_damage)
    if len(opened.groups(choice, *whole_ms)) <= GROUPS_MAX:
        with suppress(Damaged):  # perhaps of rows outside of the interval, which are not asked for
            rows = join_batches([empty_batch(), *block_run(opened, choice, *whole_ms)])
            remembered.keep(opened.block, choice, rows)
            run = iter([within(rows, *interval_ms)])
    yield from run


def _may_hold(block: BlockRow, choice: SeriesChoice | None, start_ms: int, end_ms: int) -> bool:
    if block.max_ms < start_ms or block.min_ms >= end_ms:
        return False
    if choice is None:
        return True
    first = np.searchsorted(choice.ids, np.uint32(block.series_min), "left")
    return bool(first < np.searchsorted(choice.ids, np.uint32(block.series_max), "right"))


def _head_run(heads: Sequence[SampleBatch], choice: SeriesChoice | None, start_ms: int, end_ms: int) -> Run:
    """Chosen rows of the head, sorted and resolved.

    Few are copied and sorted; many are sorted first and copied in pieces.
    """
    parts: list[SampleBatch] = []
    rows = 0
    for head in heads:
        if choice is None:
            break
        part = SampleBatch(*select_rows(head.series, head.ts_ms, head.value, choice.mask, start_ms, end_ms))
        parts.append(part)
        rows += len(part)
        if rows > HEAD_COPY_ROWS_MAX:
            break
    if choice is None or rows > HEAD_COPY_ROWS_MAX:
        parts.clear()  # the copies are not needed any more
        yield from _sorted_run(heads, choice, start_ms, end_ms)
    else:
        yield from _sorted_run(parts, None, start_ms, end_ms)


def _sorted_run(parts: Sequence[SampleBatch], choice: SeriesChoice | None, start_ms: int, end_ms: int) -> Run:
    rows = SortedRows([(part.series, part.ts_ms, part.value) for part in parts if len(part)])
    while True:
        series, ts_ms, value, origins = rows.next_rows(GROUP_ROWS)
        if not len(origins):
            return
        mask = np.ones(int(series[-1]) + 1, np.uint8) if choice is None else choice.mask
        chosen = SampleBatch(*select_rows(series, ts_ms, value, mask, start_ms, end_ms))
        if len(chosen):
            yield chosen


def resolve(batches: Sequence[SampleBatch]) -> SampleBatch:
    """Batches, each sorted and resolved, as one."""
    parts = [batch for batch in batches if len(batch)]
    if len(parts) <= 1:
        return parts[0] if parts else empty_batch()
    series, ts_ms, value, _, _ = sort_resolve([(part.series, part.ts_ms, part.value) for part in parts])
    return SampleBatch(series, ts_ms, value)


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
