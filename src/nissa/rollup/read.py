"""Reads windows: written ones from blocks, and all others folded now from samples or the tier below.

    windows of a tier     blocks of the tier    ├──────────────── written ────────────────┤
                          samples came late            ├ again ┤          ├ ag. ┤          (or some were deleted)
                          nothing written yet                                             ├── now ──┤

    now, again: from the windows of the tier below, which come to be the same way; at the bottom from samples, those in
    memory included

So an answer depends only on the samples, not on which windows are written. Late samples are found without a list: they
are in memory, or in a raw block after the tier's LSN, and their windows are written.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.files.names import RAW_KIND, tier_of
from nissa.model.columns import SampleBatch, SeriesColumn, TimeColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import WindowBatch
from nissa.model.units import HOUR_MS
from nissa.rollup.by_retention import only_kept
from nissa.rollup.fold import fold_raw, fold_tier, tiers_of_samples
from nissa.rollup.merge import merge_windows
from nissa.rollup.tombstones import deleted_of, surviving_windows, windows_again
from nissa.rollup.windows import floor_ms, windows_touched
from nissa.store.block_run import block_run
from nissa.store.blocks import OpenBlock, SeriesChoice, choose_series
from nissa.store.parquet_block import OpenFiles
from nissa.store.quarantine import missing_from
from nissa.store.read import Snapshot, head_overlaps, stream_parts
from nissa.store.tier_blocks import OpenTierBlock

PIECES_MAX = 64  # stretches of late samples that are looked at apart

OnDamage = Callable[[Damaged], None]
Touched = tuple[SeriesColumn, TimeColumn]


class WindowRequest(msgspec.Struct, frozen=True):
    """Request for windows. series: ids, None for all. start_ms, end_ms: multiples of the interval; of starts.

    numbers: which of their numbers are used, so that others need not be read and may be NaN; None for all.
    """

    series: SeriesColumn | None
    start_ms: int
    end_ms: int
    sketches: bool = True
    on_damage: OnDamage | None = None
    numbers: frozenset[str] | None = None


class Piece(msgspec.Struct, frozen=True):
    """A stretch of time with late samples of these series."""

    series: SeriesColumn
    start_ms: int
    end_ms: int


def read_windows(snapshot: Snapshot, place: int, asked: WindowRequest) -> Iterator[WindowBatch]:
    """Read windows of a tier, sorted by series and start; every batch has whole series.

    snapshot: of the store. place: index of the tier. asked: series, range and columns, and ``on_damage``, which is
    called with each damage, whose rows are left out; without it the first damage is raised. Raises: Damaged.
    """
    return merge_windows(window_runs(snapshot, place, asked))


def window_runs(snapshot: Snapshot, place: int, asked: WindowRequest) -> list[Iterator[WindowBatch]]:
    """Return the windows of ``read_windows`` as sorted runs; of two of one series and start the later run is valid.

    snapshot: of the store. place: index of the tier. asked: as for ``read_windows``.
    """
    row = snapshot.tiers[place]
    until_ms = min(max(row.written_until_ms, asked.start_ms), asked.end_ms)
    runs = []
    if asked.start_ms < until_ms:
        written = msgspec.structs.replace(asked, end_ms=until_ms)
        runs += _block_runs(snapshot, row, written)
        runs += [
            compute_windows(snapshot, place, _within(asked, piece))
            for piece in pieces_of(late_windows(snapshot, row, written), row.tier.interval_ms)
        ]
    if until_ms < asked.end_ms:
        runs.append(compute_windows(snapshot, place, msgspec.structs.replace(asked, start_ms=until_ms)))
    return runs


def compute_windows(snapshot: Snapshot, place: int, asked: WindowRequest) -> Iterator[WindowBatch]:
    """Compute the windows of ``read_windows`` without blocks of this tier.

    snapshot: of the store. place: index of the tier. asked: as for ``read_windows``.
    """
    tier = snapshot.tiers[place].tier
    asked = msgspec.structs.replace(asked, numbers=None)  # what is folded needs all of them
    made = tiers_of_samples([row.tier for row in snapshot.tiers])
    if place < made:
        for tiers in windows_from_samples(snapshot, asked, place + 1):
            windows = only_kept(snapshot.keeping, tier, tiers[place])
            yield windows if asked.sketches else _bare(windows)
        return
    below = msgspec.structs.replace(asked, sketches=asked.sketches and tier.has_sketch)
    for windows in read_windows(snapshot, place - 1, below):
        yield only_kept(snapshot.keeping, tier, fold_tier(windows, tier))


def windows_from_samples(snapshot: Snapshot, asked: WindowRequest, made: int) -> Iterator[list[WindowBatch]]:
    """Compute windows from samples for the first ``made`` tiers; a long series may continue in the next batch.

    snapshot: of the store. asked: as for ``read_windows``.
    """
    tiers = [row.tier for row in snapshot.tiers[:made]]
    wide_ms = tiers[-1].interval_ms
    steps = stream_parts(snapshot, asked.series, asked.start_ms, asked.end_ms, asked.on_damage)
    for whole in whole_windows(steps, wide_ms):
        yield fold_raw(whole, tiers)


def late_windows(snapshot: Snapshot, row: TierRow, asked: WindowRequest) -> Touched:
    """Return the written windows that late samples have made invalid, by (series, start).

    snapshot: of the store. row: state of the tier. asked: as for ``read_windows``.
    """
    interval_ms = row.tier.interval_ms
    found = [(np.empty(0, np.uint32), np.empty(0, np.int64))]
    found += windows_again(snapshot, row, asked.series, (asked.start_ms, asked.end_ms))
    end_ms = min(asked.end_ms, row.written_until_ms)
    for part in _late_samples(snapshot, row, msgspec.structs.replace(asked, end_ms=end_ms)):
        found.append(windows_touched(part.series, part.ts_ms, interval_ms))
    series, starts = (np.concatenate(column) for column in zip(*found, strict=True))
    return windows_touched(series, starts, interval_ms)


def pieces_of(touched: Touched, interval_ms: int) -> list[Piece]:
    """Stretches of time that together hold these windows, few and short."""
    series, starts = touched
    if not len(series):
        return []
    order = np.argsort(starts, kind="stable")
    series, starts = series[order], starts[order]
    gaps = np.diff(starts)
    apart_ms = max(interval_ms, HOUR_MS)
    if np.count_nonzero(gaps > apart_ms) >= PIECES_MAX:
        apart_ms = int(np.partition(gaps, -PIECES_MAX)[-PIECES_MAX])
    borders = [0, *(np.flatnonzero(gaps > apart_ms) + 1).tolist(), len(series)]
    return [
        Piece(np.unique(series[first:end]), int(starts[first]), int(starts[end - 1]) + interval_ms)
        for first, end in pairwise(borders)
    ]


def _bare(windows: WindowBatch) -> WindowBatch:
    return msgspec.structs.replace(windows, sketch=None)


def _within(asked: WindowRequest, piece: Piece) -> WindowRequest:
    return msgspec.structs.replace(asked, series=piece.series, start_ms=piece.start_ms, end_ms=piece.end_ms)


def _block_runs(snapshot: Snapshot, row: TierRow, asked: WindowRequest) -> list[Iterator[WindowBatch]]:
    """Windows that are written, older blocks first."""
    choice = None if asked.series is None else choose_series(asked.series)
    runs = []
    files = OpenFiles()
    for missing in missing_from(snapshot.missing, snapshot.directory, row.tier.name, asked.start_ms, asked.end_ms):
        _tell(asked, missing)
    for block in sorted(snapshot.blocks, key=lambda one: one.id):
        if tier_of(block.kind) != row.tier.name or block.max_ms < asked.start_ms or block.min_ms >= asked.end_ms:
            continue
        if choice is not None:
            first = np.searchsorted(choice.ids, np.uint32(block.series_min), "left")
            if first >= np.searchsorted(choice.ids, np.uint32(block.series_max), "right"):
                continue
        runs.append(_block_run(snapshot, block, choice, asked, files))
    return runs


def _block_run(
    snapshot: Snapshot, block: BlockRow, choice: SeriesChoice | None, asked: WindowRequest, files: OpenFiles
) -> Iterator[WindowBatch]:
    try:
        snapshot.check()
        opened = OpenTierBlock(snapshot.directory, block, files)
    except Damaged as damage:
        _tell(asked, damage)
        return
    deleted = deleted_of(snapshot, block)
    try:
        for groups in opened.few_groups(opened.groups(choice, asked.start_ms, asked.end_ms).tolist()):
            snapshot.check()
            for windows in _read_groups(opened, groups, choice, asked):
                yield surviving_windows(windows, deleted)
    finally:
        opened.close()


def _read_groups(
    opened: OpenTierBlock, groups: list[int], choice: SeriesChoice | None, asked: WindowRequest
) -> Iterator[WindowBatch]:
    """Some row groups at once; one by one where one of them is damaged."""
    span_ms, wanted = (asked.start_ms, asked.end_ms), asked.numbers
    try:
        yield opened.read_groups(groups, choice, *span_ms, sketches=asked.sketches, numbers=wanted)
    except Damaged as damage:
        if len(groups) == 1:
            _tell(asked, damage)
            return
        for group in groups:
            yield from _read_groups(opened, [group], choice, asked)


def _late_samples(snapshot: Snapshot, row: TierRow, asked: WindowRequest) -> Iterator[SampleBatch]:
    """Samples in the range that the tier's windows do not know of; of heads and of blocks behind its LSN."""
    choice = None if asked.series is None else choose_series(asked.series)
    for block in snapshot.blocks:
        snapshot.check()
        early = block.min_ms < asked.end_ms and block.max_ms >= asked.start_ms
        if block.kind == RAW_KIND and block.last_lsn > row.lsn and early:
            yield from _samples_of(snapshot, block, choice, asked)
    for head in snapshot.heads if head_overlaps(snapshot, asked.start_ms, asked.end_ms) else ():
        snapshot.check()
        inside = (head.ts_ms >= asked.start_ms) & (head.ts_ms < asked.end_ms)
        if inside.any() and asked.series is not None:
            inside &= np.isin(head.series, asked.series)
        if inside.any():
            yield SampleBatch(head.series[inside], head.ts_ms[inside], head.value[inside])


def _samples_of(
    snapshot: Snapshot, block: BlockRow, choice: SeriesChoice | None, asked: WindowRequest
) -> Iterator[SampleBatch]:
    try:
        opened = OpenBlock(snapshot.directory, block)
    except Damaged as damage:
        _tell(asked, damage)
        return
    try:
        span_ms = asked.start_ms, asked.end_ms
        yield from block_run(opened, choice, *span_ms, asked.on_damage, snapshot.check, snapshot.row_groups)
    finally:
        opened.close()


def _tell(asked: WindowRequest, damage: Damaged) -> None:
    if asked.on_damage is None:
        raise damage
    asked.on_damage(damage)


def whole_windows(steps: Iterable[tuple[list[SampleBatch], bool]], interval_ms: int) -> Iterator[list[SampleBatch]]:
    """Sorted batches cut anew between windows: of a series that goes on, the last window is kept back."""
    held: list[SampleBatch] = []
    for step, goes_on in steps:
        parts, held = [*held, *step], []
        if goes_on:
            last_ms = max(int(part.ts_ms[-1]) for part in parts)
            cuts = [int(np.searchsorted(part.ts_ms, floor_ms(last_ms, interval_ms), "left")) for part in parts]
            held = [_cut(part, cut, len(part)) for part, cut in zip(parts, cuts, strict=True) if cut < len(part)]
            parts = [_cut(part, 0, cut) for part, cut in zip(parts, cuts, strict=True) if cut]
        if parts:
            yield parts
    if held:
        yield held


def _cut(batch: SampleBatch, start: int, end: int) -> SampleBatch:
    return SampleBatch(batch.series[start:end], batch.ts_ms[start:end], batch.value[start:end])
