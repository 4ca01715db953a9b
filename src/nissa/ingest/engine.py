"""The engine: a data directory opened for writing, and the threads that work on it.

    submit ──► inbox ──► engine thread ──► commit thread ──► settle
                         decode, admit      one write,
                         journal.append     one fdatasync
                         head.append        head.publish
                              │ full, or old enough
                              ▼
                         sealer thread: sort, Parquet, catalogue, trim the journal

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

from nissa._fast.claims import key_of_request
from nissa.config.tree import Config
from nissa.ingest.accounting import balance
from nissa.ingest.commit import Committer, Settlement
from nissa.ingest.generation import Generation
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.recover import Opened, open_directory
from nissa.ingest.sealing import Sealer
from nissa.ingest.upkeep import Steady, Upkeep
from nissa.model.columns import Metadata
from nissa.model.errors import NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import FoundRequest, Receipt
from nissa.model.tally import Tallies, copy_tallies
from nissa.series.keeping import SeriesKeeping
from nissa.store.checked_file import FileGone
from nissa.store.event_runs import EventSnapshot
from nissa.store.journal import Journal
from nissa.store.read import Snapshot
from nissa.ttl import CacheType

TAKE_MAX = 64  # frames taken between two looks at the commit queue
TICK_S = 0.5
FLUSH_POLL_S = 0.05
ATTEMPTS_MAX = 8  # of a balance while blocks are merged
CLOSED_RETRY_S = 30
BUSY_RETRY_S = 5
Call = Callable[[], None]
Answer = TypeVar("Answer")

log = structlog.get_logger()


class Engine:
    """One data directory, written by this process alone. Safe to use from any thread."""

    def __init__(self, data_dir: Path, config: Config, clock: Callable[[], int], steady: Steady | None = None) -> None:
        """Open ``data_dir``, recover it, and start the threads. clock: Unix milliseconds.

        steady: which run of the machine this is, and milliseconds since it began; without it nothing that is over is
        dropped (decision 7).

        Raises: DirectoryLocked, UnknownFormat, JournalFailed, Damaged, Unavailable.
        """
        self.directory = data_dir
        self.config = config
        self._clock = clock
        self._opened: Opened = open_directory(data_dir, config, clock)
        with ExitStack() as undo:
            undo.callback(self._opened.close)
            opened = self._opened
            self._pipeline: Pipeline = opened.pipeline
            self._journal: Journal = opened.journal
            self._committer = Committer(self._journal, data_dir, config.storage, self._ask_to_give_up)
            keeping = SeriesKeeping(self._pipeline.index, opened.epochs) if opened.epochs else None
            self._sealer = Sealer(opened.writer, opened.catalogue, self._journal, config, clock, self._call, keeping)
            hands = self._sealer.hands(lambda: self._pipeline.head)
            self.upkeep = Upkeep(data_dir, opened.catalogue, config, clock, steady, hands)
            undo.pop_all()
        self._inbox: queue.SimpleQueue[tuple[Frame, Settle] | Call | None] = queue.SimpleQueue()
        self._submit_lock = threading.Lock()  # nothing enters the inbox behind the None that ends it
        self._submitted_bytes = 0
        self._submitted_frames = 0
        self._waiting: list[Settlement] = []  # taken, not yet handed to the commit thread
        self._checkpoint_owed = False
        self._checkpoint: Generation | None = None  # what ingestion waits for after a failure of the journal
        self._closing = False
        self._closed = threading.Event()
        self._broken: str | None = None
        self._started_ms = clock()
        self._thread = threading.Thread(target=self._run, name="nissa-engine", daemon=True)
        self._committer.start()
        self._sealer.start(self.upkeep)
        self._thread.start()

    # ---- what edges use (model.intake.Intake) ----

    @property
    def durability(self) -> str:
        """The durability mode in force."""
        return str(self._journal.durability)

    @property
    def ready(self) -> bool:
        """True until the engine is closed or broken."""
        return not self._closing and self._broken is None

    @property
    def pressure(self) -> bool:
        """True while more waits than the queue may hold (``ingest.queue_*_max``), or the sealer is far behind."""
        limits, committer = self.config.ingest, self._committer
        return (
            self._submitted_bytes - committer.settled_bytes > limits.queue_bytes_max
            or self._submitted_frames - committer.settled_frames > limits.queue_frames_max
            or self._weight() > self.config.storage.head_samples_max
        )

    def submit(self, frame: Frame, settle: Settle) -> None:
        """Take ``frame``; ``settle`` is called exactly once, with a Receipt or an error.

        On the commit thread; once the engine is closed, at once and on this one.
        """
        with self._submit_lock:
            if not self._closing:
                self._submitted_bytes += len(frame.body)
                self._submitted_frames += 1
                self._inbox.put((frame, settle))
                return
        settle(Unavailable("the engine is closed", CLOSED_RETRY_S))

    def ingest(
        self, body: bytes, codec: Codec, encoding: Encoding = Encoding.IDENTITY, *, delimited: bool = False
    ) -> Receipt:
        """Take one body and wait until it is durable. Raises: Malformed, TooLarge, UnsupportedMedia, Unavailable."""
        settled: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.submit(Frame(codec, encoding, Source.EMBEDDED, self._clock(), body, delimited), settled.put)
        outcome = settled.get()
        if isinstance(outcome, NissaError):
            raise outcome
        return outcome

    # ---- what queries use ----

    @property
    def index(self) -> Any:
        """The series index; readable from any thread."""
        return self._pipeline.index

    def snapshot(self) -> Snapshot:
        """Blocks and heads at one moment, durable rows only."""
        return self._sealer.snapshot(lambda: self._pipeline.head)

    def event_snapshot(self) -> EventSnapshot:
        """Blocks and heads at one moment, durable events only."""
        return self._sealer.event_snapshot(lambda: self._pipeline.head)

    def metadata(self) -> list[Metadata]:
        """What senders said about metric names."""
        return list(self._pipeline.metadata.values())

    def tallies(self) -> Tallies:
        """The counters as they stand, duplicates in the head not yet told from stored samples. Cheap."""
        return copy_tallies(self._pipeline.tallies)

    def accounting(self) -> Tallies:
        """The balance of every source, duplicates in the head settled. Raises: Unavailable once closed."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return self._ask(lambda: balance(self._pipeline, self._sealer))()
            except FileGone:
                continue
        raise Unavailable(f"blocks were merged {ATTEMPTS_MAX} times while the balance was worked out", BUSY_RETRY_S)

    def find_request(self, epoch: int, request_id: str) -> list[FoundRequest]:
        """What is remembered of a request, at most once for each kind. Raises: Unavailable once closed or broken."""

        def find() -> list[FoundRequest]:
            pipeline, durable_lsn = self._pipeline, self._journal.durable_lsn
            key, now_ms = key_of_request(pipeline.index, epoch, request_id.encode()), pipeline.clock.now_ms
            return [
                FoundRequest(kind.value, found.lsn, found.lsn <= durable_lsn, found.expires_ms - now_ms)
                for kind in CacheType
                if (found := pipeline.remembered.get(kind, key, now_ms)) is not None
            ]

        return self._ask(find)

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and the self metrics."""
        journal, index, sealer, committer = self._journal, self._pipeline.index, self._sealer, self._committer
        reason = self._broken or committer.closed_reason
        return {
            "mode": "ready" if reason is None else "read_only",
            "reason": reason,
            "durability": self.durability,
            "data_dir": str(self.directory),
            "started_ms": self._started_ms,
            "uptime_ms": self._clock() - self._started_ms,
            "queue": {
                "frames": self._submitted_frames - committer.settled_frames,
                "bytes": self._submitted_bytes - committer.settled_bytes,
            },
            "head": self._head_status(),
            "journal": {
                "appended_lsn": journal.appended_lsn,
                "durable_lsn": journal.durable_lsn,
                "checkpoint_lsn": sealer.checkpoint_lsn,
                "segments": journal.segment_count,
                "bytes": journal.bytes_on_disk,
                "commits": committer.commits,
                "failures": committer.failures,
            },
            "blocks": sealer.block_summary(),
            "upkeep": self.upkeep.facts(),
            "seal": {"count": sealer.seals, "failures": sealer.failures, "last_error": sealer.last_error},
            "ladder": sealer.ladder_status(),
            "series": {
                "total": index.series_count,
                "active": index.active_count,
                "limit": self.config.series.active_max,
                "refused": index.refused_total,
                "symbols": index.symbol_count,
                "index_bytes": index.memory_bytes,
                "top_offenders": [{"name": name, "refused": count} for name, count in index.top_offenders()],
            },
            "events": {"redacted": dict(self._pipeline.redacted)},
            "ttl": self._pipeline.remembered.status(),
            "recovery": self._opened.recovery,
        }

    def _head_status(self) -> dict[str, Any]:
        heads = self._sealer.view(lambda: self._pipeline.head).heads
        ranges = [range_ms for head in heads if (range_ms := head.range_ms()) is not None]
        return {
            "samples": self._pipeline.head.total,
            "sealing": self._sealer.sealing_rows,
            "min_ms": min((first for first, _ in ranges), default=None),
            "max_ms": max((last for _, last in ranges), default=None),
        }

    # ---- life ----

    def flush(self) -> None:
        """Seal all that was taken before, and wait until it is in blocks. Raises: Unavailable where it cannot be."""
        begun = False
        while not begun:
            generation, begun = self._ask(self._seal_or_wait)
            tries = generation.tries  # what fails of these says nothing about now
            self._sealer.hurry()
            while not generation.sealed.wait(FLUSH_POLL_S):
                if generation.failed.is_set() or generation.failed_try > tries:
                    raise Unavailable(f"a head could not be sealed: {generation.error}", BUSY_RETRY_S)

    def close(self, *, seal: bool = False) -> None:
        """Take nothing more, make durable and settle what was taken, stop the threads, give the directory back.

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
            self._thread.join()
            self._committer.stop()
            self._sealer.stop()
            self._opened.close()
        finally:
            self._closed.set()

    # ---- the engine thread ----

    def _run(self) -> None:
        going = True
        while going:
            try:
                going = self._turn()
            except Exception as error:  # a state nobody foresaw: take nothing more, keep reading and answering
                self._break(error)

    def _break(self, error: Exception) -> None:
        log.error("the engine stops taking frames", reason=str(error), exc_info=error)
        self._broken = f"{type(error).__name__}: {error}"

    def _turn(self) -> bool:
        """Take what waits, up to TAKE_MAX frames; False when closed."""
        try:
            item = self._inbox.get(timeout=0 if self._pipeline.remembered.cleaning else TICK_S)
            while True:
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
        """One slice of what has expired, if it is time; then the inbox has its turn."""
        cleaned = self._pipeline.remembered.cleanup_expired_entries(self._pipeline.clock.now_ms)
        if cleaned is not None and cleaned.total_cleaned:
            log.info("packets and requests have expired", **msgspec.structs.asdict(cleaned))

    def _hand_over(self) -> None:
        if self._waiting:
            self._committer.put(self._waiting)
            self._waiting = []

    def _take(self, frame: Frame, settle: Settle) -> Settlement:
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
        return Settlement(settle, outcome, head, head.total, self._journal.appended_lsn, len(frame.body))

    def _refusal(self) -> Unavailable | None:
        """Why no frame is taken now."""
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
        if self._sealer.generation is not None:
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
        # Notes of refusals fill the journal without a head.
        bytes_max = storage.segment_bytes if self.upkeep.is_low else storage.journal_bytes_max
        return journal.appended_lsn > self._sealer.checkpoint_lsn and journal.trimmable_bytes >= bytes_max

    def _begin_seal(self) -> Generation:
        return self._sealer.begin(self._pipeline, self._journal.appended_lsn)

    def _seal_or_wait(self) -> tuple[Generation, bool]:
        """The generation on its way, or a new one and True."""
        under_way = self._sealer.generation
        return (self._begin_seal(), True) if under_way is None else (under_way, False)

    def _ask_to_give_up(self) -> None:
        self._call(self._give_up)

    def _give_up(self) -> None:
        """What is not durable now never will be.

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
        """What ``question`` returns on the engine thread. Raises: Unavailable once closed or broken."""
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
