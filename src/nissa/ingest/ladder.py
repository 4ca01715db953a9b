"""Writing the ladder, on the sealer thread after each seal: late windows again, and each span of time that is over.

    raw blocks   ▪▪▪▪▪▪▪▪▪▪▪▪|▪▪▪▪▪▪▪▪▪▪▪▪|▪▪▪▪▪          blocks of windows hold a span of time each:
    1m, 5m       ██ 1 hour ██|██ 1 hour ██|                  6 hours of 5m make one block of 1h, 8 days one of 1d
                        ▪ a block with samples of before: their windows are written again, in a small block that wins

Everything written is a function of the samples (``rollup/read.py``): a step is prepared in files and exists with one
transaction, which also says how far the tiers are written. Whatever ends it before, nothing has changed.

A span is over when the head that was frozen behind its end and the grace lies in blocks: everything received until then
is there, so only what truly comes late is computed twice. No span is written beyond the latest sample.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from nissa.config.tree import Ladder as Settings
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import Keeping, Tier, WindowBatch, interval_of
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.rollup.compaction import Heap, plan_merges, plan_neighbours, wide_ms, write_merged
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.kept import KeptWriter
from nissa.rollup.merge import merge_windows
from nissa.rollup.merging import MergeWriter, fold_merging, plan_span_merge
from nissa.rollup.read import Question, Touched, compute_windows, fold_samples, late_windows, pieces_of
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.store.catalogue import NEVER_MS, BlockRow, Catalogue, TierRow
from nissa.store.names import RAW_KIND, kept_of, locate, tier_of
from nissa.store.quarantine import QuarantineRow
from nissa.store.read import Snapshot

ALWAYS = (NEVER_MS, 2**63 - 1)
SPAN_WINDOWS = 6  # of a tier made of windows, in one block: what is not written yet is folded for every question
SPAN_WINDOWS_LONG = 8  # of a tier of days or more

Written = tuple[list[BlockRow], tuple[BlockRow, ...]]
Publish = Callable[[Sequence[BlockRow], Sequence[BlockRow], tuple[TierRow, ...]], None]

log = structlog.get_logger()


class Moment(msgspec.Struct, frozen=True):
    """What the ladder is written of. blocks: all of the frames up to lsn, which hold all received before until_ms.

    missing: what is in quarantine; windows over it are not written again. roomy: there is space to merge blocks in.
    """

    blocks: tuple[BlockRow, ...]
    lsn: int
    until_ms: int
    missing: tuple[QuarantineRow, ...] = ()
    roomy: bool = True


class Ladder:
    """How far the tiers are written, and the work of it. For the sealer thread, but for ``facts``."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        settings: Settings,
        clock: Callable[[], int],
        publish: Publish,
        keeping: Keeping | None = None,
    ) -> None:
        """publish: told of blocks that exist from now on, of those that do not, and of the rows in force with them.

        keeping: policies, where there are any.
        """
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
        self._publish = publish
        self._made = tiers_of_samples(tiers)
        self._noted = tuple(catalogue.tiers())
        self._until_ms = NEVER_MS
        self._late = dict.fromkeys((tier.name for tier in tiers), 0)
        self._windows = dict(self._late)
        self._unreadable: set[int] = set()  # ids of blocks that a merge met damage in, or beside
        self.damages = 0
        self.done_lsn = 0  # of the frames up to here all is written that could be

    def advance(self, moment: Moment, between: Callable[[], None]) -> None:
        """Write what can be written now.

        between: called all along; what it raises ends the work, as does any error; what was committed stays.
        """
        if not self.rows:
            return
        self._until_ms = moment.until_ms - self._grace_ms
        blocks = self._write_late(moment, between)
        for first, end in self._groups():
            blocks = self._write_spans(moment, blocks, (first, end), between)
        self._merge(blocks, between)
        if self._is_news(moment):
            self._commit(self.rows, ())
        self.done_lsn = moment.lsn

    def _is_news(self, moment: Moment) -> bool:
        """Whether the rows say more than the catalogue. An LSN alone does where samples came late."""
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
        """What ``/api/status`` tells, by tier."""
        until_ms = self._until_ms
        told = {}
        for row in self.rows:
            begun = NEVER_MS not in (row.written_until_ms, until_ms)
            told[row.tier.name] = {
                "interval_ms": row.tier.interval_ms,
                "written_until_ms": row.written_until_ms if row.written_until_ms != NEVER_MS else None,
                "lag_ms": max(until_ms - row.written_until_ms, 0) if begun else None,
                "lsn": row.lsn,
                "windows": self._windows[row.tier.name],
                "late_windows": self._late[row.tier.name],
            }
        return told

    # ---- what came late ----

    def _write_late(self, moment: Moment, between: Callable[[], None]) -> tuple[BlockRow, ...]:
        """Windows again whose samples came after they were written; returns the blocks there are then."""
        snapshot = Snapshot(self._directory, moment.blocks, (), self.rows, moment.missing, self.keeping)
        added: list[BlockRow] = []
        counts: dict[str, int] = {}
        try:
            for place, row in enumerate(self.rows):
                touched = late_windows(snapshot, row, Question(None, *ALWAYS, on_damage=self._note_damage))
                if len(touched[0]) and (blocks := self._rewrite(snapshot, place, touched, moment.lsn, between)):
                    added += blocks
                    counts[row.tier.name] = sum(block.rows for block in blocks)
        except BaseException:  # raised again; the files must not stay
            self._delete(added)
            raise
        rows = tuple(msgspec.structs.replace(row, lsn=moment.lsn) for row in self.rows)
        if added:
            self._commit(rows, added)
        self.rows = rows  # without late samples it is noted with the next commit
        for name, count in counts.items():
            self._late[name] += count
        return (*moment.blocks, *added)

    def _rewrite(
        self, snapshot: Snapshot, place: int, touched: Touched, lsn: int, between: Callable[[], None]
    ) -> list[BlockRow]:
        """The touched windows in blocks; none where damage is met: what stands there knows more than what is left."""
        tier = snapshot.tiers[place].tier
        damages: list[Damaged] = []
        pieces = pieces_of(touched, tier.interval_ms)
        runs = [
            compute_windows(snapshot, place, Question(one.series, one.start_ms, one.end_ms, on_damage=damages.append))
            for one in pieces
        ]
        writer = self._writer(tier)
        try:
            for windows in _only(merge_windows(runs), touched, tier.interval_ms, between):
                writer.write(windows)
            if not damages:
                return writer.finish(lsn)
        except BaseException:  # raised again; the files must not stay
            writer.discard()
            raise
        self._note_damage(damages[0])
        writer.discard()
        return []

    # ---- spans that are over ----

    def _groups(self) -> list[tuple[int, int]]:
        """Places of tiers written together, [first, end): those made of samples, then each other one."""
        return [(0, self._made), *((place, place + 1) for place in range(self._made, len(self.rows)))]

    def _write_spans(
        self, moment: Moment, blocks: tuple[BlockRow, ...], group: tuple[int, int], between: Callable[[], None]
    ) -> tuple[BlockRow, ...]:
        first, end = group
        below = self.rows[first - 1] if first else None
        kind = below.tier.name if below else RAW_KIND
        there = [block for block in blocks if tier_of(block.kind) == kind]
        if not there:
            return blocks
        tier = self.rows[end - 1].tier
        length_ms = span_ms(tier, of_samples=not first)
        until_ms = below.written_until_ms if below else min(self._until_ms, max(block.max_ms for block in there))
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
                snapshot = Snapshot(self._directory, blocks, (), self.rows, (), self.keeping)
                asked = Question(None, start_ms, end_ms, on_damage=self._note_damage)
                added, gone = self._write_span(moment, snapshot, group, asked, between)
            rows = list(self.rows)
            for place in range(first, end):
                until = max(rows[place].written_until_ms, end_ms)
                rows[place] = msgspec.structs.replace(rows[place], written_until_ms=until)
            if added:
                self._commit(tuple(rows), added, gone)
                self._delete(gone)
            self.rows = tuple(rows)
            blocks = (*(block for block in blocks if block not in gone), *added)
            between()
        return blocks

    def _write_span(
        self,
        moment: Moment,
        snapshot: Snapshot,
        group: tuple[int, int],
        asked: Question,
        between: Callable[[], None],
    ) -> Written:
        """Blocks of one span, synced, and those they take the place of; none where it has no windows."""
        first, end = group
        if first:
            steps = ([windows] for windows in compute_windows(snapshot, first, asked))
            return self._write_windows(steps, group, moment.lsn, between), ()
        sound = [block for block in snapshot.blocks if block.id not in self._unreadable]
        merged = plan_span_merge(sound, asked.start_ms, asked.end_ms) if moment.roomy else ()
        if merged:
            try:
                return self._write_merging(snapshot, merged, (end, moment.lsn), asked, between), merged
            except Damaged:  # noted when it is met again
                self._unreadable |= {block.id for block in merged}
        return self._write_windows(fold_samples(snapshot, asked, end), group, moment.lsn, between), ()

    def _write_merging(
        self,
        snapshot: Snapshot,
        merged: Sequence[BlockRow],
        until: tuple[int, int],
        asked: Question,
        between: Callable[[], None],
    ) -> list[BlockRow]:
        """The same, and the block that raw ones are merged into on the way. until: place of a tier, LSN."""
        end, lsn = until
        tiers, span = [row.tier for row in self.rows[:end]], (asked.start_ms, asked.end_ms)
        writer = MergeWriter(self._directory, self._catalogue.new_id(), merged, self._clock())
        added: list[BlockRow] = []
        try:
            steps = fold_merging(self._directory, snapshot.blocks, merged, tiers, span, writer.write)
            added += self._write_windows(steps, (0, end), lsn, between)
            return [*added, writer.finish()]
        except BaseException:  # raised again; the files must not stay
            self._delete(added)
            writer.discard()
            raise

    def _write_windows(
        self,
        steps: Iterator[list[WindowBatch]],
        group: tuple[int, int],
        lsn: int,
        between: Callable[[], None],
    ) -> list[BlockRow]:
        first, end = group
        writers = [self._writer(row.tier) for row in self.rows[first:end]]
        try:
            for batches in steps:
                for writer, windows in zip(writers, batches, strict=False):
                    writer.write(windows)
                between()
            return [block for writer in writers for block in writer.finish(lsn)]
        except BaseException:  # raised again; the files must not stay
            for writer in writers:
                writer.discard()
            raise

    # ---- both ----

    def _merge(self, blocks: tuple[BlockRow, ...], between: Callable[[], None]) -> None:
        """Put small blocks of late windows together with those of their time. What cannot be read stays as it is."""
        for first, end in self._groups():
            length_ms = span_ms(self.rows[end - 1].tier, of_samples=not first) if end else 0
            for row in self.rows[first:end]:
                sound = [one for one in blocks if tier_of(one.kind) == row.tier.name and one.id not in self._unreadable]
                for heap in _heaps(sound, row, length_ms, neighbours=first > 0):
                    try:
                        added = write_merged(self._directory, self._catalogue, row.tier, heap, self._clock(), between)
                    except Damaged as damage:
                        self._unreadable |= {block.id for block in heap.blocks}
                        self._note_damage(damage)
                        continue
                    self._commit(self.rows, added, heap.blocks)
                    self._delete(heap.blocks)

    def _writer(self, tier: Tier) -> KeptWriter:
        return KeptWriter(self._directory, self._catalogue, tier, self._clock(), self.keeping)

    def _commit(self, rows: tuple[TierRow, ...], added: Sequence[BlockRow], gone: Sequence[BlockRow] = ()) -> None:
        """One transaction. Where it fails nobody knows whether it reached the disk, so the files stay; windows written
        again are the same, and the next start deletes what nobody names."""
        self._catalogue.commit_tiers(rows, added, gone)
        self.rows = self._noted = rows
        merged = {block.kind for block in gone}
        for block in added:
            if block.kind != RAW_KIND and block.kind not in merged:
                self._windows[tier_of(block.kind)] += block.rows
        self._publish(added, gone, rows)

    def _delete(self, blocks: Sequence[BlockRow]) -> None:
        for block in blocks:
            locate(self._directory, block.path).unlink(missing_ok=True)

    def _note_damage(self, damage: Damaged) -> None:
        self.damages += 1
        log.error("the ladder goes on without what is damaged", reason=str(damage))


def span_ms(tier: Tier, *, of_samples: bool) -> int:
    """How much time one block of a tier holds. tier: the widest of those written together."""
    if of_samples:
        return ceil_ms(HOUR_MS, tier.interval_ms)
    return tier.interval_ms * (SPAN_WINDOWS if tier.interval_ms < DAY_MS else SPAN_WINDOWS_LONG)


def _heaps(blocks: Sequence[BlockRow], row: TierRow, span_ms: int, *, neighbours: bool) -> list[Heap]:
    """What is worth merging of one tier's blocks: only those of one kind are kept alike."""
    found = []
    for kind in sorted({block.kind for block in blocks}):
        own = [block for block in blocks if block.kind == kind]
        heaps = plan_merges(own, span_ms)
        if neighbours and not heaps:
            kept_ms = interval_of(kept_of(kind)) if kept_of(kind) else row.tier.retention_ms
            heaps = plan_neighbours(own, span_ms, wide_ms(kept_ms, span_ms), row.written_until_ms)
        found += heaps
    return found


def _only(
    batches: Iterator[WindowBatch], touched: Touched, interval_ms: int, between: Callable[[], None]
) -> Iterator[WindowBatch]:
    """Of sorted windows those that are touched; these are sorted too."""
    series, starts = touched
    for windows in batches:
        between()
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
