"""The door of senders: refused while the store fails, opened again by probes, deaf to bad input."""

from nissa.config.safeguards import Breakers, PressureLimits, RateLimit, RateLimits
from nissa.model.errors import InvariantBroken, JournalFailed, Malformed, RateLimited, TooLarge, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.safeguards.breaker import Breaker, BreakerState
from nissa.safeguards.door import Door
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.priority import Priority
from nissa.safeguards.rate_limits import NO_BUCKETS, RateLimiter

FRAME = Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 0, b"x")
FREE = RateLimiter(RateLimits())
EMPTY = Pressure(PressureLimits(), lambda: 0.0)


def test_bad_input_never_closes_the_door() -> None:
    """Whatever senders send, only faults of the store count."""
    breaker = Breaker("ingest", Breakers())
    door = Door(breaker, EMPTY, FREE)
    for error in (Malformed("x"), TooLarge("x", got=2, limit=1, setting="y"), InvariantBroken("z")) * 10:
        assert door.admit(FRAME, None, NO_BUCKETS, 0) is None
        door.settled(error, NO_BUCKETS, 0)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.failure_count == 0


def test_a_store_that_fails_closes_the_door() -> None:
    """Three failures in a row refuse requests with the time until a probe; probes that succeed open the door."""
    breaker = Breaker("ingest", Breakers())
    pressure = Pressure(PressureLimits(), lambda: 0.0)
    door = Door(breaker, pressure, FREE)
    for error in (Unavailable("full"), JournalFailed("disk"), Unavailable("no space")):
        assert door.closed(Source.HTTP, Codec.REMOTE_WRITE_1, None, 0) is None
        assert door.admit(FRAME, None, NO_BUCKETS, 0) is None
        door.settled(error, NO_BUCKETS, 0)
    refusal = door.closed(Source.HTTP, Codec.REMOTE_WRITE_1, None, 1)
    assert refusal is not None
    assert refusal.retry_after_s == 30
    assert "circuit breaker ingest is open (safeguards.breakers): unavailable: no space" in str(refusal)
    assert door.admit(FRAME, None, NO_BUCKETS, 1) is not None
    assert pressure.facts() == {"http/remote_write_1": {"normal": {"breaker": 2}}}
    for _ in range(3):
        assert door.closed(Source.HTTP, Codec.REMOTE_WRITE_1, None, 30_000) is None
        assert door.admit(FRAME, None, NO_BUCKETS, 30_000) is None
    assert door.admit(FRAME, None, NO_BUCKETS, 30_000) is not None  # three probes and no more
    for _ in range(3):
        door.settled(Receipt(), NO_BUCKETS, 30_001)
    assert breaker.state is BreakerState.CLOSED


def test_priorities_are_refused_in_order_and_counted() -> None:
    """With the queue four fifths full the header decides who comes in; a refusal takes no probe of the breaker."""
    pressure = Pressure(PressureLimits(), lambda: 0.8)
    door = Door(Breaker("ingest", Breakers()), pressure, FREE)
    outcomes = {priority: door.admit(FRAME, priority, NO_BUCKETS, 0) for priority in Priority}
    assert [priority for priority, outcome in outcomes.items() if outcome is None] == [Priority.HIGH, Priority.CRITICAL]
    assert isinstance(door.admit(FRAME, None, NO_BUCKETS, 0), Unavailable)
    assert pressure.facts() == {"http/remote_write_1": {"low": {"pressure": 1}, "normal": {"pressure": 2}}}


def test_a_rate_limit_is_charged_with_the_outcome() -> None:
    """A tenant over its limit is refused before the queue is looked at, and counted; others pass."""
    pressure = Pressure(PressureLimits(), lambda: 0.0)
    limiter = RateLimiter(RateLimits(rules=(RateLimit(tenant="*", samples_per_second=10),)))
    door = Door(Breaker("ingest", Breakers()), pressure, limiter)
    buckets = door.buckets(FRAME, "a", 0)
    assert door.admit(FRAME, None, buckets, 0) is None
    door.settled(Receipt(samples=500), buckets, 0)
    refusal = door.admit(FRAME, None, door.buckets(FRAME, "a", 0), 0)
    assert isinstance(refusal, RateLimited)
    assert door.admit(FRAME, None, door.buckets(FRAME, "b", 0), 0) is None
    assert pressure.facts() == {"http/remote_write_1": {"normal": {"rate_limit": 1}}}
