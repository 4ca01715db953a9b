"""The maintenance thread: a list of jobs, of which the most important one that is due does its next slice.

    jobs, in order     retention   ladder   compaction   …   scrub
    due                            ●        ●                ●
    slices                         ▪▪▪▪▪▪▪▪ ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪ ▪···▪···▪
                                            ↑ retention is due: it has its turn, then the merge goes on

A job is cut into slices (``model/slices.py``), or is done in one. Before each slice all jobs are asked in order: one
that rests, or has nothing to do, lets the next one have its turn. A job that was begun goes on where it was.

A job that fails is counted, and rests before it is tried again: ``RETRY_S``, doubled with each failure in a row up to
``RETRY_MAX_S``. Rests are counted while the thread has nothing else to do, so no clock is needed. A job whose blocks
were replaced meanwhile (``BlocksChanged``) has not failed: it begins again with those there are.

The engine closes: the slice under way ends, and what was begun is dropped there (``close()``), which leaves nothing
behind. None of that is a failure.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from nissa.model.errors import BlocksChanged, NissaError
from nissa.model.slices import Slices

IDLE_S = 1.0  # between two looks whether anything is due
REST_S = 0.1  # the same while a job rests
RETRY_S = 2.0
RETRY_MAX_S = 64.0

log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """One kind of work. due: True where ``run`` has something to do; cheap, for it is asked before every slice.

    run: does it, in one go, or in slices where it returns them.
    """

    name: str
    due: Callable[[], bool]
    run: Callable[[], Slices[None] | None]


class _State:
    """Progress of one job. slices: what was begun. rest_s: until its next turn. failed: how often in a row."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.slices: Slices[None] | None = None
        self.rest_s = 0.0
        self.runs = self.failures = self.failed = 0
        self.last_error: str | None = None


class Maintenance:
    """Owner of the maintenance thread and its jobs."""

    def __init__(self, jobs: Sequence[Job], beat: Callable[[], None]) -> None:
        """jobs: the most important one first. beat: called at each turn and slice, as a sign of progress."""
        self._states = tuple(_State(job) for job in jobs)
        self._beat = beat
        self.paused: frozenset[str] = frozenset()  # names of jobs that rest, also in the middle; set from any thread
        self._ending = threading.Event()
        self._wake = threading.Event()
        self.thread = threading.Thread(target=self._run, name="nissa-maintenance", daemon=True)

    # ---- on any thread ----

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def wake(self) -> None:
        """Something has become due: look at once."""
        self._wake.set()

    def end(self) -> None:
        """Let the thread end after the slice under way; ``join`` waits for it."""
        self._ending.set()
        self._wake.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self.thread.join()

    @property
    def failures(self) -> int:
        """Failures of all jobs since the start."""
        return sum(state.failures for state in self._states)

    @property
    def last_error(self) -> str | None:
        """The error of the first job whose last run has failed."""
        return next((state.last_error for state in self._states if state.last_error is not None), None)

    def facts(self) -> dict[str, dict[str, Any]]:
        """For ``/api/status``, by job. runs: that came to their end. last_error: of the last run, if it failed."""
        return {
            state.job.name: {"runs": state.runs, "failures": state.failures, "last_error": state.last_error}
            for state in self._states
        }

    # ---- on the maintenance thread ----

    def _run(self) -> None:
        while not self._ending.is_set():
            self._beat()
            if not self.turn():
                self._rest()
        for state in self._states:
            if state.slices is not None:
                with suppress(Exception):  # a file that could not be deleted is garbage at the next start
                    state.slices.close()

    def turn(self) -> bool:
        """One slice of the first job that is due; False where none is."""
        paused = self.paused
        return any(state.rest_s <= 0 and state.job.name not in paused and self._step(state) for state in self._states)

    def _step(self, state: _State) -> bool:
        try:
            if state.slices is None:
                if not state.job.due():
                    return False
                state.slices = state.job.run()
            if state.slices is not None:
                state.rest_s = next(state.slices)
                return True
        except StopIteration:
            pass
        except BlocksChanged as error:
            log.debug("a maintenance job begins again with other blocks", job=state.job.name, reason=str(error))
            state.slices = None
            return True
        except Exception as error:  # nothing is lost: it is tried again
            self._note_failure(state, error)
            return True
        state.slices, state.last_error = None, None
        state.runs += 1
        state.failed = 0
        return True

    def _note_failure(self, state: _State, error: Exception) -> None:
        state.slices = None
        if self._ending.is_set():
            return
        state.rest_s = min(RETRY_S * 2**state.failed, RETRY_MAX_S)
        state.failed = min(state.failed + 1, 16)
        state.last_error = f"{type(error).__name__}: {error}"
        state.failures += 1
        known = isinstance(error, NissaError | OSError)
        what = "a maintenance job failed; it is tried again"
        log.error(what, job=state.job.name, error=state.last_error, retry_s=state.rest_s, exc_info=not known)

    def _rest(self) -> None:
        resting = [state for state in self._states if state.rest_s > 0]
        seconds = min([REST_S, *(state.rest_s for state in resting)]) if resting else IDLE_S
        if self._wake.wait(seconds):
            self._wake.clear()
            return
        for state in resting:
            state.rest_s -= seconds
