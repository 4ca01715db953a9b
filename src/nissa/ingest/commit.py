"""The commit thread: makes what was appended durable, shows it to readers, and only then settles.

    engine thread ──► queue of Settlements ──► journal.commit() ──► head.publish ──► settle(receipt)

Everything waiting is one group: it gathers while the last one is made durable, and ``storage.commit_linger_ms`` longer,
so that a frame that comes alone waits for nothing and many share one fdatasync. Every outcome goes through here,
refusals too, so that a sender hears about its frames in the order they were taken.

When the journal cannot keep what was appended, in this order:

    commit thread   everything not durable is settled as Unavailable; ``closed_reason`` is set; the engine is told
    engine thread   forgets those frames, seals what is left (their traces in index and counters are in no journal)
    commit thread   hears "gave up", and from then on probes twice a second until the disk takes writes again

What was taken before "gave up" is refused whenever it arrives: its frames are forgotten. Too little space closes
ingestion as well, but what was appended before is still committed, and nothing is given up.
"""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from nissa.config.tree import Storage
from nissa.ingest.head import Head
from nissa.ingest.space import read_space
from nissa.model.errors import JournalFailed, Unavailable
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.store.journal import Journal

TICK_S = 1.0
PROBE_S = 0.5
RETRY_AFTER_S = 5

log = structlog.get_logger()


class Settlement(msgspec.Struct, gc=False):
    """An outcome that waits for its frame to be durable. total: rows of ``head`` up to and with that frame."""

    settle: Settle
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
        self._linger_s = storage.commit_linger_ms / SECOND_MS
        self._ask_to_give_up = ask_to_give_up
        self._queue: queue.SimpleQueue[list[Settlement] | str] = queue.SimpleQueue()
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nissa-commit", daemon=True)
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
        self._thread.start()

    def put(self, settlements: list[Settlement]) -> None:
        """Settle these once they are durable."""
        self._queue.put(settlements)

    def gave_up(self) -> None:
        """The engine has forgotten what was not durable, and is sealed; called on the engine thread."""
        self._queue.put("gave up")

    def stop(self) -> None:
        """Commit and settle what waits, then end the thread. Nothing is pending in the journal afterwards."""
        self._queue.put("stop")
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._gather()
            if self._failed:
                self._refuse(group)
            else:
                self._commit(group)
            if self.closed_reason is not None and self._given_up and not stopping:
                self._try_to_resume()
        if self._failed:
            self._journal.discard_pending()  # or the journal's close would keep what was refused

    def _gather(self) -> tuple[list[Settlement], bool]:
        """All that waits, for a tick at most."""
        group: list[Settlement] = []
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

    def _commit(self, group: list[Settlement]) -> None:
        """Without a group too: ``interval`` durability may owe a sync, a segment be missing, space run out."""
        try:
            self._journal.commit()
        except Exception as error:  # whatever it is, this thread must live: senders wait for it
            if not isinstance(error, JournalFailed):
                log.exception("the journal failed as nobody foresaw")
            self._fail(str(error), group)
            return
        if group:
            self.commits += 1
            last = group[-1]
            for settlement in group:
                if settlement.head is not last.head:
                    settlement.head.publish(settlement.lsn, settlement.total)
            last.head.publish(last.lsn, last.total)
            self._settle_all(group)
            self._pause.wait(self._linger_s)  # what arrives meanwhile goes into one commit
        if self.closed_reason is None:
            self._journal.prepare()
        space = read_space(self._directory, self._storage)  # two microseconds, once per commit
        if space.is_closed:
            settings = "storage.free_bytes_min, storage.free_percent_min"
            self._close(f"less than {space.floor_bytes} bytes are free on the disk ({settings})")

    def _fail(self, reason: str, group: list[Settlement]) -> None:
        self.failures += 1
        self._failed, self._given_up = True, False
        self._journal.discard_pending()
        self._close(reason)
        self._ask_to_give_up()
        self._refuse(group)

    def _refuse(self, group: list[Settlement]) -> None:
        """Nothing of these frames was kept; those refused for another reason hear that reason."""
        for settlement in group:
            if isinstance(settlement.outcome, Receipt):
                settlement.outcome = Unavailable("the journal cannot be written", RETRY_AFTER_S)
        self._settle_all(group)

    def _settle_all(self, group: list[Settlement]) -> None:
        for settlement in group:
            self.settled_bytes += settlement.bytes
            self.settled_frames += 1
            try:
                settlement.settle(settlement.outcome)
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
