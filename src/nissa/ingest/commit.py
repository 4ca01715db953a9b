"""The commit thread: makes what was appended durable, shows it to readers, and only then settles.

    engine thread ──► queue of Settlements ──► journal.commit() ──► head.publish ──► settle(receipt)

Everything waiting is one group: while one fdatasync runs, the next group gathers. Every outcome goes through here, refusals too, so
that a sender hears about its frames in the order they were taken.

When the journal cannot keep what was appended, all that waits is settled as Unavailable, the engine is told to give those rows up,
and what arrives before it has done so is refused as well. A probe every second finds out when the disk is back.
"""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from nissa.ingest.head import Head
from nissa.model.errors import JournalFailed, NissaError, Unavailable
from nissa.model.intake import Outcome, Settle
from nissa.model.receipt import Receipt
from nissa.store.journal import Journal

TICK_S = 1.0
RETRY_AFTER_S = 5
SPACE_HYSTERESIS = 1.25  # writing resumes when this many times the floor is free

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

    def __init__(self, journal: Journal, directory: Path, free_bytes_min: int, give_up: Callable[[], None]) -> None:
        """give_up: asks the engine thread to forget what is not durable, and to call ``resume_after_give_up`` then."""
        self._journal = journal
        self._directory = directory
        self._free_bytes_min = free_bytes_min
        self._give_up = give_up
        self._queue: queue.SimpleQueue[list[Settlement] | str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="nissa-commit", daemon=True)
        self._given_up = True  # False between a failure and the engine's answer to it
        self.closed_reason: str | None = None
        self.settled_bytes = 0
        self.commits = 0
        self.failures = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, settlements: list[Settlement]) -> None:
        """Settle these once they are durable."""
        self._queue.put(settlements)

    def gave_up(self) -> None:
        """The engine has forgotten what was not durable; called on the engine thread."""
        self._queue.put("gave up")

    def stop(self) -> None:
        """Commit and settle what waits, then end the thread."""
        self._queue.put("stop")
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._gather()
            if group or self._journal.pending_bytes:
                self._commit(group)
            if self.closed_reason is not None and self._given_up and not stopping:
                self._try_to_resume()

    def _gather(self) -> tuple[list[Settlement], bool]:
        """All that waits; at least one entry or a tick."""
        group: list[Settlement] = []
        stopping = False
        try:
            item = self._queue.get(timeout=self._timeout_s())
            while True:
                if isinstance(item, list):
                    group += item
                elif item == "stop":
                    stopping = True
                else:
                    self._journal.discard_pending()  # what was appended between the failure and the engine's answer
                    self._given_up = True
                item = self._queue.get_nowait()
        except queue.Empty:
            if not group:
                self._idle()
        return group, stopping

    def _timeout_s(self) -> float:
        interval_ms = self._journal.durability.interval_ms
        return min(TICK_S, interval_ms / 1000) if interval_ms else TICK_S

    def _idle(self) -> None:
        """Between groups: sync what ``interval`` durability owes, make the next segment, look at the space left."""
        if self.closed_reason is None:
            self._commit([])

    def _commit(self, group: list[Settlement]) -> None:
        if not self._given_up:
            self._settle_all(group, Unavailable("the journal cannot be written", RETRY_AFTER_S))
            return
        try:
            self._journal.commit()
        except JournalFailed as error:
            self.failures += 1
            self._given_up = False
            self._journal.discard_pending()
            self._close(str(error))
            self._settle_all(group, Unavailable("the journal cannot be written", RETRY_AFTER_S))
            self._give_up()
            return
        self.commits += 1
        if group:
            last = group[-1]
            for settlement in group:
                if settlement.head is not last.head:
                    settlement.head.publish(settlement.lsn, settlement.total)
            last.head.publish(last.lsn, last.total)
        self._settle_all(group, None)
        self._journal.prepare()
        if self._free_bytes() < self._free_bytes_min:  # two microseconds, once per commit
            self._close(f"less than {self._free_bytes_min} bytes are free on the disk (storage.free_bytes_min)")

    def _settle_all(self, group: list[Settlement], error: NissaError | None) -> None:
        for settlement in group:
            self.settled_bytes += settlement.bytes
            try:
                if error is not None and isinstance(settlement.outcome, Receipt):
                    settlement.settle(error)
                else:
                    settlement.settle(settlement.outcome)
            except Exception:  # an edge that is gone must not stop the others
                log.exception("an edge failed to take an outcome")

    def _close(self, reason: str) -> None:
        if self.closed_reason is None:
            log.error("ingestion is closed, reading goes on", reason=reason)
        self.closed_reason = reason

    def _try_to_resume(self) -> None:
        if self._free_bytes() >= self._free_bytes_min * SPACE_HYSTERESIS and self._journal.probe():
            log.info("ingestion is open again")
            self.closed_reason = None

    def _free_bytes(self) -> int:
        try:
            space = os.statvfs(self._directory)
        except OSError:
            return 0
        return space.f_bavail * space.f_frsize
