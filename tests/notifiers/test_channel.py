"""The queue of a channel: order, retries, limits."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nissa.alerting.routing_store import OutboxEntry
from nissa.config.alerting import Alerting
from nissa.config.safeguards import Breakers
from nissa.model.errors import Unavailable
from nissa.notifiers.channel import Channel, ChannelSettings, merged_notification
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.safeguards.breaker import Breaker
from oracle.messages_out import AT_MS, a_message

LIMITS = Alerting(retry_ms_min=10, retry_ms_max=20, give_up_ms=1_000)


class Taker:
    """A notifier with prepared failures, and the store of its outcomes."""

    def __init__(self) -> None:
        self.failures: list[Exception | None] = []
        self.taken: list[tuple[str, str]] = []
        self.rows: dict[int, str] = {}
        self.now_ms = AT_MS
        self.work: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.seen: Callable[[Message], object] = lambda _: None

    def counts(self, message: Message) -> bool:
        return message.notification.group_key != "free"

    async def send(self, message: Message) -> None:
        await self.work()
        self.seen(message)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.append((message.id, message.notification.group_key))

    async def close(self) -> None:
        return

    def delivered(self, entry: OutboxEntry) -> None:
        self.rows[entry.id] = "delivered"

    async def failed(self, entry: OutboxEntry) -> None:
        self.rows[entry.id] = f"dead: {entry.reason}" if entry.died_at_ms else f"{entry.attempts} failed"

    async def merged(self, entries: Sequence[OutboxEntry]) -> OutboxEntry:
        return OutboxEntry(1_000 + len(entries), merged_notification(entries, AT_MS), AT_MS)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():  # noqa: ASYNC110 - conditions of several objects
            await asyncio.sleep(0.002)


def an_entry(number: int, key: str = "g") -> OutboxEntry:
    return OutboxEntry(number, a_message(key=key).notification, AT_MS)


def running(work: Callable[[Channel, Taker], Any], *, hourly: int = 0, threshold: int = 3, **limits: int) -> None:
    """Run ``work`` beside a channel."""

    async def run() -> None:
        taker = Taker()
        settings = ChannelSettings(hourly, 60_000, msgspec.structs.replace(LIMITS, **limits), "http://nissa")
        breaker = Breaker("b", Breakers(failure_threshold=threshold, timeout_ms=10, half_open_calls_max=1))
        channel = Channel("team/webhook[0]", taker, settings, breaker, taker, lambda: taker.now_ms)
        task = asyncio.create_task(channel.run())
        try:
            await asyncio.wait_for(work(channel, taker), 60)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_group_is_told_in_order_and_again_until_it_is_taken() -> None:
    """The second notification waits for the first, over a breaker that opens; another group does not."""

    async def work(channel: Channel, taker: Taker) -> None:
        taker.failures = [NotDelivered("busy")] * 5
        for entry in (an_entry(1), an_entry(2)):
            channel.put(entry)
        await taker.until(lambda: taker.rows.get(2) == "delivered")
        assert taker.taken == [("nissa-1", "g"), ("nissa-2", "g")]
        assert (channel.delivered, channel.failed, channel.dead, channel.entries) == (2, 5, 0, 0)

    running(work)


def test_what_is_refused_or_too_old_is_a_dead_letter() -> None:
    """The next of the group goes on."""

    async def work(channel: Channel, taker: Taker) -> None:
        taker.failures = [NotDelivered("no such hook", retry=False), NotDelivered("busy"), NotDelivered("busy")]
        for entry in (an_entry(1), an_entry(2), an_entry(3)):
            channel.put(entry)
        await taker.until(lambda: taker.rows.get(2) == "1 failed")
        taker.now_ms += 1_000
        await taker.until(lambda: taker.rows.get(3) == "delivered")
        assert taker.rows == {1: "dead: no such hook", 2: "dead: busy", 3: "delivered"}
        assert channel.dead == 2

    running(work, threshold=9)


def test_a_notifier_that_breaks_or_hangs_ends_nothing() -> None:
    """An error of ours counts as a failed attempt; one that never answers is ended by the time limit."""

    async def work(channel: Channel, taker: Taker) -> None:
        taker.failures = [RuntimeError("oops"), TimeoutError()]
        channel.put(an_entry(1))
        await taker.until(lambda: taker.rows.get(1) == "delivered")
        assert channel.failed == 2

    running(work)


def test_groups_are_delivered_side_by_side_up_to_a_limit() -> None:
    """``alerting.deliveries_max`` at one time."""

    async def work(channel: Channel, taker: Taker) -> None:
        gate, begun = asyncio.Event(), []

        async def wait() -> None:
            begun.append(1)
            await gate.wait()

        taker.work = wait
        for number in range(5):
            channel.put(an_entry(number, f"g{number}"))
        await taker.until(lambda: len(begun) == 2)
        await asyncio.sleep(0)
        assert len(begun) == 2
        gate.set()
        await taker.until(lambda: channel.delivered == 5)

    running(work, deliveries_max=2)


def test_over_the_hourly_limit_the_rest_is_one_digest(monkeypatch: Any) -> None:
    """The digest is sent when the limit allows; messages that do not count are sent at once."""

    async def work(channel: Channel, taker: Taker) -> None:
        for number in range(1, 6):
            channel.put(an_entry(number, f"g{number}"))
        channel.put(an_entry(9, "free"))
        await taker.until(lambda: channel.delivered == 3 and channel.facts()["withheld"] == 1)
        assert sorted(key for _, key in taker.taken) == ["free", "g1", "g2"]
        monkeypatch.setattr("nissa.notifiers.channel.HOUR_MS", 1)
        channel.put(an_entry(6, "g6"))
        await taker.until(lambda: channel.delivered == 4)
        assert taker.taken[-1] == ("nissa-1004", "digest")
        assert (channel.entries, channel.digests) == (0, 1)

    running(work, hourly=2, deliveries_max=1)


def test_without_a_store_for_digests_each_is_sent(monkeypatch: Any) -> None:
    """Without a store for digests no notification is lost: each is sent."""

    async def work(channel: Channel, taker: Taker) -> None:
        async def fail(_entries: Any) -> Any:
            raise Unavailable("no database")

        taker.merged = fail  # type: ignore[method-assign]
        for number in range(1, 5):
            channel.put(an_entry(number, f"g{number}"))
        await taker.until(lambda: channel.delivered == 2 and channel.facts()["withheld"] == 1)
        monkeypatch.setattr("nissa.notifiers.channel.HOUR_MS", 1)
        channel.put(an_entry(5, "g5"))
        await taker.until(lambda: channel.delivered == 5)
        assert channel.digests == 0

    running(work, hourly=2, deliveries_max=1)


def test_texts_that_failed_are_counted_with_the_delivery() -> None:
    """Every text once, when the message is taken; the last error is shown until the configuration is read again."""

    async def work(channel: Channel, taker: Taker) -> None:
        def told(message: Message) -> None:
            message.text_faults.extend(["(the template a failed: x)", "(the template b failed: y)"])

        taker.seen = told
        taker.failures = [NotDelivered("busy"), None]
        channel.put(an_entry(1))
        await taker.until(lambda: channel.delivered == 1)
        facts = channel.facts()
        assert (facts["text_failures"], facts["text_error"]) == (2, "(the template b failed: y)")
        await channel.replace(taker, channel._settings)
        assert (channel.facts()["text_failures"], channel.facts()["text_error"]) == (2, None)

    running(work)
