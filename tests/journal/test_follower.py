"""One follower: its wake-ups, its beginning, and frames it loses by damage."""

import threading
from pathlib import Path

from journal.test_followers import Kept, drain, fill, followers_of
from journal.test_journal import opened

from nissa.journal.follower import Cursor


def test_a_commit_wakes_who_waits(tmp_path: Path) -> None:
    """Two followers wait on threads of their own; each hears of a commit, and reads it."""
    journal = opened(tmp_path)
    followers = followers_of(journal, Kept())
    notified = threading.Event()
    waiting = [followers.open("a", notify=notified.set), followers.open("b")]
    seen: list[list[int]] = [[], []]

    def run(place: int) -> None:
        while len(seen[place]) < 3:
            assert waiting[place].wait(60)
            seen[place] += [one.lsn for one in waiting[place].read()]

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    fill(journal, 3)
    for thread in threads:
        thread.join()
    assert seen == [[1, 2, 3]] * 2
    assert notified.is_set()
    assert not waiting[0].wait(0)
    journal.close()


def test_damage_costs_the_frames_it_hit(tmp_path: Path) -> None:
    """A flipped bit in a closed segment, and a missing segment: these frames are counted, the others are read."""
    journal = opened(tmp_path)
    followers = followers_of(journal, Kept())
    follower = followers.open("a", backfill=True)
    fill(journal, 400)
    hit, gone = journal.segments()[1], journal.segments()[3]
    data = bytearray(hit.path.read_bytes())
    data[64 + 64 + 2] ^= 1  # in the body of its first frame
    hit.path.write_bytes(data)
    gone.path.unlink()
    lost = {hit.first_lsn, *range(gone.first_lsn, gone.last_lsn + 1)}
    assert drain(follower) == [lsn for lsn in range(1, 401) if lsn not in lost]
    assert follower.lost_frames == len(lost)
    follower.acknowledge(400)
    assert followers.facts()["lost_frames"] == len(lost)
    journal.close()


def test_reading_begins_at_the_offset_of_the_cursor(tmp_path: Path) -> None:
    """After a restart not one frame in front of the cursor is read; a wrong offset costs a scan and nothing else."""
    kept = Kept()
    journal = opened(tmp_path)
    follower = followers_of(journal, kept).open("a", backfill=True)
    fill(journal, 60)
    drain(follower)
    follower.acknowledge(50)
    journal.close()
    assert kept.cursors["a"].offset > 64
    for shift in (0, 8):
        cursor = kept.cursors["a"]
        kept.cursors["a"] = Cursor(50, cursor.segment, cursor.offset + shift)
        again = opened(tmp_path)
        follower = followers_of(again, kept).open("a")
        assert drain(follower) == list(range(51, 61))
        assert follower.lost_frames == 0
        again.close()
