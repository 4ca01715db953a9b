"""Reading a journal back over every kind of damage."""

import os
import threading
from pathlib import Path

import pytest
from google_crc32c import value

from nissa.journal.journal import Journal
from nissa.journal.recovery import JournalTail, RecoveryReport, read_journal, read_segment
from nissa.journal.segment import (
    HEADER_BYTES,
    JournalFrame,
    SegmentFile,
    encode_frame_header,
    encode_segment_header,
    frame_bytes,
    segment_name,
)
from nissa.model.durability import FSYNC
from nissa.model.errors import Damaged, UnknownFormat
from nissa.model.frame import Codec, Encoding, Frame, Source

SEGMENT_BYTES = 16_384


def frame(number: int, body_bytes: int = 53) -> Frame:
    """A frame with its number in every byte of its body."""
    return Frame(Codec.LEYLINE_PACKET, Encoding.ZSTD, Source.HTTP, number, bytes([number % 251 + 1]) * body_bytes)


def journal_of(directory: Path, frames: int, *, commit_every: int = 1, tail: JournalTail | None = None) -> Path:
    """One segment with that many frames, as a kill leaves it: not closed, zeros behind. Returns its path."""
    journal = Journal(directory, durability=FSYNC, segment_bytes=SEGMENT_BYTES, clock=lambda: 7, tail=tail)
    first = journal.appended_lsn + 1
    for number in range(first, first + frames):
        journal.append(frame(number), 0)
        if (number - first + 1) % commit_every == 0:
            journal.commit()
    assert journal.commit() == first + frames - 1
    os.close(journal._active.fd)
    return directory / segment_name(first)


def read(directory: Path, after_lsn: int = 0) -> tuple[list[JournalFrame], RecoveryReport]:
    """All frames and the report; every frame is checked to be the one that was written."""
    report = RecoveryReport()
    frames = list(read_journal(directory, after_lsn, report))
    for entry in frames:
        assert entry.frame == frame(entry.lsn)
    assert report.frames == len(frames)
    return frames, report


def lsns(frames: list[JournalFrame]) -> list[int]:
    """Their LSNs."""
    return [entry.lsn for entry in frames]


def damages(data: bytes, at: int, end: int) -> dict[str, bytes]:
    """``data`` hurt at one byte in every way a disk knows."""
    return {
        "truncated": data[:at],
        "zeroed from here": data[:at] + bytes(len(data) - at),
        "garbage from here to the end of the frame": data[:at] + os.urandom(end - at) + data[end:],
        "one bit": data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :],
        "one byte": data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :],
    }


def test_a_damaged_tail_at_every_byte_costs_the_last_frame_at_most(tmp_path: Path) -> None:
    """Whatever is done to any byte of the last frame, earlier frames stay and nothing is invented or called rot."""
    path = journal_of(tmp_path, 4)
    whole, _ = read(tmp_path)
    last = whole[-1]
    data = path.read_bytes()
    for at in range(last.offset, last.end):
        for how, hurt in damages(data, at, last.end).items():
            path.write_bytes(hurt)
            frames, report = read(tmp_path)
            assert frames[:3] == whole[:3], (at, how)
            assert frames[3:] in ([], [last]), (at, how)
            assert report.rot_frames == 0, (at, how)
            if len(frames) == 3:
                # A header whose first 8 bytes are zeros and nothing behind is an untouched tail, not a torn one.
                assert report.torn_bytes or not any(hurt[last.offset :]), (at, how)
            assert report.tail is not None
            assert report.tail.next_lsn == len(frames) + 1


def test_rot_at_every_byte_of_a_middle_frame_costs_that_frame_only(tmp_path: Path) -> None:
    """Damage to an acknowledged frame is reported with its LSN, not as a torn tail, and later frames are kept."""
    path = journal_of(tmp_path, 5)
    whole, _ = read(tmp_path)
    data = path.read_bytes()
    middle = whole[2]
    body_end = middle.offset + HEADER_BYTES + len(middle.frame.body)
    for at in range(middle.offset, body_end):
        for how, hurt in damages(data, at, middle.end).items():
            if how in ("truncated", "zeroed from here"):
                continue
            path.write_bytes(hurt)
            frames, report = read(tmp_path)
            assert lsns(frames) == [1, 2, 4, 5], (at, how)
            assert (report.rot_frames, report.rot_ranges, report.torn_bytes) == (1, [(3, 3)], 0), (at, how)


def test_a_hole_over_several_frames_is_one_range(tmp_path: Path) -> None:
    """Sectors that read as zeros cost the frames in them, and their LSNs are reported as one range."""
    path = journal_of(tmp_path, 30)
    whole, _ = read(tmp_path)
    data = bytearray(path.read_bytes())
    data[1024:2048] = bytes(1024)
    path.write_bytes(data)
    frames, report = read(tmp_path)
    lost = [entry.lsn for entry in whole if entry.offset < 2048 and entry.end > 1024]
    assert lsns(frames) == [lsn for lsn in range(1, 31) if lsn not in lost]
    assert report.rot_ranges == [(lost[0], lost[-1])]


def test_a_group_that_was_never_acknowledged_is_torn_even_with_whole_frames_behind(tmp_path: Path) -> None:
    """When the first of a group is torn and a later one whole, the journal ends in front; their LSNs stay unused."""
    path = journal_of(tmp_path, 9, commit_every=3)
    whole, _ = read(tmp_path)
    data = bytearray(path.read_bytes())
    data[whole[6].offset + 70] ^= 4
    path.write_bytes(data)
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2, 3, 4, 5, 6]
    assert report.rot_frames == 0
    assert report.torn_bytes > 2 * frame_bytes(53)
    assert report.tail is not None
    assert (report.tail.last_lsn, report.tail.next_lsn) == (6, 10)
    journal_of(tmp_path, 2, tail=report.tail)
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2, 3, 4, 5, 6, 10, 11]
    assert (report.rot_frames, report.torn_bytes) == (0, 0)


def test_a_later_segment_is_the_witness_of_rot_at_the_end_of_an_earlier_one(tmp_path: Path) -> None:
    """The last frame of an older segment, once recovered, is known to have counted: its loss is rot, no torn tail."""
    path = journal_of(tmp_path, 5)
    frames, report = read(tmp_path)
    journal_of(tmp_path, 5, tail=report.tail)
    data = bytearray(path.read_bytes())
    data[frames[-1].offset + 3] ^= 4
    path.write_bytes(data)
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert report.rot_ranges == [(5, 5)]


def test_a_segment_that_is_gone_is_reported_as_rot(tmp_path: Path) -> None:
    """A deleted middle segment is a range of lost frames, and so is a first one that no checkpoint covers."""
    paths = []
    tail = None
    for _ in range(3):
        paths.append(journal_of(tmp_path, 4, tail=tail))
        tail = read(tmp_path)[1].tail
    paths[1].unlink()
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2, 3, 4, 9, 10, 11, 12]
    assert report.rot_ranges == [(5, 8)]
    paths[0].unlink()
    frames, report = read(tmp_path)
    assert report.rot_ranges == [(1, 8)]
    frames, report = read(tmp_path, 8)
    assert (lsns(frames), report.rot_ranges) == ([9, 10, 11, 12], [])


def test_frames_at_or_below_the_checkpoint_are_neither_given_nor_missed(tmp_path: Path) -> None:
    """Damage to frames that a checkpoint covers costs nothing."""
    path = journal_of(tmp_path, 6)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 100] ^= 1
    path.write_bytes(data)
    for after_lsn in range(1, 9):
        frames, report = read(tmp_path, after_lsn)
        assert lsns(frames) == list(range(after_lsn + 1, 7))
        assert report.rot_frames == 0
        assert report.tail is not None
        assert report.tail.next_lsn == max(after_lsn, 6) + 1


@pytest.mark.parametrize("wrong", ["uuid", "lsn below", "lsn above", "prev_crc", "nothing"])
def test_a_whole_frame_that_does_not_belong_is_not_taken(tmp_path: Path, wrong: str) -> None:
    """A stale frame behind the last one, its own checksum good, is a torn tail when any of its three ties is wrong."""
    path = journal_of(tmp_path, 3)
    last = read(tmp_path)[0][-1]
    with SegmentFile(path) as file:
        uuid = file.uuid_at(last.offset)
    head, _ = encode_frame_header(
        frame(4),
        bytes(16) if wrong == "uuid" else uuid,
        lsn={"lsn below": 3, "lsn above": 5}.get(wrong, 4),
        durable_lsn=3,
        new_series=0,
        prev_crc=last.crc ^ (wrong == "prev_crc"),
    )
    data = path.read_bytes()
    stale = head + frame(4).body
    path.write_bytes(data[: last.end] + stale + data[last.end + len(stale) :])
    report = RecoveryReport()
    found = list(read_journal(tmp_path, 0, report))
    if wrong == "nothing":
        assert [entry.lsn for entry in found] == [1, 2, 3, 4]
    else:
        assert [entry.lsn for entry in found] == [1, 2, 3]
        assert report.torn_bytes == len(stale)
        assert report.rot_frames == 0


def test_whole_frames_in_the_wrong_place_cost_only_what_they_cover(tmp_path: Path) -> None:
    """A later frame copied over an earlier one, or an earlier over a later, does not hide the frames between."""
    path = journal_of(tmp_path, 8)
    whole, _ = read(tmp_path)
    data = path.read_bytes()
    for source, target in ((5, 2), (1, 4), (6, 1)):
        hurt = bytearray(data)
        hurt[whole[target].offset : whole[target].end] = data[whole[source].offset : whole[source].end]
        path.write_bytes(hurt)
        frames, report = read(tmp_path)
        assert lsns(frames) == [lsn for lsn in range(1, 9) if lsn != target + 1]
        assert report.rot_ranges == [(target + 1, target + 1)]


def test_a_damaged_segment_header_costs_no_frame(tmp_path: Path) -> None:
    """Any damaged byte of the first 64 is counted, and every frame is still read and gone on behind."""
    path = journal_of(tmp_path, 4)
    data = path.read_bytes()
    for at in range(HEADER_BYTES):
        for how, hurt in damages(data, at, HEADER_BYTES).items():
            if how in ("truncated", "zeroed from here"):
                continue
            path.write_bytes(hurt)
            frames, report = read(tmp_path)
            assert lsns(frames) == [1, 2, 3, 4], (at, how)
            assert report.damaged_headers == 1
    assert report.tail is not None
    journal_of(tmp_path, 2, tail=report.tail)
    assert lsns(read(tmp_path)[0]) == [1, 2, 3, 4, 5, 6]


def test_a_file_of_garbage_is_reported_and_survived(tmp_path: Path) -> None:
    """A segment without one valid byte yields nothing, and the next LSN lies above its name."""
    journal_of(tmp_path, 3)
    (tmp_path / segment_name(4)).write_bytes(os.urandom(20_000))
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2, 3]
    assert report.damaged_headers == 1
    assert report.torn_bytes > 19_000
    assert report.tail is not None
    assert report.tail.next_lsn == 5


def test_empty_and_zero_segments_are_debris(tmp_path: Path) -> None:
    """Files that hold no byte but zeros are named for deletion and not read."""
    journal_of(tmp_path, 2)
    for number, data in ((3, b""), (4, bytes(64)), (5, bytes(70_000))):
        (tmp_path / segment_name(number)).write_bytes(data)
    frames, report = read(tmp_path)
    assert lsns(frames) == [1, 2]
    assert report.tail is not None
    assert [path.name for path in report.tail.debris] == [segment_name(number) for number in (3, 4, 5)]
    assert report.torn_bytes == 0


def test_an_empty_segment_behind_the_checkpoint_is_reported(tmp_path: Path) -> None:
    """A segment gets its name with its first durable frame: an empty one has lost it, unless blocks have its frames."""
    journal_of(tmp_path, 2)
    (tmp_path / segment_name(3)).write_bytes(b"")
    _, report = read(tmp_path)
    assert report.empty_segments == [segment_name(3)]
    (tmp_path / segment_name(1)).write_bytes(b"")
    for after_lsn, expected in ((0, [1, 3]), (2, [1, 3])):
        report = RecoveryReport()
        assert not list(read_journal(tmp_path, after_lsn, report))
        assert report.empty_segments == [segment_name(number) for number in expected]


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo", "symlink under another name"])
def test_anything_but_plain_files_is_refused(tmp_path: Path, kind: str) -> None:
    """Links, directories and pipes in a journal raise Damaged, naming the file; they are not followed or opened."""
    source = journal_of(tmp_path / "elsewhere", 2)
    directory = tmp_path / "journal"
    journal_of(directory, 2)
    target = directory / segment_name(3)
    if kind == "directory":
        target.mkdir()
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target = target if kind == "symlink" else directory / "notes"
        target.symlink_to(source)
    with pytest.raises(Damaged, match=target.name):
        read(directory)


def test_a_symlink_is_refused_as_a_single_segment_too(tmp_path: Path) -> None:
    """read_segment does not follow a link."""
    path = tmp_path / "link"
    path.symlink_to(journal_of(tmp_path / "journal", 2))
    with pytest.raises(Damaged, match="symbolic link"):
        list(read_segment(path))


def test_a_renamed_segment_is_refused(tmp_path: Path) -> None:
    """A name that contradicts the header is not guessed about."""
    path = journal_of(tmp_path, 2)
    path.rename(tmp_path / segment_name(77))
    with pytest.raises(Damaged, match="first lsn 1, its name says 77"):
        read(tmp_path)


def test_a_newer_version_is_refused_untouched(tmp_path: Path, newer_segment: bytes) -> None:
    """A header of version 2 raises UnknownFormat and the file keeps every byte."""
    journal_of(tmp_path, 2)
    path = tmp_path / segment_name(3)
    path.write_bytes(newer_segment)
    with pytest.raises(UnknownFormat, match="version 2"):
        read(tmp_path)
    assert path.read_bytes() == newer_segment


@pytest.fixture
def newer_segment() -> bytes:
    """A segment that says version 2, with a checksum that holds."""
    header = bytearray(encode_segment_header(bytes(16), first_lsn=3, after_lsn=2, created_ms=0)[0][:60])
    header[8] = 2
    return bytes(header) + value(bytes(header)).to_bytes(4, "little") + bytes(500)


def test_pages_the_disk_refuses_cost_their_frames_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO while reading one page is counted; frames on other pages are served."""
    path = journal_of(tmp_path, 100)
    whole, _ = read(tmp_path)
    assert path.stat().st_size == SEGMENT_BYTES
    real = os.pread

    def refusing(fd: int, length: int, offset: int) -> bytes:
        if offset < 8_192 and offset + length > 4_096:
            raise OSError(5, "Input/output error")
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", refusing)
    frames, report = read(tmp_path)
    hurt = [entry.lsn for entry in whole if entry.offset < 8_192 and entry.end > 4_096]
    assert lsns(frames) == [lsn for lsn in range(1, 101) if lsn not in hurt]
    assert report.rot_ranges == [(hurt[0], hurt[-1])]
    assert report.unreadable_bytes >= 4_096


def test_short_reads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers 100 bytes at a time is read whole."""
    journal_of(tmp_path, 40)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real(fd, min(length, 100), offset))
    frames, report = read(tmp_path)
    assert lsns(frames) == list(range(1, 41))
    assert (report.rot_frames, report.torn_bytes) == (0, 0)


def test_an_outside_reader_follows_a_running_writer(tmp_path: Path) -> None:
    """While frames are written and segments change, each reading is a prefix that only grows, never reported as rot."""
    total = 3_000
    journal = Journal(tmp_path, durability=FSYNC, segment_bytes=64 * 1024, clock=lambda: 7)

    def write() -> None:
        for number in range(1, total + 1):
            journal.append(frame(number), 0)
            if number % 5 == 0:
                journal.commit()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while writer.is_alive() or seen < total:
        durable = journal.durable_lsn
        frames, report = read(tmp_path, seen)
        assert lsns(frames) == list(range(seen + 1, seen + 1 + len(frames)))
        assert seen + len(frames) >= durable
        assert report.rot_frames == 0
        seen += len(frames)
    writer.join()
    journal.close()
    assert lsns(read(tmp_path)[0]) == list(range(1, total + 1))


@pytest.mark.parametrize("stale_looks", [1, 2])
def test_a_frame_finished_while_it_is_looked_at_is_not_rot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stale_looks: int
) -> None:
    """If a first look finds a hole, and later frames are acknowledged meanwhile, the place is read again."""
    journal_of(tmp_path, 5)
    whole, _ = read(tmp_path)
    hole = whole[2]
    real = os.pread
    looks = 0

    def early(fd: int, length: int, offset: int) -> bytes:
        nonlocal looks
        data = bytearray(real(fd, length, offset))
        looks += length > HEADER_BYTES
        if length > HEADER_BYTES and looks <= stale_looks:
            end = hole.end - offset if looks > 1 else len(data)
            data[hole.offset - offset : end] = bytes(end - (hole.offset - offset))
        return bytes(data)

    monkeypatch.setattr(os, "pread", early)
    frames, report = read(tmp_path)
    assert looks > stale_looks
    assert frames == whole
    assert (report.rot_frames, report.torn_bytes) == (0, 0)


def test_a_missing_directory_is_an_empty_journal(tmp_path: Path) -> None:
    """Nothing there reads as nothing, and the next LSN is 1."""
    frames, report = read(tmp_path / "none")
    assert (frames, report.tail) == ([], JournalTail())
