"""Followers of an engine see acknowledged frames once, over seals, restarts, kills and failures of the disk."""

import errno
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import nissa
from nissa.catalogue.state import State
from nissa.ingest.following import ROOM, StoredCursors
from nissa.journal.follower import Cursor, Follower
from nissa.model.context import Context
from nissa.model.errors import Damaged, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, BadDisk, Rig, body_of, config_of, wait_until

SMALL = {"segment_bytes": 64 << 10, "seal_samples": 400, "seal_interval_ms": 60_000}


def test_cursors_are_in_the_state_store(tmp_path: Path) -> None:
    """Written, moved and forgotten; one that cannot be read is damage that names itself."""
    state = State.open(tmp_path)
    cursors = StoredCursors(state)
    cursors.write("a", Cursor(5, 1, 64, 2))
    cursors.write("b", Cursor(7))
    cursors.write("a", Cursor(6, 1, 128, 2))
    cursors.write("b", None)
    state.close()
    state = State.open(tmp_path)
    assert StoredCursors(state).read() == {"a": Cursor(6, 1, 128, 2)}
    state.commit(ROOM, {"c": b"?"})
    with pytest.raises(Damaged, match="a cursor in it cannot be read"):
        StoredCursors(state).read()
    state.close()


class World:
    """A rig with a follower that acknowledges now and then, and what it must have seen."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.rng, self.number = rng, 0
        self.rig = Rig(path, config_of(storage=SMALL))
        self.expected: list[int] = []  # values of frames that were acknowledged
        self.seen: list[int] = []  # of frames that were read, in order; cut back to the cursor by a kill
        self.acknowledged = 0  # of these
        self.follow(backfill=True)

    def follow(self, *, backfill: bool = False) -> None:
        self.follower: Follower = self.rig.engine.followers.open("f", backfill=backfill)
        self.lsns: list[int] = []  # of frames seen and not acknowledged
        del self.seen[self.acknowledged :]

    def send(self, count: int = 10) -> None:
        """Frames of one sample each."""
        waiting = []
        for _ in range(count):
            self.number += 1
            waiting.append((self.number, self.rig.submit([(f"m{self.number}", NOW_MS, ONE)])))
        for number, completed in waiting:
            if isinstance(completed.get(timeout=60), Receipt):
                self.expected.append(number)

    def read(self) -> None:
        for entry in self.follower.read(self.rng.choice((1, 4_000, 1 << 20))):
            if entry.frame.codec == Codec.REMOTE_WRITE_1:
                self.seen.append(number_in(entry.frame))
                self.lsns.append(entry.lsn)
        if self.lsns and self.rng.random() < 0.7:
            self.follower.acknowledge(self.lsns[-1])
            self.lsns, self.acknowledged = [], len(self.seen)

    def check(self) -> None:
        def is_done() -> bool:
            self.read()
            return len(self.seen) >= len(self.expected)

        wait_until(is_done)
        assert self.seen == self.expected
        assert self.follower.lost_frames == 0


def number_in(frame: Frame) -> int:
    """Number of a frame, read from the name of its only series."""
    at = frame.body.index(b"__name__") + 11
    return int(frame.body[at : frame.body.index(b"\x12", at)])


@pytest.mark.parametrize("seed", range(2))
def test_a_follower_sees_what_was_acknowledged(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames, seals, restarts, kills, and a disk that fails under the journal: none is missing, none comes twice."""
    rng = random.Random(seed)
    world = World(tmp_path / "data", rng)
    for turn in range(24):
        world.send(rng.randrange(1, 30))
        for _ in range(rng.randrange(4)):
            world.read()
        match rng.randrange(7):
            case 0:
                world.rig.engine.flush()
            case 1:
                world.rig.restart()
                world.follow()
            case 2:
                world.rig.crash()
                world.follow()
            case 3 if turn > 3:
                fail_for_a_while(world, monkeypatch)
    world.check()
    assert len(world.expected) > 100
    world.rig.engine.close()


def fail_for_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal cannot be synced; then it can again."""
    with monkeypatch.context() as patch:
        disk = BadDisk(patch, "fdatasync", errno.ENOSPC)
        disk.failing = True
        world.send(3)
        world.read()
        disk.failing = False
        wait_until(lambda: world.rig.engine.status().mode == "ready")


def test_what_a_follower_needs_outlives_seals(tmp_path: Path) -> None:
    """Segments that a follower needs stay, and are in the status; they do not trigger one seal after another."""
    rig = Rig(tmp_path / "data", config_of(storage={**SMALL, "journal_bytes_max": 128 << 10}))
    follower = rig.engine.followers.open("slow", backfill=True)
    for turn in range(40):
        rig.keep([(f"m{turn}_{number}", NOW_MS, ONE) for number in range(150)])
    rig.engine.flush()
    rig.engine.flush()
    status: dict[str, Any] = rig.engine.status().facts()
    seals = status["seal"]["count"]
    assert status["followers"]["kept_bytes"] > 128 << 10
    assert status["followers"]["cursors"]["slow"]["backlog_frames"] == status["followers"]["backlog_frames"] == 40
    rig.keep([("one", NOW_MS, ONE)])
    time.sleep(1.2)  # longer than the engine's tick
    assert rig.engine.status().facts()["seal"]["count"] == seals
    frames = []
    while read := follower.read():
        frames += read
    assert len(frames) == 41
    follower.acknowledge(frames[-1].lsn)
    rig.keep([("two", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["followers"]["kept_bytes"] == 0)
    rig.engine.close()


def test_a_damaged_store_refuses_to_open(tmp_path: Path) -> None:
    """Without its cursors a directory would lose what followers have not had: it names the file and stays as it is."""
    rig = Rig(tmp_path / "data")
    rig.engine.followers.open("a")
    rig.engine.close()
    path = tmp_path / "data" / "state.sqlite"
    data = path.read_bytes()
    path.write_bytes(b"not a store" * 100)
    with pytest.raises(Damaged, match=r"state\.sqlite"):
        Rig(tmp_path / "data")
    path.write_bytes(data)
    Rig(tmp_path / "data").engine.close()


def test_a_follower_goes_on_while_the_engine_is_closed_for_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames acknowledged before the disk failed can be read while it fails."""
    rig = Rig(tmp_path / "data")
    follower = rig.engine.followers.open("a", backfill=True)
    rig.keep([("a", NOW_MS, ONE)])
    with monkeypatch.context() as patch:
        disk = BadDisk(patch, "fdatasync", errno.ENOSPC)
        disk.failing = True
        assert isinstance(rig.send([("b", NOW_MS, ONE)]), Unavailable)
        assert [entry.frame.body for entry in follower.read()] == [body_of([("a", NOW_MS, ONE)])]
        disk.failing = False
        wait_until(lambda: rig.engine.status().mode == "ready")
    rig.engine.close()


def test_frames_with_a_context_reach_followers(tmp_path: Path) -> None:
    """Followers read body, context, time and source as they came."""
    rig = Rig(tmp_path / "data")
    follower = rig.engine.followers.open("a")
    body = body_of([("a", NOW_MS, ONE)])
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, context=b"\x81\xa3url\xa1u")
    assert isinstance(rig.submit_frame(frame).get(timeout=60), Receipt)
    assert follower.wait(10)
    assert [entry.frame for entry in follower.read()] == [frame]
    rig.engine.close()


GOLDEN = Path(__file__).parents[1] / "goldens" / "directory-7"


def golden_frame(number: int) -> Frame:
    """One of the five frames of the golden directory; the third and the fourth have a context."""
    contexts = {3: Context(labels={"job": "target"}, url="http://10.0.0.1:9100/metrics"), 4: Context(tenant=("t", "x"))}
    context = contexts.get(number, Context()).encode()
    body = body_of([(f"m{number}", NOW_MS + number, ONE)])
    return Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, context=context)


def write_golden(path: Path) -> None:
    """Write the golden directory. Not run by tests: the directory is committed."""
    rig = Rig(path)
    follower = rig.engine.followers.open("audit", backfill=True)
    for number in range(1, 6):
        rig.submit_frame(golden_frame(number)).get(timeout=60)
        if number == 3:
            rig.engine.flush()
    follower.acknowledge(follower.read(1)[-1].lsn)
    follower.acknowledge(follower.read(1)[-1].lsn)
    rig.engine.close()


def test_a_directory_of_format_7_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Format 7, frozen: contexts in the journal, a cursor in the state store, digests that are sums."""
    path = tmp_path / "data"
    shutil.copytree(GOLDEN, path)
    assert verify_directory(path).sound
    with nissa.open(path) as data:
        labels = [{"__name__": f"m{number}"} for number in range(1, 6)]
        labels[2]["job"], labels[3]["t"] = "target", "x"
        assert data.series(()) == labels
    rig = Rig(path)
    follower = rig.engine.followers.open("audit")
    assert follower.cursor.lsn == 2
    assert [entry.frame for entry in follower.read()] == [golden_frame(number) for number in (3, 4, 5)]
    assert follower.lost_frames == 0
    rig.engine.close()
