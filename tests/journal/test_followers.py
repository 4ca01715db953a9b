"""Followers beside a model: every acknowledged frame once and in order, whatever the journal and the disk do."""

import errno
import os
import random
from pathlib import Path

import pytest
from journal.test_journal import INTERVAL, Clock, abandon, frame, opened

from nissa.journal.follower import Cursor, Follower
from nissa.journal.followers import Bounds, Followers
from nissa.journal.journal import Journal
from nissa.model.durability import FSYNC, OS, Durability
from nissa.model.errors import JournalFailed, Unavailable
from nissa.model.units import DAY_MS, MIB

WIDE = Bounds(1 << 40, 1 << 50)


class Kept:
    """Cursors in a dictionary, which a kill leaves as they are."""

    def __init__(self) -> None:
        self.cursors: dict[str, Cursor] = {}
        self.failing = False

    def read(self) -> dict[str, Cursor]:
        return dict(self.cursors)

    def write(self, name: str, cursor: Cursor | None) -> None:
        if self.failing:
            raise Unavailable("the disk is full")
        if cursor is None:
            self.cursors.pop(name)
        else:
            self.cursors[name] = cursor


def followers_of(journal: Journal, kept: Kept, bounds: Bounds = WIDE, clock: Clock | None = None) -> Followers:
    return Followers(journal, kept, bounds, clock or Clock(), lambda: False)


def fill(journal: Journal, count: int, first: int = 0) -> list[int]:
    """Frames in commits of their own; their LSNs."""
    lsns = []
    for number in range(first, first + count):
        lsns.append(journal.append(frame(number), 0))
        journal.commit()
    return lsns


def drain(follower: Follower) -> list[int]:
    """LSNs of everything there is to read."""
    lsns = []
    while frames := follower.read():
        lsns += [one.lsn for one in frames]
    return lsns


class World:
    """A journal with followers that is killed, trimmed and fails; the acknowledged frames that each must see."""

    def __init__(self, directory: Path, rng: random.Random, durability: Durability) -> None:
        self.directory, self.rng, self.durability = directory, rng, durability
        self.kept = Kept()
        self.frames: dict[int, bytes] = {}  # appended and not given up, by LSN
        self.acknowledged = self.checkpoint = 0
        self.seen: dict[str, int] = {}  # the last frame each follower read
        self.number = 0
        self.start()

    def start(self) -> None:
        self.journal = opened(self.directory, self.durability, after_lsn=self.checkpoint)
        self.followers = followers_of(self.journal, self.kept)
        self.open: dict[str, Follower] = {}
        for name in list(self.seen):
            self.seen[name] = self.kept.cursors[name].lsn

    def follow(self) -> None:
        name = self.rng.choice("abcdef")
        if name in self.open:
            return
        is_new = name not in self.seen
        self.open[name] = self.followers.open(name)
        if is_new:
            self.seen[name] = self.open[name].cursor.lsn
        if is_new or self.open[name].next_lsn <= self.seen[name]:
            self.seen[name] = self.open[name].next_lsn - 1

    def append(self) -> None:
        for _ in range(self.rng.randrange(1, 6)):
            body = os.urandom(self.rng.choice((0, 10, 300, 5_000)))
            self.frames[self.journal.append(frame(self.number, body), 0)] = body
            self.number += 1

    def commit(self) -> None:
        self.journal.prepare()
        try:
            self.acknowledged = self.journal.commit()
        except JournalFailed:
            self.give_up()

    def give_up(self) -> None:
        self.journal.discard_pending()
        self.frames = {lsn: body for lsn, body in self.frames.items() if lsn <= self.acknowledged}

    def read(self) -> None:
        if not self.open:
            return
        name, follower = self.rng.choice(list(self.open.items()))
        for entry in follower.read(self.rng.choice((1, 2_000, 1 << 20))):
            between = [lsn for lsn in self.frames if self.seen[name] < lsn < entry.lsn]
            assert not between, (name, self.seen[name], entry.lsn, between)
            assert entry.lsn <= self.acknowledged
            assert entry.frame.body == self.frames[entry.lsn]
            self.seen[name] = entry.lsn
        assert follower.lost_frames == 0
        if self.rng.random() < 0.5:
            follower.acknowledge(self.seen[name])
        if self.rng.random() < 0.1:
            follower.rewind()
            self.seen[name] = follower.cursor.lsn
        if self.rng.random() < 0.1:
            self.followers.close(name)
            del self.open[name]
            self.seen[name] = self.kept.cursors[name].lsn

    def trim(self) -> None:
        self.checkpoint = self.acknowledged
        self.journal.cut(self.checkpoint)
        self.journal.trim(self.checkpoint)

    def kill(self) -> None:
        abandon(self.journal)
        self.frames = {lsn: body for lsn, body in self.frames.items() if lsn <= self.acknowledged}
        self.start()
        self.acknowledged = max(self.acknowledged, self.journal.durable_lsn)

    def finish(self) -> None:
        self.commit()
        for name in "abcdef":
            if name in self.seen and name not in self.open:
                self.open[name] = self.followers.open(name)
                self.seen[name] = self.open[name].cursor.lsn
        for name, follower in self.open.items():
            expected = [lsn for lsn in sorted(self.frames) if self.seen[name] < lsn <= self.acknowledged]
            assert drain(follower) == expected, name
            assert follower.lost_frames == 0


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_followers_beside_a_model(
    tmp_path: Path, seed: int, durability: Durability, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appends, commits that fail and are tried again or given up, trims, kills, up to six followers that come and go:
    each reads every acknowledged frame behind its cursor once, in order, and nothing else."""
    rng = random.Random(seed)
    world = World(tmp_path, rng, durability)
    real, failing = os.fdatasync, [0]

    def fdatasync(fd: int) -> None:
        if failing[0] > 0:
            failing[0] -= 1
            raise OSError(errno.EIO, "planted")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    steps = {world.append: 30, world.commit: 30, world.read: 60, world.follow: 10, world.trim: 5, world.kill: 2}
    for _ in range(500):
        if rng.random() < 0.03 and durability.mode == "fsync":
            failing[0] = rng.choice((1, 2, 4))
        (step,) = rng.choices(list(steps), list(steps.values()))
        step()
        if step != world.commit:
            failing[0] = 0
    world.finish()
    assert world.number > 200
    world.journal.close()


def test_new_followers_start_now_or_at_the_oldest(tmp_path: Path) -> None:
    """Without backfill only later frames are read; a name is open once; forgetting a follower frees its segments."""
    journal, kept = opened(tmp_path), Kept()
    followers = followers_of(journal, kept)
    fill(journal, 5)
    new, old = followers.open("new"), followers.open("old", backfill=True)
    fill(journal, 2, 5)
    assert drain(new) == [6, 7]
    assert drain(old) == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="old is open already"):
        followers.open("old")
    assert followers.facts()["cursors"]["old"] == {"cursor_lsn": 0, "backlog_frames": 7, "lost_frames": 0, "open": True}
    followers.forget("old")
    assert set(kept.cursors) == set(followers.facts()["cursors"]) == {"new"}
    journal.close()


def test_what_a_cursor_needs_is_kept_and_nothing_else(tmp_path: Path) -> None:
    """Segments stay while the lowest cursor needs them; they do not count as something a seal could free."""
    journal, kept = opened(tmp_path), Kept()
    followers = followers_of(journal, kept)
    follower = followers.open("a", backfill=True)
    fill(journal, 400)
    assert journal.segment_count > 4
    assert journal.trim(400) == 0
    assert (journal.trimmable_bytes, len(list(tmp_path.glob("*.journal")))) == (0, journal.segment_count)
    assert len(drain(follower)) == 400
    follower.acknowledge(250)
    assert journal.trim(400) > 0
    assert journal.segments()[0].first_lsn <= 251 <= journal.segments()[1].first_lsn
    follower.rewind()
    assert drain(follower) == list(range(251, 401))
    follower.acknowledge(400)
    journal.trim(400)
    assert journal.segment_count == 1
    assert follower.lost_frames == 0
    journal.close()


@pytest.mark.parametrize("is_open", [True, False])
def test_beyond_its_bytes_the_oldest_is_given_up(tmp_path: Path, is_open: bool) -> None:
    """The newest segments within the bound stay for it; the rest is counted as lost, also for one that is not open."""
    journal, kept = opened(tmp_path), Kept()
    bounds = Bounds(20_000, DAY_MS)
    followers = followers_of(journal, kept, bounds)
    follower = followers.open("slow", backfill=True)
    ahead = followers.open("ahead")
    fill(journal, 400)
    drain(ahead)
    ahead.acknowledge(400)
    if not is_open:
        followers.close("slow")
    journal.trim(400)
    closed = journal.segments(closed=True)
    assert 0 < sum(one.bytes for one in closed) <= 20_000
    first = closed[0].first_lsn
    if not is_open:
        follower = followers.open("slow")
    assert (follower.lost_frames, kept.cursors["slow"].lsn, follower.next_lsn) == (first - 1, first - 1, first)
    assert drain(follower) == list(range(first, 401))
    assert (follower.lost_frames, ahead.lost_frames) == (first - 1, 0)
    assert followers.given_up_bytes > 0
    journal.close()


def test_beyond_its_age_the_oldest_is_given_up(tmp_path: Path) -> None:
    """By the time of the last write to a segment; not while the clock is in doubt, and not while it was set back."""
    clock, kept, doubt = Clock(), Kept(), [True]
    journal = opened(tmp_path, clock=clock)
    followers = Followers(journal, kept, Bounds(MIB, 10_000), clock, lambda: doubt[0])
    follower = followers.open("slow", backfill=True)
    fill(journal, 100)
    clock.now_ms += 8_000
    fill(journal, 100, 100)
    clock.now_ms -= 7_000
    assert journal.trim(200) == 0
    clock.now_ms += 14_000
    assert journal.trim(200) == 0
    doubt[0] = False
    assert journal.trim(200) > 0
    assert follower.next_lsn > 50
    assert follower.lost_frames == follower.next_lsn - 1
    assert drain(follower)[-1] == 200
    journal.close()


def test_a_cursor_that_cannot_be_kept_stays(tmp_path: Path) -> None:
    """If the disk does not take a cursor, segments behind it are kept; trimming goes on once it does."""
    journal, kept = opened(tmp_path), Kept()
    followers = followers_of(journal, kept, Bounds(10_000, DAY_MS))
    follower = followers.open("a", backfill=True)
    fill(journal, 200)
    kept.failing = True
    drain(follower)
    with pytest.raises(Unavailable):
        follower.acknowledge(100)
    assert journal.trim(200) == 0
    assert follower.cursor.lsn == kept.cursors["a"].lsn == 0
    kept.failing = False
    assert journal.trim(200) > 0
    journal.close()


def test_a_cursor_of_another_journal_begins_anew(tmp_path: Path) -> None:
    """A directory that was put back from a backup has fewer frames than a cursor says: following starts now."""
    journal, kept = opened(tmp_path), Kept()
    fill(journal, 3)
    kept.cursors["a"] = Cursor(1_000, 990, 64)
    follower = followers_of(journal, kept).open("a")
    fill(journal, 1, 3)
    assert drain(follower) == [4]
    journal.close()
