"""The commit thread: makes appended frames durable, publishes them to readers, and then acknowledges them.

    engine thread ──► queue of Settlements ──► journal.commit() ──► head.publish ──► settle(receipt)

All waiting frames are one group. It gathers while the previous one is made durable, and ``storage.commit_linger``
longer, so that many frames share one fdatasync and a single frame does not wait. Refusals go through here too, so that
a sender gets its outcomes in the order of its frames.

When the journal cannot keep what was appended, in this order:

    commit thread   refuses everything not durable as Unavailable, sets ``closed_reason``, notifies the engine
    engine thread   forgets those frames and seals the rest (their traces in index and counters are in no journal)
    commit thread   after "gave up", probes twice a second until the disk accepts writes again

Frames accepted before "gave up" are refused even if they arrive here later, because the engine has forgotten them. Too
little space also closes ingestion, but frames appended before are still committed.
"""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from nissa.config.tree import Storage
from nissa.ingest.head import Head
from nissa.ingest.watchdog import Pulse
from nissa.journal.journal import Journal
from nissa.maintenance.space import read_space
from nissa.model.errors import JournalFailed, Unavailable
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS

TICK_S = 1.0
PROBE_S = 0.5
RETRY_AFTER_S = 5

log = structlog.get_logger()


class PendingAck(msgspec.Struct, gc=False):
    """An outcome that waits for its frame to be durable. total: rows of ``head`` up to and with that frame."""

    complete: Settle
    outcome: Outcome
    head: Head
    total: int
    lsn: int
    bytes: int


class Committer:
    """Owner of the commit thread. ``closed_reason`` is why nothing is taken in now, or None."""

    def __init__(
        self,
        journal: Journal,
        directory: Path,
        storage: Storage,
        ask_to_give_up: Callable[[], None],
    ) -> None:
        """ask_to_give_up: has the engine thread forget what is not durable, seal, and call ``gave_up`` then."""
        self._journal = journal
        self._directory = directory
        self._storage = storage
        self._pause: Callable[[float], object] = time.sleep  # an Event that nobody sets takes four times the processor
        self._linger_s = storage.commit_linger_ms / SECOND_MS
        self._ask_to_give_up = ask_to_give_up
        self._queue: queue.SimpleQueue[list[PendingAck] | str] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="nissa-commit", daemon=True)
        self.pulse = Pulse()
        self._given_up = True  # False between a failure and the engine's answer to it
        self._failed = False  # from a failure until a probe finds the disk well
        self._probe_waits = False
        self.closed_reason: str | None = None
        self.settled_bytes = 0
        self.settled_frames = 0
        self.commits = 0
        self.failures = 0

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def put(self, settlements: list[PendingAck]) -> None:
        """Settle these once they are durable."""
        self._queue.put(settlements)

    def gave_up(self) -> None:
        """The engine has forgotten what was not durable, and is sealed; called on the engine thread."""
        self._queue.put("gave up")

    def stop(self) -> None:
        """Commit and settle waiting frames, then end the thread. Nothing is pending in the journal afterwards."""
        self._queue.put("stop")
        self.thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self.pulse.beat()
            group, stopping = self._gather()
            if self._failed:
                self._refuse(group)
            else:
                self._commit(group)
            if self.closed_reason is not None and self._given_up and not stopping:
                self._try_to_resume()
        if self._failed:
            self._journal.discard_pending()  # or the journal's close would keep what was refused

    def _gather(self) -> tuple[list[PendingAck], bool]:
        """All that waits, for a tick at most."""
        group: list[PendingAck] = []
        stopping = False
        try:
            item = self._queue.get(timeout=self._timeout_s())
            while True:
                if isinstance(item, list):
                    group += item
                elif item == "stop":
                    stopping = True
                elif item == "probe":
                    self._probe_waits = False
                else:
                    self._refuse(group)  # in front of the answer: forgotten with the others
                    group = []
                    self._given_up = True
                item = self._queue.get_nowait()
        except queue.Empty:
            return group, stopping

    def _timeout_s(self) -> float:
        interval_ms = self._journal.durability.interval_ms
        return min(TICK_S, interval_ms / SECOND_MS) if interval_ms else TICK_S

    def _commit(self, group: list[PendingAck]) -> None:
        """Commit and settle a group. An empty one is committed too, for syncs of ``interval`` and new segments."""
        try:
            self._journal.commit()
        except Exception as error:  # after any error this thread must go on: senders wait for it
            if not isinstance(error, JournalFailed):
                log.exception("unexpected failure of the journal")
            self._fail(str(error), group)
            return
        if group:
            self.commits += 1
            last = group[-1]
            for pending_ack in group:
                if pending_ack.head is not last.head:
                    pending_ack.head.publish(pending_ack.lsn, pending_ack.total)
            last.head.publish(last.lsn, last.total)
            self._complete_all(group)
            self._pause(self._linger_s)  # what arrives meanwhile goes into one commit
        if self.closed_reason is None:
            self._journal.prepare()
        space = read_space(self._directory, self._storage)  # two microseconds, once per commit
        if space.is_closed:
            settings = "storage.free_space_min, storage.free_percent_min"
            self._close(f"less than {space.floor_bytes} bytes are free on the disk ({settings})")

    def _fail(self, reason: str, group: list[PendingAck]) -> None:
        self.failures += 1
        self._failed, self._given_up = True, False
        self._journal.discard_pending()
        self._close(reason)
        self._ask_to_give_up()
        self._refuse(group)

    def _refuse(self, group: list[PendingAck]) -> None:
        """Nothing of these frames was kept; those refused for another reason hear that reason."""
        for pending_ack in group:
            if isinstance(pending_ack.outcome, Receipt):
                pending_ack.outcome = Unavailable("the journal cannot be written", RETRY_AFTER_S)
        self._complete_all(group)

    def _complete_all(self, group: list[PendingAck]) -> None:
        for pending_ack in group:
            self.settled_bytes += pending_ack.bytes
            self.settled_frames += 1
            try:
                pending_ack.complete(pending_ack.outcome)
            except Exception:  # an edge that is gone must not stop the others
                log.exception("an edge failed to take an outcome")

    def _close(self, reason: str) -> None:
        if self.closed_reason is None:
            log.error("ingestion is closed, reading goes on", reason=reason)
        self.closed_reason = reason

    def _try_to_resume(self) -> None:
        if self._probe_waits:
            return
        if read_space(self._directory, self._storage).may_resume and self._journal.probe():
            log.info("ingestion is open again")
            self._failed = False
            self.closed_reason = None
            return
        self._probe_waits = True
        later = threading.Timer(PROBE_S, self._queue.put, ("probe",))
        later.daemon = True
        later.start()
