"""Admission of frames at a door where senders push: the ingest port.

    head of the request ──► closed   the breaker is open: refused before the body is read
    whole body          ──► admit    its source or tenant is over a rate limit: refused
                                     too much waits for its priority: refused
                                     the breaker is half-open: a few probes are let in
    outcome             ──► settled  the breaker hears of it, the rate limits are charged

Bad input is no outcome of the store: it neither opens the breaker nor closes it.
"""

from collections.abc import Sequence
from typing import Final

from nissa.model.errors import JournalFailed, NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source, source_of
from nissa.model.intake import Outcome
from nissa.model.receipt import Receipt
from nissa.safeguards.breaker import Breaker, BreakerState, retry_after_s
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.priority import Priority, priority_of
from nissa.safeguards.rate_limits import RateBucket, RateLimiter, first_refusal

PRESSURE_REASON: Final = "pressure"
BREAKER_REASON: Final = "breaker"
RATE_REASON: Final = "rate_limit"


class Door:
    """One door. Belongs to the loop. now_ms: milliseconds of the loop's clock."""

    def __init__(self, breaker: Breaker, pressure: Pressure, limiter: RateLimiter) -> None:
        """breaker: of the store behind the door. pressure: of its queue. limiter: of sources and tenants."""
        self._limiter = limiter
        self._breaker = breaker
        self._pressure = pressure

    def closed(self, source: Source, codec: Codec, stated: Priority | None, now_ms: int) -> Unavailable | None:
        """The refusal of a request whose body is not read yet; None where it may come in. stated: by a header."""
        if self._breaker.state is BreakerState.CLOSED or self._breaker.look(now_ms) is not BreakerState.OPEN:
            return None
        self._breaker.refused_calls += 1
        frame = Frame(codec, Encoding.IDENTITY, source, 0, b"")
        self._pressure.count(source_of(frame), priority_of(frame, stated), BREAKER_REASON)
        return self._refusal(now_ms)

    def buckets(self, frame: Frame, tenant: str, now_ms: int) -> Sequence[RateBucket]:
        """Buckets that the frame of a tenant pays from."""
        return self._limiter.buckets(source_of(frame), tenant, now_ms)

    def admit(
        self, frame: Frame, stated: Priority | None, buckets: Sequence[RateBucket], now_ms: int
    ) -> NissaError | None:
        """The refusal of a frame that has arrived; None where it may be submitted.

        stated: priority by a header. buckets: that it pays from.
        """
        limited = first_refusal(buckets, now_ms) if buckets else None
        if limited is not None:
            self._pressure.count(source_of(frame), priority_of(frame, stated), RATE_REASON)
            return limited
        if not self._pressure.calm:
            priority = priority_of(frame, stated)
            refusal = self._pressure.refusal(priority)
            if refusal is not None:
                self._pressure.count(source_of(frame), priority, PRESSURE_REASON)
                return refusal
        if self._breaker.allowed(now_ms):
            return None
        self._pressure.count(source_of(frame), priority_of(frame, stated), BREAKER_REASON)
        return self._refusal(now_ms)

    def settled(self, outcome: Outcome, buckets: Sequence[RateBucket], now_ms: int) -> None:
        """Report the outcome of a frame that was admitted. buckets: that it pays from."""
        if isinstance(outcome, Receipt):
            self._breaker.success(now_ms)
            for bucket in buckets:
                bucket.charge(outcome, now_ms)
        elif isinstance(outcome, Unavailable | JournalFailed):
            self._breaker.failure(now_ms, str(outcome))
        else:
            self._breaker.abandoned(now_ms)

    def _refusal(self, now_ms: int) -> Unavailable:
        breaker = self._breaker
        why = f"circuit breaker {breaker.name} is {breaker.state} (safeguards.breakers): {breaker.last_error}"
        return Unavailable(why, retry_after_s(breaker.retry_after_ms(now_ms)))
