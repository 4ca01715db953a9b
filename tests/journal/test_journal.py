"""The journal's writer on real files, over every fault a disk can answer with."""

import contextlib
import errno
import os
import queue
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nissa.journal.journal import RETRIES_MAX, Journal, JournalTail, RecoveryReport, read_journal
from nissa.journal.segment import PREPARED_NAME, frame_bytes
from nissa.model.context import Context
from nissa.model.durability import FSYNC, OS, Durability
from nissa.model.errors import JournalFailed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import MIB
from oracle.power_cut import PowerCut, PowerCutDisk

SEGMENT_BYTES = 8_192
INTERVAL = Durability("interval", 50)


class Clock:
    """Unix milliseconds that only the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def frame(number: int, body: bytes | None = None) -> Frame:
    """A frame that cannot be mistaken for another."""
    body = body if body is not None else f"frame {number} ".encode() * (number % 17 + 1)
    return Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 1_000 + number, body)


def opened(
    directory: Path, durability: Durability = FSYNC, *, after_lsn: int = 0, clock: Clock | None = None
) -> Journal:
    """A journal that goes on behind the frames in ``directory``."""
    report = RecoveryReport()
    for _ in read_journal(directory, after_lsn, report):
        pass
    return Journal(
        directory, durability=durability, segment_bytes=SEGMENT_BYTES, clock=clock or Clock(), tail=report.tail
    )


def bodies(directory: Path, after_lsn: int = 0) -> dict[int, bytes]:
    """LSN -> body of everything that counts."""
    return {entry.lsn: entry.frame.body for entry in read_journal(directory, after_lsn)}


def written(journal: Journal, numbers: range) -> dict[int, bytes]:
    """Append and commit one frame after the other; returns the bodies that must be read back."""
    kept = {}
    for number in numbers:
        kept[journal.append(frame(number), number)] = frame(number).body
        journal.commit()
    return kept


def abandon(journal: Journal) -> None:
    """Leave a journal as a kill does: no drain, no close; only the descriptors are closed."""
    for fd in (journal._prepared, journal._active.fd if journal._active else None):
        if fd is not None:
            os.close(fd)
    journal._prepared = journal._active = None


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
def test_every_field_of_a_frame_comes_back(tmp_path: Path, durability: Durability) -> None:
    """Codec, encoding, source, times, flags, new series, body and context are read back as they were given."""
    frames = [
        Frame(codec, encoding, source, received_ms, body, delimited, context)
        for codec in Codec
        for encoding in Encoding
        for source, received_ms, body, delimited, context in (
            (Source.HTTP, 0, b"", False, b""),
            (Source.SELF, -(2**63), b"x", True, Context(tenant=("t", "a")).encode()),
            (Source.EMBEDDED, 2**63 - 1, bytes(range(256)) * 9, False, Context(url="u" * 300).encode()),
        )
    ]
    journal = opened(tmp_path, durability)
    lsns = [journal.append(given_frame, index * 7) for index, given_frame in enumerate(frames)]
    assert journal.commit() == len(frames) == lsns[-1]
    journal.close()
    read = list(read_journal(tmp_path))
    assert [entry.frame for entry in read] == frames
    assert [entry.lsn for entry in read] == lsns == list(range(1, len(frames) + 1))
    assert [entry.new_series for entry in read] == [index * 7 for index in range(len(frames))]


def test_nothing_is_written_before_commit_and_everything_after(tmp_path: Path) -> None:
    """append does no I/O; commit makes all frames readable and returns the last LSN."""
    journal = opened(tmp_path)
    for number in range(5):
        journal.append(frame(number), 0)
    assert bodies(tmp_path) == {}
    assert journal.pending_bytes == sum(frame_bytes(len(frame(number).body)) for number in range(5))
    assert (journal.durable_lsn, journal.appended_lsn) == (0, 5)
    assert journal.commit() == 5
    assert len(bodies(tmp_path)) == 5
    assert (journal.durable_lsn, journal.pending_bytes) == (5, 0)
    assert journal.commit() == 5


def test_each_opening_writes_a_segment_of_its_own(tmp_path: Path) -> None:
    """A journal goes on with the next LSN, and leaves every byte of earlier runs as it was."""
    expected: dict[int, bytes] = {}
    before: dict[Path, bytes] = {}
    for run in range(4):
        journal = opened(tmp_path)
        expected |= written(journal, range(run * 3, run * 3 + 3))
        abandon(journal)
        assert bodies(tmp_path) == expected
        now = {path: path.read_bytes() for path in tmp_path.glob("*.journal")}
        assert len(now) == run + 1
        assert before.items() <= now.items()
        before = now


def test_opening_without_writing_leaves_nothing(tmp_path: Path) -> None:
    """A run without frames makes no segment, so a crash loop cannot fill the disk."""
    for _ in range(5):
        journal = opened(tmp_path)
        assert journal.prepare()
        abandon(journal)
    opened(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_segments_change_when_full_and_a_large_commit_gets_its_own(tmp_path: Path) -> None:
    """Frames never straddle segments, a frame larger than a segment is kept, and full segments give back their tail."""
    journal = opened(tmp_path)
    sizes = [3_000, 3_000, 3_000, 50_000, 10, 8_000, 8_000]
    for size in sizes:
        journal.append(frame(0, os.urandom(size)), 0)
        journal.commit()
        journal.prepare()
    journal.close()
    assert [len(body) for body in bodies(tmp_path).values()] == sizes
    assert journal.segment_count == len(list(tmp_path.glob("*.journal"))) == 6
    assert journal.bytes_on_disk == sum(path.stat().st_size for path in tmp_path.glob("*.journal"))
    assert journal.bytes_on_disk < sum(sizes) + 7 * 80 + 6 * 64


def test_trim_deletes_whole_segments_from_the_oldest_on_but_never_the_active_one(tmp_path: Path) -> None:
    """Only segments wholly at or below the LSN are deleted; the rest reads as before, after a reopening too."""
    journal = opened(tmp_path)
    expected = written(journal, range(300))
    assert journal.segment_count > 3
    names = sorted(path.name for path in tmp_path.glob("*.journal"))
    second_first = int(names[1].split(".")[0])
    assert journal.trim(second_first - 2) == 0
    on_disk = journal.bytes_on_disk
    freed = journal.trim(second_first - 1)
    assert freed > 0
    assert journal.bytes_on_disk == on_disk - freed
    assert sorted(path.name for path in tmp_path.glob("*.journal")) == names[1:]
    report = RecoveryReport()
    kept = {entry.lsn: entry.frame.body for entry in read_journal(tmp_path, second_first - 1, report)}
    assert kept == {lsn: body for lsn, body in expected.items() if lsn >= second_first}
    assert report.rot_frames == 0
    journal.trim(10**9)
    assert [path.name for path in tmp_path.glob("*.journal")] == names[-1:]
    abandon(journal)
    again = opened(tmp_path, after_lsn=300)
    assert again.trim(300) > 0
    assert again.append(frame(1), 0) == 301


def test_two_threads_trim_while_frames_are_committed(tmp_path: Path) -> None:
    """The sealer trims up to its checkpoint while the commit thread lets go of what ended: nothing above goes."""
    journal = opened(tmp_path, OS)
    told: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def trim() -> None:
        for lsn in iter(told.get, None):
            journal.trim(lsn)

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(trim) for _ in range(2)]
        for number in range(1, 1_001):
            journal.append(frame(number), 0)
            journal.commit()
            if number % 3 == 0:
                journal.cut(number)
                for _ in ends:
                    told.put(number - 100)
        for _ in ends:
            told.put(None)
        for end in ends:
            end.result()
    journal.trim(900)
    abandon(journal)
    report = RecoveryReport()
    assert [entry.lsn for entry in read_journal(tmp_path, 900, report)] == list(range(901, 1_001))
    assert (report.rot_frames, firsts(tmp_path)[0] > 800) == (0, True)


def firsts(directory: Path) -> list[int]:
    """The first LSN of each segment."""
    return sorted(int(path.stem) for path in directory.glob("*.journal"))


def test_a_cut_ends_a_segment_that_holds_enough(tmp_path: Path) -> None:
    """Frames of one commit on both sides of a cut go into two segments; a small segment is left for no cut."""
    journal = opened(tmp_path)
    large = frame(0, bytes(SEGMENT_BYTES // 2))
    journal.append(frame(1), 0)
    journal.cut(1)
    journal.append(large, 0)
    assert (journal.commit(), firsts(tmp_path)) == (2, [1])
    journal.append(frame(3), 0)
    journal.cut(3)
    journal.append(frame(4), 0)
    journal.append(frame(5), 0)
    assert (journal.commit(), firsts(tmp_path)) == (5, [1, 4])
    assert list(bodies(tmp_path, 0)) == [1, 2, 3, 4, 5]  # synced in front of the cut, by the same commit
    assert journal.trim(3) > 0
    journal.append(frame(6), 0)
    assert (journal.commit(), firsts(tmp_path)) == (6, [4])
    abandon(journal)
    assert bodies(tmp_path, 3) == {lsn: frame(lsn).body for lsn in (4, 5, 6)}


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
def test_what_was_trimmed_goes_while_nothing_comes(tmp_path: Path, durability: Durability) -> None:
    """A segment that ends at a cut is deleted between commits, once it is synced, though no frame follows."""
    clock = Clock()
    journal = opened(tmp_path, durability, clock=clock)
    for _ in range(2):
        journal.append(frame(0, bytes(SEGMENT_BYTES // 4)), 0)
        journal.commit()
    journal.cut(2)
    assert journal.trim(2) == 0
    clock.now_ms += INTERVAL.interval_ms
    journal.commit()
    assert journal.prepare()
    assert (firsts(tmp_path), journal.segment_count, journal.trimmable_bytes) == ([], 0, 0)
    assert journal.durable_lsn == 2
    journal.append(frame(3), 0)
    assert (journal.commit(), firsts(tmp_path)) == (3, [3])
    journal.close()
    assert bodies(tmp_path, 2) == {3: frame(3).body}


def test_segments_grow_to_twice_what_the_last_one_held(tmp_path: Path) -> None:
    """Little is preallocated where little comes between two cuts, and up to the setting where segments are filled."""
    journal = Journal(tmp_path, durability=OS, segment_bytes=8 * MIB, clock=Clock())

    def preallocated(frames: int) -> int:
        """MiB of the segment made ahead, after this many frames of half a MiB and a cut."""
        for _ in range(frames):
            journal.append(frame(0, bytes(MIB // 2)), 0)
            journal.commit()
            journal.prepare()
        journal.cut(journal.appended_lsn)
        journal.prepare()
        return round((tmp_path / PREPARED_NAME).stat().st_size / MIB)

    assert preallocated(1) == 1
    assert [preallocated(frames) for frames in (1, 3, 3, 3)] == [1, 2, 2, 2]
    assert [preallocated(frames) for frames in (30, 30)] == [8, 8]
    assert preallocated(4) == 8
    assert preallocated(4) == 4
    on_disk = journal.bytes_on_disk
    assert on_disk == sum(path.stat().st_size for path in tmp_path.iterdir())
    journal.close()


def test_what_was_trimmed_while_it_was_written_goes_when_it_is_full(tmp_path: Path) -> None:
    """A segment that is trimmed before a frame that does not fit closes it is deleted then, not with the next trim."""
    journal = opened(tmp_path)
    journal.append(frame(0, bytes(SEGMENT_BYTES // 4)), 0)
    journal.commit()
    assert journal.trim(1) == 0
    journal.append(frame(1, bytes(SEGMENT_BYTES - SEGMENT_BYTES // 8)), 0)
    journal.commit()
    assert [summary.first_lsn for summary in journal.segments()] == [2]
    assert [int(path.stem) for path in tmp_path.glob("*.journal")] == [2]
    abandon(journal)
    assert [entry.lsn for entry in read_journal(tmp_path, 1, RecoveryReport())] == [2]


def test_lsns_go_on_behind_a_checkpoint_when_the_whole_journal_was_trimmed(tmp_path: Path) -> None:
    """An empty directory and a checkpoint at 500 make 501 the next LSN."""
    assert opened(tmp_path, after_lsn=500).append(frame(1), 0) == 501


def test_interval_durability_syncs_when_due_and_os_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """interval syncs a segment's first commit, then once per interval or when the clock is set back; os does not."""
    disk = PowerCutDisk(monkeypatch, random.Random(1))
    clock = Clock()
    journal = opened(tmp_path / "interval", INTERVAL, clock=clock)
    synced = []
    for step_ms in (0, 10, 39, 1, 49, -500, 0):
        clock.now_ms += step_ms
        journal.append(frame(1), 0)
        journal.commit()
        synced.append(disk.calls["fdatasync"])
    assert synced == [1, 1, 1, 2, 2, 3, 3]
    clock.now_ms += 50
    journal.commit()
    assert disk.calls["fdatasync"] == 4
    journal.close()
    disk.calls.clear()
    journal = opened(tmp_path / "os", OS)
    written(journal, range(100))
    journal.close()
    assert disk.calls["fdatasync"] == disk.calls["fsync"] == 0
    assert len(bodies(tmp_path / "os")) == 100


@pytest.mark.parametrize("take", [1, 7, 64, 100, None])
def test_short_and_interrupted_writes_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: int | None
) -> None:
    """However few bytes the kernel takes at a time, the file holds every byte once."""
    rng = random.Random(7)
    real = os.pwritev

    def short(fd: int, buffers: list[bytes], offset: int) -> int:
        if rng.random() < 0.2:
            raise InterruptedError(errno.EINTR, "interrupted")
        data = b"".join(buffers)
        return real(fd, [data[: take or rng.randrange(1, len(data) + 1)]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    journal = opened(tmp_path)
    expected = {journal.append(frame(number), 0): frame(number).body for number in range(30)}
    journal.commit()
    assert bodies(tmp_path) == expected


def test_what_was_given_up_before_a_commit_is_never_written(tmp_path: Path) -> None:
    """Frames appended and discarded are in no file, though later ones are; their LSNs are not used again."""
    journal = opened(tmp_path)
    kept = {journal.append(frame(1), 0): frame(1).body}
    journal.commit()
    given_up = journal.append(frame(2), 0)
    assert journal.discard_pending() == given_up
    assert journal.pending_bytes == 0
    kept[journal.append(frame(3), 0)] = frame(3).body
    journal.commit()
    assert given_up not in kept
    assert bodies(tmp_path) == kept


def test_a_commit_of_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    """A group of thousands of small frames is written whole."""
    journal = opened(tmp_path)
    expected = {journal.append(frame(number), 0): frame(number).body for number in range(3_000)}
    assert journal.commit() == 3_000
    assert bodies(tmp_path) == expected


CALLS = ["open", "posix_fallocate", "pwritev", "fsync", "fdatasync", "rename", "ftruncate"]


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", CALLS)
def test_one_error_at_any_call_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, durability: Durability
) -> None:
    """Fail the nth call of a kind, for every n: all is acknowledged and read back, the failed descriptor never used."""
    for number in range(1, 40):
        with monkeypatch.context() as patch:
            disk = PowerCutDisk(patch, random.Random(number))
            disk.fail(call, lambda count, number=number: code if count == number else 0)
            directory = tmp_path / str(number)
            journal = opened(directory, durability)
            expected = written(journal, range(40))
            journal.close()
            assert disk.touched_after_failure == []
        report = RecoveryReport()
        assert {entry.lsn: entry.frame.body for entry in read_journal(directory, 0, report)} == expected
        assert (report.rot_frames, report.torn_bytes) == (0, 0)
        if disk.calls[call] < number:
            break


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
@pytest.mark.parametrize("call", ["open", "posix_fallocate", "pwritev", "fsync", "fdatasync", "rename"])
def test_a_disk_that_fails_for_ever_refuses_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, durability: Durability
) -> None:
    """commit gives up after its tries, acknowledged frames stay, and once the disk works LSNs go on unused."""
    if durability == OS and call in ("fsync", "fdatasync"):
        pytest.skip("os durability makes no such call")
    disk = PowerCutDisk(monkeypatch, random.Random(1))
    journal = opened(tmp_path, durability)
    expected = written(journal, range(10))
    disk.fail(call, lambda _: errno.EIO)
    failures = 0
    for number in range(10, 60):
        lsn = journal.append(frame(number), 0)
        before = disk.calls[call]
        try:
            assert journal.commit() == lsn
        except JournalFailed:
            failures += 1
            assert disk.calls[call] - before <= 1 + RETRIES_MAX + (call == "open")
            assert journal.durable_lsn < lsn
            assert journal.discard_pending() == journal.appended_lsn == lsn
            assert journal.pending_bytes == 0
        else:
            expected[lsn] = frame(number).body
    if call != "fdatasync" or durability == FSYNC:
        assert failures
    if call in ("open", "posix_fallocate", "pwritev", "fsync") and not (durability == OS and call == "fsync"):
        assert not journal.probe()
    disk.fail(call, lambda _: 0)
    assert expected.items() <= bodies(tmp_path).items()
    assert journal.probe()
    last = journal.appended_lsn
    expected |= written(journal, range(100, 110))
    assert min(lsn for lsn in expected if lsn > last) == last + 1
    journal.close()
    assert disk.touched_after_failure == []
    report = RecoveryReport()
    assert {entry.lsn: entry.frame.body for entry in read_journal(tmp_path, 0, report)} == expected
    assert report.rot_frames == 0


def test_what_interval_durability_acknowledged_is_written_again_after_a_sync_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed sync leaves acknowledged frames in doubt: a fresh segment has them, and they are read from there."""
    disk = PowerCutDisk(monkeypatch, random.Random(1))
    clock = Clock()
    journal = opened(tmp_path, INTERVAL, clock=clock)
    expected = written(journal, range(6))
    (failed,) = tmp_path.glob("*.journal")
    disk.fail("fdatasync", lambda count: errno.EIO if count == 2 else 0)
    clock.now_ms += 60
    expected |= written(journal, range(6, 8))
    whole = list(read_journal(tmp_path))
    for entry in whole[1:6]:
        data = bytearray(failed.read_bytes())
        data[entry.offset + 70] ^= 1
        failed.write_bytes(data)
        report = RecoveryReport()
        assert {found.lsn: found.frame.body for found in read_journal(tmp_path, 0, report)} == expected
        assert report.rot_frames == 0


def test_frames_stay_for_the_next_try_unless_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After JournalFailed a second commit makes the same frames durable, under the same LSNs."""
    disk = PowerCutDisk(monkeypatch, random.Random(1))
    journal = opened(tmp_path)
    written(journal, range(3))
    disk.fail("fdatasync", lambda _: errno.EIO)
    lsn = journal.append(frame(50), 0)
    with pytest.raises(JournalFailed, match=f"frames 4 to {lsn}"):
        journal.commit()
    disk.fail("fdatasync", lambda _: 0)
    assert journal.commit() == lsn
    assert bodies(tmp_path)[lsn] == frame(50).body


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file in the place of the directory raises JournalFailed, naming it."""
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(JournalFailed, match="journal"):
        Journal(tmp_path / "journal", durability=FSYNC, segment_bytes=1, clock=Clock(), tail=JournalTail())


def test_debris_of_a_crash_is_removed(tmp_path: Path) -> None:
    """Empty and all-zero segments and a prepared one are deleted at the next opening; their LSNs are not used again."""
    (tmp_path / f"{9:020d}.journal").write_bytes(b"")
    (tmp_path / f"{8:020d}.journal").write_bytes(bytes(10_000))
    (tmp_path / PREPARED_NAME).write_bytes(b"NISSAJ01")
    (tmp_path / "notes.txt").write_text("mine")
    journal = opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert journal.append(frame(1), 0) == 10


def run_until_cut(directory: Path, disk: PowerCutDisk, durability: Durability, rng: random.Random) -> dict[int, bytes]:
    """A small workload with rotation, trimming and closing; returns the frames acknowledged before the power cut."""
    acknowledged: dict[int, bytes] = {}
    appended: dict[int, bytes] = {}
    journal = None
    try:
        journal = opened(directory, durability)
        for number in range(14):
            for _ in range(rng.randrange(1, 4)):
                body = rng.randbytes(rng.randrange(1_500))
                appended[journal.append(frame(number, body), 0)] = body
                if number % 3 == 1:
                    journal.cut(next(iter(appended.keys() - acknowledged.keys())))  # inside a commit
            durable = journal.commit()
            acknowledged = {lsn: body for lsn, body in appended.items() if lsn <= durable}
            if number % 5 == 0:
                journal.prepare()
            if number % 3 == 0:
                journal.cut(journal.appended_lsn)
        journal.close()
    except PowerCut:
        disk.cut_at = None
        if journal is not None:
            abandon(journal)
    return acknowledged


@pytest.mark.parametrize("durability", [FSYNC, INTERVAL, OS], ids=str)
def test_a_kill_at_every_call_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """Stop at each I/O call in turn, a write half done: every acknowledged frame is there, none invented or altered."""
    for cut_at in range(1, 500):
        directory = tmp_path / str(cut_at)
        with monkeypatch.context() as patch:
            disk = PowerCutDisk(patch, random.Random(cut_at))
            disk.cut_at = cut_at
            acknowledged = run_until_cut(directory, disk, durability, random.Random(3))
            done = disk.cut_at is not None
        check_recovery(directory, acknowledged)
        if done:
            return
    pytest.fail("the workload makes more calls than expected")


def test_a_power_cut_at_every_call_loses_nothing_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with fsync durability on a disk that loses unsynced sectors and renames at random."""
    for cut_at in range(1, 500):
        for seed in range(3):
            directory = tmp_path / f"{cut_at}-{seed}"
            with monkeypatch.context() as patch:
                disk = PowerCutDisk(patch, random.Random(cut_at * 31 + seed))
                disk.cut_at = cut_at
                acknowledged = run_until_cut(directory, disk, FSYNC, random.Random(seed))
                done = disk.cut_at is not None
                disk.forget()
            check_recovery(directory, acknowledged)
        if done:
            return
    pytest.fail("the workload makes more calls than expected")


def check_recovery(directory: Path, acknowledged: dict[int, bytes]) -> None:
    """Recover twice, writing in between: acknowledged frames stay, LSNs rise, nothing is taken for rot."""
    first = bodies(directory)
    assert acknowledged.items() <= first.items()
    journal = opened(directory)
    added = written(journal, range(3))
    assert min(added) > max(first, default=0)
    abandon(journal)
    report = RecoveryReport()
    assert {entry.lsn: entry.frame.body for entry in read_journal(directory, 0, report)} == first | added
    assert report.rot_frames == report.damaged_headers == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3_000)),
        st.tuples(st.just("commit"), st.integers(0, 3)),  # how many calls of fdatasync fail
        st.tuples(st.just("crash"), st.integers(0, 4_000)),  # bytes of the last write that reach the disk
        st.tuples(st.just("trim"), st.integers(0, 30)),
        st.tuples(st.just("cut"), st.booleans()),  # whether the commit thread rests behind it
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, durability=st.sampled_from([FSYNC, INTERVAL, OS]))
def test_any_sequence_of_steps_agrees_with_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[str, int]],
    durability: Durability,
) -> None:
    """After any appends, commits, trims, kills and reopenings, the journal equals a plain list."""
    directory = tmp_path_factory.mktemp("journal")
    journal = opened(directory, durability)
    acknowledged: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    trimmed_lsn = highest_lsn = 0
    for step, number in steps:
        if step == "append":
            body = random.Random(number).randbytes(number)
            lsn = journal.append(frame(number, body), 0)
            assert lsn > highest_lsn
            highest_lsn = lsn
            waiting[lsn] = body
        elif step == "commit":
            with monkeypatch.context() as patch:
                disk = PowerCutDisk(patch, random.Random(1))
                disk.fail("fdatasync", lambda count, number=number: errno.EIO if count <= number else 0)
                assert journal.commit() >= max(waiting, default=0)
            acknowledged |= waiting
            waiting = {}
        elif step == "trim":
            lsn = min(number, journal.durable_lsn)
            trimmed_lsn = max(trimmed_lsn, lsn)
            journal.trim(lsn)
        elif step == "cut":
            journal.cut(journal.appended_lsn)
            assert not number or journal.prepare()
        else:
            crash(journal, number, monkeypatch) if step == "crash" else journal.close()
            found = bodies(directory, trimmed_lsn)
            assert {lsn: body for lsn, body in acknowledged.items() if lsn > trimmed_lsn}.items() <= found.items()
            assert found.items() <= (acknowledged | waiting).items()
            if step == "reopen":
                assert waiting.keys() <= found.keys() | set(range(trimmed_lsn + 1))
            acknowledged, waiting = acknowledged | found, {}
            highest_lsn = max(acknowledged, default=0)
            journal = opened(directory, durability, after_lsn=trimmed_lsn)
    journal.close()


def crash(journal: Journal, written_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the process in its next commit, after ``written_bytes`` bytes of it."""
    real = os.pwritev

    def killed(fd: int, buffers: list[bytes], offset: int) -> int:
        if offset:
            # Part of a block: not through a file that is written directly.
            with Path(f"/proc/self/fd/{fd}").open("r+b", buffering=0) as file:
                real(file.fileno(), [b"".join(buffers)[:written_bytes]], offset)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", killed)
        with contextlib.suppress(PowerCut):
            journal.commit()
        abandon(journal)
