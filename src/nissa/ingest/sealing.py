"""The sealer thread: turns a full head into a block, and only then lets go of its part of the journal.

    engine thread              sealer thread                                              readers
    ─────────────              ─────────────                                              ───────
    head → Generation ───────► wait until all of it is durable                            head' + generation
    a new head                 sort, resolve, write Parquet, fsync, catalogue row         head' + generation
                               ── one step: the block appears, the generation goes ──     head' + block
                               duplicates told to the engine; journal trimmed

A generation that cannot be written (disk full) stays what it is, readable and in the journal, and is tried again.
Writing the ladder, merging blocks and upkeep are for the time between: a head that waits is sealed in the middle. The
thread has the priority of the others: it takes the interpreter's lock now and then, and held by a thread that gets no
processor it would stop them all.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from nissa.config.tree import Config
from nissa.ingest.generation import Generation, GenerationWriter
from nissa.ingest.head import Head
from nissa.ingest.ladder import Ladder, Moment
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.upkeep import Hands, Upkeep
from nissa.model.errors import Damaged, JournalFailed, Unavailable
from nissa.model.ladder import Keeping
from nissa.model.tally import Tallies
from nissa.store.catalogue import BlockRow, Catalogue, TierRow
from nissa.store.compaction import FAN_IN_ABOVE, merge_blocks, plan_compaction
from nissa.store.event_runs import EventSnapshot
from nissa.store.journal import Journal
from nissa.store.names import EVENTS_KIND, RAW_KIND
from nissa.store.quarantine import QuarantineRow
from nissa.store.read import Snapshot

RETRY_S = 2.0
DURABLE_POLL_S = 0.002
UPKEEP_S = 1.0

log = structlog.get_logger()


class View(msgspec.Struct, frozen=True):
    """Where everything is at one moment. heads: what is in no block, oldest first.

    unsettled: generations in blocks already whose duplicates the live tallies do not know of yet.
    """

    blocks: tuple[BlockRow, ...]
    heads: tuple[Head, ...]
    unsettled: tuple[Generation, ...]
    tiers: tuple[TierRow, ...]
    missing: tuple[QuarantineRow, ...] = ()


class Sealer:
    """Owner of the sealer thread, of the list of blocks, and of the generation between head and block."""

    def __init__(
        self,
        writer: GenerationWriter,
        catalogue: Catalogue,
        journal: Journal,
        config: Config,
        clock: Callable[[], int],
        call: Callable[[Callable[[], None]], None],
        keeping: Keeping | None = None,
    ) -> None:
        """call: runs something on the engine thread. keeping: policies of the ladder, where there are any."""
        self.directory = writer.directory
        self._writer = writer
        self._catalogue = catalogue
        self._journal = journal
        self._fan_in = config.storage.compaction_fan_in
        self._spans_ms = {
            RAW_KIND: config.ladder.raw_retention_ms // 2,
            EVENTS_KIND: config.storage.events_retention_ms // 2,
        }
        self._clock = clock
        self._call = call
        self._view_lock = threading.Lock()  # blocks, generation and head change together, or rows were seen twice
        self._blocks = writer.blocks
        self._ladder = Ladder(writer.directory, catalogue, config.ladder, clock, self._publish, keeping)
        self._tiers = self._ladder.rows
        self._begun_ms = 0  # when the latest head that is in blocks was frozen
        self._generation: Generation | None = None
        self._unsettled: tuple[Generation, ...] = ()
        self._live_tallies: Tallies = {}
        self._damaged: set[int] = set()  # ids of blocks that a merge could not read
        self._upkeep: Upkeep | None = None
        self._queue: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._hurry = threading.Event()  # what failed is tried again at once
        self._thread = threading.Thread(target=self._run, name="nissa-sealer", daemon=True)
        self.seals = 0
        self.failures = 0
        self.last_error: str | None = None
        self.ladder_failures = 0
        self.ladder_error: str | None = None

    def start(self, upkeep: Upkeep | None = None) -> None:
        """Start the thread. upkeep: what it does while it has nothing to seal."""
        self._upkeep = upkeep
        self._thread.start()

    def hurry(self) -> None:
        """Somebody waits for a head that could not be sealed: it is tried again now. From any thread."""
        self._hurry.set()

    def stop(self) -> None:
        """End the thread. A generation that is not in a block yet is still in the journal."""
        self._stopping.set()
        self._hurry.set()
        self._queue.put(None)
        self._thread.join()

    # ---- on the engine thread ----

    @property
    def generation(self) -> Generation | None:
        """The generation on its way into a block."""
        return self._generation

    @property
    def sealing_rows(self) -> int:
        """Rows of the generation on its way."""
        generation = self._generation
        return 0 if generation is None else generation.head.total

    @property
    def sealing_weight(self) -> int:
        """Weight of the generation on its way (``Head.weight``)."""
        generation = self._generation
        return 0 if generation is None else generation.head.weight

    def begin(self, pipeline: Pipeline, lsn: int) -> Generation:
        """Freeze the pipeline's head as the state after ``lsn``, give it a new one, and seal the old one."""
        for settling in self._unsettled:  # its turn on this thread may still come: the state must not be that before
            self._settle(settling)
        generation = Generation(pipeline, lsn)
        generation.begun_ms = self._clock()
        self._live_tallies = pipeline.tallies
        pipeline.metadata_changed = {}
        pipeline.sealed_lsn = lsn
        self._journal.cut(lsn)
        with self._view_lock:
            pipeline.head = Head()
            self._generation = generation
        self._queue.put(generation)
        return generation

    def give_up(self, tallies: Tallies) -> int:
        """The journal could not keep what is not durable: forget such rows of the generation on its way.

        Returns: the last frame that is kept, of this generation and those before it.
        """
        generation = self._generation  # before the checkpoint: what is sealed in between has moved it
        if generation is None:
            return self.checkpoint_lsn
        generation.give_up(tallies)
        return max(generation.head.visible_lsn, self.checkpoint_lsn)

    def _settle(self, generation: Generation) -> None:
        if generation not in self._unsettled:  # the next one was begun before the turn of this came
            return
        generation.settle(self._live_tallies)
        with self._view_lock:
            self._unsettled = tuple(one for one in self._unsettled if one is not generation)

    # ---- on any thread ----

    @property
    def checkpoint_lsn(self) -> int:
        """Up to where blocks stand for the journal."""
        return self._writer.checkpoint_lsn

    def view(self, current: Callable[[], Head]) -> View:
        """Blocks, and the heads that hold what is in none of them."""
        with self._view_lock:
            generation, head = self._generation, current()
            heads = (head,) if generation is None else (generation.head, head)
            missing = () if self._upkeep is None else self._upkeep.quarantine
            return View(self._blocks, heads, self._unsettled, self._tiers, missing)

    def snapshot(self, current: Callable[[], Head]) -> Snapshot:
        """Everything durable at one moment."""
        view = self.view(current)
        # The newest head first: what is published meanwhile is then missing at the end only, never in the middle.
        newest_first = [head.snapshot() for head in reversed(view.heads)]
        heads = tuple(batch for part in reversed(newest_first) for batch in part)
        return Snapshot(self.directory, view.blocks, heads, view.tiers, view.missing, self._ladder.keeping)

    def event_snapshot(self, current: Callable[[], Head]) -> EventSnapshot:
        """Every durable event at one moment."""
        view = self.view(current)
        newest_first = [head.events_snapshot() for head in reversed(view.heads)]  # as in ``snapshot``
        heads = tuple(events for part in reversed(newest_first) for events in part)
        return EventSnapshot(self.directory, view.blocks, heads, view.missing)

    def block_summary(self) -> dict[str, Any]:
        """Counts for ``/api/status``."""
        blocks = self._blocks
        return {
            "count": len(blocks),
            "kinds": {RAW_KIND: 0, EVENTS_KIND: 0} | Counter(block.kind for block in blocks),
            "samples": sum(block.rows for block in blocks if block.kind == RAW_KIND),
            "events": sum(block.rows for block in blocks if block.kind == EVENTS_KIND),
            "bytes": sum(block.bytes for block in blocks),
        }

    def ladder_status(self) -> dict[str, Any]:
        """How far the tiers are written."""
        ladder = self._ladder
        told = {"failures": self.ladder_failures, "damages": ladder.damages, "last_error": self.ladder_error}
        return {"lsn": ladder.done_lsn, "tiers": ladder.facts(), **told}

    # ---- on the sealer thread ----

    def _run(self) -> None:
        tended = self.seals
        while True:
            try:
                generation = self._queue.get(timeout=UPKEEP_S)
            except queue.Empty:
                pass
            else:
                if generation is None:
                    return
                self._work_on(generation)
            if self.seals != tended:  # here, or in the midst of other work
                tended = self.seals
                self._tend()
            if self._upkeep is not None:
                self._upkeep.step()

    def hands(self, current: Callable[[], Head]) -> Hands:
        """What the upkeep needs of this thread. current: the head that frames go into."""

        def oldest_head_ms() -> int | None:
            ranges = [head.range_ms() for head in self.view(current).heads]
            return min((found[0] for found in ranges if found is not None), default=None)

        return Hands(
            lambda: self._writer.blocks, self._forget, self._replace, oldest_head_ms, self._between, self._pause
        )

    def _forget(self, gone: Sequence[BlockRow]) -> None:
        """The catalogue has these blocks no more; their files are still there."""
        ids = {block.id for block in gone}
        self._writer.blocks = tuple(block for block in self._writer.blocks if block.id not in ids)
        with self._view_lock:
            self._blocks = self._writer.blocks

    def _pause(self, seconds: float) -> None:
        """Rest a little, unless the engine closes."""
        self._stopping.wait(seconds)

    def _work_on(self, generation: Generation) -> None:
        """Seal ``generation``, however often it takes, unless the engine closes meanwhile."""
        while self._wait_durable(generation.head):
            generation.tries += 1
            try:
                self._writer.write(generation)
            except Exception as error:  # nothing is lost: it stays in memory and in the journal
                log.exception("a head could not be sealed; trying again", retry_s=RETRY_S)
                self._note_failure(error)
                generation.error = self.last_error
                generation.failed_try = generation.tries
                self._hurry.wait(RETRY_S)
                self._hurry.clear()
            else:
                self._finish(generation)
                return
        generation.error = generation.error or "the engine is closed"
        generation.failed.set()  # whoever waits for it must hear of it

    def _wait_durable(self, head: Head) -> bool:
        """Wait until every frame of ``head`` is durable; False where the engine closes first."""
        while not self._stopping.is_set():
            if head.visible_lsn >= head.last_lsn:
                return True
            self._stopping.wait(DURABLE_POLL_S)
        return False

    def _finish(self, generation: Generation) -> None:
        """The generation is in the catalogue: show it there, and let go of it."""
        with self._view_lock:
            self._blocks = self._writer.blocks
            self._generation = None
            self._unsettled += (generation,)
        self._begun_ms = generation.begun_ms
        self.seals += 1
        self.last_error = None
        generation.sealed.set()
        self._call(partial(self._settle, generation))
        try:
            self._journal.trim(generation.lsn)
        except JournalFailed as error:  # costs space only; the next seal trims again
            log.warning("the journal could not be trimmed", reason=str(error))
            self._note_failure(error)

    def _tend(self) -> None:
        """Write the ladder, then merge blocks, as long as there is something to merge or was sealed meanwhile.

        The ladder comes first: what it has not seen must not be merged with what it has, or all of it would be late.
        """
        going = True
        while going and not self._stopping.is_set():
            lsn = self._writer.checkpoint_lsn
            self._write_ladder()
            going = self._compact() or lsn != self._writer.checkpoint_lsn

    def _write_ladder(self) -> None:
        """Bring the tiers up to what is in blocks. What fails is tried again after the next seal."""
        missing = () if self._upkeep is None else self._upkeep.quarantine
        roomy = self._upkeep is None or not self._upkeep.is_low
        moment = Moment(self._writer.blocks, self._writer.checkpoint_lsn, self._begun_ms, missing, roomy)
        try:
            self._ladder.advance(moment, self._between)
            self.ladder_error = None
        except Exception as error:  # nothing changed but what was committed; readers fold what is not written
            if self._stopping.is_set():
                return
            log.exception("the ladder could not be written")
            self.ladder_failures += 1
            self.ladder_error = f"{type(error).__name__}: {error}"

    def _publish(self, added: Sequence[BlockRow], gone: Sequence[BlockRow], rows: tuple[TierRow, ...]) -> None:
        """The catalogue has these blocks of windows and not those, and the ladder as it stands with them."""
        dropped = {block.id for block in gone}
        kept = [block for block in self._writer.blocks if block.id not in dropped]
        self._writer.blocks = tuple(sorted([*kept, *added], key=_id_of))
        with self._view_lock:
            self._blocks, self._tiers = self._writer.blocks, rows

    def _compact(self) -> bool:
        """Merge blocks where enough of one level have come together. What fails is tried again after the next seal."""
        try:
            if chosen := self._plan():
                replaced = partial(self._replace, chosen)
                merge_blocks(self.directory, self._catalogue, chosen, self._clock(), self._between, replaced)
                return True
        except Exception as error:  # nothing changed: the old blocks stand
            if self._stopping.is_set():
                return False
            log.exception("blocks could not be merged")
            self._note_failure(error)
            if isinstance(error, Damaged):
                for block in self._blocks:
                    if error.path.endswith(block.path):
                        self._damaged.add(block.id)
                        self._suspect(block)
        return False

    def _suspect(self, block: BlockRow) -> None:
        if self._upkeep is not None:
            self._upkeep.suspect(block.path)

    def _plan(self) -> tuple[BlockRow, ...]:
        """What to merge next: samples, then events.

        Damaged blocks are left as they are, or none of their level would ever be merged.

        While space is low nothing is: a merge needs room for what it writes before the old files go.
        """
        if self._upkeep is not None and self._upkeep.is_low:
            return ()
        above = FAN_IN_ABOVE * self._fan_in if self._ladder.rows else self._fan_in
        plans = (
            plan_compaction(
                self._blocks, self._fan_in, span_ms, kind, self._damaged, above if kind == RAW_KIND else self._fan_in
            )
            for kind, span_ms in self._spans_ms.items()
        )
        return next(filter(None, plans), ())

    def _between(self) -> None:
        """Called all along a merge: seals the head that waits. Raises Unavailable to end the merge."""
        if self._stopping.is_set():
            raise Unavailable("the engine closes")
        try:
            generation = self._queue.get_nowait()
        except queue.Empty:
            return
        if generation is None:
            self._queue.put(None)
            raise Unavailable("the engine closes")
        self._work_on(generation)

    def _replace(self, old: tuple[BlockRow, ...], merged: BlockRow) -> None:
        """The catalogue has ``merged`` in the place of ``old``, whose files are still there."""
        gone = {block.id for block in old}
        kept = [block for block in self._writer.blocks if block.id not in gone]
        self._writer.blocks = tuple(sorted([*kept, merged], key=_id_of))
        with self._view_lock:
            self._blocks = self._writer.blocks

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"


def _id_of(block: BlockRow) -> int:
    return block.id
