"""The journal: makes frames durable, in the order they were admitted, before they are acknowledged.

    engine thread                 commit thread                            seal thread
    append(frame) ──► pending ──► commit(): one pwritev + one fdatasync    trim(lsn)
                                            │
                     000…001.journal  000…413.journal  ◄ active            next.prepared

* A commit is a group commit: all frames appended since the last one, in one write and one fdatasync. With ``fsync``
  durability it bypasses the page cache (``aligned_writer.py``).
* A segment is made ahead under another name (created, preallocated, synced). It takes its own name after its first
  commit is synced, and the directory is synced before that commit is acknowledged: a named segment always has content.
* A segment ends when a head is frozen (``cut``), so that its seal releases whole segments. A segment is preallocated
  with twice the size that the last one reached, so little traffic means small segments.
* A file descriptor that failed once is closed and never written or synced again. Its unacknowledged frames are written
  to a new segment, whose header voids the rest of the failed one.
* LSNs are never reused, not even those of frames that were refused after a failure.

Segments of an earlier run are never written. ``segment.py`` defines the bytes, ``recovery.py`` which frames are valid
after a crash.
"""

import contextlib
import errno
import mmap
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from nissa.journal.aligned_writer import BLOCK_BYTES, DIRECT, AlignedWriter, write_whole
from nissa.journal.recovery import JournalTail, RecoveryReport, SegmentSummary, read_journal
from nissa.journal.segment import (
    HEADER_BYTES,
    PADDING,
    PREPARED_NAME,
    JournalFrame,
    encode_frame_header,
    encode_segment_header,
    segment_name,
    stored_bytes,
)
from nissa.model.durability import Durability
from nissa.model.errors import JournalFailed
from nissa.model.frame import Frame
from nissa.model.units import MIB

__all__ = ["Journal", "JournalFrame", "JournalTail", "RecoveryReport", "read_journal"]

RETRIES_MAX = 3  # on fresh segments, after the first try
SEGMENT_BYTES_MIN = 1 * MIB  # preallocated at least, where storage.segment_size is not less
CUT_BYTES_MIN = 1 * MIB  # what a segment holds before it is left for a cut: a new one costs a file and three syncs
UNSYNCED_BYTES_MAX = 16 * MIB  # with interval durability: kept in memory at most, to be written again
_NO_FRAMES = memoryview(mmap.mmap(-1, BLOCK_BYTES))  # the beginning of a segment made ahead


class _Entry(msgspec.Struct, frozen=True, gc=False):
    lsn: int
    new_series: int
    frame: Frame


class _ActiveSegment:
    """The segment that is being written. offset: where the next frame goes. named: its first commit is durable."""

    def __init__(self, fd: int, preallocated_bytes: int, first_lsn: int, after_lsn: int, created_ms: int) -> None:
        self.fd = fd
        self.preallocated_bytes = preallocated_bytes
        self.uuid = uuid.uuid4().bytes
        self.first_lsn = self.next_lsn = first_lsn
        self.header, self.crc = encode_segment_header(
            self.uuid, first_lsn=first_lsn, after_lsn=after_lsn, created_ms=created_ms
        )
        self.offset = 0
        self.named = False

    @property
    def bytes_on_disk(self) -> int:
        """Bytes the file takes on disk; one commit may have outgrown what was preallocated."""
        return max(self.offset, self.preallocated_bytes)

    def write(self, entries: Sequence[_Entry], durable_lsn: int, writer: AlignedWriter) -> None:
        """Append ``entries``. Raises: OSError, after which the file must be abandoned."""
        if self.offset == 0:
            writer.restart()
        buffers = [self.header] if self.offset == 0 else []
        crc = self.crc
        for entry in entries:
            frame = entry.frame
            head, crc = encode_frame_header(
                frame,
                self.uuid,
                lsn=entry.lsn,
                durable_lsn=durable_lsn,
                new_series=entry.new_series,
                prev_crc=crc,
            )
            buffers += (head, frame.body, PADDING[-(len(head) + len(frame.body)) % 8])
        self.offset = writer.append(self.fd, buffers)
        self.crc = crc
        self.next_lsn = entries[-1].lsn + 1


class Journal:
    """The writer: ``append`` for one thread, ``commit`` and its family for another, trim and the properties for any."""

    def __init__(
        self,
        directory: Path,
        *,
        durability: Durability,
        segment_bytes: int,
        clock: Callable[[], int],
        tail: JournalTail | None = None,
    ) -> None:
        """Write on behind ``tail`` (what ``read_journal`` found; None for a new directory), always into a new segment.

        segment_bytes: preallocated per segment at most; one commit may outgrow it. clock: Unix milliseconds.
        Raises: JournalFailed where the directory cannot be made.
        """
        tail = tail if tail is not None else JournalTail()
        self._directory = directory
        self._durability = durability
        self._segment_bytes = max(segment_bytes, 2 * HEADER_BYTES)
        self._cut_bytes = min(CUT_BYTES_MIN, self._segment_bytes // 2)
        self._next_bytes = min(SEGMENT_BYTES_MIN, self._segment_bytes)  # what the next segment gets
        self._clock = clock
        self._lock = threading.Lock()
        self._segments = {summary.path.name: summary for summary in tail.segments}
        self._appended_lsn = tail.next_lsn - 1
        self._durable_lsn = self._synced_lsn = tail.last_lsn  # synced: also in a commit that is not over yet
        self._cut_lsn = self._trimmed_lsn = 0  # as last asked for
        self._appended_bytes = self._settled_bytes = 0
        self._pending: list[_Entry] = []  # appended; shared by the two threads, under the lock
        self._unwritten: list[_Entry] = []  # taken by commit, in no healthy file
        self._unsynced: list[_Entry] = []  # in the active segment, not synced
        self._unsynced_bytes = 0
        self._synced_ms = 0
        self._active: _ActiveSegment | None = None
        self._prepared: int | None = None
        self._prepared_bytes = 0
        self._floor: Callable[[int], int] = lambda lsn: lsn
        self._wake: Callable[[], None] = lambda: None
        self._writer = AlignedWriter()
        self._direct = DIRECT if durability.mode == "fsync" else 0  # what is not synced at once belongs in the cache
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            for path in (*tail.debris, directory / PREPARED_NAME):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise JournalFailed(f"{directory}: cannot be opened for writing: {error.strerror}") from error

    @property
    def durability(self) -> Durability:
        """The mode in force."""
        return self._durability

    @property
    def durable_lsn(self) -> int:
        """The last LSN that may be acknowledged in the mode in force."""
        return self._durable_lsn

    @property
    def appended_lsn(self) -> int:
        """The last LSN given out."""
        return self._appended_lsn

    @property
    def pending_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return max(self._appended_bytes - self._settled_bytes, 0)

    @property
    def segment_count(self) -> int:
        """Segments on disk, the active one included."""
        with self._lock:
            return len(self._segments) + (self._active is not None)

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all segments, preallocated ones included."""
        active, prepared = self._active, self._prepared_bytes
        with self._lock:
            closed_bytes = sum(summary.bytes for summary in self._segments.values())
        return closed_bytes + (active.bytes_on_disk if active is not None else 0) + prepared

    @property
    def trimmable_bytes(self) -> int:
        """Bytes of the segments that are no longer written and hold frames no ``trim`` was asked for yet."""
        with self._lock:
            return sum(one.bytes for one in self._segments.values() if one.last_lsn > self._trimmed_lsn)

    @property
    def kept_bytes(self) -> int:
        """Bytes of segments that only followers need."""
        with self._lock:
            return sum(one.bytes for one in self._segments.values() if one.last_lsn <= self._trimmed_lsn)

    def segments(self, *, closed: bool = False) -> list[SegmentSummary]:
        """Segments on disk in order of their LSNs, up to what is written; closed: without the one being written.

        Bytes of the one being written are those written, not those preallocated.
        """
        with self._lock:
            found = list(self._segments.values())
            active = self._active
        if active is not None and active.named and not closed:
            path = self._directory / segment_name(active.first_lsn)
            found.append(SegmentSummary(path, active.first_lsn, active.next_lsn - 1, active.offset))
        return sorted(found, key=lambda summary: summary.first_lsn)

    def follow(self, floor: Callable[[int], int], wake: Callable[[], None]) -> None:
        """Set the callbacks of followers (``followers.py``). wake: called when frames have become durable.

        floor: called with an LSN; returns the LSN, that or a lower one, up to which segments may be deleted.
        """
        self._floor, self._wake = floor, wake

    def append(self, frame: Frame, new_series: int) -> int:
        """Take ``frame`` for the next commit and give it its LSN. No I/O. The body must not change afterwards."""
        with self._lock:
            lsn = self._appended_lsn + 1
            self._pending.append(_Entry(lsn, new_series, frame))
            self._appended_lsn = lsn
            self._appended_bytes += stored_bytes(frame)
        return lsn

    def cut(self, lsn: int) -> None:
        """Frames after ``lsn`` go into another segment than those up to it, where those are worth one; no I/O.

        From the thread that appends. A later cut replaces this one.
        """
        self._cut_lsn = lsn

    def commit(self) -> int:
        """Make everything appended durable in the mode in force; returns the durable LSN.

        With nothing appended it still syncs what ``interval`` durability owes, so call it at least every interval.
        Raises: JournalFailed after the last try; the frames stay until ``discard_pending``, or the next commit tries
        again.
        """
        return self._commit(sync_now=False)

    def discard_pending(self) -> int:
        """Give up every frame that is not durable, after JournalFailed. Their LSNs are not used again.

        Returns: the last LSN given up; frames appended while this runs have higher ones and stay.
        """
        with self._lock:
            self._pending = []
            self._settled_bytes = self._appended_bytes
            last_lsn = self._appended_lsn
        self._synced_lsn = self._durable_lsn
        # With interval durability acknowledged frames may stand here too: those are kept and written again.
        self._unwritten = [entry for entry in self._unwritten if entry.lsn <= self._durable_lsn]
        return last_lsn

    def prepare(self) -> bool:
        """Make the next segment ahead, so that no commit waits for it; for the commit thread, between commits."""
        self._leave_at_cut()
        try:
            self._prepare()
        except OSError:
            return False  # commit meets the same error and reports it
        return True

    def probe(self) -> bool:
        """True if a new segment can be made, written and synced now; for coming back after JournalFailed."""
        self._drop_prepared()
        return self.prepare()

    def trim(self, lsn: int) -> int:
        """Delete the oldest segments that hold nothing above ``lsn``, never the active one; returns the bytes freed.

        What followers need stays.
        Raises: JournalFailed where the disk does not let go of one.
        """
        freed = 0
        with self._lock:
            self._trimmed_lsn = max(self._trimmed_lsn, lsn)
        lsn = self._floor(lsn)
        with self._lock:
            summaries = sorted(self._segments.values(), key=lambda summary: summary.first_lsn)
        try:
            for summary in summaries:
                if summary.last_lsn > lsn:
                    break
                summary.path.unlink(missing_ok=True)  # the seal and the commit thread may both be at it
                with self._lock:
                    self._segments.pop(summary.path.name, None)
                freed += summary.bytes
            if freed:
                self._sync_directory()
        except OSError as error:
            raise JournalFailed(f"{self._directory}: cannot be trimmed: {error}") from error
        return freed

    def close(self) -> None:
        """Commit pending frames, sync them (but for ``os``), and give the files back. Raises: JournalFailed."""
        try:
            self._commit(sync_now=True)
            if self._active is not None:
                self._retire(self._active)
        finally:
            self._drop_prepared()

    def _commit(self, *, sync_now: bool) -> int:
        with self._lock:
            self._unwritten += self._pending
            self._pending = []
            last_lsn, appended_bytes = self._appended_lsn, self._appended_bytes
        failure: OSError | None = None
        for _ in range(1 + RETRIES_MAX):
            try:
                self._write_out(sync_now=sync_now)
                break
            except OSError as error:
                self._abandon()
                failure = error
        else:
            raise JournalFailed(
                f"{self._directory}: frames {self._durable_lsn + 1} to {last_lsn} could not be made durable in "
                f"{1 + RETRIES_MAX} tries, each on a fresh segment: {failure}"
            ) from failure
        self._durable_lsn = max(self._durable_lsn, self._active.next_lsn - 1 if self._active is not None else 0)
        self._settled_bytes = appended_bytes
        self._wake()
        return self._durable_lsn

    def _write_out(self, *, sync_now: bool) -> None:
        """Write all unwritten frames to the active segment, or a new one, and sync if the mode or ``sync_now`` asks."""
        for run in _runs(self._unwritten, self._cut_lsn):
            segment = self._segment_for(run)
            segment.write(run, self._durable_lsn, self._writer)
            self._unsynced += run
            self._unsynced_bytes += _run_bytes(run)
            self._unwritten = self._unwritten[len(run) :]
        active = self._active
        if active is not None and self._unsynced and (sync_now or self._sync_due(active)):
            self._sync(active)

    def _segment_for(self, run: Sequence[_Entry]) -> _ActiveSegment:
        """The active segment where ``run`` continues it and fits, else a new one."""
        active = self._active
        if active is not None:
            fits = active.offset + _run_bytes(run) <= active.preallocated_bytes
            if run[0].lsn == active.next_lsn and fits and not self._ends_at_cut(active):
                return active
            if self._unsynced:
                self._sync(active)
            self._retire(active)
            self._trim_again()
        self._prepare()
        fd, prepared_bytes = self._prepared, self._prepared_bytes
        if fd is None:
            raise OSError(errno.EIO, "no empty segment is ready")
        self._prepared, self._prepared_bytes = None, 0
        # What this commit has synced into the segment before counts too, or a replay would take it for given up.
        after_lsn = max(self._durable_lsn, self._synced_lsn)
        self._active = _ActiveSegment(fd, prepared_bytes, run[0].lsn, after_lsn, self._clock())
        return self._active

    def _ends_at_cut(self, segment: _ActiveSegment) -> bool:
        return segment.next_lsn == self._cut_lsn + 1 and segment.offset >= self._cut_bytes

    def _leave_at_cut(self) -> None:
        """Close the active segment where the next frame would not go into it, and let it go if it was trimmed."""
        active = self._active
        if active is None or self._unsynced or not self._ends_at_cut(active):
            return
        self._retire(active)
        self._trim_again()

    def _trim_again(self) -> None:
        """Let go of the segment that was just closed, if ``trim`` was asked for it while it was written."""
        with contextlib.suppress(JournalFailed):  # costs space only; the next seal trims again
            self.trim(self._trimmed_lsn)

    def _sync_due(self, segment: _ActiveSegment) -> bool:
        if self._durability.mode != "interval" or not segment.named or self._unsynced_bytes >= UNSYNCED_BYTES_MAX:
            return True
        elapsed_ms = self._clock() - self._synced_ms
        return not 0 <= elapsed_ms < self._durability.interval_ms  # a clock set back syncs at once

    def _sync(self, segment: _ActiveSegment) -> None:
        """All that is written becomes durable; with ``os`` durability, that is left to the kernel."""
        syncs = self._durability.mode != "os"
        if syncs:
            os.fdatasync(segment.fd)
        if not segment.named:
            # A file that has this name already holds nothing that counts: no frame of it was acknowledged.
            (self._directory / PREPARED_NAME).rename(self._directory / segment_name(segment.first_lsn))
            if syncs:
                self._sync_directory()
            segment.named = True
        self._unsynced = []
        self._unsynced_bytes = 0
        self._synced_lsn = segment.next_lsn - 1
        self._synced_ms = self._clock()

    def _prepare(self) -> None:
        if self._prepared is not None:
            return
        try:
            self._prepared = self._make_segment()
        except OSError as error:
            if error.errno != errno.EINVAL or not self._direct:
                raise
            self._direct = 0  # a file system that cannot
            self._prepared = self._make_segment()

    def _make_segment(self) -> int:
        """A preallocated file without frames, synced with its length; its name is not."""
        path = self._directory / PREPARED_NAME
        path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | self._direct
        fd = -1
        try:
            fd = os.open(path, flags, 0o640)
            os.posix_fallocate(fd, 0, self._next_bytes)
            write_whole(fd, _NO_FRAMES, 0)
            if self._durability.mode != "os":
                os.fsync(fd)
        except OSError:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._prepared_bytes = self._next_bytes
        return fd

    def _drop_prepared(self) -> None:
        fd, self._prepared, self._prepared_bytes = self._prepared, None, 0
        if fd is not None:
            os.close(fd)
            with contextlib.suppress(OSError):  # the next run deletes it
                (self._directory / PREPARED_NAME).unlink()

    def _retire(self, segment: _ActiveSegment) -> None:
        """Close a healthy segment that takes no more frames, and give back what was preallocated behind them."""
        with contextlib.suppress(OSError):  # costs space only; the zeros behind the last frame are harmless
            os.ftruncate(segment.fd, segment.offset)
        self._next_bytes = min(max(2 * segment.offset, SEGMENT_BYTES_MIN), self._segment_bytes)
        self._remember(segment, segment.next_lsn - 1, segment.offset)

    def _abandon(self) -> None:
        """Close a segment that failed, and take back every frame it was not durable for."""
        segment = self._active
        if segment is None:
            return
        self._unwritten = self._unsynced + self._unwritten
        self._unsynced = []
        self._unsynced_bytes = 0
        self._remember(segment, self._durable_lsn, segment.bytes_on_disk)

    def _remember(self, segment: _ActiveSegment, last_lsn: int, size_bytes: int) -> None:
        with contextlib.suppress(OSError):  # its bytes are synced already, or no longer relied on
            os.close(segment.fd)
        path = self._directory / segment_name(segment.first_lsn)
        with self._lock:
            self._active = None
            if segment.named:
                self._segments[path.name] = SegmentSummary(path, segment.first_lsn, last_lsn, size_bytes, self._clock())

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _runs(entries: Sequence[_Entry], cut_lsn: int) -> Iterator[list[_Entry]]:
    """``entries`` cut behind ``cut_lsn``, and where an LSN is missing (given up): inside a segment LSNs rise by one."""
    first = 0
    for index in range(1, len(entries) + 1):
        lsn = entries[index - 1].lsn
        if index == len(entries) or entries[index].lsn != lsn + 1 or lsn == cut_lsn:
            yield list(entries[first:index])
            first = index


def _run_bytes(run: Sequence[_Entry]) -> int:
    return sum(stored_bytes(entry.frame) for entry in run)
