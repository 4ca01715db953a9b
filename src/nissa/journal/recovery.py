"""Reads a journal back: which frames are valid, where it ends, and how many frames damage has cost.

Segments are read in order of their names, frames in order of their LSNs. Three rules decide which frames are valid:

1. *After.* A segment's header says up to which LSN everything had been acknowledged when it was opened (``after_lsn``).
   Frames of earlier segments beyond that LSN are void: they were written again further on, or given up and never
   acknowledged. Frames up to it that cannot be found are **rot**: acknowledged data is gone, and is counted as such.
2. *Resume.* Behind damage the search goes on for a later valid frame of the same segment. In the newest segment, where
   rule 1 has no witness, one later frame that was written when the damaged one was already acknowledged
   (``durable_lsn``) is the witness of rot. Reading goes on behind the damage, so it costs the damaged frames only.
3. *Tail.* Without a witness the damage was never acknowledged: a **torn tail**. The journal ends in front of it.

A frame whose LSN is not above the last one given is skipped: it was written twice, after an fsync error.

A daemon may be writing meanwhile. Its half-written last frame looks like a torn tail, so an outside reader ends quietly
there; before rot is believed the damaged place is read again, for the writer may have passed it since.

This file never writes.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nissa.journal.segment import HEADER_BYTES, LSN_MAX, JournalFrame, SegmentFile, SegmentHeader, first_lsn_of
from nissa.model.errors import Damaged


class SegmentSummary(msgspec.Struct, frozen=True):
    """A segment on disk: the LSNs it answers for, its size, and when it was written last in Unix milliseconds."""

    path: Path
    first_lsn: int
    last_lsn: int
    bytes: int
    written_ms: int = 0


class JournalTail(msgspec.Struct, frozen=True):
    """End of a journal, which is all a new writer must know.

    last_lsn: the last frame that counts. next_lsn: the first number never used. segments: oldest first. debris:
    segments that a crash left without a single byte in them; the writer deletes them.
    """

    last_lsn: int = 0
    next_lsn: int = 1
    segments: tuple[SegmentSummary, ...] = ()
    debris: tuple[Path, ...] = ()


class RecoveryReport(msgspec.Struct):
    """Findings of reading a journal. Filled while reading goes on; ``tail`` is set at the end.

    frames: given out. bytes: of valid frames read, the skipped ones too. torn_bytes: never acknowledged, cut.
    rot_frames, rot_ranges: acknowledged frames that are gone, and their LSNs, both ends included.
    damaged_headers: segments whose first 64 bytes are damaged. unreadable_bytes: what the disk refused to read.
    empty_segments: names of segments without a single byte in them, behind the checkpoint; a segment gets its name when
    its first frames are durable, so acknowledged frames are gone.
    """

    segments: int = 0
    frames: int = 0
    bytes: int = 0
    torn_bytes: int = 0
    rot_frames: int = 0
    rot_ranges: list[tuple[int, int]] = []
    damaged_headers: int = 0
    unreadable_bytes: int = 0
    empty_segments: list[str] = []
    tail: JournalTail | None = None

    def count_rot(self, first_lsn: int, last_lsn: int) -> None:
        """Count the acknowledged frames from ``first_lsn`` to ``last_lsn`` as gone; an empty range counts nothing."""
        if first_lsn <= last_lsn:
            self.rot_frames += last_lsn - first_lsn + 1
            self.rot_ranges.append((first_lsn, last_lsn))


class _Segment(msgspec.Struct):
    """A segment with what its successors say about it.

    limit_lsn: frames beyond are void. again_lsn: from here on the next segment holds the frames again. seen_lsn: the
    highest LSN met, void and torn frames too, so that it is never given to another frame.
    """

    path: Path
    header: SegmentHeader
    limit_lsn: int = LSN_MAX
    again_lsn: int = LSN_MAX
    seen_lsn: int = 0

    @property
    def newest(self) -> bool:
        return self.limit_lsn == LSN_MAX


def read_journal(directory: Path, after_lsn: int = 0, report: RecoveryReport | None = None) -> Iterator[JournalFrame]:
    """Every frame that counts in ``directory`` with an LSN above ``after_lsn``, in order.

    The directory may belong to a running daemon; frames above its durable LSN may then be given too. Where that daemon
    trims meanwhile, FileNotFoundError or a rot range that starts at ``after_lsn + 1`` tells the caller to read the
    checkpoint anew and begin again behind it.
    Raises: UnknownFormat for a newer version's segment; Damaged where a link or a directory stands among the segments.
    """
    report = report if report is not None else RecoveryReport()
    segments, debris = _survey(directory, report)
    report.segments = len(segments)
    report.empty_segments += _empty_behind(segments, debris, after_lsn)
    position, next_lsn = after_lsn, after_lsn + 1
    summaries = []
    for segment in segments:
        header = segment.header
        before_lsn = min(header.after_lsn, header.first_lsn - 1)
        report.count_rot(position + 1, before_lsn)
        position = max(position, before_lsn)
        last_lsn = header.first_lsn - 1
        for frame in _frames_above(segment, after_lsn, report):
            report.count_rot(max(last_lsn, position) + 1, frame.lsn - 1)
            last_lsn = frame.lsn
            if frame.lsn > position:
                position = frame.lsn
                report.frames += 1
                yield frame
        last_lsn = last_lsn if segment.newest else max(last_lsn, min(segment.limit_lsn, segment.again_lsn - 1))
        summaries.append(SegmentSummary(segment.path, header.first_lsn, last_lsn, *_size_and_time(segment.path)))
        # Above every segment's first LSN too, whatever is left in it, so that no new segment takes the name
        # of an old one.
        next_lsn = max(next_lsn, header.first_lsn + 1, segment.seen_lsn + 1, position + 1)
    next_lsn = max([next_lsn, *(_named_lsn(path) + 1 for path in debris)])
    report.tail = JournalTail(position, next_lsn, tuple(summaries), tuple(debris))


def _empty_behind(segments: list[_Segment], debris: list[Path], after_lsn: int) -> list[str]:
    """Empty segments that may have held frames above ``after_lsn``."""
    firsts = [segment.header.first_lsn for segment in segments]
    names = []
    for path in debris:
        following = [lsn for lsn in firsts if lsn > _named_lsn(path)]
        if not following or min(following) - 1 > after_lsn:
            names.append(path.name)
    return names


def _named_lsn(path: Path) -> int:
    return first_lsn_of(path.name) or 0


def acknowledged_before(directory: Path) -> int:
    """The last LSN acknowledged when the oldest segment was opened; 0 without segments."""
    segments, _ = _survey(directory, RecoveryReport())
    return min(segments[0].header.after_lsn, segments[0].header.first_lsn - 1) if segments else 0


def read_segment(path: Path, report: RecoveryReport | None = None) -> Iterator[JournalFrame]:
    """Every frame of one segment, whatever its file name: a capture, or a file under inspection.

    Raises: Damaged where its header is; UnknownFormat.
    """
    report = report if report is not None else RecoveryReport()
    with SegmentFile(path) as file:
        header = file.header()
    if header is None:
        raise Damaged(str(path), "the first 64 bytes are not a header of a journal segment")
    report.segments += 1
    expected = header.first_lsn
    for frame in _frames_above(_Segment(path, header), 0, report):
        report.count_rot(expected, frame.lsn - 1)
        report.frames += 1
        expected = frame.lsn + 1
        yield frame


def segment_paths(directory: Path) -> list[Path]:
    """The segments of a journal, oldest first. Raises: Damaged where anything but plain files stands among them."""
    if not directory.is_dir():
        return []
    paths = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                raise Damaged(entry.path, "not a regular file; links are not followed")
            if first_lsn_of(entry.name) is not None:
                paths.append(Path(entry.path))
    return sorted(paths)


def _survey(directory: Path, report: RecoveryReport) -> tuple[list[_Segment], list[Path]]:
    """All segments with the limits their successors set, and the files without any content."""
    segments: list[_Segment] = []
    debris = []
    for path in segment_paths(directory):
        with SegmentFile(path) as file:
            header = file.header()
            if header is None and file.data_end(0) == 0:
                debris.append(path)
                continue
            if header is None:
                report.damaged_headers += 1
                header = guess_header(file)
        named_lsn = first_lsn_of(path.name)
        if header.first_lsn != named_lsn:
            raise Damaged(str(path), f"its header says first lsn {header.first_lsn}, its name says {named_lsn}")
        segments.append(_Segment(path, header))
    limit_lsn = again_lsn = LSN_MAX
    for segment in reversed(segments):
        segment.limit_lsn, segment.again_lsn = limit_lsn, again_lsn
        limit_lsn, again_lsn = min(limit_lsn, segment.header.after_lsn), segment.header.first_lsn
    return segments, debris


def guess_header(file: SegmentFile) -> SegmentHeader:
    """Header to use in place of a damaged one: the LSN of the file's name, the uuid of its first valid frame."""
    first_lsn = first_lsn_of(file.path.name) or 1
    uuid = bytes(16)
    for frame in file.frames_after(HEADER_BYTES, None):
        if frame.lsn >= first_lsn:
            uuid = file.uuid_at(frame.offset)
            break
    return SegmentHeader(uuid, first_lsn, first_lsn - 1, 0, None)


def _frames_above(segment: _Segment, after_lsn: int, report: RecoveryReport) -> Iterator[JournalFrame]:
    """The frames of one segment up to its limit. Nothing is read where the limit lies below ``after_lsn`` already."""
    if segment.limit_lsn <= after_lsn:
        return
    header = segment.header
    offset, expected, prev_crc = HEADER_BYTES, header.first_lsn, header.crc
    with SegmentFile(segment.path) as file:
        while expected <= segment.limit_lsn:
            frame = _next_frame(file, segment, offset, expected, prev_crc)
            if frame is None:
                break
            report.bytes += frame.end - frame.offset
            segment.seen_lsn = max(segment.seen_lsn, frame.lsn)
            yield frame
            offset, expected, prev_crc = frame.end, frame.lsn + 1, frame.crc
        if segment.newest:
            report.torn_bytes += file.data_end(offset) - offset
        report.unreadable_bytes += file.unreadable_bytes


def _next_frame(
    file: SegmentFile, segment: _Segment, offset: int, expected: int, prev_crc: int | None
) -> JournalFrame | None:
    """The frame at ``offset`` where it is the one expected, else the frame to resume at, else None."""
    uuid = segment.header.uuid
    frame = file.frame_at(offset, uuid)
    if frame is not None and _fits(frame, expected, prev_crc):
        return frame
    resumed = _resume(file, segment, offset, expected)
    frame = file.frame_at(offset, uuid, fresh=True)  # the writer may have passed here since
    if frame is not None and _fits(frame, expected, prev_crc):
        return frame
    return resumed


def _fits(frame: JournalFrame, expected: int, prev_crc: int | None) -> bool:
    return frame.lsn == expected and (prev_crc is None or frame.prev_crc == prev_crc)


def _resume(file: SegmentFile, segment: _Segment, offset: int, expected: int) -> JournalFrame | None:
    """The frame to go on with behind damage at ``offset``, where the frame ``expected`` should be; None where to cut.

    A frame whose successor follows it is preferred: a lone one may be a whole frame in the wrong place.
    """
    if segment.again_lsn <= expected:
        return None
    uuid = segment.header.uuid
    witnessed = not segment.newest
    first = followed = None
    for frame in file.frames_after(offset, uuid):
        segment.seen_lsn = max(segment.seen_lsn, frame.lsn)
        if not expected <= frame.lsn <= segment.limit_lsn:
            continue
        first = first or frame
        witnessed = witnessed or frame.durable_lsn >= expected
        if followed is None:
            successor = file.frame_at(frame.end, uuid)
            if successor is not None and _fits(successor, frame.lsn + 1, frame.crc):
                followed = frame
        if witnessed and followed is not None:
            break
    return (followed or first) if witnessed else None


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:  # a running daemon trimmed it
        return 0, 0
    return found.st_size, found.st_mtime_ns // 1_000_000
