"""Pauses between attempts, on a loop whose clock only moves when a test moves it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nissa.config.safeguards import Breakers
from nissa.forwarders.backoff import (
    BLOCKED_MS_MAX,
    BLOCKED_MS_MIN,
    PAUSE_MS_MAX,
    PAUSE_MS_MIN,
    RETRY_AFTER_MS_MAX,
    Backoff,
)
from nissa.safeguards.breaker import Breaker, BreakerState

Scenario = Callable[[Backoff, "Clock"], Awaitable[None]]


class Clock:
    """Milliseconds that pass when a waiting scenario is advanced."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    async def pass_until(self, task: "asyncio.Task[None]", most_ms: int) -> float:
        """Let time pass in steps until the task is done; returns milliseconds, at most ``most_ms`` and a step."""
        begun_s = self.now_s
        while not task.done() and self.now_s - begun_s <= most_ms / 1_000:
            for _ in range(5):
                await asyncio.sleep(0)
            if not task.done():
                self.now_s += 0.05
        return round((self.now_s - begun_s) * 1_000)


def run(scenario: Scenario, failure_threshold: int = 1_000) -> None:
    """Run a scenario on a loop with such a clock. failure_threshold: of the breaker."""
    clock = Clock()

    async def main() -> None:
        asyncio.get_running_loop().time = lambda: clock.now_s  # type: ignore[method-assign]  # the clock of the test
        breaker = Breaker("sinks.s", Breakers(failure_threshold=failure_threshold))
        await scenario(Backoff("s", breaker), clock)

    asyncio.run(main())


async def pause_ms(backoff: Backoff, clock: Clock, most_ms: int) -> float:
    """Return the wait until the next attempt, and begin that attempt."""
    task = asyncio.ensure_future(backoff.ready())
    passed = await clock.pass_until(task, most_ms)
    assert task.done()
    return passed


def test_pauses_grow_up_to_a_bound() -> None:
    """Each is at least half of twice the one before; a success forgets them."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        await backoff.ready()
        expected = PAUSE_MS_MIN
        for _ in range(12):
            backoff.failed("no")
            assert backoff.state == "failing"
            found = await pause_ms(backoff, clock, PAUSE_MS_MAX + 200)
            assert expected // 2 - 50 <= found <= expected + 150
            expected = min(2 * expected, PAUSE_MS_MAX)
        backoff.succeeded()
        assert (backoff.state, backoff.failures, backoff.error) == ("up", 12, "")
        assert await pause_ms(backoff, clock, 0) == 0

    run(scenario)


def test_resume_does_not_wait_for_the_breaker() -> None:
    """A sink that is resumed is tried at once, though its breaker has just opened."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        await backoff.ready()
        backoff.failed("no")
        assert backoff.breaker_state is BreakerState.OPEN
        backoff.resume()
        assert await pause_ms(backoff, clock, 0) == 0
        assert backoff.breaker_state is BreakerState.HALF_OPEN

    run(scenario, failure_threshold=1)


def test_retry_after_is_honoured_and_bounded() -> None:
    """The longer of both pauses; a day is five minutes."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        await backoff.ready()
        backoff.failed("busy", retry_after_ms=20_000)
        assert 19_900 <= await pause_ms(backoff, clock, 30_000) <= 20_200
        backoff.failed("busy", retry_after_ms=86_400_000)
        found = await pause_ms(backoff, clock, RETRY_AFTER_MS_MAX + 1_000)
        assert RETRY_AFTER_MS_MAX - 100 <= found <= RETRY_AFTER_MS_MAX + 200

    run(scenario)


def test_a_blocked_sink_is_asked_seldom() -> None:
    """At most once in half a minute, in the end once in five to ten minutes; at once after ``resume``."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        await backoff.ready()
        for expected in (BLOCKED_MS_MIN, 2 * BLOCKED_MS_MIN, 4 * BLOCKED_MS_MIN, 8 * BLOCKED_MS_MIN, BLOCKED_MS_MAX):
            backoff.failed("401", blocked=True)
            assert backoff.state == "blocked"
            assert expected // 2 - 100 <= await pause_ms(backoff, clock, BLOCKED_MS_MAX + 200) <= expected + 200
        backoff.failed("401", blocked=True)
        backoff.resume()
        assert await pause_ms(backoff, clock, 0) == 0

    run(scenario)


def test_one_probe_at_a_time() -> None:
    """While a sink fails, all connections wait for the one that tries; its success lets them all go."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        tasks = [asyncio.ensure_future(backoff.ready()) for _ in range(5)]
        await clock.pass_until(tasks[-1], 1_000)
        assert [task.done() for task in tasks] == [True, False, False, False, False]
        backoff.canceled()
        await clock.pass_until(tasks[-1], 1_000)
        assert sum(task.done() for task in tasks) == 2
        backoff.succeeded()
        await asyncio.gather(*tasks)

    run(scenario)


def test_a_paused_sink_waits_for_its_operator() -> None:
    """Whatever its state was."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        backoff.pause()
        task = asyncio.ensure_future(backoff.ready())
        await clock.pass_until(task, 60_000)
        assert (task.done(), backoff.state) == (False, "paused")
        backoff.resume()
        await task

    run(scenario)


def test_an_open_breaker_holds_requests_back() -> None:
    """After three failures for 30 s; then as many probes as it allows, one after the other, and it is closed again."""

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        for _ in range(3):
            await pause_ms(backoff, clock, 1_000)
            backoff.failed("no")
        assert 29_000 <= await pause_ms(backoff, clock, 31_000) <= 30_200
        for _ in range(3):
            backoff.succeeded()
            assert await pause_ms(backoff, clock, 0) == 0
        assert backoff.breaker_state is BreakerState.CLOSED
        tasks = [asyncio.ensure_future(backoff.ready()) for _ in range(8)]
        await clock.pass_until(tasks[-1], 0)
        assert all(task.done() for task in tasks)

    run(scenario, failure_threshold=3)


def test_pauses_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between half and all of a pause, so that many senders do not come at once."""
    asked: list[tuple[int, int]] = []

    def randint(least: int, most: int) -> int:
        asked.append((least, most))
        return most

    monkeypatch.setattr("random.randint", randint)

    async def scenario(backoff: Backoff, clock: Clock) -> None:
        backoff.failed("no")
        assert await pause_ms(backoff, clock, 1_000) >= PAUSE_MS_MIN - 50

    run(scenario)
    assert asked == [(PAUSE_MS_MIN // 2, PAUSE_MS_MIN)]
