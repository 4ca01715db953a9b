"""The queue of one channel: delivers its entries of the outbox, and tries again what fails.

    put ──► ready ──► attempt ──taken──► delivered
              ▲          │ └──refused, or too old──► dead letter
              └─ pause ◄─┘ failed
                           over the hourly limit: waits; what waits is one digest when there is room again

Notifications of one group are delivered one after the other, in order; those of different groups side by side. While
the breaker of the channel is open nothing is attempted. The outbox (``alerting/routing_store.py``) has every entry
until its outcome is stored, so a crash repeats attempts and loses none.

Pauses and limits run on the loop's clock, ages of entries on the wall clock.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
import structlog

from nissa.alerting.notification import Notification, digest
from nissa.alerting.routing_store import OutboxEntry
from nissa.config.alerting import Alerting
from nissa.model.errors import NissaError, Unavailable
from nissa.model.units import HOUR_MS, SECOND_MS
from nissa.notifiers.notifier import Message, NotDelivered, Notifier
from nissa.safeguards.breaker import Breaker

DOUBLINGS_MAX: Final = 30
STORE_RETRY_S: Final = 1.0

log = structlog.get_logger()


class Outcomes(Protocol):
    """The outbox, as a channel sees it."""

    def delivered(self, entry: OutboxEntry) -> None:
        """An entry was taken: it may be forgotten."""

    async def failed(self, entry: OutboxEntry) -> None:
        """An attempt failed; of a dead letter ``died_at_ms`` is set. Raises: Unavailable."""

    async def merged(self, entries: Sequence[OutboxEntry]) -> OutboxEntry:
        """A digest in place of these entries. Raises: Unavailable."""


class ChannelSettings(msgspec.Struct, frozen=True):
    """Limits of one channel. hourly_limit: 0 for none. timeout_ms: of one attempt."""

    hourly_limit: int
    timeout_ms: int
    alerting: Alerting
    external_url: str


class Channel:
    """One channel of one receiver. Lives on the loop."""

    def __init__(
        self,
        path: str,
        notifier: Notifier,
        settings: ChannelSettings,
        breaker: Breaker,
        outcomes: Outcomes,
        now_ms: Callable[[], int],
    ) -> None:
        """path: ``RECEIVER/KIND[NUMBER]``. now_ms: wall clock."""
        self.path = path
        self.last_error = ""
        self.last_text_error = ""
        self.delivered = self.failed = self.dead = self.digests = self.text_failures = 0
        self._notifier, self._settings = notifier, settings
        self._breaker, self._outcomes, self._now_ms = breaker, outcomes, now_ms
        self._waiting: dict[str, deque[OutboxEntry]] = {}  # by group
        self._ready: deque[str] = deque()
        self._paused: list[tuple[int, str]] = []
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._sent_ms: deque[int] = deque()  # messages of the last hour
        self._withheld = False
        self._changed = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    @property
    def entries(self) -> int:
        """Entries that wait, those under way included."""
        return sum(map(len, self._waiting.values()))

    def put(self, entry: OutboxEntry) -> None:
        """Take an entry for delivery."""
        key = entry.notification.group_key
        queue = self._waiting.get(key)
        if queue is None:
            queue = self._waiting[key] = deque()
            self._ready.append(key)
        queue.append(entry)
        self._changed.set()

    async def replace(self, notifier: Notifier, settings: ChannelSettings) -> None:
        """Deliver by another notifier from now on."""
        before, self._notifier, self._settings = self._notifier, notifier, settings
        self.last_text_error = ""  # its texts may be others now
        self._changed.set()
        await before.close()

    def take_all(self) -> list[OutboxEntry]:
        """All entries that wait; the channel has none of them any more."""
        found = [entry for queue in self._waiting.values() for entry in queue]
        self._waiting.clear()
        return sorted(found, key=lambda one: one.id)

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._changed.clear()
                wait_ms = await self._start_due()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), None if wait_ms is None else wait_ms / SECOND_MS)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            await self._notifier.close()

    def facts(self) -> dict[str, Any]:
        """Counts and state, for ``/api/status`` and metrics."""
        return {
            "waiting": self.entries,
            "delivered": self.delivered,
            "failed_attempts": self.failed,
            "dead_letters": self.dead,
            "digests": self.digests,
            "withheld": int(self._withheld),
            "breaker": str(self._breaker.state),
            "error": self.last_error or None,
            "text_failures": self.text_failures,
            "text_error": self.last_text_error or None,
        }

    async def _start_due(self) -> int | None:
        """Begin the attempts that may begin; returns milliseconds until the next may, None: something must change."""
        now_ms = self._steady_ms()
        while self._paused and self._paused[0][0] <= now_ms:
            self._ready.append(heapq.heappop(self._paused)[1])
        wait_ms = max(self._paused[0][0] - now_ms, 1) if self._paused else None
        for _ in range(len(self._ready)):
            if len(self._under_way) >= self._settings.alerting.deliveries_max:
                break
            key = self._ready.popleft()
            queue = self._waiting.get(key)
            if not queue or key in self._under_way:
                continue
            counts = self._notifier.counts(self._message(queue[0]))
            free_ms = self._free_in_ms(now_ms) if counts else 0
            if free_ms:
                self._withheld = True
                self._ready.append(key)
                wait_ms = min(free_ms, wait_ms or free_ms)
                continue
            if not self._breaker.allowed(now_ms):
                self._ready.appendleft(key)
                return max(self._breaker.retry_after_ms(now_ms), 10)
            if counts and self._withheld and await self._merge(key):
                key = self._ready.popleft()
            self._under_way[key] = asyncio.create_task(self._attempt(key))
        return wait_ms

    def _free_in_ms(self, now_ms: int) -> int:
        """Milliseconds until the hourly limit has room; attempts under way count as sent."""
        limit = self._settings.hourly_limit
        while self._sent_ms and self._sent_ms[0] <= now_ms - HOUR_MS:
            self._sent_ms.popleft()
        if not limit or len(self._sent_ms) + len(self._under_way) < limit:
            return 0
        return max(self._sent_ms[0] + HOUR_MS - now_ms, 1) if self._sent_ms else SECOND_MS

    async def _merge(self, key: str) -> bool:
        """Make one digest of all that was withheld, and put it first; False where it is one entry only."""
        self._withheld = False
        keys = [one for one in (key, *self._ready) if one in self._waiting and one not in self._under_way]
        entries = [entry for one in keys for entry in self._waiting[one] if self._notifier.counts(self._message(entry))]
        if len(entries) < 2:
            return False
        merged = {entry.id for entry in entries}
        try:
            made = await self._outcomes.merged(sorted(entries, key=lambda one: one.id))
        except Unavailable as error:  # each is sent by itself, as there is room
            log.warning("no digest could be stored", channel=self.path, error=str(error))
            return False
        for one in keys:
            left = deque(entry for entry in self._waiting[one] if entry.id not in merged)
            self._waiting[one] = left
            if not left:
                del self._waiting[one]
        self.digests += 1
        digest_key = f"{made.notification.group_key} {made.id}"
        self._waiting[digest_key] = deque([made])
        self._ready.appendleft(digest_key)
        if key in self._waiting:
            self._ready.append(key)
        return True

    async def _attempt(self, key: str) -> None:
        entry = self._waiting[key][0]
        notifier = self._notifier
        message = self._message(entry)
        pause_ms = 0
        try:
            async with asyncio.timeout(self._settings.timeout_ms / SECOND_MS):
                await notifier.send(message)
        except NotDelivered as error:
            pause_ms = await self._note_failure(entry, error, key)
        except TimeoutError:
            late = f"no answer within {self._settings.timeout_ms / SECOND_MS:g}s (timeout)"
            pause_ms = await self._note_failure(entry, NotDelivered(late), key)
        except asyncio.CancelledError:
            self._breaker.abandoned(self._steady_ms())
            raise
        except Exception as error:  # the edge: a notifier that fails must not end the channel
            log.exception("a notifier failed", channel=self.path)
            pause_ms = await self._note_failure(entry, NotDelivered(f"{type(error).__name__}: {error}"[:200]), key)
        else:
            self._breaker.success(self._steady_ms())
            self.delivered += 1
            self.last_error = ""
            self._note_texts(message)
            if notifier.counts(message):
                self._sent_ms.append(self._steady_ms())
            self._outcomes.delivered(entry)
        finally:
            self._under_way.pop(key, None)
            self._changed.set()
        self._go_on(key, entry, pause_ms)

    def _note_texts(self, message: Message) -> None:
        """Count the templates that failed in a message that was delivered."""
        if message.text_faults:
            self.text_failures += len(message.text_faults)
            self.last_text_error = message.text_faults[-1]
            log.warning("texts of a notification are the default", channel=self.path, faults=message.text_faults[:5])

    def _go_on(self, key: str, entry: OutboxEntry, pause_ms: int) -> None:
        """Have the next entry of a group delivered, or the same one after a pause."""
        queue = self._waiting.get(key)
        if not queue:
            return
        if pause_ms:
            heapq.heappush(self._paused, (self._steady_ms() + pause_ms, key))
            return
        if queue[0].id == entry.id:
            queue.popleft()
        if queue:
            self._ready.append(key)
        else:
            del self._waiting[key]

    async def _note_failure(self, entry: OutboxEntry, error: NotDelivered, key: str) -> int:
        """Store a failure; returns the pause before the next attempt, 0 where the entry is a dead letter."""
        self.failed += 1
        self.last_error = error.reason
        now_ms, limits = self._now_ms(), self._settings.alerting
        if error.retry:
            self._breaker.failure(self._steady_ms(), error.reason)
        else:
            self._breaker.success(self._steady_ms())  # it answers
        dies = not error.retry or now_ms - entry.created_at_ms >= limits.give_up_ms
        after = msgspec.structs.replace(
            entry, attempts=entry.attempts + 1, reason=error.reason, died_at_ms=now_ms if dies else 0
        )
        try:
            await self._outcomes.failed(after)
        except NissaError as fault:
            log.warning("an outcome is not stored yet", channel=self.path, error=str(fault))
            dies = False
        if dies:
            self.dead += 1
            log.error("a notification is a dead letter", channel=self.path, letter=entry.id, reason=error.reason)
            return 0
        queue = self._waiting.get(key)
        if queue and queue[0].id == entry.id:
            queue[0] = msgspec.structs.replace(after, died_at_ms=0)
        doubled = limits.retry_ms_min * 2 ** min(entry.attempts, DOUBLINGS_MAX)
        pause_ms = min(doubled, limits.retry_ms_max)
        return max(int(pause_ms * random.uniform(0.75, 1.0)), error.retry_after_ms, 1)  # noqa: S311 - spreads retries

    def _message(self, entry: OutboxEntry) -> Message:
        return Message(entry.delivery_id, entry.notification, self._settings.external_url)

    def _steady_ms(self) -> int:
        return int(self._clock() * SECOND_MS)


def merged_notification(entries: Sequence[OutboxEntry], now_ms: int) -> Notification:
    """The digest that stands for these entries."""
    return digest((one.notification for one in entries), now_ms)
