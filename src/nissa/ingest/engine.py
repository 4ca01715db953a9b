"""The engine: a data directory opened for writing, and the threads that work on it.

    submit ──► inbox ──► engine thread ──► commit thread ──► settle
                         decode, admit      one write,
                         journal.append     one fdatasync
                         head.append        head.publish
                              │ full, or old enough
                              ▼
                         seal thread: sort, Parquet, catalogue, trim the journal
                              │ wake
                              ▼
                         maintenance thread: ladder, merges, retention, series expiry, scrub, in slices

Everything between the threads is a queue or a value that is written whole. The engine thread alone owns the pipeline;
what other threads want of it they put into the inbox as a call. Before a call runs, the frames taken before it have
gone to the commit thread: the order of the inbox is the order of what happens.
"""

import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from nissa.catalogue.state import State
from nissa.config.tree import Config
from nissa.ingest.accounting import balance
from nissa.ingest.commit import Committer, PendingAck
from nissa.ingest.engine_admin import Administered, EngineAdmin
from nissa.ingest.following import open_followers
from nissa.ingest.frozen_head import FrozenHead
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.progress import Progress
from nissa.ingest.recover import Opened, open_directory
from nissa.ingest.sealing import Sealer
from nissa.ingest.store_jobs import StoreJobs
from nissa.ingest.watchdog import Pulse, Watchdog
from nissa.journal.journal import Journal
from nissa.maintenance.retainer import Steady
from nissa.model.columns import Metadata
from nissa.model.counters import Tallies, copy_tallies
from nissa.model.errors import NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import Receipt
from nissa.model.status import HeadStatus, JournalStatus, QueueStatus, SealStatus, SeriesStatus, Status
from nissa.series.policies import SeriesPolicies
from nissa.series.selections import SelectionCache
from nissa.store.arrivals import Arrivals
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot

TAKE_MAX = 64  # frames taken between two looks at the commit queue
TICK_S = 0.5
FLUSH_POLL_S = 0.05
IMPORT_SEAL_MS = 10_000
CLOSED_RETRY_S = 30
BUSY_RETRY_S = 5
Call = Callable[[], None]
Answer = TypeVar("Answer")

log = structlog.get_logger()


class Engine:
    """One data directory, written by this process alone. Safe to use from any thread."""

    def __init__(
        self,
        data_dir: Path,
        config: Config,
        clock: Callable[[], int],
        steady: Steady | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Open ``data_dir``, recover it, and start the threads. clock: Unix milliseconds.

        steady: which run of the machine this is, and milliseconds since it began; without it nothing expired is dropped
        (decision 7).

        Raises: DirectoryLocked, UnknownFormat, JournalFailed, Damaged, Unavailable.
        """
        self.directory = data_dir
        self.config = config
        self._clock = clock
        self._opened: Opened = open_directory(data_dir, config, clock, progress)
        with ExitStack() as undo:
            undo.callback(self._opened.close)
            self._selections = SelectionCache(config.api.selection_cache_bytes_max)
            opened = self._opened
            self._pipeline: Pipeline = opened.pipeline
            self._journal: Journal = opened.journal
            self._durability = str(opened.journal.durability)  # asked for with every answer
            self._committer = Committer(self._journal, data_dir, config.storage, self._ask_to_give_up)
            keeping = SeriesPolicies(self._pipeline.index, opened.epochs) if opened.epochs else None
            self._sealer = Sealer(opened.writer, self._journal, config, clock, self._call, keeping)
            self.arrivals = Arrivals(lambda: self._sealer.heads(lambda: self._pipeline.head))
            self.maintenance = StoreJobs(opened, self._sealer, config, clock, steady, self._call, keeping)
            parts = Administered(self._pipeline, self._journal, self._sealer, self._ask, self.flush, clock)
            self.admin = EngineAdmin(self.maintenance.retainer, self.maintenance.scrubber, parts)
            place = (self._journal, opened.state, config.storage, clock)
            self.followers = open_followers(*place, lambda: self.maintenance.retainer.clock_in_doubt)
            undo.pop_all()
        self._inbox: queue.SimpleQueue[tuple[Frame, Settle] | Call | None] = queue.SimpleQueue()
        self._submit_lock = threading.Lock()  # nothing enters the inbox behind the None that ends it
        self._submitted_bytes = self._submitted_frames = 0
        self._waiting: list[PendingAck] = []  # taken, not yet handed to the commit thread
        self._checkpoint_owed = False
        self._checkpoint: FrozenHead | None = None  # what ingestion waits for after a failure of the journal
        self._closing = False
        self._closed = threading.Event()
        self._broken: str | None = None
        self._started_ms = clock()
        self._thread = threading.Thread(target=self._run, name="nissa-engine", daemon=True)
        self._pulse = Pulse()
        workers = {
            "engine": (self._pulse, self._thread),
            "commit": (self._committer.pulse, self._committer.thread),
            "sealer": (self._sealer.pulse, self._sealer.thread),
            "maintenance": (self.maintenance.pulse, self.maintenance.thread),
        }
        self._watchdog = Watchdog(config.watchdog, workers)
        self._committer.start()
        self._sealer.start(self.maintenance.wake, self.arrivals.note)
        self.maintenance.start()
        self._thread.start()
        self._watchdog.start()

    # ---- what edges use (model.intake.Intake) ----

    @property
    def durability(self) -> str:
        """The durability mode in force."""
        return self._durability

    @property
    def ready(self) -> bool:
        """True until the engine is closed or broken."""
        return not self._closing and self._broken is None

    @property
    def pressure(self) -> bool:
        """True while more waits than the queue may hold (``ingest.queue_*_max``), or the sealer is far behind."""
        return self.fill > 1 or self._weight() > self.config.storage.head_samples_max

    @property
    def fill(self) -> float:
        """Share of the queue that is taken, by bytes or by frames, whichever is more."""
        limits, committer = self.config.ingest, self._committer
        waiting_bytes = self._submitted_bytes - committer.settled_bytes
        waiting_frames = self._submitted_frames - committer.settled_frames
        return max(waiting_bytes / limits.queue_bytes_max, waiting_frames / limits.queue_frames_max)

    def conserve(self, drop_categories: tuple[str, ...], *, paused: bool) -> None:
        """Drop events of these categories from now on. paused: merges and the scrub rest."""
        self._pipeline.drop_categories = drop_categories
        self.maintenance.pause(paused)

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Take ``frame``; ``complete`` is called exactly once, with a Receipt or an error.

        On the commit thread; once the engine is closed, at once and on this one.
        """
        with self._submit_lock:
            if not self._closing:
                self._submitted_bytes += frame.held_bytes
                self._submitted_frames += 1
                self._inbox.put((frame, complete))
                return
        complete(Unavailable("the engine is closed", CLOSED_RETRY_S))

    def ingest(
        self, body: bytes, codec: Codec, encoding: Encoding = Encoding.IDENTITY, *, delimited: bool = False
    ) -> Receipt:
        """Take one body and wait until it is durable. Raises: Malformed, TooLarge, UnsupportedMedia, Unavailable."""
        completed: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.submit(Frame(codec, encoding, Source.EMBEDDED, self._clock(), body, delimited), completed.put)
        outcome = completed.get()
        if isinstance(outcome, NissaError):
            raise outcome
        return outcome

    # ---- what queries use ----

    @property
    def index(self) -> Any:
        """The series index; readable from any thread."""
        return self._pipeline.index

    def snapshot(self) -> Snapshot:
        """Blocks and heads at one moment, durable rows only. Its files stay until it is closed or forgotten."""
        snapshot = self._sealer.snapshot(lambda: self._pipeline.head)
        return msgspec.structs.replace(snapshot, selections=self._selections)

    def event_snapshot(self) -> EventSnapshot:
        """Blocks and heads at one moment, durable events only."""
        return self._sealer.event_snapshot(lambda: self._pipeline.head)

    @property
    def secret(self) -> bytes:
        """The key of the directory's hashes."""
        return self._opened.catalogue.secret

    @property
    def state(self) -> State:
        """The state store of the directory; safe to use from any thread until the engine is closed."""
        return self._opened.state

    def metadata(self) -> list[Metadata]:
        """Metadata that senders gave for metric names."""
        return list(self._pipeline.metadata.values())

    def tallies(self) -> Tallies:
        """The counters as they stand; duplicates in the head are not yet distinguished from stored samples. Cheap."""
        return copy_tallies(self._pipeline.tallies)

    def accounting(self) -> Tallies:
        """The balance of every source, duplicates in the head settled. Raises: Unavailable once closed."""
        return self._ask(lambda: balance(self._pipeline, self._sealer))()

    def status(self) -> Status:
        """Status for ``/api/status`` and the self metrics."""
        journal, sealer, committer = self._journal, self._sealer, self._committer
        reason, stall = self._broken or committer.closed_reason, self._watchdog.reason
        return Status(
            mode="stalled" if stall else "ready" if reason is None else "read_only",
            reason=stall or reason,
            watchdog=self._watchdog.facts(),
            durability=self.durability,
            data_dir=str(self.directory),
            started_ms=self._started_ms,
            uptime_ms=self._clock() - self._started_ms,
            queue=QueueStatus(
                self._submitted_frames - committer.settled_frames, self._submitted_bytes - committer.settled_bytes
            ),
            head=self._head_status(),
            journal=JournalStatus(
                journal.appended_lsn,
                journal.durable_lsn,
                sealer.checkpoint_lsn,
                journal.segment_count,
                journal.bytes_on_disk,
                committer.commits,
                committer.failures,
            ),
            followers=self.followers.facts(),
            blocks=sealer.block_summary(),
            snapshots=msgspec.to_builtins(sealer.blocks.facts()),
            row_groups=sealer.blocks.row_groups.facts(),
            selections=self._selections.facts(),
            **self.maintenance.status(sealer.import_rows(lambda: self._pipeline.head)),
            seal=SealStatus(sealer.seals, sealer.failures, sealer.last_error),
            series=self._series_status(),
            events={"redacted": dict(self._pipeline.redacted)},
            bus=msgspec.to_builtins(self._pipeline.bus),
            ttl=self._pipeline.remembered.status(),
            recovery=self._opened.recovery,
        )

    def _head_status(self) -> HeadStatus:
        heads = self._sealer.view(lambda: self._pipeline.head).heads
        ranges = [range_ms for head in heads if (range_ms := head.range_ms()) is not None]
        first_ms, last_ms = (
            min((first for first, _ in ranges), default=None),
            max((last for _, last in ranges), default=None),
        )
        return HeadStatus(self._pipeline.head.total, self._sealer.sealing_rows, first_ms, last_ms)

    def _series_status(self) -> SeriesStatus:
        index = self._pipeline.index
        return SeriesStatus(
            total=index.known_count,
            active=index.active_count,
            dropped=self.maintenance.expiry.dropped,
            limit=self.config.series.active_max,
            refused=index.refused_total,
            symbols=index.symbol_count,
            index_bytes=index.memory_bytes,
            top_offenders=[{"name": name, "refused": count} for name, count in index.top_offenders()],
        )

    # ---- life ----

    def flush(self) -> None:
        """Seal all that was taken before, and wait until it is in blocks. Raises: Unavailable where it cannot be."""
        begun = False
        while not begun:
            frozen_head, begun = self._ask(self._seal_or_wait)
            tries = frozen_head.tries  # what fails of these says nothing about now
            self._sealer.wake()
            while not frozen_head.sealed.wait(FLUSH_POLL_S):
                if frozen_head.failed.is_set() or frozen_head.failed_try > tries:
                    raise Unavailable(f"a head could not be sealed: {frozen_head.error}", BUSY_RETRY_S)

    def close(self, *, seal: bool = False) -> None:
        """Take no more frames, make durable and settle those taken, stop the threads, give the directory back.

        seal: bring everything into blocks first. Raises what ``flush`` raises, closed all the same.
        """
        try:
            if seal and self.ready:
                self.flush()
        finally:
            self._close()

    def _close(self) -> None:
        with self._submit_lock:
            first, self._closing = not self._closing, True
            if first:
                self._inbox.put(None)
        if not first:  # whichever close returns, the directory has been given back
            self._closed.wait()
            return
        try:
            self._watchdog.stop()
            self.maintenance.end()
            self._thread.join()
            self._committer.stop()
            self._sealer.stop()
            self.maintenance.join()
            self._opened.close()
        finally:
            self._closed.set()

    # ---- the engine thread ----

    def _run(self) -> None:
        going = True
        while going:
            self._pulse.beat()
            try:
                going = self._turn()
            except Exception as error:  # an unexpected state: take nothing more, keep reading and answering
                self._break(error)

    def _break(self, error: Exception) -> None:
        log.error("the engine stops taking frames", reason=str(error), exc_info=error)
        self._broken = f"{type(error).__name__}: {error}"

    def _turn(self) -> bool:
        """Take waiting frames, up to TAKE_MAX; False when closed."""
        try:
            item = self._inbox.get(timeout=0 if self._pipeline.remembered.cleaning else TICK_S)
            while True:
                self._pulse.beat()
                if isinstance(item, tuple):
                    self._waiting.append(self._take(*item))
                    if len(self._waiting) >= TAKE_MAX:
                        break
                else:
                    self._hand_over()
                    if item is None:
                        return False
                    item()
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        self._hand_over()
        if self._broken is None:
            self._seal_when_due()
            self._clean()
        return True

    def _clean(self) -> None:
        """Clean one slice of expired entries, if it is time; then the inbox has its turn."""
        cleaned = self._pipeline.remembered.cleanup_expired_entries(self._pipeline.clock.now_ms)
        if cleaned is not None and cleaned.total_cleaned:
            log.info("packets and requests have expired", **msgspec.structs.asdict(cleaned))

    def _hand_over(self) -> None:
        if self._waiting:
            self._committer.put(self._waiting)
            self._waiting = []

    def _take(self, frame: Frame, complete: Settle) -> PendingAck:
        outcome: Outcome
        pipeline = self._pipeline
        refusal = self._refusal()
        if refusal is not None:
            outcome = refusal
        else:
            try:
                outcome = pipeline.take(frame, self._journal.append)
            except NissaError as error:
                # Without the frames it came through: they hold the body, and this one holds the error. Such a circle
                # would keep every refused body until the collector runs, which is seldom (GC_THRESHOLD).
                error.__context__ = None
                outcome = error.with_traceback(None)
            except Exception as error:  # the frame is settled like any other, the next ones are refused
                self._break(error)
                outcome = Unavailable(f"the engine stopped: {self._broken}", CLOSED_RETRY_S)
        head = pipeline.head
        return PendingAck(complete, outcome, head, head.total, self._journal.appended_lsn, frame.held_bytes)

    def _refusal(self) -> Unavailable | None:
        """The reason for taking no frame now."""
        closed_reason = self._committer.closed_reason
        if self._broken is not None:
            return Unavailable(f"the engine stopped: {self._broken}", CLOSED_RETRY_S)
        if closed_reason is not None:
            return Unavailable(closed_reason, BUSY_RETRY_S)
        if self._weight() > 2 * self.config.storage.head_samples_max:
            behind = "blocks are written slower than samples arrive (storage.head_samples_max)"
            return Unavailable(behind, BUSY_RETRY_S)
        return None

    def _weight(self) -> int:
        return self._pipeline.head.weight + self._sealer.sealing_weight

    def _seal_when_due(self) -> None:
        checkpoint = self._checkpoint
        if checkpoint is not None and checkpoint.sealed.is_set():
            self._checkpoint = None
            self._committer.gave_up()
        if self._sealer.frozen_head is not None:
            return
        if self._checkpoint_owed:
            self._checkpoint_owed = False
            self._checkpoint = self._begin_seal()
        elif self._is_due():
            self._begin_seal()

    def _is_due(self) -> bool:
        head, storage, journal = self._pipeline.head, self.config.storage, self._journal
        if head.weight >= storage.seal_samples:
            return True
        age_ms = abs(self._clock() - head.opened_ms)  # negative where the clock was set back
        if not head.empty and age_ms >= storage.seal_interval_ms:
            return True
        if head.import_rows and age_ms >= IMPORT_SEAL_MS:
            return True  # queries do not see them before they are folded
        # Notes of refusals fill the journal without a head.
        bytes_max = storage.segment_bytes if self.maintenance.retainer.is_low else storage.journal_bytes_max
        return journal.appended_lsn > self._sealer.checkpoint_lsn and journal.trimmable_bytes >= bytes_max

    def _begin_seal(self) -> FrozenHead:
        return self._sealer.begin(self._pipeline, self._journal.appended_lsn)

    def _seal_or_wait(self) -> tuple[FrozenHead, bool]:
        """The generation on its way, or a new one and True."""
        under_way = self._sealer.frozen_head
        return (self._begin_seal(), True) if under_way is None else (under_way, False)

    def _ask_to_give_up(self) -> None:
        self._call(self._give_up)

    def _give_up(self) -> None:
        """Gives up frames that are not durable.

        What it left in the index and the counters no replay would find: that is sealed before ingestion opens again, or
        a replay would come to other series than were admitted.
        """
        self._journal.discard_pending()  # the commit thread holds off until it hears that this is done
        sealed_lsn = self._sealer.give_up(self._pipeline.tallies)
        self._pipeline.give_up(max(sealed_lsn, self._pipeline.head.visible_lsn))
        self._checkpoint_owed = True

    # ---- between threads ----

    def _call(self, call: Call) -> None:
        """Run ``call`` on the engine thread, some time soon; not at all once the engine is closed."""
        with self._submit_lock:
            if not self._closing:
                self._inbox.put(call)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Runs ``question`` on the engine thread and returns its result. Raises: Unavailable once closed or broken."""
        answer: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        with self._submit_lock:
            if self._broken is not None or self._closing:
                raise Unavailable(self._broken or "the engine is closed", CLOSED_RETRY_S)
            self._inbox.put(lambda: answer.put(_attempt(question)))
        result = answer.get()
        if isinstance(result, Exception):
            raise result
        return result


def _attempt(question: Callable[[], Answer]) -> Answer | Exception:
    try:
        return question()
    except Exception as error:  # handed to the thread that asked
        return error
