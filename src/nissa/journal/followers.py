"""The followers of a journal: their names, their cursors, and the segments retained for them.

    segments   1   2   3   4   5   6     blocks have everything up to 4: they would be deleted
    audit              ▲                 its cursor is in 3: 3 and 4 are kept
    slow       ▲                         1 and 2 are kept for it, as far as its bounds go, and given up beyond them

Segments that only a follower needs are limited in bytes and age, per follower, also while it is not open. Beyond a
limit it loses the oldest segment: this is counted and logged, and its cursor moves past the segment. After a clock jump
nothing is dropped by age. Cursors are stored by the ``Cursors`` passed in.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from nissa.journal.follower import Cursor, Follower
from nissa.journal.journal import Journal
from nissa.journal.recovery import SegmentSummary
from nissa.model.errors import NissaError

log = structlog.get_logger()


class Bounds(msgspec.Struct, frozen=True):
    """Bounds of the journal held for one follower: bytes of segments that blocks have, and their age."""

    bytes_max: int
    age_ms_max: int


class Cursors(Protocol):
    """Store of cursors. A write that returned is durable."""

    def read(self) -> Mapping[str, Cursor]:
        """All there are, by name."""

    def write(self, name: str, cursor: Cursor | None) -> None:
        """Keep one, or forget it. Raises: Unavailable."""


def _silent() -> None:
    """Do nothing."""


class Followers:
    """All followers of one journal. Safe to use from any thread."""

    def __init__(
        self,
        journal: Journal,
        cursors: Cursors,
        bounds: Bounds,
        clock: Callable[[], int],
        in_doubt: Callable[[], bool],
    ) -> None:
        """Keep the segments that the cursors need, from now on.

        bounds: of those that are opened without their own, and of those not open. clock: Unix milliseconds. in_doubt:
        True while it may be wrong. Raises: what ``Cursors.read`` raises.
        """
        self._journal, self._cursors, self._bounds = journal, cursors, bounds
        self._clock, self._in_doubt = clock, in_doubt
        self._lock = threading.Lock()
        self._known = dict(cursors.read())
        self._open: dict[str, tuple[Follower, Bounds]] = {}
        self.given_up_bytes = 0
        journal.follow(self.floor, self._wake)

    def open(
        self,
        name: str,
        bounds: Bounds | None = None,
        *,
        backfill: bool = False,
        notify: Callable[[], None] = _silent,
    ) -> Follower:
        """The follower of this name, behind its cursor. A new one starts now, or with ``backfill`` at the oldest frame.

        notify: called on the thread that commits when frames have become durable; it must not block.
        Raises: Unavailable where its cursor cannot be kept; ValueError where it is open already.
        """
        with self._lock:
            if name in self._open:
                raise ValueError(f"the follower {name} is open already")
            cursor = self._known.get(name)
            if cursor is None or cursor.lsn > self._journal.appended_lsn:  # the latter: of another journal than this
                oldest_lsn = min((one.first_lsn for one in self._journal.segments()), default=1)
                cursor = Cursor(oldest_lsn - 1 if backfill else self._journal.durable_lsn)
                self._keep(name, cursor)
            follower = Follower(name, self._journal, cursor, lambda moved: self._keep(name, moved), notify)
            self._open[name] = follower, bounds or self._bounds
            return follower

    def close(self, name: str) -> None:
        """The follower stops reading; segments that its cursor needs are still retained."""
        with self._lock:
            follower, _ = self._open.pop(name, (None, None))
        if follower is not None:
            follower.close()
            follower.wake()

    def forget(self, name: str) -> None:
        """Close it, and keep nothing for it any more. Raises: Unavailable."""
        self.close(name)
        self._cursors.write(name, None)
        self._known.pop(name, None)

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status``: bytes kept and given up, frames lost, and each cursor by name."""
        durable_lsn = self._journal.durable_lsn
        cursors = {
            name: {
                "cursor_lsn": cursor.lsn,
                "backlog_frames": max(durable_lsn - cursor.lsn, 0),
                "lost_frames": self._open[name][0].lost_frames if name in self._open else cursor.lost_frames,
                "open": name in self._open,
            }
            for name, cursor in sorted(self._known.copy().items())
        }
        return {
            "kept_bytes": self._journal.kept_bytes,
            "given_up_bytes": self.given_up_bytes,
            "lost_frames": sum(facts["lost_frames"] for facts in cursors.values()),
            "backlog_frames": max((facts["backlog_frames"] for facts in cursors.values()), default=0),
            "cursors": cursors,
        }

    def floor(self, lsn: int) -> int:
        """The last frame, ``lsn`` at most, up to which segments may be deleted. Enforces the bounds."""
        segments = [one for one in self._journal.segments(closed=True) if one.last_lsn <= lsn]
        for name, cursor in self._known.copy().items():
            try:
                self._enforce(name, [one for one in segments if one.last_lsn > cursor.lsn])
            except NissaError as error:  # kept for longer; the next seal trims again
                log.warning(
                    "cannot move the cursor of a follower; journal segments stay until the next seal",
                    follower=name,
                    reason=str(error),
                )
        return min([lsn, *(cursor.lsn for cursor in self._known.copy().values())])

    def _enforce(self, name: str, needed: Sequence[SegmentSummary]) -> None:
        follower, bounds = self._open.get(name, (None, self._bounds))
        kept_bytes = sum(one.bytes for one in needed)
        now_ms = self._clock()
        for segment in needed:
            too_old = now_ms - segment.written_ms > bounds.age_ms_max and not self._in_doubt()
            if kept_bytes <= bounds.bytes_max and not too_old:
                return
            bound = "age" if too_old else "bytes"
            facts = {"follower": name, "last_lsn": segment.last_lsn, "bytes": segment.bytes, "bound": bound}
            log.error("journal segment released before a follower has read it", **facts)
            if follower is not None:
                follower.give_up(segment.last_lsn)
            else:
                cursor = self._known[name]
                lost = segment.last_lsn - max(cursor.lsn, segment.first_lsn - 1)
                lost_frames = cursor.lost_frames + lost
                self._keep(name, Cursor(segment.last_lsn, lost_frames=lost_frames, counts=cursor.counts))
            self.given_up_bytes += segment.bytes
            kept_bytes -= segment.bytes

    def _keep(self, name: str, cursor: Cursor) -> None:
        self._cursors.write(name, cursor)
        self._known[name] = cursor

    def _wake(self) -> None:
        for follower, _ in list(self._open.values()):
            follower.wake()
