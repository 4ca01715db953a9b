"""Runs the configured sources: starts each, restarts it after a pause when it fails, and cancels all at shutdown.

    starting ──► up ──► failing ──► (pause, doubled up to the greatest) ──► up ──► …

A failing source affects nothing else; ``/-/ready``, ``/api/status`` and the metrics report it.

A source that reads an outside system has a circuit breaker (``safeguards/breaker.py``). Each run is a call: it fails
when it ends, and succeeds when the source is up for ``PROBE_S``. While the breaker is open the source does not run, so
its system is not asked. Half-open, the run must be up within the deadline of a probe, and closes the breaker by being
up for one ``PROBE_S`` per probe.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import structlog

from nissa.model.errors import SourceFailed
from nissa.model.secrets import hide_in_urls
from nissa.model.units import SECOND_MS
from nissa.safeguards.breaker import Breaker, BreakerState
from nissa.sources.source import RunningSource, WithTargets

RETRY_MS_MIN: Final = SECOND_MS
RETRY_MS_MAX: Final = 30 * SECOND_MS
PROBE_S: Final = 1.0
OPEN_POLL_S: Final = 0.25
NO_BREAKERS: Final[Mapping[str, Breaker]] = MappingProxyType({})

log = structlog.get_logger()


class SourceTasks:
    """All running sources of the process. Lives on the loop; ``status`` and ``missing`` are safe from any thread."""

    def __init__(
        self,
        sources: Sequence[RunningSource],
        now_ms: Callable[[], int],
        breakers: Mapping[str, Breaker] = NO_BREAKERS,
    ) -> None:
        """now_ms: wall clock, Unix milliseconds, for the times in the status. breakers: by path of the source."""
        self._runs = [_Run(source, now_ms, breakers.get(source.path)) for source in sources]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start one task per source."""
        self._tasks = [asyncio.create_task(run.supervise(), name=run.source.path) for run in self._runs]

    async def stop(self, timeout_s: float) -> None:
        """Cancel every source and wait until each has released its resources, for ``timeout_s`` seconds at most."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def status(self) -> dict[str, Any]:
        """Name of each source (``oona``) -> its state, failures, last error and own facts."""
        return {run.name: run.status() for run in self._runs}

    def targets(self) -> dict[str, Any]:
        """Targets of the sources that have some, in the shape of Prometheus' ``/api/v1/targets``; empty for none."""
        for run in self._runs:
            if isinstance(run.source, WithTargets):
                return run.source.targets()
        return {}

    def missing(self) -> list[str]:
        """One line for each source that is not up or waits for a part of its system, with its path and the reason."""
        lines = [f"{run.source.path}: {run.error or 'starting'}" for run in self._runs if run.state != "up"]
        for run in self._runs:
            if run.state == "up":
                lines += [f"{run.source.path}: waiting for {what}" for what in run.waiting_for()]
        return lines


class _Run:
    """One source with its state, failures and last error."""

    def __init__(self, source: RunningSource, now_ms: Callable[[], int], breaker: Breaker | None) -> None:
        self.source = source
        self._breaker = breaker
        self._deadline: asyncio.Timeout | None = None
        self._probe: asyncio.TimerHandle | None = None
        self.name = source.path.removeprefix("sources.")
        self.state = "starting"
        self.failures = 0
        self.error = ""
        self._now_ms = now_ms
        self._since_ms = now_ms()
        self._retry_ms = RETRY_MS_MIN

    async def supervise(self) -> None:
        """Run the source until cancelled."""
        while True:
            await self._allowed()
            try:
                async with asyncio.timeout(self._probe_timeout_s()) as self._deadline:
                    await self.source.run(self._connected)
                self._failed("ended without an error")
            except SourceFailed as error:
                self._failed(str(error))
            except Exception as error:  # the edge: a fault of ours in one source must not end the others
                if self._deadline is not None and self._deadline.expired():
                    self._failed("not up within safeguards.breakers.half_open_timeout")
                    continue
                log.exception("unexpected failure of a source", source=self.source.path)
                self._failed(f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._retry_ms / SECOND_MS)
            self._retry_ms = min(2 * self._retry_ms, RETRY_MS_MAX)

    async def _allowed(self) -> None:
        """Wait until the breaker allows a run."""
        while self._breaker is not None and not self._breaker.allowed(_steady_ms()):
            pause_s = self._breaker.retry_after_ms(_steady_ms()) / SECOND_MS
            await asyncio.sleep(max(pause_s, OPEN_POLL_S))

    def _probe_timeout_s(self) -> float | None:
        breaker = self._breaker
        if breaker is None or breaker.state is not BreakerState.HALF_OPEN:
            return None
        return breaker.settings.half_open_timeout_ms / SECOND_MS

    def _connected(self) -> None:
        if self.state != "up":
            log.info("source is up", source=self.source.path)
        self._enter("up")
        self._retry_ms = RETRY_MS_MIN
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(None)
        self._await_probe()

    def _await_probe(self) -> None:
        if self._breaker is not None and self._probe is None:
            self._probe = asyncio.get_running_loop().call_later(PROBE_S, self._still_up)

    def _still_up(self) -> None:
        """The source has been up for a while: a success. Until the breaker is closed, the next probe begins."""
        self._probe = None
        if self._breaker is None:
            return
        self._breaker.success(_steady_ms())
        if self._breaker.look(_steady_ms()) is BreakerState.HALF_OPEN:
            self._breaker.allowed(_steady_ms())
        if self._breaker.state is not BreakerState.CLOSED:
            self._await_probe()

    def _failed(self, text: str) -> None:
        error = hide_in_urls(text)
        self.failures += 1
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if self._breaker is not None:
            self._breaker.failure(_steady_ms(), error)
        if error != self.error or self.state == "up":  # the same fault again is counted, not logged
            log.warning("source failed; retrying", source=self.source.path, error=error)
        self.error = error
        self._enter("failing")

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state, self._since_ms = state, self._now_ms()
        if state == "up":
            self.error = ""

    def waiting_for(self) -> Sequence[str]:
        """Parts of the outside system that the source waits for, in words, while it reads the rest."""
        found = self.source.facts().get("waiting_for", ())
        return [str(what) for what in found] if isinstance(found, (list, tuple)) else []

    def status(self) -> dict[str, Any]:
        """State for ``/api/status``: since_ms is Unix milliseconds."""
        return {
            "state": self.state,
            "up": int(self.state == "up"),
            "since_ms": self._since_ms,
            "failures": self.failures,
            "error": self.error or None,
            **({} if self._breaker is None else {"breaker": str(self._breaker.state)}),
            **self.source.facts(),
        }


def _steady_ms() -> int:
    return int(asyncio.get_running_loop().time() * SECOND_MS)
