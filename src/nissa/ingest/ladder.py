"""Writing the ladder, on the maintenance thread after each seal: late windows again, and each span that is over.

    raw blocks   ▪▪▪▪▪▪▪▪▪▪▪▪|▪▪▪▪▪▪▪▪▪▪▪▪|▪▪▪▪▪          blocks of windows hold a span of time each:
    1m, 5m       ██ 1 hour ██|██ 1 hour ██|                  6 hours of 5m make one block of 1h, 8 days one of 1d
                        ▪ a block with samples of before: their windows are written again, in a small block that wins

Everything written is a function of the samples (``rollup/read.py``): a step is prepared in files and exists with one
transaction, which also says how far the tiers are written. If it ends before that, nothing has changed. A step ends
with its transaction: the next one begins with the blocks there are then, for heads are sealed, blocks expire and others
are put aside meanwhile.

A span is over when the head that was frozen behind its end and the grace lies in blocks: everything received until then
is there, so only what truly comes late is computed twice. No span is written beyond the latest sample.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, Catalogue, TierRow
from nissa.config.tree import Ladder as Settings
from nissa.files.names import RAW_KIND, kept_of, tier_of
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import BlocksChanged, Damaged
from nissa.model.ladder import RetentionPolicy, Tier, WindowBatch, interval_of
from nissa.model.slices import Slices
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.rollup.by_retention import RetentionSplitter
from nissa.rollup.compaction import Heap, plan_merges, plan_neighbours, wide_ms, write_merged
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.merge import merge_windows
from nissa.rollup.merging import MergeWriter, fold_merging, plan_span_merge
from nissa.rollup.read import Touched, WindowRequest, compute_windows, late_windows, pieces_of, windows_from_samples
from nissa.rollup.tombstones import decided_starts
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.store.block_file import delete_blocks
from nissa.store.block_set import BlockSet
from nissa.store.quarantine import QuarantineRow
from nissa.store.read import Snapshot
from nissa.store.tombstones import Purge, Ranges, Tombstone, Tombstones, tiers_text

ALWAYS = (NEVER_MS, 2**63 - 1)
SPAN_WINDOWS = 6  # of a tier made of windows, in one block: what is not written yet is folded for every question
SPAN_WINDOWS_LONG = 8  # of a tier of days or more

Written = tuple[list[BlockRow], tuple[BlockRow, ...]]
NOTHING_DECIDED: Mapping[int, Ranges] = {}

log = structlog.get_logger()


class Moment(msgspec.Struct, frozen=True):
    """Input of the ladder. blocks: all of the frames up to lsn, which hold all received before until_ms.

    missing: what is in quarantine; windows over it are not written again. roomy: there is space to merge blocks in.
    tombstones, expired: as a snapshot has them, listed after the blocks. reach_ms: the end of imported samples that
    wait to be folded: tiers are written past it, even where no other samples are.
    """

    blocks: tuple[BlockRow, ...]
    lsn: int
    until_ms: int
    missing: tuple[QuarantineRow, ...] = ()
    roomy: bool = True
    tombstones: tuple[Tombstone, ...] = ()
    expired: Mapping[str, int] = {}
    reach_ms: int | None = None


class Ladder:
    """Writes the tiers and knows how far they are written. For the maintenance thread, but for ``facts``."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        settings: Settings,
        clock: Callable[[], int],
        block_set: BlockSet,
        tombstones: Tombstones,
        keeping: RetentionPolicy | None = None,
    ) -> None:
        """clock: Unix milliseconds. keeping: policies, where there are any."""
        known = {row.tier.name: row for row in (*catalogue.tiers(unused=True), *catalogue.tiers())}
        tiers = settings.tiers
        self.rows = tuple(
            msgspec.structs.replace(known[tier.name], tier=tier) if tier.name in known else TierRow(tier)
            for tier in tiers
        )
        self._directory = directory
        self._catalogue = catalogue
        self._grace_ms = settings.grace_ms
        self.keeping = keeping
        self._clock = clock
        self._block_set, self._tombstones = block_set, tombstones
        self._made = tiers_of_samples(tiers)
        self._noted = tuple(catalogue.tiers())
        self._until_ms = NEVER_MS
        self._late = dict.fromkeys((tier.name for tier in tiers), 0)
        self._windows = dict(self._late)
        self._unreadable: set[int] = set()  # ids of blocks that a merge met damage in, or beside
        self._moment = Moment((), 0, NEVER_MS)
        self._purge = Purge()
        self.deleted_rows = 0  # that merges have left out
        self.damages = 0
        self.done_lsn = 0  # of the frames up to here all is written that could be

    def advance(self, moment: Moment) -> Slices[bool]:
        """Do one step of the work that can be done now; False if there was none.

        moment: of now; its files stay until the step has ended. Nothing stays of a step that ends before its commit.
        Raises: BlocksChanged where another moment is needed; OSError, Damaged, Unavailable.
        """
        if not self.rows:
            return False
        self._until_ms = moment.until_ms - self._grace_ms
        self._moment, self._purge = moment, Purge(moment.tombstones)
        if (yield from self._write_late(moment)):
            return True
        for group in self._groups():
            if (yield from self._write_next_span(moment, group)):
                return True
        if (yield from self._merge(moment.blocks)):
            return True
        if self._is_news(moment):
            self._commit(self.rows, ())
        self.done_lsn = moment.lsn
        return False

    def _is_news(self, moment: Moment) -> bool:
        """True if the rows say more than the catalogue. An LSN alone does where samples came late."""
        if [(row.tier, row.written_until_ms) for row in self.rows] != [
            (row.tier, row.written_until_ms) for row in self._noted
        ]:
            return True
        return any(
            block.kind == RAW_KIND and block.last_lsn > row.lsn and block.min_ms < row.written_until_ms
            for block in moment.blocks
            for row in self._noted
        )

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status``, by tier. lag_ms_normal: of a tier that waits for the end of its span."""
        until_ms, normal_ms = self._until_ms, 0
        normal: dict[str, int] = {}
        for first, end in self._groups():
            if end:
                normal_ms += span_ms(self.rows[end - 1].tier, of_samples=not first)
            normal |= {row.tier.name: normal_ms for row in self.rows[first:end]}
        told = {}
        for row in self.rows:
            begun = NEVER_MS not in (row.written_until_ms, until_ms)
            told[row.tier.name] = {
                "interval_ms": row.tier.interval_ms,
                "written_until_ms": row.written_until_ms if row.written_until_ms != NEVER_MS else None,
                "lag_ms": max(until_ms - row.written_until_ms, 0) if begun else None,
                "lag_ms_normal": normal[row.tier.name],
                "lsn": row.lsn,
                "windows": self._windows[row.tier.name],
                "late_windows": self._late[row.tier.name],
            }
        return told

    # ---- what came late ----

    def _write_late(self, moment: Moment) -> Slices[bool]:
        """Windows again whose samples came, or were deleted, since they were written; False where there are none."""
        snapshot = self._snapshot(moment.blocks, moment.missing)
        added: list[BlockRow] = []
        counts: dict[str, int] = {}
        damaged: list[str] = []
        try:
            for place, row in enumerate(self.rows):
                touched = late_windows(snapshot, row, WindowRequest(None, *ALWAYS, on_damage=self._note_damage))
                blocks = (yield from self._rewrite(snapshot, place, touched, moment.lsn)) if len(touched[0]) else []
                if blocks is None:
                    damaged.append(row.tier.name)
                elif blocks:
                    added += blocks
                    counts[row.tier.name] = sum(block.rows for block in blocks)
        except BaseException:  # raised again; the files must not stay
            delete_blocks(self._directory, added)
            raise
        rows = tuple(msgspec.structs.replace(row, lsn=moment.lsn) for row in self.rows)
        decided = {one.id: decided_starts(snapshot, one, damaged) for one in moment.tombstones if one.tiers is None}
        if added or decided:
            self._commit(rows, added, (), decided)
        self.rows = rows  # without late samples it is noted with the next commit
        for name, count in counts.items():
            self._late[name] += count
        return bool(added or decided)

    def _rewrite(self, snapshot: Snapshot, place: int, touched: Touched, lsn: int) -> Slices[list[BlockRow] | None]:
        """The touched windows in blocks; None where damage is met: what stands there knows more than what is left."""
        tier = snapshot.tiers[place].tier
        damages: list[Damaged] = []
        pieces = pieces_of(touched, tier.interval_ms)
        runs = [
            compute_windows(
                snapshot, place, WindowRequest(one.series, one.start_ms, one.end_ms, on_damage=damages.append)
            )
            for one in pieces
        ]
        writer = self._writer(tier)
        try:
            for windows in _only(merge_windows(runs), touched, tier.interval_ms):
                writer.write(windows)
                yield 0.0
            if not damages:
                return writer.finish(lsn)
        except BaseException:  # raised again; the files must not stay
            writer.discard()
            raise
        self._note_damage(damages[0])
        writer.discard()
        return None

    def _snapshot(self, blocks: Sequence[BlockRow], missing: tuple[QuarantineRow, ...] = ()) -> Snapshot:
        """Samples and windows in these blocks."""
        tombstones, expired = self._moment.tombstones, self._moment.expired
        place = (self._directory, tuple(blocks), (), self.rows, missing, self.keeping)
        return Snapshot(*place, tombstones=tombstones, expired=expired)

    # ---- spans that are over ----

    def _groups(self) -> list[tuple[int, int]]:
        """Places of tiers written together, [first, end): those made of samples, then each other one."""
        return [(0, self._made), *((place, place + 1) for place in range(self._made, len(self.rows)))]

    def _write_next_span(self, moment: Moment, group: tuple[int, int]) -> Slices[bool]:
        """The first span that is over and not written, of tiers written together; False where there is none."""
        first, end = group
        below = self.rows[first - 1] if first else None
        kind = below.tier.name if below else RAW_KIND
        there = [block for block in moment.blocks if tier_of(block.kind) == kind]
        if not there and moment.reach_ms is None:
            return False
        tier = self.rows[end - 1].tier
        length_ms = span_ms(tier, of_samples=not first)
        until_ms = below.written_until_ms if below else self._samples_until(moment, there, length_ms)
        limit_ms = floor_ms(until_ms, length_ms)
        while (position_ms := min(row.written_until_ms for row in self.rows[first:end])) < limit_ms:
            start_ms = min(
                (max(one.min_ms, position_ms) for one in there if one.max_ms >= position_ms), default=limit_ms
            )
            start_ms = min(floor_ms(start_ms, length_ms), limit_ms)
            start_ms, end_ms = max(start_ms, position_ms), min(start_ms + length_ms, limit_ms)
            added: list[BlockRow] = []
            gone: tuple[BlockRow, ...] = ()
            if start_ms < limit_ms:
                snapshot = self._snapshot(moment.blocks)
                asked = WindowRequest(None, start_ms, end_ms, on_damage=self._note_damage)
                added, gone = yield from self._write_span(moment, snapshot, group, asked)
            rows = list(self.rows)
            for place in range(first, end):
                until = max(rows[place].written_until_ms, end_ms)
                rows[place] = msgspec.structs.replace(rows[place], written_until_ms=until)
            if added or gone:
                self._commit(tuple(rows), added, gone)
                return True
            self.rows = tuple(rows)
            yield 0.0
        return False

    def _samples_until(self, moment: Moment, there: Sequence[BlockRow], length_ms: int) -> int:
        """Time up to which samples may be folded: no span is written beyond the latest one, live or imported."""
        reach_ms = NEVER_MS if moment.reach_ms is None else ceil_ms(moment.reach_ms, length_ms)
        return min(self._until_ms, max([reach_ms, *(block.max_ms for block in there)]))

    def _write_span(
        self, moment: Moment, snapshot: Snapshot, group: tuple[int, int], asked: WindowRequest
    ) -> Slices[Written]:
        """Blocks of one span, synced, and those they take the place of; none where it has no windows."""
        first, end = group
        if first:
            steps = ([windows] for windows in compute_windows(snapshot, first, asked))
            return (yield from self._write_windows(steps, group, moment.lsn)), ()
        sound = [block for block in snapshot.blocks if block.id not in self._unreadable]
        merged = plan_span_merge(sound, asked.start_ms, asked.end_ms) if moment.roomy else ()
        if merged:
            try:
                return (yield from self._write_merging(snapshot, merged, (end, moment.lsn), asked)), merged
            except Damaged:  # noted when it is met again
                self._unreadable |= {block.id for block in merged}
        return (yield from self._write_windows(windows_from_samples(snapshot, asked, end), group, moment.lsn)), ()

    def _write_merging(
        self,
        snapshot: Snapshot,
        merged: Sequence[BlockRow],
        until: tuple[int, int],
        asked: WindowRequest,
    ) -> Slices[list[BlockRow]]:
        """The same, and the block that raw ones are merged into on the way. until: place of a tier, LSN."""
        end, lsn = until
        self._purge.rows = 0
        tiers, span = [row.tier for row in self.rows[:end]], (asked.start_ms, asked.end_ms)
        writer = MergeWriter(self._directory, self._catalogue.new_id(), merged, self._clock())
        added: list[BlockRow] = []
        try:
            steps = fold_merging(self._directory, snapshot.blocks, merged, tiers, span, writer.write, self._purge)
            added += yield from self._write_windows(steps, (0, end), lsn)
            block = writer.finish()
            return [*added, *(() if block is None else (block,))]
        except BaseException:  # raised again; the files must not stay
            delete_blocks(self._directory, added)
            writer.discard()
            raise

    def _write_windows(
        self, steps: Iterator[list[WindowBatch]], group: tuple[int, int], lsn: int
    ) -> Slices[list[BlockRow]]:
        first, end = group
        writers = [self._writer(row.tier) for row in self.rows[first:end]]
        try:
            for batches in steps:
                for writer, windows in zip(writers, batches, strict=False):
                    writer.write(windows)
                yield 0.0
            return [block for writer in writers for block in writer.finish(lsn)]
        except BaseException:  # raised again; the files must not stay
            for writer in writers:
                writer.discard()
            raise

    # ---- both ----

    def _merge(self, blocks: tuple[BlockRow, ...]) -> Slices[bool]:
        """Put small blocks of late windows together with those of their time; False where there are none.

        What cannot be read stays as it is.
        """
        for first, end in self._groups():
            length_ms = span_ms(self.rows[end - 1].tier, of_samples=not first) if end else 0
            for row in self.rows[first:end]:
                sound = [one for one in blocks if tier_of(one.kind) == row.tier.name and one.id not in self._unreadable]
                for heap in _heaps(sound, row, length_ms, neighbours=first > 0):
                    self._purge.rows = 0
                    try:
                        place = (self._directory, self._catalogue, row.tier, heap, self._clock())
                        added = yield from write_merged(*place, self._purge)
                    except Damaged as damage:
                        self._unreadable |= {block.id for block in heap.blocks}
                        self._note_damage(damage)
                        continue
                    self._commit(self.rows, added, heap.blocks)
                    return True
        return False

    def _writer(self, tier: Tier) -> RetentionSplitter:
        place = (self._directory, self._catalogue, tier, self._clock())
        return RetentionSplitter(*place, self.keeping, self._purge.newest)

    def _commit(
        self,
        rows: tuple[TierRow, ...],
        written: Sequence[BlockRow],
        gone: Sequence[BlockRow] = (),
        decided: Mapping[int, Ranges] = NOTHING_DECIDED,
    ) -> None:
        """Commit in one transaction.

        If it fails, the catalogue on disk may name the new files, so they stay: windows written again are the same, and
        the next start deletes files that the catalogue does not name.
        """
        added = [self._purge.stamp(block) for block in written]
        completed = [(tiers_text(ranges), number) for number, ranges in decided.items()]
        try:
            with self._block_set.change:
                self._catalogue.commit_tiers(rows, added, gone, completed)
                self._block_set.replace(gone, added, rows)
                self._tombstones.complete(decided)  # after the blocks: until then readers decide the same
        except BlocksChanged:  # raised again; nothing was committed
            delete_blocks(self._directory, added)
            raise
        self.rows = self._noted = rows
        if gone:
            self.deleted_rows += self._purge.rows
        merged = {block.kind for block in gone}
        for block in added:
            if block.kind != RAW_KIND and block.kind not in merged:
                self._windows[tier_of(block.kind)] += block.rows

    def _note_damage(self, damage: Damaged) -> None:
        self.damages += 1
        log.error("the ladder goes on without what is damaged", reason=str(damage))


def span_ms(tier: Tier, *, of_samples: bool) -> int:
    """Span of one block of a tier, in milliseconds. tier: the widest of those written together."""
    if of_samples:
        return ceil_ms(HOUR_MS, tier.interval_ms)
    return tier.interval_ms * (SPAN_WINDOWS if tier.interval_ms < DAY_MS else SPAN_WINDOWS_LONG)


def _heaps(blocks: Sequence[BlockRow], row: TierRow, span_ms: int, *, neighbours: bool) -> list[Heap]:
    """Picks blocks of one tier to merge: only those of one kind have the same retention."""
    found = []
    for kind in sorted({block.kind for block in blocks}):
        own = [block for block in blocks if block.kind == kind]
        heaps = plan_merges(own, span_ms)
        if neighbours and not heaps:
            kept_ms = interval_of(kept_of(kind)) if kept_of(kind) else row.tier.retention_ms
            heaps = plan_neighbours(own, span_ms, wide_ms(kept_ms, span_ms), row.written_until_ms)
        found += heaps
    return found


def _only(batches: Iterator[WindowBatch], touched: Touched, interval_ms: int) -> Iterator[WindowBatch]:
    """The touched windows among sorted windows. ``touched`` is sorted too."""
    series, starts = touched
    for windows in batches:
        first = int(np.searchsorted(series, windows.series[0], "left"))
        end = int(np.searchsorted(series, windows.series[-1], "right"))
        wanted = _keys(series[first:end], starts[first:end], interval_ms)
        yield take_windows(
            windows, np.flatnonzero(np.isin(_keys(windows.series, windows.start_ms, interval_ms), wanted))
        )


def _keys(series: SeriesColumn, starts: TimeColumn, interval_ms: int) -> npt.NDArray[np.uint64]:
    """One number per window; two are alike only 2^32 intervals apart, 136 years of seconds."""
    places = np.floor_divide(starts, interval_ms).astype(np.uint64) & np.uint64(0xFFFF_FFFF)
    return (series.astype(np.uint64) << np.uint64(32)) | places
