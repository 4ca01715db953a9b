"""A follower: a reader of the journal with a durable cursor, while the journal is written.

    frames       1 2 3 4 5 │ 6 7 8 9 10 11 │ 12 13 …   segments
                   ▲   ▲         ▲
                   │   │         durable LSN: nothing behind it is read
                   │   position: the next frame that ``read`` returns
                   cursor: acknowledged, durable; where reading begins again after a crash

It continues at a segment and an offset; it reads from the start of a segment only if its cursor has no offset.
Damaged frames are counted, and reading continues after them by the rules of ``recovery.py``. LSNs that were never
acknowledged are skipped. At the end of the newest segment it waits, because missing frames may be written again in
another segment.

``followers.py`` decides which segments are retained for it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import structlog

from nissa.journal.journal import Journal
from nissa.journal.recovery import SegmentSummary, guess_header
from nissa.journal.segment import HEADER_BYTES, JournalFrame, SegmentFile, SegmentHeader
from nissa.model.units import KIB, MIB

READ_BYTES = 4 * MIB  # of frames that one ``read`` returns, unless it is asked for less
WINDOW_BYTES = 256 * KIB  # of one look into a segment

log = structlog.get_logger()


class Cursor(msgspec.Struct, frozen=True):
    """Position that a follower has acknowledged. Durable.

    lsn: the last frame acknowledged. segment, offset: start of the next one, as the first LSN of the segment
    and a byte in it; 0 if unknown. lost_frames: acknowledged frames it has missed, damaged or given up. counts: of the
    frames up to lsn, as the reader of the follower keeps them.
    """

    lsn: int
    segment: int = 0
    offset: int = 0
    lost_frames: int = 0
    counts: dict[str, int] = {}


class Follower:
    """One reader. ``read``, ``wait`` and ``acknowledge`` are for one thread at a time; made by ``Followers.open``."""

    def __init__(
        self, name: str, journal: Journal, cursor: Cursor, keep: Callable[[Cursor], None], notify: Callable[[], None]
    ) -> None:
        """keep: makes a cursor durable. notify: called on the thread that commits when frames have become durable."""
        self.name = name
        self.cursor = cursor
        self.lost_frames = cursor.lost_frames
        self._journal = journal
        self._keep = keep
        self._notify = notify
        self._lock = threading.Lock()  # ``give_up`` comes on the thread that trims
        self._woken = threading.Event()
        self._next_lsn = cursor.lsn + 1
        self._read: deque[tuple[int, int, int]] = deque()  # (lsn, segment, end) of frames that are not acknowledged
        self._place: _Place | None = None

    @property
    def next_lsn(self) -> int:
        """The next frame that ``read`` returns."""
        return self._next_lsn

    @property
    def backlog_frames(self) -> int:
        """Durable frames behind the cursor."""
        return max(self._journal.durable_lsn - self.cursor.lsn, 0)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the journal behind the cursor, about."""
        cursor = self.cursor
        if not self.backlog_frames:
            return 0
        segments = [one for one in self._journal.segments() if one.last_lsn > cursor.lsn]
        done = cursor.offset if segments and segments[0].first_lsn == cursor.segment else 0
        return max(sum(one.bytes for one in segments) - done, 0)

    def read(self, bytes_max: int = READ_BYTES) -> list[JournalFrame]:
        """The next durable frames, until they have ``bytes_max`` bytes; one at least, where there is one. Never waits.

        Raises: Damaged, UnknownFormat, OSError: nothing is lost, the next read tries again.
        """
        self._woken.clear()
        frames: list[JournalFrame] = []
        taken = 0
        with self._lock:
            durable_lsn = self._journal.durable_lsn  # before the list: these frames are in the segments it names
            segments = self._journal.segments()
            while self._next_lsn <= durable_lsn and taken < bytes_max:
                frame = self._next(durable_lsn, segments)
                if frame is None or self._place is None:
                    break
                frames.append(frame)
                taken += frame.end - frame.offset
                self._next_lsn = frame.lsn + 1
                self._read.append((frame.lsn, self._place.first_lsn, frame.end))
        return frames

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is more to read. False after ``timeout_s``, or if the follower was woken."""
        if self._journal.durable_lsn < self._next_lsn:
            self._woken.wait(timeout_s)
            self._woken.clear()
        return self._journal.durable_lsn >= self._next_lsn

    def wake(self) -> None:
        """Frames have become durable, or a ``wait`` is to end. From any thread."""
        self._woken.set()
        self._notify()

    def acknowledge(self, lsn: int, counts: Mapping[str, int] | None = None) -> None:
        """Frames up to ``lsn`` are needed no more; durable when it returns.

        counts: stored with the cursor, all or none of both; None leaves them as they are. Raises: Unavailable.
        """
        with self._lock:
            segment = offset = 0
            while self._read and self._read[0][0] <= lsn:
                _, segment, offset = self._read.popleft()
            stored = self.cursor.counts if counts is None else dict(counts)
            if lsn > self.cursor.lsn:
                self._move(Cursor(lsn, segment, offset, self.lost_frames, stored))
            elif stored != self.cursor.counts:  # frames were given up meanwhile that had been read
                self._move(msgspec.structs.replace(self.cursor, counts=stored))

    def rewind(self) -> None:
        """Read frames that are not acknowledged again."""
        with self._lock:
            self._let_go()
            self._read.clear()
            self._next_lsn = self.cursor.lsn + 1

    def close(self) -> None:
        """Let go of the open segment. The cursor stays."""
        with self._lock:
            self._let_go()

    def give_up(self, lsn: int) -> None:
        """Frames up to ``lsn`` are kept for it no more; those it has not read are lost. Raises: Unavailable."""
        with self._lock:
            if lsn <= self.cursor.lsn:
                return
            self.lost_frames += max(lsn + 1 - self._next_lsn, 0)
            self._move(Cursor(lsn, lost_frames=self.lost_frames, counts=self.cursor.counts))
            if self._next_lsn <= lsn:
                self._let_go()
                self._next_lsn = lsn + 1

    def _move(self, cursor: Cursor) -> None:
        self._keep(cursor)
        self.cursor = cursor

    # ---- reading ----

    def _next(self, durable_lsn: int, segments: Sequence[SegmentSummary]) -> JournalFrame | None:
        """The next frame up to ``durable_lsn``; None where it is not to be had yet."""
        while self._next_lsn <= durable_lsn:
            segment = _segment_of(segments, self._next_lsn)
            if segment is None:
                return None
            place = self._place
            if place is None or place.first_lsn != segment.first_lsn or place.expected > self._next_lsn:
                place = self._open(segment)
            if place is None:  # it was trimmed since: given up, or not needed
                segments = [one for one in segments if one.first_lsn != segment.first_lsn]
                continue
            limit_lsn = min(segment.last_lsn, durable_lsn)
            self._skip(max(segment.first_lsn, self._next_lsn), place.acknowledged_lsn)
            frame = place.frame(self._next_lsn, limit_lsn)
            if frame is not None:
                self._skip(frame.lsn, frame.lsn - 1)
                return frame
            if segment is segments[-1]:
                return None  # perhaps it is being written again elsewhere; a later commit will show
            self._skip(limit_lsn + 1, limit_lsn)
        return None

    def _skip(self, lsn: int, acknowledged_lsn: int) -> None:
        """Go on at ``lsn``; earlier frames up to ``acknowledged_lsn`` are lost."""
        lost = min(lsn - 1, acknowledged_lsn) - self._next_lsn + 1
        if lost > 0:
            self.lost_frames += lost
            facts = {"follower": self.name, "first_lsn": self._next_lsn, "frames": lost}
            log.error("follower lost journal frames", **facts)
        self._next_lsn = max(self._next_lsn, lsn)

    def _open(self, segment: SegmentSummary) -> "_Place | None":
        self._let_go()
        try:
            file = SegmentFile(segment.path, WINDOW_BYTES)
        except FileNotFoundError:
            return None
        place = _Place(file)
        cursor = self.cursor
        if cursor.lsn + 1 == self._next_lsn and cursor.segment == segment.first_lsn and cursor.offset >= HEADER_BYTES:
            place.try_at(cursor.offset, self._next_lsn)
        self._place = place
        return place

    def _let_go(self) -> None:
        if self._place is not None:
            self._place.file.close()
            self._place = None


class _Place:
    """Reading position in a segment. offset: of the frame with LSN ``expected``."""

    def __init__(self, file: SegmentFile) -> None:
        self.file = file
        header = file.header() or guess_header(file)
        self.header: SegmentHeader = header
        self.first_lsn = header.first_lsn
        # Frames of earlier segments up to here had been acknowledged: what is not found of them is lost.
        self.acknowledged_lsn = min(header.after_lsn, header.first_lsn - 1)
        self.offset, self.expected = HEADER_BYTES, header.first_lsn
        self._prev_crc = header.crc

    def try_at(self, offset: int, lsn: int) -> None:
        """Begin at ``offset`` where the frame ``lsn`` stands there, else at the start of the segment."""
        frame = self.file.frame_at(offset, self.header.uuid)
        if frame is not None and frame.lsn == lsn:
            self.offset, self.expected, self._prev_crc = offset, lsn, None

    def frame(self, wanted_lsn: int, limit_lsn: int) -> JournalFrame | None:
        """The first frame from ``wanted_lsn`` on, up to ``limit_lsn``; behind damage the next that is whole."""
        while self.expected <= limit_lsn:
            frame = self._at(self.offset) or next(self._behind(limit_lsn), None)
            if frame is None:
                return None
            self.offset, self.expected, self._prev_crc = frame.end, frame.lsn + 1, frame.crc
            if frame.lsn >= wanted_lsn:
                return frame
        return None

    def _at(self, offset: int) -> JournalFrame | None:
        """The frame expected, where it stands at ``offset``."""
        for fresh in (False, True):  # it may have been written since the window was read
            frame = self.file.frame_at(offset, self.header.uuid, fresh=fresh)
            if frame is not None and frame.lsn == self.expected and self._prev_crc in (None, frame.prev_crc):
                return frame
        return None

    def _behind(self, limit_lsn: int) -> Iterator[JournalFrame]:
        for frame in self.file.frames_after(self.offset, self.header.uuid):
            if self.expected <= frame.lsn <= limit_lsn:
                yield frame


def _segment_of(segments: Sequence[SegmentSummary], lsn: int) -> SegmentSummary | None:
    """The last segment that can contain ``lsn``, or the first after it."""
    behind = None
    for segment in reversed(segments):
        if segment.first_lsn <= lsn:
            return segment if segment.last_lsn >= lsn else behind
        behind = segment
    return behind
