"""Series expiry: drops series that no data refers to from the index, the series table and memory.

    maintenance thread                 engine thread                  maintenance thread
    ──────────────────                 ─────────────                  ──────────────────
    idle and sealed series
    − those of any block         ──►   − those of heads and of  ──►   segments written again without them
    − those of the checkpoint          the seal on its way            (store/series_merge.py), and once half of the
    − those of damaged files           the rest: dropped              index is dropped, a smaller index ──► swapped in

A dropped series is in no answer; if it is sent again it is a new one with a new id. Ids are never reused: the
checkpoint records how many were assigned. A series stays while any file, row in memory or frame of the journal refers
to it, including files held by snapshots only. Files in quarantine or set aside at start may be damaged, so all series
between their first and last id stay.

Heads are sealed meanwhile, on another thread, and an idle series may have come back in one. An id is dropped only if
nothing refers to it at the moment at which the engine thread decides. Every reference is seen:

    a sealed row is in     a head ──► the frozen head ──┐ one step ┌──► a block of the set
    and examined           when deciding, both                        before the proposal

The proposal takes the checkpoint at the moment at which no block of the set is left to examine. A frozen head leaves
memory in the same step in which its blocks enter the set and the checkpoint moves. When the engine thread decides,
there are two cases. If the checkpoint is that of the proposal, all blocks have been examined, and every other row is in
a head or in the frozen head: the engine thread examines these itself, and no frame can come in between, because it is
the thread that takes frames. If the checkpoint has moved, nothing is dropped, and the blocks are examined again. Merges
move rows of examined blocks into new ones and add no series; a block that has left the set counts while a snapshot
holds its file. Series that the checkpoint of the catalogue lists as active stay; the frozen head lists those of the
next one.

Until a segment is rewritten its dropped series are on disk, and a start restores them as idle ones, which are dropped
again. A reader that still holds the larger index gets the labels of dropped series from it.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from nissa._fast.series import SeriesIndex
from nissa._fast.series_drop import (
    carry_over,
    drop_series,
    dropped_series,
    idle_series,
    note_mentioned,
    unmentioned,
)
from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.file_facts import BlockFacts, read_facts
from nissa.files.names import EVENTS_KIND, locate
from nissa.ingest.frozen_head import FrozenHeadWriter, unpack_minutes
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.restored_series import RestoredSeries, read_table
from nissa.ingest.sealing import Sealer
from nissa.model.columns import SeriesColumn
from nissa.model.errors import BlocksChanged, Damaged
from nissa.model.slices import Slices
from nissa.model.units import MINUTE_MS
from nissa.series.policies import SeriesPolicies
from nissa.store.block_series import series_in
from nissa.store.garbage import orphaned_files
from nissa.store.quarantine import SUFFIX, read_quarantine

INTERVAL_MS = 10 * MINUTE_MS  # between two looks through all blocks
AGAIN_MS = MINUTE_MS  # where something was sealed before the engine thread had its turn
RENEWED_SERIES_MIN = 65_536  # dropped series in the index that are worth a smaller one
SERIES_MAX = 2**32 - 1

log = structlog.get_logger()


class Expiring(msgspec.Struct, frozen=True):
    """State and callbacks that the expiry works with.

    call: runs something on the engine thread, or never where the engine closes. keeping: policies of the ladder, where
    there are any. suspect: called with damaged files.
    """

    catalogue: Catalogue
    writer: FrozenHeadWriter
    pipeline: Pipeline
    sealer: Sealer
    suspect: Callable[[str], None]
    call: Callable[[Callable[[], None]], None]
    clock: Callable[[], int]
    keeping: SeriesPolicies | None = None


class Proposal(msgspec.Struct):
    """Series to drop, as far as the maintenance thread can tell. lsn: the checkpoint. bits: of the series that stay.

    dropped: what the engine thread has made of it.
    """

    index: SeriesIndex
    lsn: int
    bits: npt.NDArray[np.uint8]
    series: SeriesColumn
    dropped: SeriesColumn | None = None


class SeriesExpiry:
    """``is_due`` and ``run`` are for the maintenance thread.

    looks: how often all blocks were looked through; dropped: how many series were, since the start.
    """

    def __init__(self, parts: Expiring) -> None:
        self._parts = parts
        self._looked_ms = parts.clock()
        self._wait_ms = INTERVAL_MS
        self._proposal: Proposal | None = None
        self._fresh: RestoredSeries | None = None  # on its way to the engine thread
        # Dropped before the start, and on disk still: later ones have their labels.
        self._doubles = dropped_series(parts.pipeline.index)
        self._marked = len(self._doubles)  # dropped series that are in the index still
        self.looks = self.dropped = 0

    # ---- on the maintenance thread ----

    def is_due(self) -> bool:
        """True where blocks are to be looked through, series were dropped, or the index is to become smaller."""
        if self._proposal is not None:
            return self._proposal.dropped is not None
        return self._fresh is None and (self._must_look() or self._must_renew())

    def run(self) -> Slices[None]:
        """Do the work that is due. Raises: OSError, Damaged, Unavailable; it is tried again later then."""
        if self._proposal is not None:
            self._note_dropped(self._proposal)
        elif self._must_look():
            self._looked_ms, self._wait_ms = self._parts.clock(), INTERVAL_MS
            yield from self._propose()
        elif self._must_renew():
            yield from self._renew()

    def _must_look(self) -> bool:
        return abs(self._parts.clock() - self._looked_ms) >= self._wait_ms

    def _must_renew(self) -> bool:
        index = self._parts.pipeline.index
        # Labels of a segment that cannot be read are in the larger index only.
        return self._marked >= max(RENEWED_SERIES_MIN, index.known_count) and not self._parts.pipeline.lost_labels

    def _propose(self) -> Slices[None]:
        parts = self._parts
        index, checkpoint = parts.pipeline.index, parts.catalogue.checkpoint()
        series = idle_series(index, checkpoint.series_count)
        if len(self._doubles):
            series = np.union1d(series, self._doubles)
        for first, last in self._held_spans():
            series = series[(series < first) | (series > last)]
        if not len(series):
            self.looks += 1
            return
        bits = np.zeros(int(series[-1]) // 8 + 1, np.uint8)
        lsn = yield from self._note_blocks(bits)
        checkpoint = parts.catalogue.checkpoint()  # of ``lsn`` or, where another was committed just now, of a later one
        note_mentioned(bits, unpack_minutes(checkpoint.seen_minutes)[0][0])
        series = unmentioned(bits, series)
        if len(series):
            proposal = Proposal(index, lsn, bits, series)
            self._proposal = proposal
            parts.call(lambda: self._decide(proposal))
        else:
            self.looks += 1

    def _note_blocks(self, bits: npt.NDArray[np.uint8]) -> Slices[int]:
        """Note the series of all blocks, also of those that are sealed meanwhile.

        Returns the checkpoint at the moment at which no block is left that was not looked at.
        """
        blocks, seen = self._parts.writer.block_set, set[int]()
        while True:
            with blocks.lock:
                lsn = self._parts.writer.checkpoint_lsn
                left = [block for block in blocks.on_disk if block.id not in seen]
            if not left:
                return lsn
            for block in left:
                seen.add(block.id)
                if block.kind != EVENTS_KIND and block.series_min < 8 * len(bits):
                    note_mentioned(bits, self._series_in(block))
                    yield 0.0

    def _series_in(self, block: BlockRow) -> SeriesColumn:
        try:
            return series_in(self._parts.catalogue.directory, block, hold=False)
        except Damaged:
            if all(one.id != block.id for one in self._parts.writer.block_set.on_disk):
                return np.empty(0, np.uint32)  # deleted meanwhile: what it was merged into is looked at
            self._parts.suspect(block.path)
            raise

    def _held_spans(self) -> Iterator[tuple[int, int]]:
        """First and last series of files that are damaged or have no row."""
        directory = self._parts.catalogue.directory
        for row in read_quarantine(self._parts.catalogue):
            path = locate(directory, row.path)
            if row.kind != EVENTS_KIND and any(one.exists() for one in (path, path.with_name(path.name + SUFFIX))):
                yield row.series_min, row.series_max
        for name in orphaned_files(directory):
            try:
                facts = read_facts(directory / name)
            except ValueError:  # cut short: no rows can be read of it
                continue
            if facts is None:
                yield 0, SERIES_MAX
            elif isinstance(facts, BlockFacts) and facts.kind != EVENTS_KIND:
                yield facts.series_min, facts.series_max

    def _note_dropped(self, proposal: Proposal) -> None:
        """Let series that the engine thread dropped leave the table with the next merge."""
        dropped = proposal.dropped
        if dropped is None:
            return
        self._proposal = None
        self.looks += 1
        if not len(dropped):
            self._wait_ms = AGAIN_MS
            return
        writer = self._parts.writer
        writer.dropped = np.union1d(writer.dropped, dropped)
        self._marked += len(dropped) - len(self._doubles)
        self.dropped += len(dropped)
        self._doubles = self._doubles[:0]
        log.info("series that nothing mentions were dropped", series=len(dropped))

    def _renew(self) -> Slices[None]:
        """Read the series that are left into a smaller index."""
        parts = self._parts
        index = parts.pipeline.index
        segments, dropped = parts.writer.segments, parts.writer.dropped
        try:
            fresh = yield from read_table(parts.catalogue, parts.pipeline.config, segments, dropped)
        except Damaged as damage:
            if not set(segments) <= set(parts.writer.segments):
                raise BlocksChanged("segments of the series table were merged while they were read") from damage
            raise
        self._fresh = fresh
        parts.call(lambda: self._swap(index, fresh))

    # ---- on the engine thread ----

    def _decide(self, proposal: Proposal) -> None:
        none, parts = np.empty(0, np.uint32), self._parts
        try:
            # Before the checkpoint is looked at: what is sealed in between has moved it.
            heads, frozen_head = parts.sealer.view(lambda: parts.pipeline.head).heads, parts.sealer.frozen_head
            if parts.writer.checkpoint_lsn != proposal.lsn:
                proposal.dropped = none
                return
            for head in heads:
                for batch in (*head.snapshot(head.total), *(rows for _, rows in head.imports)):
                    note_mentioned(proposal.bits, batch.series)
            if frozen_head is not None:
                note_mentioned(proposal.bits, frozen_head.active[0])
            series = unmentioned(proposal.bits, proposal.series)
            gone = drop_series(proposal.index, series).view(np.bool_)
            proposal.dropped = series[gone | np.isin(series, self._doubles)]
        except Exception:  # frames go on
            log.exception("series could not be dropped")
            proposal.dropped = none

    def _swap(self, index: SeriesIndex, fresh: RestoredSeries) -> None:
        parts = self._parts
        try:
            carry_over(fresh.index, index)
        except Exception:  # frames go on with the index there is
            log.exception("the series index could not be made smaller")
        else:
            if parts.keeping is not None:
                parts.keeping.follow(fresh.index)
            parts.pipeline.index, parts.pipeline.spilling = fresh.index, fresh.spilling
            log.info("the series index was made smaller", series=fresh.index.known_count, before=index.known_count)
            self._marked = 0
        self._fresh = None
