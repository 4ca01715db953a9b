"""Pauses between attempts to reach one sink, shared by all its connections.

    healthy ──failure──► failing: one probe at a time, each after a pause ──success──► healthy
                         pause: 100 ms, doubled up to 30 s, minus a random half; longer where Retry-After asks for it,
                         up to 5 min
            ──refused──► blocked: the same with pauses of 1 to 10 min: credentials, address or certificate are wrong

A sink that answers, and refuses all that it gets, is ``refusing``; nothing is held back for that.

Requests are held back too while the circuit breaker of the sink is open, and while its operator has paused it.
"""

import asyncio
import random
from typing import Final, Literal

import structlog

from nissa.model.units import MINUTE_MS, SECOND_MS
from nissa.safeguards.breaker import Breaker, BreakerState

PAUSE_MS_MIN: Final = 100
PAUSE_MS_MAX: Final = 30 * SECOND_MS
RETRY_AFTER_MS_MAX: Final = 5 * MINUTE_MS
BLOCKED_MS_MIN: Final = MINUTE_MS
BLOCKED_MS_MAX: Final = 10 * MINUTE_MS

log = structlog.get_logger()
State = Literal["starting", "up", "refusing", "failing", "blocked", "paused"]


class Backoff:
    """State of the way to one sink. Lives on the loop; its fields may be read from any thread."""

    def __init__(self, sink: str, breaker: Breaker, *, paused: bool = False) -> None:
        """sink: its name, for the log. paused: until ``resume``."""
        self._sink = sink
        self.paused = paused
        self.failures = 0  # since start
        self.error = ""  # of the last request, where it failed
        self._state: State = "starting"
        self._refusing = False
        self._breaker = breaker
        self._pause_ms = PAUSE_MS_MIN
        self._not_before_ms = 0
        self._probing = False
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        """State of the way to the sink now."""
        if self.paused:
            return "paused"
        return "refusing" if self._refusing and self._state == "up" else self._state

    @property
    def answering(self) -> bool:
        """True if the last request was answered."""
        return self._state == "up"

    @property
    def breaker_state(self) -> BreakerState:
        """State of the circuit breaker of the sink."""
        return self._breaker.state

    async def ready(self) -> None:
        """Wait until a request may be made. Afterwards one of ``succeeded``, ``failed`` and ``canceled`` is called."""
        while True:
            self._changed.clear()
            now_ms = _now_ms()
            if self.paused or self._probing:
                await self._changed.wait()
            elif now_ms < self._not_before_ms:
                await self._wait(self._not_before_ms - now_ms)
            elif not self._breaker.allowed(now_ms):
                await self._wait(max(self._breaker.retry_after_ms(now_ms), PAUSE_MS_MIN))
            else:
                self._probing = self._state != "up"
                return

    async def _wait(self, pause_ms: int) -> None:
        try:
            async with asyncio.timeout(pause_ms / SECOND_MS):
                await self._changed.wait()
        except TimeoutError:
            return

    def succeeded(self) -> None:
        """The sink has answered, with success or a refusal of the data."""
        if not self.answering:
            log.info("sink is up", sink=self._sink)
        self._breaker.success(_now_ms())
        self._state, self._pause_ms, self._not_before_ms, self.error = "up", PAUSE_MS_MIN, 0, ""
        self._end_probe()

    def failed(self, error: str, *, retry_after_ms: int = 0, blocked: bool = False) -> None:
        """A request failed. retry_after_ms: what the sink asks for; 0: nothing. blocked: a retry soon will not help."""
        if error != self.error or self.answering:  # else counted, not logged
            log.warning("sink failed; retrying", sink=self._sink, error=error)
        now_ms = _now_ms()
        self._breaker.failure(now_ms, error)
        self.failures += 1
        self.error = error
        self._state = "blocked" if blocked else "failing"
        least_ms, most_ms = (BLOCKED_MS_MIN, BLOCKED_MS_MAX) if blocked else (PAUSE_MS_MIN, PAUSE_MS_MAX)
        pause_ms = min(max(self._pause_ms, least_ms), most_ms)
        self._pause_ms = min(2 * pause_ms, most_ms)
        pause_ms = random.randint(pause_ms // 2, pause_ms)  # noqa: S311  spreads retries; guards no secret
        pause_ms = max(pause_ms, min(retry_after_ms, RETRY_AFTER_MS_MAX))
        self._not_before_ms = max(self._not_before_ms, now_ms + pause_ms)
        self._end_probe()

    def taken(self, delivered: int, refused: int) -> None:
        """Note the numbers of samples or events of a portion that were delivered and refused."""
        if delivered or refused:
            self._refusing = not delivered

    def canceled(self) -> None:
        """The request was not made, or its answer is not waited for."""
        self._breaker.abandoned(_now_ms())
        self._end_probe()

    def pause(self) -> None:
        """Make no further request until ``resume``."""
        self.paused = True

    def resume(self) -> None:
        """Send again, and at once where the sink was failing or blocked."""
        self.paused = False
        self._pause_ms, self._not_before_ms = PAUSE_MS_MIN, 0
        self._breaker.probe_at_once(_now_ms())
        self._changed.set()

    def _end_probe(self) -> None:
        self._probing = False
        self._changed.set()


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * SECOND_MS)
