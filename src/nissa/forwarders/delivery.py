"""Delivery: reads the journal behind a sink's own durable cursor, has what it read sent, and moves the cursor.

    Followers.open ──► read ──► outlet.prepare ──► outlet.send ──► acknowledge, with the counts
                        ▲       (worker thread)    (loop)          (worker thread, durable)
                        └── wakes when frames have become durable, after ``linger_ms`` while little arrives

The next portion is prepared while one is being sent. After a crash what was not acknowledged is read and sent again: a
sink gets everything at least once. What it waits for costs only its own backlog, which ``Followers`` keeps within
bounds: beyond them the oldest frames are given up, counted and logged.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import structlog

from nissa.forwarders.backoff import Backoff
from nissa.forwarders.worker_thread import WorkerThread
from nissa.journal.follower import Follower
from nissa.journal.followers import Bounds, Followers
from nissa.journal.segment import JournalFrame
from nissa.model.errors import NissaError
from nissa.model.units import MIB, SECOND_MS

PORTION_BYTES: Final = 2 * MIB  # of frames that are read and sent at a time
RETRY_S: Final = 5.0  # after a failure of the disk or of ours
CURSOR: Final = "sink:"  # before the name of a sink, of its cursor
ROUTE: Final = "route:"  # before the name of a route, of counts of events that it leaves out
COUNTS: Final = ("frames", "samples", "delivered", "filtered", "dead")

log = structlog.get_logger()


class SentPortion(Protocol):
    """Frames as one outlet sends them: those that were read, or the first of them where they hold too much.

    frames: their number. lsn: of the last one. received_ms: of the first one. samples: or events, and filtered: of
    these, those that the sink leaves out; both are final once the portion is sent. left_out: of these, by the name of
    their route.
    """

    @property
    def lsn(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def received_ms(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def filtered(self) -> int: ...
    @property
    def left_out(self) -> Mapping[str, int]: ...


Portions = TypeVar("Portions", bound=SentPortion)


class Outlet(Protocol[Portions]):
    """The part of a sink that knows its system."""

    def prepare(self, entries: Sequence[JournalFrame]) -> Portions:
        """Requests of these frames, or of the first of them, one at least. On the worker thread."""

    async def send(self, portion: Portions) -> tuple[int, int]:
        """Send until everything is answered; returns how many samples were delivered, and set aside as dead letters."""

    def facts(self) -> Mapping[str, object]:
        """Numbers and settings for ``/api/status``."""

    async def close(self) -> None:
        """Close connections."""


class Delivery:
    """One sink at work. Its task runs on the loop; ``status`` may be asked from any thread."""

    def __init__(
        self,
        name: str,
        outlet: Outlet[Any],
        backoff: Backoff,
        followers: Followers,
        bounds: Bounds,
        thread: WorkerThread,
        now_ms: Callable[[], int],
        *,
        linger_ms: int,
        backfill: bool,
    ) -> None:
        """now_ms: the wall clock. linger_ms: pause between portions while little arrives.

        backfill: a new sink begins at the oldest frame there is, not now.
        """
        self.name, self.outlet, self.backoff = name, outlet, backoff
        self._cursor_name = CURSOR + name
        self._followers, self._bounds, self._thread = followers, bounds, thread
        self._now_ms, self._linger_ms, self._backfill = now_ms, linger_ms, backfill
        self._follower: Follower | None = None
        self._counts: dict[str, int] = {}
        self._waiting_since_ms = 0  # when the oldest frame being sent was received
        self._woken = asyncio.Event()
        self._left: Sequence[JournalFrame] = ()  # read, and behind the last portion
        self._behind = False  # the last read was full, or something of it is left
        self._loop: asyncio.AbstractEventLoop | None = None
        self._delivering: asyncio.Task[None] | None = None
        self._sent_ms = 0
        self._error = ""

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._delivering = asyncio.create_task(self._deliver(), name=f"sink:{self.name}")
                await asyncio.wait({self._delivering})
                if not self._delivering.cancelled():
                    self._failed(self._delivering.exception())
                    await asyncio.sleep(RETRY_S)
        finally:
            if self._delivering is not None:
                self._delivering.cancel()
                await asyncio.gather(self._delivering, return_exceptions=True)
            await self.outlet.close()

    def open(self) -> None:
        """Make the cursor, if it is new, so that frames that arrive from now on are delivered."""
        try:
            self._open()
        except NissaError as error:  # the task tries again
            self._failed(error)

    def close(self) -> None:
        """Give the cursor back; after ``run`` has ended."""
        self._loop = None
        if self._follower is not None:
            self._follower = None
            self._followers.close(self._cursor_name)

    async def skip(self) -> int:
        """Give up the whole backlog, frames being sent included; returns their number. Raises: Unavailable."""
        follower = await self._thread.run(self._open)
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.gather(self._delivering, return_exceptions=True)
        frames = await self._thread.run(_give_up, follower)
        log.warning("backlog of a sink skipped", sink=self.name, frames=frames)
        return frames

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        follower = self._follower
        counts = self.counts()
        backlog_frames = follower.backlog_frames if follower is not None else 0
        since_ms = self._waiting_since_ms if backlog_frames else 0
        state = self.backoff.state
        if self._error and state in ("up", "refusing"):  # it answers, and its portion fails here
            state = "failing"
        return {
            "state": state,
            "breaker": str(self.backoff.breaker_state),
            "up": int(state == "up"),
            "error": self._error or self.backoff.error or None,
            "failures": self.backoff.failures,
            "backlog_frames": backlog_frames,
            "backlog_bytes": follower.backlog_bytes if follower is not None else 0,
            "backlog_age_ms": max(self._now_ms() - since_ms, 0) if since_ms else 0,
            "lost_frames": follower.lost_frames if follower is not None else 0,
            "cursor_lsn": follower.cursor.lsn if follower is not None else None,
            "last_sent_ms": self._sent_ms or None,
            **counts,
            "left_out": {name.removeprefix(ROUTE): count for name, count in self._routes().items()},
            **self.outlet.facts(),
        }

    def counts(self) -> dict[str, int]:
        """Samples up to the cursor by where they went: samples = delivered + filtered + dead."""
        found = self._follower.cursor.counts if self._follower is not None else {}
        return {name: found.get(name, 0) for name in COUNTS}

    def _routes(self) -> dict[str, int]:
        found = self._follower.cursor.counts if self._follower is not None else {}
        return {name: count for name, count in found.items() if name.startswith(ROUTE)}

    # ---- the loop ----

    async def _deliver(self) -> None:
        follower = await self._thread.run(self._open)
        await self._thread.run(self._rewind, follower)
        self._counts = {**self.counts(), **self._routes()}
        ahead = asyncio.create_task(self._next(follower))
        try:
            while True:
                portion = await ahead
                self._error = ""
                ahead = asyncio.create_task(self._next(follower))
                self._waiting_since_ms = portion.received_ms
                delivered, dead = await self.outlet.send(portion)
                self._count(portion, delivered, dead)
                counts = dict(self._counts)
                await self._thread.run(follower.acknowledge, portion.lsn, counts)
                self._sent_ms = self._now_ms()
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def _open(self) -> Follower:
        if self._follower is None:
            self._follower = self._followers.open(
                self._cursor_name, self._bounds, backfill=self._backfill, notify=self._notify
            )
        return self._follower

    def _notify(self) -> None:
        """Frames have become durable. On the commit thread."""
        loop = self._loop
        if loop is not None and not self._woken.is_set():
            with suppress(RuntimeError):  # the loop is being closed
                loop.call_soon_threadsafe(self._woken.set)

    async def _next(self, follower: Follower) -> SentPortion:
        """The next portion, once there is one."""
        while True:
            if not self._behind:
                await asyncio.sleep(self._linger_ms / SECOND_MS)
            self._woken.clear()
            portion = await self._thread.run(self._prepare, follower)
            if portion is not None:
                return portion
            await self._woken.wait()

    def _rewind(self, follower: Follower) -> None:
        self._left = ()
        follower.rewind()

    def _prepare(self, follower: Follower) -> SentPortion | None:
        entries = self._left or follower.read(PORTION_BYTES)
        full = bool(self._left) or sum(entry.end - entry.offset for entry in entries) >= PORTION_BYTES
        if not entries:
            self._behind = False
            return None
        found: SentPortion = self.outlet.prepare(entries)
        self._left = entries[found.frames :]
        self._behind = full or bool(self._left)
        return found

    def _count(self, portion: SentPortion, delivered: int, dead: int) -> None:
        found = (portion.frames, portion.samples, delivered, portion.filtered, dead)
        for name, count in zip(COUNTS, found, strict=True):
            self._counts[name] += count
        for route, count in portion.left_out.items():
            self._counts[ROUTE + route] = self._counts.get(ROUTE + route, 0) + count

    def _failed(self, error: BaseException | None) -> None:
        while isinstance(error, BaseExceptionGroup):  # of the connections; the first says enough
            error = error.exceptions[0]
        text = str(error) if isinstance(error, NissaError | OSError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, NissaError | OSError):  # the edge: a fault of ours in one sink must not end the others
            log.error("unexpected failure of a sink", sink=self.name, exc_info=error)
        elif text != self._error:
            log.warning("sink failed; retrying", sink=self.name, error=text)
        self._error = text


def _give_up(follower: Follower) -> int:
    """Lose all that is behind the cursor; returns the number of frames."""
    follower.rewind()  # what was read counts as lost too
    lost = follower.lost_frames
    follower.give_up(follower.cursor.lsn + follower.backlog_frames)
    return follower.lost_frames - lost
