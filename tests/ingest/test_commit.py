"""The commit thread on disks that fail: outcomes of senders, visible rows, and recovery by itself."""

import errno
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nissa.ingest import commit
from nissa.ingest.commit import Committer, PendingAck
from nissa.ingest.head import Head
from nissa.journal.journal import Journal
from nissa.maintenance.space import Space
from nissa.model.durability import FSYNC, parse_durability
from nissa.model.errors import Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome
from nissa.model.receipt import Receipt
from nissa.model.units import KIB
from oracle.engine import NOW_MS, ONE, BadDisk, Rig, Sample, body_of, config_of, wait_until

FAILURES = [("fdatasync", errno.EIO), ("pwritev", errno.ENOSPC), ("pwritev", errno.EIO), ("fdatasync", errno.EDQUOT)]


@pytest.mark.parametrize(("call", "number"), FAILURES)
def test_what_the_disk_refuses_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Frames the disk did not take are settled as Unavailable, never seen, counted; it comes back by itself."""
    disk = BadDisk(monkeypatch, call, number)
    rig.keep([("before", NOW_MS, ONE)])
    disk.failing = True
    outcomes = [rig.submit([("lost", NOW_MS + turn, ONE), ("old", 0, ONE)]) for turn in range(50)]
    outcomes = [one.get(timeout=60) for one in outcomes]
    assert all(isinstance(one, Unavailable) and one.retry_after_s > 0 for one in outcomes)
    assert rig.read() == rig.rows
    assert rig.engine.status().mode == "read_only"
    assert isinstance(rig.send([("closed", NOW_MS, ONE)]), Unavailable)
    disk.failing = False
    wait_until(lambda: rig.engine.status().mode == "ready")
    rig.keep([("after", NOW_MS, ONE), ("lost", NOW_MS, ONE)])
    lost = rig.total().refused["unavailable"]
    assert 1 <= lost <= 50
    assert rig.total().refused["too_old"] == lost
    rig.refused.update(unavailable=lost, too_old=lost)
    rig.check()
    rig.crash()
    rig.check()


def test_a_failed_file_is_never_synced_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is on a fresh segment, there are at most four, and afterwards only probes touch the disk."""
    rig.keep([("a", NOW_MS, ONE)])
    disk = BadDisk(monkeypatch, "fdatasync")
    disk.failing = True
    assert isinstance(rig.send([("b", NOW_MS, ONE)]), Unavailable)
    assert disk.calls == 4
    assert isinstance(rig.send([("b", NOW_MS, ONE)]), Unavailable)
    assert disk.calls == 4
    disk.failing = False
    wait_until(lambda: rig.engine.status().mode == "ready")


def test_one_failure_is_nobodys_business(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single error is met with a fresh segment: the frame is acknowledged, and read after a crash."""
    rig.keep([("a", NOW_MS, ONE)])
    disk = BadDisk(monkeypatch, "fdatasync")
    real = disk._real

    def once(*arguments: object) -> object:
        monkeypatch.setattr("os.fdatasync", real)
        raise OSError(errno.EIO, "once")

    monkeypatch.setattr("os.fdatasync", once)
    rig.keep([("b", NOW_MS, ONE)])
    rig.crash()
    rig.check()


@pytest.mark.parametrize("seed", range(2))
def test_failures_under_load(rig: Rig, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever moment the disk fails at, acknowledged is visible, refused is not, and both survive a crash."""
    rng = random.Random(seed)
    disk = BadDisk(monkeypatch, rng.choice(("fdatasync", "pwritev")))
    completed: list[tuple[int, Outcome]] = []
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for turn in range(sent, sent + count):
            frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of(load(turn)))
            rig.engine.submit(frame, lambda outcome, turn=turn: completed.append((turn, outcome)))
        sent += count

    def sent_until(condition: Callable[[], bool]) -> bool:
        send(rng.randrange(1, 20))
        return condition()

    for _ in range(2):
        send(rng.randrange(1, 300))
        disk.failing = True
        wait_until(lambda: sent_until(lambda: rig.engine.status().mode == "read_only"))
        disk.failing = False
        wait_until(lambda: sent_until(lambda: rig.engine.status().mode == "ready"))
    send(10)
    wait_until(lambda: len(completed) == sent)
    assert sorted(turn for turn, _ in completed) == list(range(sent))
    kept = [turn for turn, outcome in completed if isinstance(outcome, Receipt)]
    assert 10 <= len(kept) < sent
    rig.note(row for turn in kept for row in load(turn))
    assert rig.read() == rig.rows
    assert rig.total().stored == len(kept)
    rig.crash()
    assert rig.read() == rig.rows
    assert rig.total().stored == len(kept)


def load(turn: int) -> list[Sample]:
    """The sample of frame ``turn``."""
    return [("load", NOW_MS + turn, ONE)]


def test_too_little_space_closes_and_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the floor frames are refused before they are taken; with space back they are taken again."""
    rig = Rig(tmp_path / "data", config_of(storage={"free_bytes_min": 1_000}))
    free = 10_000
    monkeypatch.setattr(commit, "read_space", lambda *_: Space(free, 1_000))
    rig.keep([("a", NOW_MS, ONE)])
    free = 900
    unaware = [("a", NOW_MS + 1, ONE)]
    if isinstance(rig.send(unaware), Receipt):  # taken unless the tick of the commit thread looked first
        rig.note(unaware)
    wait_until(lambda: rig.engine.status().mode == "read_only")
    outcome = rig.send([("a", NOW_MS + 2, ONE)])
    assert isinstance(outcome, Unavailable)
    assert "storage.free_space_min" in str(outcome)
    rig.check()
    free = 1_100  # over the floor, not over it by a quarter
    assert isinstance(rig.send([("a", NOW_MS + 2, ONE)]), Unavailable)
    free = 1_300
    wait_until(lambda: rig.engine.status().mode == "ready")
    rig.keep([("a", NOW_MS + 2, ONE)])
    rig.check()
    rig.engine.close()


def test_closing_while_the_disk_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close settles everybody, and keeps nothing that it refused."""
    rig.keep([("a", NOW_MS, ONE)])
    disk = BadDisk(monkeypatch, "pwritev", errno.ENOSPC)
    disk.failing = True
    outcomes = [rig.submit([("b", NOW_MS + turn, ONE)]) for turn in range(20)]
    rig.engine.close()
    assert all(isinstance(one.get(timeout=1), Unavailable) for one in outcomes)
    disk.failing = False
    rig.engine = rig._open()
    rig.check()


@pytest.mark.parametrize("mode", ["fsync", "os", "interval:20"])
def test_every_mode_acknowledges_and_keeps(tmp_path: Path, mode: str) -> None:
    """In each durability mode a frame is settled without further traffic, and read after a crash of the process."""
    rig = Rig(tmp_path / "data", config_of(storage={"durability": mode}))
    for turn in range(5):
        rig.keep([("a", NOW_MS + turn, ONE)])
    assert rig.engine.durability == mode
    rig.crash()
    rig.check()
    rig.engine.close()


class Linger:
    """The pause behind a commit, which lasts until a test ends it. seconds: as asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.begun, self.over = threading.Event(), threading.Event()

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self.begun.set()
        return self.over.wait(60)


def test_frames_that_wait_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames handed in one after the other while a commit lingers are settled by one more."""
    rig = Rig(tmp_path / "data", config_of(storage={"commit_linger_ms": 300}))
    linger = Linger()
    monkeypatch.setattr(rig.engine._committer, "_pause", linger.wait)
    before = rig.engine.status().facts()["journal"]["commits"]
    waiting = [rig.submit([("a", NOW_MS, ONE)])]
    assert linger.begun.wait(60)
    waiting += [rig.submit([("a", NOW_MS + turn, ONE)]) for turn in range(1, 10)]
    rig.total()  # behind this all of them are with the committer
    linger.over.set()
    assert all(isinstance(one.get(timeout=60), Receipt) for one in waiting)
    assert rig.engine.status().facts()["journal"]["commits"] - before == 2
    rig.engine.close()
    assert linger.seconds == [0.3, 0.3]


class Desk:
    """A committer over a real journal, without an engine."""

    def __init__(self, path: Path, mode: str = "fsync") -> None:
        durability = FSYNC if mode == "fsync" else parse_durability(mode)
        self.journal = Journal(path, durability=durability, segment_bytes=64 * KIB, clock=lambda: NOW_MS)
        self.gave_up = 0
        self.committer = Committer(self.journal, path, config_of().storage, self._give_up)
        self.head = Head()
        self.outcomes: list[Outcome] = []

    def _give_up(self) -> None:
        self.gave_up += 1

    def pending_ack(self, outcome: Outcome, total: int = 0, complete: object = None) -> PendingAck:
        lsn = self.journal.append(Frame(Codec.TALLY, Encoding.IDENTITY, Source.HTTP, NOW_MS, b"{}"), 0)
        return PendingAck(complete or self.outcomes.append, outcome, self.head, total, lsn, 2)  # type: ignore[arg-type]


def test_settled_in_the_order_taken(tmp_path: Path) -> None:
    """Receipts and refusals come out in one order; an edge that fails is passed over; the head shows the rows."""
    desk = Desk(tmp_path)

    def broken(_: Outcome) -> None:
        raise ConnectionResetError

    some: list[Outcome] = [Receipt(lsn=1), Malformed("bad"), Receipt(lsn=2), Receipt(lsn=3)]
    group = [desk.pending_ack(one, total) for total, one in enumerate(some, 1)]
    group.insert(2, desk.pending_ack(Receipt(), 3, broken))
    desk.committer.start()
    desk.committer.put(group)
    desk.committer.stop()
    desk.journal.close()
    assert desk.outcomes == some
    assert (desk.head.visible, desk.committer.settled_frames, desk.committer.settled_bytes) == (4, 5, 10)


def test_what_came_before_the_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames taken before the engine gave up are forgotten: though the disk is well again, none is acknowledged."""
    desk = Desk(tmp_path)
    disk = BadDisk(monkeypatch, "fdatasync")
    disk.failing = True
    first = desk.pending_ack(Receipt(lsn=1), 1)
    desk.committer.start()
    desk.committer.put([first])
    wait_until(lambda: desk.gave_up == 1)
    disk.failing = False
    late = desk.pending_ack(Receipt(lsn=2), 2)
    desk.committer.put([late])
    desk.journal.discard_pending()  # as the engine does
    desk.committer.gave_up()
    wait_until(lambda: desk.committer.closed_reason is None)
    assert [type(one) for one in desk.outcomes] == [Unavailable, Unavailable]
    assert (desk.head.visible, desk.journal.durable_lsn) == (0, 0)
    desk.committer.put([desk.pending_ack(Receipt(lsn=3), 1)])
    desk.committer.stop()
    assert desk.outcomes[2:] == [Receipt(lsn=3)]
    assert desk.head.visible == 1
    desk.journal.close()


def test_an_error_nobody_foresaw_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever commit raises, the group is settled and the thread lives."""
    desk = Desk(tmp_path)

    def commit(_: Journal) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(Journal, "commit", commit)
    desk.committer.start()
    desk.committer.put([desk.pending_ack(Receipt(lsn=1), 1)])
    wait_until(lambda: len(desk.outcomes) == 1)
    monkeypatch.undo()
    desk.journal.discard_pending()
    desk.committer.gave_up()
    wait_until(lambda: desk.committer.closed_reason is None)
    desk.committer.put([desk.pending_ack(Receipt(lsn=2), 1)])
    desk.committer.stop()
    assert isinstance(desk.outcomes[0], Unavailable)
    assert desk.outcomes[1] == Receipt(lsn=2)
    desk.journal.close()
