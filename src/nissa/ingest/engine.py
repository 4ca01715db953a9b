"""The engine: a data directory opened for writing, and the threads that work on it.

    submit ──► inbox ──► engine thread ──► commit thread ──► settle
                         decode, admit      one write,
                         journal.append     one fdatasync
                         head.append        head.publish
                              │ full, or old enough
                              ▼
                         sealer thread: sort, Parquet, catalogue, trim the journal

Everything between the threads is a queue or a value that is written whole. The engine thread alone owns the pipeline; what other
threads want of it they put into the inbox as a call.
"""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from nissa.config.tree import Config
from nissa.ingest.accounting import balance
from nissa.ingest.commit import Committer, Settlement
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.recover import Opened, open_directory, write_settings
from nissa.ingest.sealing import Generation, Sealer
from nissa.model.columns import Metadata
from nissa.model.durability import parse_durability
from nissa.model.errors import InvariantBroken, NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import Receipt
from nissa.model.tally import Tallies
from nissa.store.journal import Journal
from nissa.store.read import Snapshot

TAKE_MAX = 64  # frames taken between two looks at the commit queue
TICK_S = 0.5
FLUSH_POLL_S = 0.05
Call = Callable[[], None]

log = structlog.get_logger()


class Engine:
    """One data directory, written by this process alone. Safe to use from any thread."""

    def __init__(self, data_dir: Path, config: Config, clock: Callable[[], int]) -> None:
        """Open ``data_dir``, recover it, and start the threads. clock: Unix milliseconds.

        Raises: DirectoryLocked, UnknownFormat, JournalFailed, Damaged.
        """
        self.directory = data_dir
        self.config = config
        self._clock = clock
        self._opened: Opened = open_directory(data_dir, config, clock)
        if self._opened.settings_changed:
            self._opened = reopen_under(self._opened, data_dir, config, clock)
        self._pipeline: Pipeline = self._opened.pipeline
        self._journal: Journal = self._opened.journal
        self._committer = Committer(self._journal, data_dir, config.storage.free_bytes_min, self._ask_to_give_up)
        self._sealer = Sealer(data_dir, self._opened.catalogue, self._journal, config, clock, self._call)
        self._inbox: queue.SimpleQueue[tuple[Frame, Settle] | Call | None] = queue.SimpleQueue()
        self._submit_lock = threading.Lock()
        self._submitted_bytes = 0
        self._submitted_frames = 0
        self._settled_frames = 0
        self._closing = False
        self._broken: str | None = None
        self._started_ms = clock()
        self._thread = threading.Thread(target=self._run, name="nissa-engine", daemon=True)
        self._committer.start()
        self._sealer.start()
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
        """True while more waits than ``ingest.queue_bytes_max``, or the sealer is far behind."""
        waiting = self._submitted_bytes - self._committer.settled_bytes
        return waiting > self.config.ingest.queue_bytes_max or self._head_rows() > self.config.storage.head_samples_max

    def submit(self, frame: Frame, settle: Settle) -> None:
        """Take ``frame``; ``settle`` is called exactly once, on the commit thread, with a Receipt or an error."""
        with self._submit_lock:
            self._submitted_bytes += len(frame.body)
            self._submitted_frames += 1
            self._inbox.put((frame, settle))

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

    def metadata(self) -> list[Metadata]:
        """What senders said about metric names."""
        return list(self._pipeline.metadata.values())

    def tallies(self) -> Tallies:
        """The counters as they stand, duplicates in the head not yet told from stored samples. Cheap."""
        return self._pipeline.tallies

    def accounting(self) -> Tallies:
        """The balance of every source, duplicates in the head settled."""
        return self._ask(lambda: balance(self._pipeline, self._sealer))()

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and the self metrics."""
        journal, index, sealer = self._journal, self._pipeline.index, self._sealer
        reason = self._broken or self._committer.closed_reason
        return {
            "mode": "ready" if reason is None else "read_only",
            "reason": reason,
            "durability": self.durability,
            "data_dir": str(self.directory),
            "started_ms": self._started_ms,
            "uptime_ms": self._clock() - self._started_ms,
            "queue": {
                "frames": self._submitted_frames - self._settled_frames,
                "bytes": self._submitted_bytes - self._committer.settled_bytes,
            },
            "head": {"samples": self._pipeline.head.total, "sealing": sealer.sealing_rows},
            "journal": {
                "appended_lsn": journal.appended_lsn,
                "durable_lsn": journal.durable_lsn,
                "checkpoint_lsn": sealer.checkpoint_lsn,
                "segments": journal.segment_count,
                "bytes": journal.bytes_on_disk,
                "commits": self._committer.commits,
                "failures": self._committer.failures,
            },
            "blocks": sealer.block_summary(),
            "seal": {"count": sealer.seals, "failures": sealer.failures, "last_error": sealer.last_error},
            "series": {
                "total": index.series_count,
                "active": index.active_count,
                "limit": self.config.series.active_max,
                "refused": index.refused_total,
                "symbols": index.symbol_count,
                "index_bytes": index.memory_bytes,
            },
            "recovery": self._opened.recovery,
        }

    # ---- life ----

    def flush(self) -> None:
        """Seal all that was taken before, and wait until it is in blocks. Raises: Unavailable where it cannot be."""
        while True:
            generation, begun = self._ask(self._seal_or_wait)
            while not generation.sealed.wait(FLUSH_POLL_S):
                if generation.failed.is_set():
                    raise Unavailable(f"a head could not be sealed: {generation.error}")
            if begun:
                return

    def close(self, *, seal: bool = False) -> None:
        """Take nothing more, make durable and settle what was taken, stop the threads, give the directory back."""
        if self._closing:
            return
        if seal and self._broken is None:
            self.flush()
        self._closing = True
        self._inbox.put(None)
        self._thread.join()
        self._committer.stop()
        self._sealer.stop()
        try:
            self._journal.close()
        finally:
            self._opened.catalogue.close()
            self._opened.lock.close()

    # ---- the engine thread ----

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # the pipeline is in a state nobody foresaw: stop taking, keep reading
            log.exception("the engine thread stopped")
            self._broken = f"{type(error).__name__}: {error}"
            self._refuse_all()

    def _turn(self) -> bool:
        """Take what waits, up to TAKE_MAX frames; False when closed."""
        settlements: list[Settlement] = []
        try:
            item = self._inbox.get(timeout=TICK_S)
            while True:
                if item is None:
                    self._hand_over(settlements)
                    return False
                if isinstance(item, tuple):
                    settlements.append(self._take(*item))
                    if len(settlements) >= TAKE_MAX:
                        break
                else:
                    item()
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        self._hand_over(settlements)
        self._seal_when_due()
        return True

    def _hand_over(self, settlements: list[Settlement]) -> None:
        if settlements:
            self._committer.put(settlements)
            self._settled_frames += len(settlements)

    def _take(self, frame: Frame, settle: Settle) -> Settlement:
        outcome: Outcome
        pipeline = self._pipeline
        closed = self._committer.closed_reason
        if closed is not None:
            outcome = Unavailable(closed, 5)
        elif self._head_rows() > 2 * self.config.storage.head_samples_max:
            outcome = Unavailable("blocks are written slower than samples arrive (storage.head_samples_max)", 5)
        else:
            try:
                outcome = pipeline.take(frame, self._journal.append)
            except NissaError as error:
                # Without the frames it came through: they hold the body, and this one holds the error. Such a circle would
                # keep the body until the collector runs, which is seldom (GC_THRESHOLD).
                error.__context__ = None
                outcome = error.with_traceback(None)
        head = pipeline.head
        return Settlement(settle, outcome, head, head.total, self._journal.appended_lsn, len(frame.body))

    def _seal_when_due(self) -> None:
        head = self._pipeline.head
        if head.empty or self._sealer.busy:
            return
        storage = self.config.storage
        old = self._clock() - head.opened_ms >= storage.seal_interval_ms
        long = self._journal.appended_lsn > 0 and self._journal.bytes_on_disk >= storage.journal_bytes_max
        if old or long or head.total >= storage.seal_samples:
            self._sealer.begin(self._pipeline, self._journal.appended_lsn)

    def _seal_or_wait(self) -> tuple[Generation, bool]:
        """The generation on its way, or a new one and True."""
        under_way = self._sealer.generation
        if under_way is not None:
            return under_way, False
        return self._sealer.begin(self._pipeline, self._journal.appended_lsn), True

    def _ask_to_give_up(self) -> None:
        self._inbox.put(self._give_up)

    def _give_up(self) -> None:
        self._sealer.give_up(self._pipeline.tallies)
        self._pipeline.give_up()
        self._committer.gave_up()

    def _refuse_all(self) -> None:
        while True:
            item = self._inbox.get()
            if item is None:
                return
            if isinstance(item, tuple):
                frame, settle = item
                head = self._pipeline.head
                error = Unavailable(f"the engine stopped: {self._broken}", 30)
                lsn = self._journal.appended_lsn
                self._hand_over([Settlement(settle, error, head, head.total, lsn, len(frame.body))])
            else:
                item()

    # ---- between threads ----

    def _call(self, call: Call) -> None:
        """Run ``call`` on the engine thread, some time soon."""
        self._inbox.put(call)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Run ``question`` on the engine thread and return what it returns."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if self._broken is not None or self._closing:
            raise Unavailable(self._broken or "the engine is closed", 30)
        self._inbox.put(lambda: answer.put(_attempt(question)))
        result = answer.get()
        if isinstance(result, Exception):
            raise result
        return result

    def _head_rows(self) -> int:
        return self._pipeline.head.total + self._sealer.sealing_rows


def reopen_under(opened: Opened, data_dir: Path, config: Config, clock: Callable[[], int]) -> Opened:
    """Bring what was journaled under other settings into blocks, note the new ones, and open the directory again."""
    if not opened.pipeline.head.empty:
        sealer = Sealer(data_dir, opened.catalogue, opened.journal, config, clock, lambda call: call())
        sealer.seal_here(opened.pipeline, opened.journal.appended_lsn)
    opened.journal.close()
    opened.catalogue.close()
    write_settings(data_dir, config)
    opened.lock.close()
    return open_directory(data_dir, config, clock)


def _attempt(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:  # handed to the thread that asked
        return error
