"""The dispatcher: routing of one process, its outbox, and the channels that deliver.

    put ──► router (one thread) ──due──► one transaction: log, outbox ──► channels (loop) ──► receivers

One thread owns router and store, so every decision is stored before the next. The loop wakes it when groups are due.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
import structlog

from nissa.alerting.notification import channel_path
from nissa.alerting.router import Router
from nissa.alerting.routing import Routing
from nissa.alerting.routing_store import OutboxEntry, RoutingStore, StoredRouting
from nissa.alerting.silences import Silence, Silences
from nissa.alerting.views import AlertViews
from nissa.config.alerting import Alerting
from nissa.config.receivers import Channel as ChannelConfig
from nissa.model.alert import Alert
from nissa.model.errors import BadQuery, ConfigInvalid, NissaError, Unavailable
from nissa.model.units import MINUTE_MS, SECOND_MS
from nissa.notifiers.channel import Channel, ChannelSettings, merged_notification
from nissa.notifiers.dead_letter_mirror import DeadLetterMirror
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.kinds import notifier_of
from nissa.notifiers.notifier import Notifier
from nissa.safeguards.breaker import Breaker

PUT_TIMEOUT_S: Final = 30.0
STORE_RETRY_MS: Final = SECOND_MS
WAIT_MS_MAX: Final = 5 * SECOND_MS  # the wall clock may be set meanwhile
SUMMED: Final = (
    "waiting",
    "delivered",
    "failed_attempts",
    "digests",
    "dead_letters",
    "text_failures",
)  # over all channels
LETTERS_SHOWN_MAX: Final = 10_000

Answer = TypeVar("Answer")
log = structlog.get_logger()


class Dispatcher:
    """Routing and delivery. Made on the loop; ``put`` may be called from any other thread."""

    def __init__(
        self,
        settings: Alerting,
        routing: Routing,
        notifiers: Mapping[str, "Made"],
        store: RoutingStore,
        stored: StoredRouting,
        breaker: Callable[[str, int], Breaker],
        now_ms: Callable[[], int],
        external_url: str,
        mirror: DeadLetterMirror,
    ) -> None:
        """stored: what ``store`` has. breaker: gives each channel its own, by name and timeout. now_ms: wall clock."""
        self.settings, self._store, self._now_ms = settings, store, now_ms
        self._breaker, self._external_url = breaker, external_url
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "nissa-alerting")
        self._wake = asyncio.Event()
        self._next_ms: int | None = 0
        self._taken: list[int] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._channels: dict[str, Channel] = {}
        self._received = self._notifications = self._dropped_letters = 0
        silences = Silences(stored.silences, settings.silences_max)
        self._router = Router(routing, silences, stored.log, settings.alerts_max)
        self._router.restore(stored.alerts, now_ms())
        self._views = AlertViews(self._router, now_ms)
        self._orphans: list[OutboxEntry] = []
        self._mirror = mirror
        for path, (config, notifier) in notifiers.items():
            self._channels[path] = self._channel(path, config, notifier)
        self._hand_over(stored.outbox)

    # ---- alerts ----

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Take alerts that fire or have resolved; they are stored when this returns. Not on the loop.

        Raises: Unavailable where they were not taken, or not stored; they are to be put again.
        """
        try:
            self._thread.submit(self._put, alerts, now_ms).result(PUT_TIMEOUT_S)
        except RuntimeError as error:  # of a pool that is shut down
            raise Unavailable(f"alerting has stopped: {error}") from None
        except TimeoutError:
            raise Unavailable(f"alerts were not stored within {PUT_TIMEOUT_S:g}s") from None

    async def take(self, alerts: Sequence[Alert]) -> None:
        """``put`` on the loop. Raises: Unavailable."""
        await self._in_thread(self._put, alerts, self._now_ms())

    def _put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        try:
            self._router.put(alerts, now_ms)
        finally:
            self._received += len(alerts)
            self._store_changed()
            self._note_next()

    def _store_changed(self) -> None:
        changed = dict(self._router.changed)
        if changed:
            self._store.put_alerts(changed)
            self._router.changed.clear()

    # ---- the loop ----

    def start(self) -> None:
        """Start routing and one task for each channel."""
        for path, channel in self._channels.items():
            self._tasks[path] = asyncio.create_task(channel.run(), name=f"notifiers.{path}")
        self._tasks[""] = asyncio.create_task(self._run(), name="alerting")

    async def stop(self, timeout_s: float) -> None:
        """End all tasks; what is not delivered stays in the outbox."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=timeout_s)
        try:
            await self._in_thread(self._store_taken)
        except NissaError as error:
            log.warning("deliveries are not stored; they are repeated", error=str(error))
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        swept_ms = 0
        while True:
            try:
                self._hand_over(await self._in_thread(self._flush))
                if self._now_ms() - swept_ms >= MINUTE_MS:
                    swept_ms = self._now_ms()
                    await self._in_thread(self._sweep)
            except Unavailable as error:
                log.error("routing of alerts waits for the database", error=str(error))
                await asyncio.sleep(STORE_RETRY_MS / SECOND_MS)
            except Exception:  # the edge: routing goes on with the next group
                log.exception("routing of alerts failed")
                await asyncio.sleep(STORE_RETRY_MS / SECOND_MS)
            await self._wait()

    async def _wait(self) -> None:
        next_ms = self._next_ms
        wait_ms = WAIT_MS_MAX if next_ms is None else min(max(next_ms - self._now_ms(), 0), WAIT_MS_MAX)
        if wait_ms:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_ms / SECOND_MS)
        self._wake.clear()

    def _flush(self) -> list[OutboxEntry]:
        """Decide about due groups and store it; returns new entries of the outbox."""
        self._store_taken()
        now_ms = self._now_ms()
        if sum(channel.entries for channel in self._channels.values()) >= self.settings.outbox_entries_max:
            self._next_ms = now_ms + STORE_RETRY_MS
            return []
        self._store_changed()
        flush = self._router.flush(now_ms)
        if not flush.groups:
            self._next_ms = self._router.next_ms()
            return []
        try:
            entries = self._store.put_flush(flush)
        except BaseException:  # raised again; the groups must not be forgotten
            self._router.put_back(flush, now_ms + STORE_RETRY_MS)
            self._next_ms = self._router.next_ms()
            raise
        self._router.settle(flush)
        self._notifications += len(entries)
        self._next_ms = self._router.next_ms()
        return entries

    def _note_next(self) -> None:
        self._next_ms = self._router.next_ms()
        self._loop.call_soon_threadsafe(self._wake.set)

    def _sweep(self) -> None:
        now_ms = self._now_ms()
        self._store.forget_log(self._router.expired_entries(now_ms))
        gone = self._router.silences.expired_before(now_ms - self.settings.silences_retention_ms)
        if gone:
            self._store.put_silences((), gone)
            self._router.silences.forget(gone)
        dropped = self._store.trim_dead(self.settings.dead_letters_max, now_ms - self.settings.dead_letter_ms_max)
        if dropped:
            self._dropped_letters += dropped
            log.error("dead letters of notifications were dropped", letters=dropped)

    def _hand_over(self, entries: Sequence[OutboxEntry]) -> None:
        for entry in entries:
            channel = self._channels.get(entry.notification.path)
            if channel is None:
                self._orphans.append(entry)
            else:
                channel.put(entry)
        if self._orphans:
            orphans, self._orphans = self._orphans, []
            self._thread.submit(self._bury, orphans)

    def _bury(self, entries: Sequence[OutboxEntry]) -> None:
        """Make dead letters of entries whose channel is not configured any more."""
        for entry in entries:
            reason = f"the channel {entry.notification.path} is not configured any more"
            self._store.failed(entry.id, entry.attempts, reason, self._now_ms())
            log.error("a notification is a dead letter", letter=entry.id, reason=reason)

    # ---- outcomes of channels ----

    def delivered(self, entry: OutboxEntry) -> None:
        """An entry was taken. Its row goes with the next write."""
        self._taken.append(entry.id)
        self._wake.set()

    async def failed(self, entry: OutboxEntry) -> None:
        """Store a failed attempt. Raises: Unavailable."""
        await self._in_thread(self._store.failed, entry.id, entry.attempts, entry.reason, entry.died_at_ms)
        if entry.died_at_ms:
            await self._mirror.add(entry, self._external_url)

    async def merged(self, entries: Sequence[OutboxEntry]) -> OutboxEntry:
        """Store a digest in place of entries. Raises: Unavailable."""
        now_ms = self._now_ms()
        ids = [one.id for one in entries]
        return await self._in_thread(self._store.put_digest, merged_notification(entries, now_ms), ids, now_ms)

    def _store_taken(self) -> None:
        taken = list(self._taken)
        if taken:
            self._store.delivered(taken)
            del self._taken[: len(taken)]

    # ---- what is there ----

    async def look(self, work: Callable[[AlertViews], Answer]) -> Answer:
        """The result of ``work`` on the views, on the thread of the router."""
        return await self._in_thread(work, self._views)

    async def set_silence(self, wanted: Silence) -> str:
        """Have a silence in force; returns its id. Raises: BadQuery, Unavailable."""
        return await self._in_thread(self._set_silence, wanted)

    def _set_silence(self, wanted: Silence) -> str:
        size = len(msgspec.msgpack.encode(wanted))
        if size > self.settings.silence_bytes_max:
            limit = self.settings.silence_bytes_max
            raise BadQuery(f"a silence of {size} bytes is over the limit of {limit} (alerting.silence_size_max)")
        changes = self._router.silences.planned(wanted, self._now_ms())
        self._store.put_silences(changes)
        for one in changes:
            self._router.silences.put(one)
        return changes[-1].id

    async def end_silence(self, silence_id: str) -> None:
        """End a silence now. Raises: BadQuery, Unavailable."""

        def end() -> None:
            ended = self._router.silences.planned_end(silence_id, self._now_ms())
            self._store.put_silences([ended])
            self._router.silences.put(ended)

        await self._in_thread(end)

    # ---- dead letters ----

    async def dead_letters(self) -> list[OutboxEntry]:
        """Dead letters, the oldest first. Raises: Unavailable."""
        return await self._in_thread(self._store.dead_letters, LETTERS_SHOWN_MAX)

    async def replay(self, ids: Collection[int] | None) -> int:
        """Have dead letters delivered again, all or those with these ids; returns how many. Raises: Unavailable."""
        revived = await self._in_thread(self._store.revive, ids, set(self._channels), self._now_ms())
        self._hand_over(revived)
        return len(revived)

    async def drop(self, ids: Collection[int] | None) -> int:
        """Forget dead letters; returns how many there were. Raises: Unavailable."""
        return await self._in_thread(self._store.drop_dead, ids)

    # ---- all ----

    def apply(self, settings: Alerting, routing: Routing, notifiers: Mapping[str, "Made"]) -> None:
        """Route by another configuration from now on. On the loop."""
        self.settings = settings
        self._thread.submit(self._replace_routing, routing)
        for path in self._channels.keys() - notifiers.keys():
            left = self._channels.pop(path)
            self._tasks.pop(path).cancel()
            self._hand_over(left.take_all())
        for path, (config, notifier) in notifiers.items():
            known = self._channels.get(path)
            if known is None:
                channel = self._channels[path] = self._channel(path, config, notifier)
                self._tasks[path] = asyncio.create_task(channel.run(), name=f"notifiers.{path}")
            else:
                replacing = self._loop.create_task(known.replace(notifier, self._channel_settings(config)))
                self._tasks[f"replacing {path}"] = replacing

    def _replace_routing(self, routing: Routing) -> None:
        self._router.replace_routing(routing, self._now_ms())
        self._note_next()

    async def _in_thread(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """The result of ``work`` on the thread of router and store."""
        return await self._loop.run_in_executor(self._thread, work, *arguments)

    def facts(self) -> dict[str, Any]:
        """For ``/api/status`` and metrics; safe from any thread."""
        channels = {path: channel.facts() for path, channel in self._channels.copy().items()}
        sums = {name: sum(one[name] for one in channels.values()) for name in SUMMED}
        return {
            **sums,
            "alerts": len(self._router.alerts),
            "received": self._received,
            "notifications": self._notifications,
            "dead_letters_dropped": self._dropped_letters,
            "dead_letters_not_copied": self._mirror.failures,
            "channels": channels,
        }

    def _channel(self, path: str, config: ChannelConfig, notifier: Notifier) -> Channel:
        breaker = self._breaker(f"notifiers.{path}", config.timeout)
        return Channel(path, notifier, self._channel_settings(config), breaker, self, self._now_ms)

    def _channel_settings(self, config: ChannelConfig) -> ChannelSettings:
        return ChannelSettings(config.hourly_limit, config.timeout, self.settings, self._external_url)


Made = tuple[ChannelConfig, Notifier]


def notifiers_of(routing: Routing) -> dict[str, Made]:
    """A notifier for each channel of each receiver, by its path. Raises: ConfigInvalid."""
    library = TextLibrary(routing.texts)
    made: dict[str, Made] = {}
    for receiver in routing.receivers.values():
        for name, config in receiver.channels().items():
            setting = f"receivers.{receiver.name}.{name}"
            try:
                made[channel_path(receiver.name, name)] = (config, notifier_of(config, setting, library))
            except ConfigInvalid as error:
                if not error.path.startswith(setting):
                    raise
                place = routing.place_of(receiver.name, name) + error.path.removeprefix(setting)
                raise routing.fail(place, str(error).removeprefix(f"{error.path}: ")) from None
    return made
