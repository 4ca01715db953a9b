"""The maintenance thread: the most important job that is due has its slice, and one that fails harms no other."""

import threading
from collections.abc import Callable

import pytest

from nissa.maintenance import jobs
from nissa.maintenance.jobs import Job, Maintenance
from nissa.model.errors import BlocksChanged, Unavailable
from nissa.model.slices import Slices
from oracle.engine import wait_until


def nothing() -> None:
    """Takes signs of progress, and ignores them."""


class Work:
    """A job of so many slices each time it is due. log: of all jobs, what they did."""

    def __init__(self, name: str, log: list[str], slices: int = 3) -> None:
        self.name, self.log, self.slices = name, log, slices
        self.is_due = False
        self.error: Exception | None = None
        self.rest_s = 0.0

    def run(self) -> Slices[None]:
        """All slices."""
        try:
            for at in range(self.slices):
                self.log.append(f"{self.name}{at}")
                if self.error is not None:
                    raise self.error
                yield self.rest_s
            self.is_due = False
        finally:
            self.log.append(f"{self.name}.")

    @property
    def job(self) -> Job:
        """The work as a ``Job``."""
        return Job(self.name, lambda: self.is_due, self.run)


def turns(maintenance: Maintenance) -> int:
    """Have turns until nothing is due; returns how many."""
    count = 0
    while maintenance.turn():
        count += 1
    return count


def test_the_most_important_job_goes_first_also_between_slices() -> None:
    """One that becomes due in the middle of another has all its slices, then the other goes on where it was."""
    log: list[str] = []
    first, second = Work("a", log, 2), Work("b", log)
    maintenance = Maintenance((first.job, second.job), nothing)
    second.is_due = True
    assert maintenance.turn()
    first.is_due = True
    turns(maintenance)
    assert log == ["b0", "a0", "a1", "a.", "b1", "b2", "b."]
    assert {name: facts["runs"] for name, facts in maintenance.facts().items()} == {"a": 1, "b": 1}


def test_a_job_may_be_done_in_one_slice() -> None:
    """A job whose ``run`` returns None is done in one slice."""
    done: list[int] = []
    maintenance = Maintenance((Job("a", lambda: len(done) < 2, lambda: done.append(1)),), nothing)
    assert turns(maintenance) == 2
    assert maintenance.facts()["a"]["runs"] == 2


def test_a_job_that_rests_lets_others_go_on() -> None:
    """A resting job goes on after its rest, when no other job has work."""
    log: list[str] = []
    first, second = Work("a", log, 2), Work("b", log, 2)
    first.rest_s = 2.5 * jobs.REST_S
    maintenance = Maintenance((first.job, second.job), nothing)
    first.is_due = second.is_due = True
    turns(maintenance)
    assert log == ["a0", "b0", "b1", "b."]
    for _ in range(3):
        assert not maintenance.turn()
        maintenance._rest()
    assert maintenance.turn()
    assert log[-1] == "a1"


def test_failures_are_counted_and_tried_again_at_a_bounded_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests double up to a maximum; a success begins anew; other jobs go on."""
    log: list[str] = []
    first, second = Work("a", log), Work("b", log, 1)
    maintenance = Maintenance((first.job, second.job), nothing)
    first.is_due, first.error = True, OSError("No space left")
    rests = []
    state = maintenance._states[0]
    for _ in range(8):
        second.is_due = True
        turns(maintenance)
        rests.append(state.rest_s)
        state.rest_s = 0
    assert rests == [2, 4, 8, 16, 32, 64, 64, 64]
    assert maintenance.failures == 8
    assert maintenance.last_error == maintenance.facts()["a"]["last_error"] == "OSError: No space left"
    assert maintenance.facts()["b"] == {"runs": 8, "failures": 0, "last_error": None}
    first.error = None
    turns(maintenance)
    assert maintenance.last_error is None
    first.is_due, first.error = True, ZeroDivisionError()
    turns(maintenance)
    assert state.rest_s == jobs.RETRY_S


def test_blocks_that_changed_are_no_failure() -> None:
    """The job begins again at once."""
    log: list[str] = []
    work = Work("a", log, 1)
    work.is_due, work.error = True, BlocksChanged("block 7 was replaced meanwhile")
    maintenance = Maintenance((work.job,), nothing)
    assert maintenance.turn()
    work.error = None
    turns(maintenance)
    assert log == ["a0", "a.", "a0", "a."]
    assert maintenance.failures == 0


def test_a_job_that_cannot_say_whether_it_is_due_fails() -> None:
    """A job whose ``due`` raises counts as failed, and rests."""

    def is_due() -> bool:
        raise Unavailable("the disk is full")

    maintenance = Maintenance((Job("a", is_due, nothing),), nothing)
    assert turns(maintenance) == 1
    assert maintenance.facts()["a"]["failures"] == 1


def running(work: Work, beat: Callable[[], None] = nothing) -> Maintenance:
    """A thread at work."""
    maintenance = Maintenance((work.job,), beat)
    maintenance.start()
    return maintenance


def test_the_thread_ends_in_the_middle_of_a_job(capfd: pytest.CaptureFixture[str]) -> None:
    """The job under way is closed, neither counted as failed nor logged; the same if it fails because of the end."""
    log: list[str] = []
    reached, go_on = threading.Event(), threading.Event()

    class Held(Work):
        def run(self) -> Slices[None]:
            try:
                yield 0.0
                reached.set()
                go_on.wait(60)
                if self.error is not None:
                    raise self.error
                yield 0.0
                log.append("too far")
            finally:
                log.append("closed")

    for error in (None, Unavailable("the engine closes")):
        reached.clear()
        go_on.clear()
        work = Held("a", log)
        work.is_due, work.error = True, error
        maintenance = running(work)
        assert reached.wait(60)
        maintenance.end()
        go_on.set()
        maintenance.join()
        assert maintenance.failures == 0
    assert log == ["closed", "closed"]
    assert "".join(capfd.readouterr()) == ""


def test_the_thread_ends_while_a_job_rests() -> None:
    """The thread ends at once, however long the rest."""
    work = Work("a", [])
    work.is_due, work.rest_s = True, 3_600.0
    maintenance = running(work)
    wait_until(lambda: bool(work.log))
    maintenance.end()
    maintenance.join()
    assert work.log == ["a0", "a."]


def test_a_thread_that_waits_shows_progress_and_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting thread looks for work from time to time, or at once when it is woken."""
    beats: list[int] = []
    work = Work("a", [], 1)
    monkeypatch.setattr(jobs, "IDLE_S", 0.01)
    maintenance = running(work, lambda: beats.append(1))
    wait_until(lambda: len(beats) > 3)
    monkeypatch.setattr(jobs, "IDLE_S", 3_600.0)
    work.is_due = True
    maintenance.wake()
    wait_until(lambda: maintenance.facts()["a"]["runs"] == 1)
    maintenance.end()
    maintenance.join()


def test_a_paused_job_rests_in_the_middle() -> None:
    """A job that is paused does no slice, the others go on, and it goes on where it was."""
    log: list[str] = []
    first, second = Work("a", log, 2), Work("b", log)
    maintenance = Maintenance((first.job, second.job), nothing)
    second.is_due = True
    assert maintenance.turn()
    maintenance.paused = frozenset("b")
    first.is_due = True
    assert turns(maintenance) == 3
    assert log == ["b0", "a0", "a1", "a."]
    maintenance.paused = frozenset()
    assert turns(maintenance) == 3
    assert log[4:] == ["b1", "b2", "b."]
