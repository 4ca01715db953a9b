"""Captures of all forms are played as they were recorded."""

import struct
from pathlib import Path

import cramjam
import pytest

from nissa.journal.capture import CaptureWriter, capture_bytes, read_capture
from nissa.journal.journal import Journal
from nissa.journal.recovery import RecoveryReport
from nissa.model.context import Context
from nissa.model.durability import FSYNC
from nissa.model.errors import Damaged, Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source

FRAMES = [
    Frame(
        codec,
        Encoding.SNAPPY,
        Source.HTTP,
        1_000 + index,
        bytes([index]) * (index * 700),
        bool(index % 2),
        Context(ids=(str(index),) * index).encode(),
    )
    for index, codec in enumerate(Codec)
]
RECORDS = [(1_700_000_000_000 + index, bytes([index % 256]) * (index * 37 % 5_000)) for index in range(300)]


def recorded(records: list[tuple[int, bytes]]) -> bytes:
    """The recorded form, uncompressed."""
    return b"".join(struct.pack("<Iq", len(body), received_ms) + body for received_ms, body in records)


def compressed(data: bytes) -> bytes:
    """``data`` with zstd around it."""
    return bytes(cramjam.zstd.compress(data))


def test_a_written_capture_is_read_back_frame_by_frame(tmp_path: Path) -> None:
    """Every field of every frame survives, and progress runs towards the size of the file."""
    path = tmp_path / "day.capture"
    writer = CaptureWriter(path, 1)
    for frame in FRAMES:
        writer.append(frame)
    writer.close()
    report = RecoveryReport()
    assert list(read_capture(path, report)) == FRAMES
    assert (report.frames, report.rot_frames, report.torn_bytes) == (len(FRAMES), 0, 0)
    assert report.bytes + 64 == capture_bytes(path)


def test_a_capture_is_never_overwritten(tmp_path: Path) -> None:
    """An existing file raises FileExistsError and stays."""
    path = tmp_path / "day.capture"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        CaptureWriter(path, 1)
    assert path.read_bytes() == b"precious"


def test_what_was_flushed_is_readable_before_the_end(tmp_path: Path) -> None:
    """A capture can be read while it is written; a half-written frame at the end is left out."""
    path = tmp_path / "day.capture"
    writer = CaptureWriter(path, 1)
    assert list(read_capture(path)) == []
    for frame in FRAMES:
        writer.append(frame)
    writer.flush()
    assert list(read_capture(path)) == FRAMES
    writer.close()
    path.write_bytes(path.read_bytes()[:-100])
    report = RecoveryReport()
    assert list(read_capture(path, report)) == FRAMES[:-1]
    assert report.torn_bytes > 0
    assert report.rot_frames == 0


def test_a_damaged_frame_of_a_capture_is_counted_and_passed(tmp_path: Path) -> None:
    """Rot in the middle costs that frame."""
    path = tmp_path / "day.capture"
    writer = CaptureWriter(path, 1)
    for frame in FRAMES:
        writer.append(frame)
    writer.close()
    data = bytearray(path.read_bytes())
    data[64 + 64 + 64 + 10] ^= 1
    path.write_bytes(data)
    report = RecoveryReport()
    assert list(read_capture(path, report)) == [FRAMES[0], *FRAMES[2:]]
    assert report.rot_ranges == [(2, 2)]


def test_a_journal_a_segment_and_a_data_directory_are_captures(tmp_path: Path) -> None:
    """The journal of a directory is played, by the directory, by its journal, or by one segment."""
    journal = Journal(tmp_path / "journal", durability=FSYNC, segment_bytes=4_096, clock=lambda: 1)
    for frame in FRAMES:
        journal.append(frame, 0)
        journal.commit()
    journal.close()
    segments = sorted((tmp_path / "journal").iterdir())
    assert len(segments) > 2
    assert list(read_capture(tmp_path)) == FRAMES
    assert list(read_capture(tmp_path / "journal")) == FRAMES
    assert [frame for segment in segments for frame in read_capture(segment)] == FRAMES
    assert capture_bytes(tmp_path) == sum(segment.stat().st_size for segment in segments)


def test_the_recorded_form_is_read(tmp_path: Path) -> None:
    """Receive times and bodies come back, as remote write 1.0 in snappy."""
    path = tmp_path / "a.rw.zst"
    path.write_bytes(compressed(recorded(RECORDS)))
    report = RecoveryReport()
    frames = list(read_capture(path, report))
    assert [(frame.received_ms, frame.body) for frame in frames] == RECORDS
    assert {(frame.codec, frame.encoding, frame.source, frame.delimited) for frame in frames} == {
        (Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.REPLAY, False)
    }
    assert report.frames == len(RECORDS)
    assert report.bytes == capture_bytes(path)


@pytest.mark.parametrize("missing_bytes", [1, 11, 12, 13, 4_000])
def test_a_record_cut_short_is_told_after_the_whole_ones(tmp_path: Path, missing_bytes: int) -> None:
    """Frames in front of the cut are given, then Malformed names the byte where the record starts."""
    records = [(1, b"a" * 50), (2, b"b" * 4_000), (3, b"c" * 4_000)]
    path = tmp_path / "a.rw.zst"
    path.write_bytes(compressed(recorded(records)[:-missing_bytes]))
    frames = read_capture(path)
    assert [next(frames).body, next(frames).body] == [body for _, body in records[:2]]
    with pytest.raises(Malformed) as error:
        next(frames)
    assert error.value.offset == 12 + 50 + 12 + 4_000


def test_an_absurd_record_length_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A record of 4 GiB is not allocated."""
    path = tmp_path / "a.rw.zst"
    path.write_bytes(compressed(struct.pack("<Iq", 2**32 - 1, 0) + bytes(100)))
    with pytest.raises(Malformed, match="4294967295"):
        list(read_capture(path))


def test_a_broken_compression_is_told(tmp_path: Path) -> None:
    """Garbage behind zstd's magic raises Malformed, naming the file."""
    whole = compressed(recorded(RECORDS))
    for data in (whole[:4] + b"\xff" * 100, whole[:-20]):
        path = tmp_path / "a.rw.zst"
        path.write_bytes(data)
        with pytest.raises(Malformed, match=r"a\.rw\.zst"):
            list(read_capture(path))


@pytest.mark.parametrize("data", [b"", b"x", b"PAR1 and more", b"\x28\xb5"])
def test_another_file_is_no_capture(tmp_path: Path, data: bytes) -> None:
    """A file of none of the forms raises Malformed, naming it."""
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(Malformed, match="other"):
        list(read_capture(path))


def test_a_segment_with_a_damaged_header_is_told(tmp_path: Path) -> None:
    """A single segment has nothing else to go by: Damaged, naming the file."""
    path = tmp_path / "day.capture"
    CaptureWriter(path, 1).close()
    path.write_bytes(path.read_bytes()[:40] + bytes(24))
    with pytest.raises(Damaged, match=r"day\.capture"):
        list(read_capture(path))
