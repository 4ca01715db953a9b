"""The seal thread: turns a full head into a block, and only then lets go of its part of the journal; nothing else.

    engine thread              seal thread                                                readers
    ─────────────              ───────────                                                ───────
    head → FrozenHead ───────► wait until all of it is durable                            head' + frozen head
    a new head                 sort, resolve, write Parquet, fsync                        head' + frozen head
                               ── one step: catalogue row, the block appears,
                                  the frozen head goes (``BlockSet.change``) ──           head' + block
                               duplicates counted by the engine; journal trimmed

A frozen head that cannot be written (disk full) stays what it is, readable and in the journal, and is tried again.
All later work on blocks is that of the maintenance thread (``maintenance/jobs.py``): a seal waits
for none of it but a commit of the catalogue. The threads have one priority: each takes the interpreter's lock now and
then, and held by a thread that gets no processor it would stop them all.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from nissa.config.tree import Config
from nissa.files.names import EVENTS_KIND, RAW_KIND
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter
from nissa.ingest.head import Head, head_facts
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.watchdog import Pulse
from nissa.journal.journal import Journal
from nissa.model.counters import Tallies
from nissa.model.errors import JournalFailed
from nissa.model.ladder import RetentionPolicy
from nissa.store.block_set import HeldBlocks
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot
from nissa.store.tombstones import Tombstone

RETRY_S = 2.0
DURABLE_POLL_S = 0.002
IDLE_S = 1.0

log = structlog.get_logger()


class View(msgspec.Struct, frozen=True):
    """Blocks and heads at one moment. heads: rows that are in no block, oldest first.

    unsettled: frozen heads in blocks already whose duplicates the live tallies do not know of yet. deletions: as of
    ``Snapshot``.
    """

    held: HeldBlocks
    heads: tuple[Head, ...]
    unsettled: tuple[FrozenHead, ...]
    deletions: int = 0
    tombstones: tuple[Tombstone, ...] = ()


class Sealer:
    """Owner of the seal thread, and of the frozen head between head and block."""

    def __init__(
        self,
        writer: FrozenHeadWriter,
        journal: Journal,
        config: Config,
        clock: Callable[[], int],
        call: Callable[[Callable[[], None]], None],
        keeping: RetentionPolicy | None = None,
    ) -> None:
        """call: runs something on the engine thread. keeping: policies of the ladder, where there are any."""
        self.directory = writer.directory
        self._writer = writer
        self._journal = journal
        self._idle_ttl_ms = config.series.idle_ttl_ms
        self._clock = clock
        self._call = call
        self._keeping = keeping
        self.blocks = writer.block_set
        self._view_lock = self.blocks.lock  # blocks, frozen head and head change together, or rows were seen twice
        self.tombstones = writer.tombstones
        self._leaving: Callable[[Head], None] = _nothing_of
        self._sealed: Callable[[], None] = _nothing
        self._frozen_head: FrozenHead | None = None
        self._unsettled: tuple[FrozenHead, ...] = ()
        self._live_tallies: Tallies = {}
        self._queue: queue.SimpleQueue[FrozenHead | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._hurry = threading.Event()  # what failed is tried again at once
        self.thread = threading.Thread(target=self._run, name="nissa-sealer", daemon=True)
        self.pulse = Pulse()
        self.seals = 0
        self.failures = 0
        self.last_error: str | None = None

    def start(self, sealed: Callable[[], None], leaving: Callable[[Head], None]) -> None:
        """Start the thread. sealed: called on it each time a head has become a block. leaving: before it does."""
        self._sealed, self._leaving = sealed, leaving
        self.thread.start()

    def wake(self) -> None:
        """Try a head that could not be sealed again now. From any thread."""
        self._hurry.set()

    def stop(self) -> None:
        """End the thread. A frozen head that is not in a block yet is still in the journal."""
        self._stopping.set()
        self._hurry.set()
        self._queue.put(None)
        self.thread.join()

    # ---- on the engine thread ----

    @property
    def frozen_head(self) -> FrozenHead | None:
        """The frozen head on its way into a block."""
        return self._frozen_head

    @property
    def sealing_rows(self) -> int:
        """Rows of the frozen head on its way."""
        frozen_head = self._frozen_head
        return 0 if frozen_head is None else frozen_head.head.total

    @property
    def sealing_weight(self) -> int:
        """Weight of the frozen head on its way (``Head.weight``)."""
        frozen_head = self._frozen_head
        return 0 if frozen_head is None else frozen_head.head.weight

    def begin(self, pipeline: Pipeline, lsn: int) -> FrozenHead:
        """Freeze the pipeline's head as the state after ``lsn``, give it a new one, and seal the old one."""
        for settling in self._unsettled:  # its turn on this thread may still come: the state must not be that before
            self._complete(settling)
        frozen_head = FrozenHead(pipeline, lsn)
        frozen_head.begun_ms = self._clock()
        self._live_tallies = pipeline.tallies
        pipeline.metadata_changed = {}
        pipeline.sealed_lsn = lsn
        self._journal.cut(lsn)
        with self._view_lock:
            pipeline.head = Head()
            self._frozen_head = frozen_head
        self._queue.put(frozen_head)
        return frozen_head

    def give_up(self, tallies: Tallies) -> int:
        """The journal lost rows that were not durable: forget those of the frozen head on its way.

        Returns: the last frame that is kept, of this one and those before it.
        """
        frozen_head = self._frozen_head  # before the checkpoint: what is sealed in between has moved it
        if frozen_head is None:
            return self.checkpoint_lsn
        frozen_head.give_up(tallies)
        return max(frozen_head.head.visible_lsn, self.checkpoint_lsn)

    def _complete(self, frozen_head: FrozenHead) -> None:
        if frozen_head not in self._unsettled:  # the next one was begun before the turn of this came
            return
        frozen_head.complete(self._live_tallies)
        with self._view_lock:
            self._unsettled = tuple(one for one in self._unsettled if one is not frozen_head)

    # ---- on any thread ----

    @property
    def checkpoint_lsn(self) -> int:
        """The last frame whose rows are in blocks."""
        return self._writer.checkpoint_lsn

    def heads(self, current: Callable[[], Head]) -> tuple[Head, ...]:
        """The heads with the rows that are in no block, oldest first."""
        with self._view_lock:
            frozen_head, head = self._frozen_head, current()
            return (head,) if frozen_head is None else (frozen_head.head, head)

    def view(self, current: Callable[[], Head]) -> View:
        """Blocks, and the heads with the rows that are in no block."""
        with self._view_lock:
            deletions = self.tombstones.added  # before the tombstones: a later one may be among them, never the reverse
            return View(self.blocks.hold(), self.heads(current), self._unsettled, deletions, self.tombstones.all)

    def snapshot(self, current: Callable[[], Head]) -> Snapshot:
        """Everything durable at one moment."""
        view = self.view(current)
        # The newest head first: what is published meanwhile is then missing at the end only, never in the middle.
        newest_first = [head.snapshot() for head in reversed(view.heads)]
        heads = tuple(batch for part in reversed(newest_first) for batch in part)
        held, row_groups = view.held, self.blocks.row_groups
        place = (self.directory, held.blocks, heads, held.tiers, held.quarantine, self._keeping, row_groups)
        facts = head_facts(view.heads, newest_first[::-1])
        facts |= {"tombstones": view.tombstones, "deletions": view.deletions, "expired": self.tombstones.expired}
        return Snapshot(*place, idle_ttl_ms=self._idle_ttl_ms, held=held, **facts)

    def event_snapshot(self, current: Callable[[], Head]) -> EventSnapshot:
        """Every durable event at one moment."""
        view = self.view(current)
        newest_first = [head.events_snapshot() for head in reversed(view.heads)]  # as in ``snapshot``
        heads = tuple(events for part in reversed(newest_first) for events in part)
        held = view.held
        return EventSnapshot(self.directory, held.blocks, heads, held.quarantine, held)

    def import_rows(self, current: Callable[[], Head]) -> int:
        """Imported rows in memory that become an import block."""
        return sum(head.import_rows for head in self.view(current).heads)

    def block_summary(self) -> dict[str, Any]:
        """Counts for ``/api/status``."""
        blocks = self.blocks.blocks
        return {
            "count": len(blocks),
            "kinds": {RAW_KIND: 0, EVENTS_KIND: 0} | Counter(block.kind for block in blocks),
            "samples": sum(block.rows for block in blocks if block.kind == RAW_KIND),
            "events": sum(block.rows for block in blocks if block.kind == EVENTS_KIND),
            "bytes": sum(block.bytes for block in blocks),
        }

    def oldest_ms(self, current: Callable[[], Head]) -> int | None:
        """Time of the oldest sample that is in no block; None where there is none."""
        ranges = [head.range_ms() for head in self.view(current).heads]
        return min((found[0] for found in ranges if found is not None), default=None)

    # ---- on the seal thread ----

    def _run(self) -> None:
        while True:
            self.pulse.beat()
            try:
                frozen_head = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                continue
            if frozen_head is None:
                return
            self._work_on(frozen_head)

    def _work_on(self, frozen_head: FrozenHead) -> None:
        """Seal ``frozen_head``, however often it takes, unless the engine closes meanwhile."""
        while self._wait_durable(frozen_head.head):
            frozen_head.tries += 1
            self.pulse.beat()
            try:
                self._leaving(frozen_head.head)
                self._writer.write(frozen_head, partial(self._show, frozen_head))
            except Exception as error:  # nothing is lost: it stays in memory and in the journal
                log.exception("a head could not be sealed; trying again", retry_s=RETRY_S)
                self._note_failure(error)
                frozen_head.error = self.last_error
                frozen_head.failed_try = frozen_head.tries
                self._hurry.wait(RETRY_S)
                self._hurry.clear()
            else:
                self._finish(frozen_head)
                return
        frozen_head.error = frozen_head.error or "the engine is closed"
        frozen_head.failed.set()  # so that callers do not wait for it any longer

    def _wait_durable(self, head: Head) -> bool:
        """Wait until every frame of ``head`` is durable; False where the engine closes first."""
        while not self._stopping.is_set():
            if head.visible_lsn >= head.last_lsn:
                return True
            self.pulse.beat()
            self._stopping.wait(DURABLE_POLL_S)
        return False

    def _show(self, frozen_head: FrozenHead) -> None:
        """The frozen head is in the catalogue, and seen in its blocks from now on."""
        self._frozen_head = None
        self._unsettled += (frozen_head,)

    def _finish(self, frozen_head: FrozenHead) -> None:
        """The frozen head is in blocks: let go of its part of the journal."""
        self.seals += 1
        self.last_error = None
        frozen_head.sealed.set()
        self._call(partial(self._complete, frozen_head))
        self._sealed()
        try:
            self._journal.trim(frozen_head.lsn)
        except JournalFailed as error:  # costs space only; the next seal trims again
            log.warning("the journal could not be trimmed", reason=str(error))
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"


def _nothing() -> None:
    """Default of the callback after a seal: does nothing."""


def _nothing_of(_head: Head) -> None:
    """Default of the callback before a seal: does nothing."""
