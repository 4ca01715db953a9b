"""The breaker: its states, its deadlines, and what never counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.config.safeguards import Breakers as Settings
from nissa.model.errors import InvariantBroken
from nissa.safeguards.breaker import BREAKERS_MAX, Breaker, BreakerSet, BreakerState, Transition, retry_after_s

SETTINGS = Settings(failure_threshold=3, timeout_ms=30_000, half_open_calls_max=3, half_open_timeout_ms=10_000)


def opened(changes: list[Transition] | None = None) -> Breaker:
    """A breaker that was opened at 0 ms."""
    breaker = Breaker("oona", SETTINGS, (lambda change: None) if changes is None else changes.append)
    for _ in range(3):
        assert breaker.allowed(0)
        breaker.failure(0, "connection refused")
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_defaults_are_those_of_the_specification() -> None:
    """Three failures in a row, 30,000 ms, three probes."""
    settings = Settings()
    assert (settings.failure_threshold, settings.timeout_ms, settings.half_open_calls_max) == (3, 30_000, 3)


def test_a_success_resets_the_count() -> None:
    """Only failures in a row open the breaker; bad input is neither a success nor a failure."""
    breaker = Breaker("oona", SETTINGS)
    for report in (breaker.failure, breaker.failure, breaker.success, breaker.failure, breaker.failure):
        assert breaker.allowed(0)
        report(0)
    for _ in range(100):
        assert breaker.allowed(0)
        breaker.abandoned(0)
    assert (breaker.state, breaker.failure_count) == (BreakerState.CLOSED, 2)
    breaker.failure(0)
    assert breaker.look(0) is BreakerState.OPEN


def test_open_refuses_until_its_time_has_passed() -> None:
    """Calls are refused and counted, with the time until the first probe."""
    breaker = opened()
    breaker.success(5)  # of a call begun before it opened
    breaker.failure(5)
    assert not breaker.allowed(29_999)
    assert breaker.refused_calls == 1
    assert breaker.retry_after_ms(29_000) == 1_000
    assert retry_after_s(breaker.retry_after_ms(28_500)) == 2
    assert retry_after_s(0) == 1
    assert breaker.look(30_000) is BreakerState.HALF_OPEN
    assert breaker.retry_after_ms(30_000) == 0


def test_three_probes_close_it() -> None:
    """No more calls than probes are under way; when all have succeeded the breaker is closed."""
    changes: list[Transition] = []
    breaker = opened(changes)
    assert [breaker.allowed(30_000) for _ in range(4)] == [True, True, True, False]
    breaker.success(30_001)
    assert not breaker.allowed(30_001)
    breaker.success(30_002)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.success(30_003)
    assert breaker.look(30_003) is BreakerState.CLOSED
    assert breaker.failure_count == 0
    assert [(str(change.before), str(change.after), change.reason) for change in changes] == [
        ("closed", "open", "connection refused"),
        ("open", "half_open", ""),
        ("half_open", "closed", ""),
    ]


def test_a_failed_probe_opens_it_again() -> None:
    """One failure is enough, and the whole time-out begins anew."""
    breaker = opened()
    assert breaker.allowed(30_000)
    breaker.failure(31_000)
    assert breaker.look(60_999) is BreakerState.OPEN
    assert breaker.look(61_000) is BreakerState.HALF_OPEN
    assert breaker.times_opened == 2


def test_a_probe_has_a_deadline() -> None:
    """A probe that never reports an outcome counts as failed, so that it blocks the breaker for a bounded time."""
    breaker = opened()
    assert breaker.allowed(30_000)
    assert breaker.look(39_999) is BreakerState.HALF_OPEN
    assert breaker.retry_after_ms(39_000) == 1_000
    assert breaker.look(40_000) is BreakerState.OPEN
    assert "half_open_timeout" in str(breaker.facts()["last_error"])


def test_an_abandoned_probe_gives_its_place_back() -> None:
    """Bad input in a probe neither closes nor opens the breaker."""
    breaker = opened()
    for _ in range(10):
        assert breaker.allowed(30_000)
        breaker.abandoned(30_000)
    assert breaker.look(50_000) is BreakerState.HALF_OPEN


def test_successes_without_a_probe_do_not_close_it() -> None:
    """Late outcomes of calls begun before the breaker opened say nothing about now."""
    breaker = opened()
    assert breaker.look(30_000) is BreakerState.HALF_OPEN
    for _ in range(5):
        breaker.success(30_000)
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_probe_may_take_as_long_as_a_call() -> None:
    """A breaker whose calls may take longer than a probe waits for the answer of a slow one."""
    breaker = BreakerSet(SETTINGS).named("sinks.slow", 20_000)
    for _ in range(3):
        breaker.failure(0)
    assert breaker.allowed(30_000)
    assert breaker.look(49_999) is BreakerState.HALF_OPEN
    assert breaker.look(50_000) is BreakerState.OPEN
    breaker.probe_at_once(50_001)
    assert breaker.look(50_001) is BreakerState.HALF_OPEN


def test_breakers_by_name() -> None:
    """Each name has one breaker, and their number is bounded."""
    breakers = BreakerSet(SETTINGS)
    assert breakers.named("oona") is breakers.named("oona")
    for _ in range(3):
        breakers.named("nats").failure(0)
    breakers.named("nats").look(30_000)
    assert breakers.half_open() == []  # not in use
    assert breakers.named("nats").allowed(30_000)
    assert breakers.half_open() == ["nats"]
    assert {name: facts["state"] for name, facts in breakers.facts().items()} == {"nats": "half_open", "oona": "closed"}
    for number in range(BREAKERS_MAX - 2):
        breakers.named(str(number))
    with pytest.raises(InvariantBroken, match="circuit breakers"):
        breakers.named("one more")


@given(st.lists(st.tuples(st.sampled_from(["call", "success", "failure", "abandoned"]), st.integers(0, 20_000))))
def test_no_order_of_outcomes_blocks_it(steps: list[tuple[str, int]]) -> None:
    """Whatever was reported in whatever order, a breaker whose probes succeed is closed within its two time-outs."""
    breaker, now_ms, changes = Breaker("any", SETTINGS), 0, 0
    for report, pause_ms in steps:
        now_ms += pause_ms
        before = breaker.state
        if report == "call":
            allowed = breaker.allowed(now_ms)
            assert allowed or breaker.state is not BreakerState.CLOSED
        else:
            getattr(breaker, report)(now_ms)
        changes += breaker.state is not before
        assert len(breaker._deadlines_ms) <= SETTINGS.half_open_calls_max
    now_ms += SETTINGS.half_open_timeout_ms
    breaker.look(now_ms)
    now_ms += SETTINGS.timeout_ms
    breaker.look(now_ms)
    for _ in range(SETTINGS.half_open_calls_max):
        assert breaker.allowed(now_ms)
        breaker.success(now_ms)
    assert breaker.state is BreakerState.CLOSED
