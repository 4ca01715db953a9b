"""Jobs that rewrite sealed files: the ladder, merges of blocks and of the series table, tombstones that are done.

    sealed ──► ladder ──────────► compaction ─────► tombstones
               windows, imports   8 blocks to 1     that cover no block any more
               series table       few segments

The ladder comes first: what it has not seen must not be merged with what it has, or all of it would be late. So merges
take only raw blocks that it has seen, unless it fails.

Each job reads blocks under a hold of its own, publishes in one step (``BlockSet.change``), and is planned anew where
blocks it has read were replaced meanwhile. It looks for work again once the list of blocks has changed. While space is
low nothing is merged: a merge needs room for what it writes before the old files go.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.config.tree import Config
from nissa.files.names import RAW_KIND
from nissa.ingest.frozen_head import FrozenHeadWriter, event_slice_ms
from nissa.ingest.import_fold import ImportFolder
from nissa.ingest.ladder import Ladder, Moment
from nissa.maintenance.jobs import Job
from nissa.maintenance.retainer import Retainer
from nissa.maintenance.scrubber import Scrubber
from nissa.model.errors import Damaged
from nissa.model.ladder import RetentionPolicy
from nissa.model.slices import Slices
from nissa.rollup.tombstones import done
from nissa.store.block_set import HeldBlocks
from nissa.store.compaction import FAN_IN_ABOVE, merge_blocks, plan_compaction
from nissa.store.event_slices import cut_wide_block, is_wide, plan_event_compaction
from nissa.store.tombstones import Purge


class Merges:
    """The jobs, and the ladder. For the maintenance thread, but for ``deletion_status`` and facts."""

    def __init__(
        self,
        writer: FrozenHeadWriter,
        catalogue: Catalogue,
        config: Config,
        clock: Callable[[], int],
        retainer: Retainer,
        scrubber: Scrubber,
        keeping: RetentionPolicy | None = None,
    ) -> None:
        """clock: Unix milliseconds. keeping: policies of the ladder, where there are any."""
        self._writer, self._catalogue, self._clock = writer, catalogue, clock
        self._blocks, self._tombstones = writer.block_set, writer.tombstones
        self._retainer, self._scrubber = retainer, scrubber
        self._fan_in = config.storage.compaction_fan_in
        self._raw_span_ms = config.ladder.raw_retention_ms // 2
        self._event_slice_ms = event_slice_ms(config)
        place = (writer.directory, catalogue, config.ladder, clock)
        self.ladder = Ladder(*place, self._blocks, self._tombstones, keeping)
        self._blocks.replace((), (), self.ladder.rows)
        self.imports = ImportFolder(writer.directory, catalogue, self._blocks, self._tombstones, clock, keeping)
        self._unreadable: set[int] = set()  # ids of blocks and segments that a merge could not read
        self._ladder_fails = False
        # Of each job, what it depends on when it last found nothing to do. A start leaves alone what a stop has left,
        # but for imports: their sender has its answer, and nothing more may ever come to be sealed.
        self._idle: dict[str, Hashable] = {
            "ladder": (self._writer.checkpoint_lsn, 0) if self.imports.reach_ms is None else None,
            "compaction": self._compaction_state(),
            "series": self._series_state(),
            "tombstones": self._tombstone_state(),
        }

    def jobs(self) -> tuple[Job, ...]:
        """The jobs, the most important one first."""
        return (
            Job("release", self._is_release_due, self._release),
            Job("ladder", lambda: self._idle["ladder"] != self._ladder_state(), self._write_ladder),
            Job("series", lambda: self._idle["series"] != self._series_state(), self._merge_series),
            Job("slices", self._is_cut_due, self._cut_wide_block),
            Job("compaction", lambda: self._idle["compaction"] != self._compaction_state(), self._merge_blocks),
            Job("tombstones", lambda: self._idle["tombstones"] != self._tombstone_state(), self._remove_tombstones),
        )

    def deletion_status(self) -> dict[str, int]:
        """Tombstones, and the deleted rows that merges have dropped."""
        rows = self._tombstones.dropped_rows + self.ladder.deleted_rows
        return {"tombstones": len(self._tombstones.all), "dropped_rows": rows}

    # ---- files that snapshots have let go of ----

    def _is_release_due(self) -> bool:
        self._blocks.warn_of_old()
        return self._blocks.has_unheld

    def _release(self) -> None:
        self._blocks.delete_unheld()

    # ---- the ladder ----

    def _ladder_state(self) -> Hashable:
        return self._writer.checkpoint_lsn, self._tombstones.added

    def _write_ladder(self) -> Slices[None]:
        """Bring the tiers up to the blocks, step by step, then fold imported samples."""
        self._ladder_fails = True  # unless it comes to its end
        yield from self._scrubber.put_missing_aside()
        going = True
        while going:
            state = self._ladder_state()
            held, moment = self._moment()
            with held:
                going = yield from self.ladder.advance(moment)
            yield 0.0
        self._ladder_fails = False
        yield from self.imports.advance(self.ladder.rows, self.ladder.done_lsn)
        self._idle["ladder"] = state

    def _moment(self) -> tuple[HeldBlocks, Moment]:
        """All that is sealed now, at one moment: no head is between the catalogue and the set."""
        with self._blocks.change:
            held = self._blocks.hold()
            place = (held.blocks, self._writer.checkpoint_lsn, self._writer.frozen_ms, held.quarantine)
            further = (not self._retainer.is_low, self._tombstones.all, self._tombstones.expired)
            return held, Moment(*place, *further, self.imports.reach_ms)

    # ---- merges ----

    def _compaction_state(self) -> Hashable:
        return self._blocks.version, self.ladder.done_lsn, self._ladder_fails, self._retainer.is_low

    def _merge_blocks(self) -> Slices[None]:
        """Merge blocks where enough of one level have come together."""
        state = self._compaction_state()
        yield from self._scrubber.put_missing_aside()
        held, chosen = self._plan()
        with held:
            if not chosen:
                self._idle["compaction"] = state
                return
            purge = Purge(self._tombstones.all)  # after the blocks
            place = (self._writer.directory, self._catalogue, chosen, self._clock())
            with self._noting_damage():
                yield from merge_blocks(*place, partial(self._blocks.exchange, chosen), purge)
            self._tombstones.dropped_rows += purge.rows

    def _plan(self) -> tuple[HeldBlocks, tuple[BlockRow, ...]]:
        """Picks the next merge: samples, then events.

        Damaged blocks are left as they are, or none of their level would ever be merged.
        """
        held, tiers = self._blocks.hold(), self.ladder.rows
        if self._retainer.is_low:
            return held, ()
        lsn = self.ladder.done_lsn
        blocks = [
            one for one in held.blocks if one.kind != RAW_KIND or not tiers or self._ladder_fails or one.last_lsn <= lsn
        ]
        fan_in, damaged = self._fan_in, self._unreadable
        above = FAN_IN_ABOVE * fan_in if tiers else fan_in
        now_ms = self._clock()
        raw = plan_compaction(blocks, fan_in, self._raw_span_ms, passed_by=damaged, fan_in_above=above, now_ms=now_ms)
        return held, raw or plan_event_compaction(blocks, fan_in, self._event_slice_ms, damaged)

    def _is_cut_due(self) -> bool:
        state = self._blocks.version, len(self._unreadable)
        if self._idle.get("slices") != state and self._next_wide() is None:
            self._idle["slices"] = state
        return self._idle.get("slices") != state

    def _next_wide(self) -> BlockRow | None:
        width_ms, damaged = self._event_slice_ms, self._unreadable
        return next((one for one in self._blocks.blocks if is_wide(one, width_ms) and one.id not in damaged), None)

    def _cut_wide_block(self) -> Slices[None]:
        """Cut event blocks that lie in several slices of time, as older versions and other settings leave them.

        Space that is low is no reason to wait: retention needs this.
        """
        with self._blocks.hold():
            if (wide := self._next_wide()) is not None:
                place = (self._writer.directory, self._catalogue, wide, self._event_slice_ms)
                with self._noting_damage():
                    yield from cut_wide_block(*place, partial(self._blocks.exchange, (wide,)))

    def _series_state(self) -> Hashable:
        return self._writer.segments, len(self._writer.dropped), self._retainer.is_low

    def _merge_series(self) -> Slices[None]:
        """Merge segments of the series table."""
        state = self._series_state()
        if not self._retainer.is_low:
            with self._noting_damage():
                if (yield from self._writer.merge_series(self._fan_in, self._unreadable)):
                    return
        self._idle["series"] = state

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        """Leave the file alone that a merge could not read, until it is put aside or written again."""
        try:
            yield
        except Damaged as damage:
            files: tuple[BlockRow | SeriesSegment, ...] = (*self._blocks.blocks, *self._writer.segments)
            for file in files:
                if damage.path.endswith(file.path):
                    self._unreadable.add(file.id)
                    self._scrubber.suspect(file.path)
            raise

    # ---- tombstones ----

    def _tombstone_state(self) -> Hashable:
        return self._blocks.version, self._tombstones.all

    def _remove_tombstones(self) -> None:
        """Forget tombstones that cover no block any more."""
        with self._blocks.change:  # no head is between the catalogue, where a tombstone takes its lsn, and the set
            state, tombstones, blocks = self._tombstone_state(), self._tombstones.all, self._blocks.blocks
        self._tombstones.remove(done(tombstones, blocks, has_ladder=bool(self.ladder.rows)))
        self._idle["tombstones"] = state
