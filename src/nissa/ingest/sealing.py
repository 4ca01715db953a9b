"""The sealer thread: turns a full head into a block, and only then lets go of its part of the journal.

    engine thread              sealer thread                                              readers
    ─────────────              ─────────────                                              ───────
    head → Generation ───────► wait until all of it is durable                            head' + generation
    a new head                 sort, resolve, write Parquet, fsync, catalogue row         head' + generation
                               ── one step: the block appears, the generation goes ──     head' + block
                               duplicates told to the engine; journal trimmed

A generation that cannot be written (disk full) stays what it is, readable and in the journal, and is tried again.
"""

import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Config
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline, lost_records
from nissa.ingest.recover import pack_minutes
from nissa.model.columns import Metadata
from nissa.model.errors import Unavailable
from nissa.model.tally import Tallies, Tally, copy_tallies
from nissa.store.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.store.compaction import merge_blocks, plan_compaction
from nissa.store.journal import Journal
from nissa.store.names import EVENTS_KIND, RAW_KIND
from nissa.store.read import Snapshot
from nissa.store.seal import SealedHorizon, SealInput, discard_seal, write_seal
from nissa.store.series_table import SeriesRows

SEALER_NICE = 10
RETRY_S = 5.0
DURABLE_POLL_S = 0.002

log = structlog.get_logger()


class Generation:
    """A head that takes no more frames, with the state of everything at its last frame."""

    def __init__(self, pipeline: Pipeline, lsn: int) -> None:
        self.head = pipeline.head
        self.lsn = lsn
        self.tallies: Tallies = copy_tallies(pipeline.tallies)
        self.index: SeriesIndex = pipeline.index
        self.series_count = pipeline.index.series_count
        self.seen_minutes = pipeline.index.seen_minutes_of()
        self.metadata: list[Metadata] = list(pipeline.metadata_changed.values())
        self.sealed = threading.Event()
        self.failed = threading.Event()
        self.error: str | None = None
        self._live_tallies = pipeline.tallies

    def settle(self, duplicates: dict[str, int], conflicts: dict[str, int]) -> None:
        """Tell the live tallies what sealing found out; on the engine thread."""
        note_duplicates(self._live_tallies, duplicates, conflicts)


class Sealer:
    """Owner of the sealer thread, of the list of blocks, and of the generation between head and block."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        journal: Journal,
        config: Config,
        clock: Callable[[], int],
        call: Callable[[Callable[[], None]], None],
    ) -> None:
        """call: runs something on the engine thread."""
        self.directory = directory
        self._catalogue = catalogue
        self._journal = journal
        self._config = config
        self._clock = clock
        self._call = call
        self._view_lock = threading.Lock()  # blocks, generation and head change together, or a reader would see rows twice or not
        self._blocks = tuple(catalogue.blocks())
        self._generation: Generation | None = None
        checkpoint = catalogue.checkpoint()
        self._series_sealed = checkpoint.series_count
        self._horizon = SealedHorizon(self._blocks, checkpoint.series_count)
        self._queue: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nissa-sealer", daemon=True)
        self.checkpoint_lsn = checkpoint.lsn
        self.seals = 0
        self.failures = 0
        self.last_error: str | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. A generation that is not in a block yet is still in the journal."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    # ---- on the engine thread ----

    @property
    def busy(self) -> bool:
        """Whether a generation is on its way into a block."""
        return self._generation is not None

    @property
    def generation(self) -> Generation | None:
        """The generation on its way into a block."""
        return self._generation

    @property
    def sealing_rows(self) -> int:
        """Rows of the generation on its way."""
        generation = self._generation
        return 0 if generation is None else generation.head.total

    def begin(self, pipeline: Pipeline, lsn: int) -> Generation:
        """Freeze the pipeline's head as the state after ``lsn``, give it a new one, and seal the old one."""
        generation = Generation(pipeline, lsn)
        pipeline.metadata_changed = {}
        with self._view_lock:
            pipeline.head = Head()
            self._generation = generation
        self._queue.put(generation)
        return generation

    def seal_here(self, pipeline: Pipeline, lsn: int) -> None:
        """Seal the head on the calling thread, without ``start``. Raises what goes wrong."""
        self._generation = generation = Generation(pipeline, lsn)
        self._seal(generation)

    def give_up(self, tallies: Tallies) -> None:
        """The journal could not keep what is not durable: forget such rows of the generation on its way."""
        generation = self._generation
        if generation is not None:
            for span in generation.head.truncate():
                for kept in (tallies, generation.tallies):
                    lost_records(kept[span.source], span.rows + span.events)

    # ---- on any thread ----

    def heads(self, current: Callable[[], Head]) -> tuple[tuple[BlockRow, ...], tuple[Head, ...]]:
        """Blocks, and the heads that hold what is in none of them, oldest first."""
        with self._view_lock:
            generation = self._generation
            return self._blocks, (current(),) if generation is None else (generation.head, current())

    def snapshot(self, current: Callable[[], Head]) -> Snapshot:
        """Everything durable at one moment."""
        blocks, heads = self.heads(current)
        return Snapshot(self.directory, blocks, tuple(batch for head in heads for batch in head.snapshot()))

    def block_summary(self) -> dict[str, Any]:
        """Counts for ``/api/status``."""
        blocks = self._blocks
        return {
            "count": len(blocks),
            "samples": sum(block.rows for block in blocks if block.kind == RAW_KIND),
            "events": sum(block.rows for block in blocks if block.kind == EVENTS_KIND),
            "bytes": sum(block.bytes for block in blocks),
        }

    def refresh_blocks(self) -> None:
        """Take the list of blocks from the catalogue again."""
        blocks = tuple(self._catalogue.blocks())
        with self._view_lock:
            self._blocks = blocks

    # ---- on the sealer thread ----

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SEALER_NICE)
        while (generation := self._queue.get()) is not None:
            while not self._stopping.is_set():
                try:
                    self._wait_durable(generation.head)
                    self._seal(generation)
                    break
                except Exception as error:  # nothing is lost: it stays in memory and in the journal
                    log.exception("a head could not be sealed; trying again", retry_s=RETRY_S)
                    self.failures += 1
                    self.last_error = generation.error = f"{type(error).__name__}: {error}"
                    generation.failed.set()
                    self._stopping.wait(RETRY_S)
            self._compact()

    def _wait_durable(self, head: Head) -> None:
        while head.visible_lsn < head.last_lsn and not self._stopping.wait(DURABLE_POLL_S):
            pass
        if head.visible_lsn < head.last_lsn:
            raise Unavailable("stopped before the last frames of the head were durable")

    def _seal(self, generation: Generation) -> None:
        """One generation into files, the catalogue, and out of the journal."""
        head = generation.head
        sealed = write_seal(self.directory, self._catalogue, self._horizon, self._input_of(generation))
        duplicates = head.sources_of(sealed.duplicates)
        conflicts = head.sources_of(sealed.duplicates[sealed.conflicts != 0])
        note_duplicates(generation.tallies, duplicates, conflicts)
        seen = pack_minutes(generation.seen_minutes)
        checkpoint = Checkpoint(generation.lsn, generation.series_count, generation.tallies, seen)
        try:
            self._catalogue.commit_seal(Seal(checkpoint, sealed.blocks, sealed.segment, tuple(generation.metadata)))
        except BaseException:
            discard_seal(self.directory, sealed)
            raise
        self._horizon.advance(sealed)
        self._series_sealed = generation.series_count
        blocks = tuple(self._catalogue.blocks())
        with self._view_lock:
            self._blocks = blocks
            self._generation = None
        self.checkpoint_lsn = generation.lsn
        self.seals += 1
        self.last_error = None
        generation.sealed.set()
        self._call(partial(generation.settle, duplicates, conflicts))
        self._journal.trim(generation.lsn)

    def _input_of(self, generation: Generation) -> SealInput:
        head, index = generation.head, generation.index
        first, count = self._series_sealed, generation.series_count - self._series_sealed
        series = None
        if count:
            starts, pairs = index.pairs_of(first, count)
            offsets, text = index.symbols_of(0, index.symbol_count)
            series = SeriesRows(first, index.fingerprints_of(first, count), starts, pairs, offsets, text)
        return SealInput(
            head.snapshot(),
            head.spans[0].lsn if head.spans else generation.lsn,
            generation.lsn,
            self._clock(),
            series,
            [events for _, events in head.events],
        )

    def _compact(self) -> None:
        """Merge blocks while enough of one level have come together. What fails is tried again after the next seal."""
        fan_in = self._config.storage.compaction_fan_in
        try:
            while not self._stopping.is_set() and (chosen := plan_compaction(self._blocks, fan_in)):
                merge_blocks(self.directory, self._catalogue, chosen, self._clock())
                self.refresh_blocks()
        except Exception as error:  # nothing changed: the old blocks stand
            log.exception("blocks could not be merged")
            self.failures += 1
            self.last_error = f"{type(error).__name__}: {error}"


def note_duplicates(tallies: Tallies, duplicates: dict[str, int], conflicts: dict[str, int]) -> None:
    """Move rows that turned out to be stored already from stored to duplicate."""
    for source, count in duplicates.items():
        tally = tallies[source]
        tally.stored -= count
        tally.duplicate += count
        tally.conflicts += conflicts.get(source, 0)
