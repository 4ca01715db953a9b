"""A circuit breaker: stops the use of something that fails, and tries it again after a while.

              failure_threshold failures in a row              timeout
    CLOSED ───────────────────────────────────────► OPEN ──────────────────► HALF_OPEN
       ▲                                              ▲                          │ half_open_calls_max probes at most
       │                                              └── a probe fails, or has ─┤
       │                                                  no outcome in time     │
       └────────────────────────── every probe has succeeded ────────────────────┘

A success in CLOSED resets the count of failures. A failure is a fault of the outside: whoever uses a breaker reports
neither bad input nor a cancelled call as one (``abandoned``). Outcomes of calls begun before the breaker opened change
nothing while it is open.

The current time is an argument, in milliseconds of a monotonic clock. A breaker belongs to one thread; ``facts`` may be
read from any.
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import msgspec

from nissa.config.safeguards import Breakers as Settings
from nissa.model.errors import InvariantBroken
from nissa.model.units import SECOND_MS

BREAKERS_MAX: Final = 1_000


class BreakerState(IntEnum):
    """State of a breaker; the numbers are those of the gauge ``nissa_breaker_state``."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    def __str__(self) -> str:
        return self.name.lower()


class Transition(msgspec.Struct, frozen=True):
    """One change of a breaker's state. reason: of an opening, the failure that caused it."""

    breaker: str
    before: BreakerState
    after: BreakerState
    reason: str = ""


OnChange = Callable[[Transition], None]


def _unnoted(_transition: Transition) -> None:
    """Default of ``on_change``: does nothing."""


class Breaker:
    """One breaker. failure_count: failures in a row."""

    def __init__(self, name: str, settings: Settings, on_change: OnChange = _unnoted) -> None:
        """name: in metrics and events. on_change: called after each change of the state."""
        self.name = name
        self.settings = settings
        self.state = BreakerState.CLOSED
        self.failure_count = 0
        self.last_failure_time_ms: int | None = None
        self.last_error = ""
        self.total_calls = self.successful_calls = self.failed_calls = self.refused_calls = self.times_opened = 0
        self._on_change = on_change
        self._probe_at_ms = 0  # of an open breaker
        self._deadlines_ms: deque[int] = deque()  # of probes under way
        self._succeeded = 0  # probes since it is half-open

    def allowed(self, now_ms: int) -> bool:
        """True if a call may begin; half-open, the call is a probe then. A refused call is counted."""
        state = self.look(now_ms)
        begun = len(self._deadlines_ms) + self._succeeded
        if state is BreakerState.HALF_OPEN and begun < self.settings.half_open_calls_max:
            self._deadlines_ms.append(now_ms + self.settings.half_open_timeout_ms)
            state = BreakerState.CLOSED
        if state is BreakerState.CLOSED:
            self.total_calls += 1
            return True
        self.refused_calls += 1
        return False

    def success(self, now_ms: int) -> None:
        """Report that an allowed call has succeeded."""
        self.successful_calls += 1
        state = self.look(now_ms)
        if state is BreakerState.CLOSED:
            self.failure_count = 0
        elif state is BreakerState.HALF_OPEN and self._deadlines_ms:
            self._deadlines_ms.popleft()
            self._succeeded += 1
            if self._succeeded >= self.settings.half_open_calls_max:
                self.failure_count = 0
                self._enter(BreakerState.CLOSED)

    def failure(self, now_ms: int, error: str = "") -> None:
        """Report that an allowed call has failed by a fault of the outside. error: in words, for the status."""
        self.failed_calls += 1
        state = self.look(now_ms)
        if state is BreakerState.OPEN:
            return
        self.failure_count += 1
        self.last_failure_time_ms, self.last_error = now_ms, error
        if state is BreakerState.HALF_OPEN or self.failure_count >= self.settings.failure_threshold:
            self._open(now_ms, error)

    def abandoned(self, now_ms: int) -> None:
        """Report that an allowed call ended without saying anything about the outside: bad input, a cancellation."""
        if self.look(now_ms) is BreakerState.HALF_OPEN and self._deadlines_ms:
            self._deadlines_ms.popleft()

    def look(self, now_ms: int) -> BreakerState:
        """The state at ``now_ms``: an open breaker whose time has passed is half-open, a late probe opens it again."""
        if self.state is BreakerState.OPEN and now_ms >= self._probe_at_ms:
            self._deadlines_ms.clear()
            self._succeeded = 0
            self._enter(BreakerState.HALF_OPEN)
        elif self.state is BreakerState.HALF_OPEN and self._deadlines_ms and now_ms >= self._deadlines_ms[0]:
            self.failure_count += 1
            self.last_failure_time_ms = now_ms
            self.last_error = "a probe had no outcome within safeguards.breakers.half_open_timeout"
            self._open(now_ms, self.last_error)
        return self.state

    def probe_at_once(self, now_ms: int) -> None:
        """End the wait of an open breaker: the next call is a probe."""
        self._probe_at_ms = min(self._probe_at_ms, now_ms)

    def retry_after_ms(self, now_ms: int) -> int:
        """Milliseconds until a call may be allowed, at least 0."""
        if self.state is BreakerState.OPEN:
            return max(self._probe_at_ms - now_ms, 0)
        if self.state is BreakerState.HALF_OPEN and self._deadlines_ms:
            return max(self._deadlines_ms[0] - now_ms, 0)
        return 0

    @property
    def probing(self) -> bool:
        """True while the breaker is half-open and waits for the outcome of a probe."""
        return self.state is BreakerState.HALF_OPEN and bool(self._deadlines_ms)

    def facts(self) -> dict[str, object]:
        """State and counts for ``/api/status`` and the metrics."""
        return {
            "state": str(self.state),
            "gauge": int(self.state),
            "failures_in_a_row": self.failure_count,
            "failures": self.failed_calls,
            "calls": self.total_calls,
            "refused": self.refused_calls,
            "opened": self.times_opened,
            "last_error": self.last_error or None,
        }

    def _open(self, now_ms: int, reason: str) -> None:
        self._deadlines_ms.clear()
        self._probe_at_ms = now_ms + self.settings.timeout_ms
        self.times_opened += 1
        self._enter(BreakerState.OPEN, reason)

    def _enter(self, state: BreakerState, reason: str = "") -> None:
        before, self.state = self.state, state
        self._on_change(Transition(self.name, before, state, reason))


class BreakerSet:
    """All breakers of the process by name, under the same settings."""

    def __init__(self, settings: Settings, on_change: OnChange = _unnoted) -> None:
        """on_change: called after each change of the state of one of them."""
        self._settings = settings
        self._on_change = on_change
        self._breakers: dict[str, Breaker] = {}

    def named(self, name: str, call_ms_max: int = 0) -> Breaker:
        """The breaker of this name, made when it is first asked for. Raises: InvariantBroken for too many names.

        call_ms_max: how long a call may take by its own settings; a probe may take as long.
        """
        found = self._breakers.get(name)
        if found is None:
            if len(self._breakers) >= BREAKERS_MAX:
                raise InvariantBroken(f"more than {BREAKERS_MAX} circuit breakers")
            probe_ms = max(self._settings.half_open_timeout_ms, call_ms_max)
            settings = msgspec.structs.replace(self._settings, half_open_timeout_ms=probe_ms)
            found = self._breakers[name] = Breaker(name, settings, self._on_change)
        return found

    def half_open(self) -> list[str]:
        """Names of half-open breakers with a probe under way; an unused one waits half-open and is no load."""
        return [name for name, breaker in self._breakers.copy().items() if breaker.probing]

    def facts(self) -> dict[str, dict[str, object]]:
        """Facts of each breaker by name; safe from any thread."""
        return {name: breaker.facts() for name, breaker in sorted(self._breakers.copy().items())}


def retry_after_s(retry_after_ms: int) -> int:
    """Whole seconds for a Retry-After header: rounded up, at least 1."""
    return max(-(-retry_after_ms // SECOND_MS), 1)
