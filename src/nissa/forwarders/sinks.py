"""All sinks of the process: starts, stops, pauses and reports them.

One thread decodes, encodes and moves cursors for all of them; the loop sends. State that outlives the process is in the
room ``sinks`` of the state store: which are paused, and which have shown that they take remote write 1.0 only.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from nissa.config.sinks import CopySink, ElasticsearchSink, JournalSink, KafkaSink
from nissa.config.tree import Config
from nissa.files.names import DEAD_LETTERS
from nissa.forwarders.backoff import Backoff
from nissa.forwarders.dead_letter_list import DeadLetterList
from nissa.forwarders.dead_letters import DeadLetter, DeadLetters
from nissa.forwarders.delivery import CURSOR, Delivery, Outlet
from nissa.forwarders.elasticsearch import ElasticsearchOutlet
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.files import FilesDelivery
from nissa.forwarders.journal_columns import JournalColumns
from nissa.forwarders.journal_events import JournalEvents
from nissa.forwarders.remote_write import RemoteWriteOutlet
from nissa.forwarders.worker_thread import WorkerThread
from nissa.journal.followers import Bounds, Followers
from nissa.model.errors import BadQuery
from nissa.safeguards.breaker import Breaker

ROOM: Final = "sinks"
PREFIX_BYTES: Final = 6  # of ids of events: distinguishes data directories


class SinkState(msgspec.Struct, frozen=True, omit_defaults=True):
    """State of a sink that outlives the process. fell_back_url: the address that takes 1.0 only."""

    paused: bool = False
    fell_back_url: str = ""


class StoredState(Protocol):
    """The state store (``catalogue/state.py``)."""

    def read(self, room: str) -> dict[str, bytes]:
        """All values of a room by key."""

    def commit(self, room: str, changes: Mapping[str, bytes | None]) -> None:
        """Put values under their keys; durable when it returns."""


class SinkStates:
    """The states of all sinks. Safe from any thread."""

    def __init__(self, store: StoredState) -> None:
        """Raises: Damaged, Unavailable."""
        self._store = store
        self._known = {name: msgspec.json.decode(value, type=SinkState) for name, value in store.read(ROOM).items()}

    def of(self, name: str) -> SinkState:
        """State of one sink."""
        return self._known.get(name, SinkState())

    def fallen_back(self, name: str, url: str) -> bool:
        """True if this address takes remote write 1.0 only."""
        return self.of(name).fell_back_url == url

    def fall_back(self, name: str, url: str) -> None:
        """This address takes remote write 1.0 only. Raises: Unavailable."""
        self._put(name, msgspec.structs.replace(self.of(name), fell_back_url=url))

    def pause(self, name: str, *, paused: bool) -> None:
        """Remember that a sink is paused, or not. Raises: Unavailable."""
        self._put(name, msgspec.structs.replace(self.of(name), paused=paused))

    def forget(self, name: str) -> None:
        """Remember nothing of a sink any more. Raises: Unavailable."""
        self._store.commit(ROOM, {name: None})
        self._known.pop(name, None)

    def _put(self, name: str, state: SinkState) -> None:
        self._store.commit(ROOM, {name: msgspec.json.encode(state)})
        self._known[name] = state


class ReplayingOutlet(Outlet[Any], Protocol):
    """An outlet with dead letters."""

    letters: DeadLetters

    async def replay(self, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Send dead letters again; returns how many were delivered, and how many are left."""


class Running(Protocol):
    """One sink at work."""

    backoff: Backoff

    async def run(self) -> None:
        """Work until cancelled."""

    def close(self) -> None:
        """Release its resources, after ``run`` has ended."""

    async def skip(self) -> int:
        """Give up the backlog; returns the number of frames. Raises: BadQuery, Unavailable."""

    def status(self) -> dict[str, Any]:
        """Facts, from any thread."""


class Sinks:
    """All configured sinks. Lives on the loop; ``status`` and ``accounting`` are safe from any thread."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        followers: Followers,
        store: StoredState,
        secret: bytes,
        breaker: Callable[[str, int], Breaker],
        now_ms: Callable[[], int],
    ) -> None:
        """directory: the data directory. secret: of it. breaker: gives each sink its own, by path and timeout.

        now_ms: the wall clock. Raises: Damaged, Unavailable.
        """
        self._thread = WorkerThread("nissa-sinks")
        self._states = SinkStates(store)
        self._tasks: list[asyncio.Task[None]] = []
        self._config, self._directory, self._secret = config, directory, secret
        self._deliveries: dict[str, Running] = {}
        self._outlets: dict[str, ReplayingOutlet] = {}
        self._replaying: set[str] = set()  # twice at a time would send each letter twice
        self._now_ms, self._followers = now_ms, followers
        self._list = DeadLetterList(config.dead_letters_redis) if config.dead_letters_redis.url else None
        for name, sink in config.sinks.items():
            backoff = Backoff(name, breaker(f"sinks.{name}", sink.timeout_ms), paused=self._states.of(name).paused)
            if isinstance(sink, CopySink):
                self._deliveries[name] = FilesDelivery(name, sink, directory, backoff, now_ms)
                continue
            outlet = self._outlets[name] = self._new_outlet(name, sink, backoff)
            delivery = self._deliveries[name] = Delivery(
                name,
                outlet,
                backoff,
                followers,
                Bounds(sink.backlog_bytes_max, sink.backlog_ms_max),
                self._thread,
                now_ms,
                linger_ms=sink.linger_ms,
                backfill=sink.backfill,
            )
            delivery.open()

    def _new_outlet(self, name: str, sink: JournalSink, backoff: Backoff) -> ReplayingOutlet:
        path = self._directory / DEAD_LETTERS / f"{name}.jsonl"
        on_add = None if self._list is None else partial(self._list.note, name)
        letters = DeadLetters(path, sink.dead_letter_bytes_max, sink.dead_letter_ms_max, on_add)
        prefix = blake2b(self._secret, digest_size=PREFIX_BYTES).hexdigest()
        routes = EventRoutes(self._config.events.routing, name)
        place = letters, self._thread, self._now_ms
        if isinstance(sink, ElasticsearchSink):
            return ElasticsearchOutlet(name, sink, self._events, routes, backoff, *place, prefix)
        if isinstance(sink, KafkaSink):
            from nissa.forwarders.kafka import KafkaOutlet
            from nissa.forwarders.kafka_messages import KafkaMessages

            messages = KafkaMessages(sink, self._columns, self._events, routes, prefix)
            return KafkaOutlet(name, sink, messages, backoff, *place)
        return RemoteWriteOutlet(name, sink, self._columns, backoff, self._states, letters, self._thread, self._now_ms)

    @cached_property
    def _columns(self) -> JournalColumns:
        """The decoder of all sinks of samples."""
        return JournalColumns(self._config)

    @cached_property
    def _events(self) -> JournalEvents:
        """The decoder of all sinks of events."""
        return JournalEvents(self._config, self._secret)

    def start(self) -> None:
        """Start one task per sink."""
        self._tasks = [asyncio.create_task(one.run(), name=f"sinks.{name}") for name, one in self._deliveries.items()]
        if self._list is not None:
            self._tasks.append(asyncio.create_task(self._list.run(), name="sinks.dead_letters_redis"))

    async def stop(self, timeout_s: float) -> None:
        """End all tasks, and wait for ``timeout_s`` seconds at most. What was not acknowledged is sent again later."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        self._thread.end()
        for delivery in self._deliveries.values():
            delivery.close()

    def status(self) -> dict[str, Any]:
        """Name of each sink -> its facts; of one that is not configured any more, of its backlog alone."""
        found = {name: delivery.status() for name, delivery in self._deliveries.items()}
        for name, facts in removed_sinks(self._followers, self._deliveries).items():
            found[name] = {
                "state": "removed",
                "up": 0,
                "error": None,
                "backlog_frames": facts["backlog_frames"],
                "lost_frames": facts["lost_frames"],
            }
        return found

    def list_facts(self) -> dict[str, Any]:
        """Facts of the list of Redis that dead letters are mirrored to; none without one."""
        return {} if self._list is None else self._list.facts()

    async def pause(self, name: str) -> None:
        """Send nothing more to a sink until it is resumed, also after a restart. Raises: BadQuery, Unavailable."""
        delivery = self._delivery(name)
        await self._thread.run(lambda: self._states.pause(name, paused=True))
        delivery.backoff.pause()

    async def resume(self, name: str) -> None:
        """Send to a sink again, at once where it was failing or blocked too. Raises: BadQuery, Unavailable."""
        delivery = self._delivery(name)
        await self._thread.run(lambda: self._states.pause(name, paused=False))
        delivery.backoff.resume()

    async def skip(self, name: str) -> int:
        """Give up the backlog of a sink; returns the number of frames. Raises: BadQuery, Unavailable."""
        return await self._delivery(name).skip()

    async def forget(self, name: str) -> None:
        """Keep no journal any more for a sink that is not configured. Raises: BadQuery, Unavailable."""
        if name in self._deliveries:
            raise BadQuery(f"the sink {name} is configured: take it out of the configuration and restart first")
        removed = removed_sinks(self._followers, self._deliveries)
        if name not in removed:
            raise BadQuery(f"there is no removed sink {name[:80]!r}; there are: {', '.join(removed) or 'none'}")
        await self._thread.run(self._followers.forget, CURSOR + name)
        await self._thread.run(self._states.forget, name)

    async def dead_letters(self, name: str, limit: int | None = None) -> list[DeadLetter]:
        """Dead letters of a sink, the oldest first. limit: None: all. Raises: BadQuery, Unavailable."""
        return await self._thread.run(self._outlet(name).letters.current, self._now_ms(), limit)

    async def replay(self, name: str, ids: Collection[int] | None) -> tuple[int, int]:
        """Send these dead letters again, or all: how many were delivered, how many are left of them.

        Raises: BadQuery, Unavailable.
        """
        outlet = self._outlet(name)
        if name in self._replaying:
            raise BadQuery(f"dead letters of the sink {name} are being replayed: try again when that has ended")
        self._replaying.add(name)
        try:
            letters = await self.dead_letters(name)
            wanted = None if ids is None else frozenset(ids)
            return await outlet.replay([one for one in letters if wanted is None or one.id in wanted])
        finally:
            self._replaying.discard(name)

    async def drop(self, name: str, ids: Collection[int] | None) -> int:
        """Forget these dead letters, or all; returns how many there were. Raises: BadQuery, Unavailable."""
        return await self._thread.run(self._outlet(name).letters.drop, ids)

    def _outlet(self, name: str) -> ReplayingOutlet:
        self._delivery(name)
        found = self._outlets.get(name)
        if found is None:
            raise BadQuery(f"the sink {name} has no dead letters")
        return found

    def _delivery(self, name: str) -> Running:
        found = self._deliveries.get(name)
        if found is None:
            known = ", ".join(self._deliveries) or "none"
            raise BadQuery(f"there is no sink {name[:80]!r}; configured are: {known}")
        return found


def removed_sinks(followers: Followers, configured: Collection[str]) -> dict[str, dict[str, Any]]:
    """Sinks that have a cursor and are not configured: facts of their cursors by name."""
    cursors = {
        name.removeprefix(CURSOR): facts
        for name, facts in followers.facts()["cursors"].items()
        if name.startswith(CURSOR)
    }
    return {name: facts for name, facts in cursors.items() if name not in configured}
