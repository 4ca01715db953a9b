"""The safeguards of the running daemon: the pure ones of ``safeguards/``, with the clock, the events and the doors."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from nissa.config.safeguards import Safeguards
from nissa.model.errors import BadQuery
from nissa.model.frame import Source
from nissa.model.intake import Intake
from nissa.model.units import SECOND_MS
from nissa.safeguards.breaker import BreakerSet, BreakerState, Transition
from nissa.safeguards.door import Door
from nissa.safeguards.load import Load, LoadSample, LoadWindow
from nissa.safeguards.modes import Mode, ModeChange, ModeControl
from nissa.safeguards.pace import ReadingPace
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.rate_limits import RateLimiter
from nissa.safeguards.repeated_probes import RepeatedProbes
from nissa.service.own_events import OwnEvents
from nissa.service.process_load import cpu_seconds, memory_limit_bytes, processors, resident_bytes
from nissa.sources.inlet import Inlet

log = structlog.get_logger()

INGEST_BREAKER: Final = "ingest"
OUTGOING: Final = ("sinks.", "notifiers.")  # their breakers are no load: each costs its own backlog and nothing else
PULLED: Final = (
    "sources.oona",
    "sources.nats",
    "sources.kafka",
    "sources.scrape",
)  # read an outside system; the others listen
LEVEL_OF_STATE: Final = {BreakerState.OPEN: "error", BreakerState.HALF_OPEN: "warning", BreakerState.CLOSED: "info"}
LEVEL_OF_MODE: Final = {Mode.NORMAL: "info", Mode.CONSERVATIVE: "warning", Mode.EMERGENCY: "error"}
EMERGENCY_SHARE: Final = 10  # an emergency allows queries a tenth of what conservative mode allows


class Conserving(Protocol):
    """The engine as the modes see it."""

    @property
    def fill(self) -> float:
        """Share of the queue that is taken."""

    def conserve(self, drop_categories: tuple[str, ...], *, paused: bool) -> None:
        """Drop events of these categories from now on. paused: merges and the scrub rest."""


class Safeguarding:
    """All safeguards of one process. Lives on the loop; ``status`` is safe from any thread."""

    def __init__(self, config: Safeguards, engine: Conserving, now_ms: Callable[[], int]) -> None:
        """now_ms: wall clock, Unix milliseconds."""
        self.events = OwnEvents(now_ms)
        self._repeated = RepeatedProbes()
        self.breakers = BreakerSet(config.breakers, self._breaker_changed)
        self.pressure = Pressure(config.pressure, lambda: engine.fill)
        self.limiter = RateLimiter(config.rate_limits)
        self.door = Door(self.breakers.named(INGEST_BREAKER), self.pressure, self.limiter)
        self.source_breakers = {path: self.breakers.named(path.removeprefix("sources.")) for path in PULLED}
        self.pace = ReadingPace(self.pressure, self.limiter)
        self.control = ModeControl(config.conservative_mode)
        self._settings = config.conservative_mode
        self._engine = engine
        self._now_ms = now_ms
        self._window = LoadWindow(self._settings.window_ms, processors())
        self._memory_limit_bytes = memory_limit_bytes()
        self._load = Load()
        self.burning: Callable[[], tuple[str, ...]] = tuple  # names of SLOs whose error budget burns too fast
        self._loop = asyncio.get_running_loop()

    async def run(self, intake: Intake) -> None:
        """Store own events and follow the load until cancelled. intake: of the engine."""
        inlet = Inlet(intake, Source.SELF, self._now_ms)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.events.run(inlet))
            tasks.create_task(self._follow_load())

    # ---- the mode ----

    def force_mode(self, name: str, reason: str) -> dict[str, object]:
        """Force the mode of this name; ``auto`` releases a forced one. Returns the mode in force.

        reason: in words. Raises: BadQuery for a name that is none. On the loop.
        """
        modes = {str(mode): mode for mode in Mode}
        if name != "auto" and name not in modes:
            raise BadQuery(f"invalid parameter 'mode': {name[:40]!r} is none of {', '.join(modes)}, auto")
        change = self.control.force(modes.get(name), reason, self._steady_ms())
        if change is not None:
            self._mode_changed(change)
        return self.mode_facts()

    def mode_facts(self) -> dict[str, object]:
        """The mode in force, its reason, and the load that it follows."""
        load = self._load
        return {
            **self.control.facts(self._steady_ms()),
            "load_percent": {
                "cpu": round(load.cpu_percent, 1),
                "memory": round(load.memory_percent, 1),
                "queue": round(load.queue_percent, 1),
                "errors": round(load.error_percent, 1),
            },
        }

    def conserved_samples_max(self) -> int:
        """Samples that a query may read while a mode limits it; 0 in normal mode. Safe from any thread."""
        mode, limit = self.control.mode, self._settings.query_samples_max
        if mode is Mode.NORMAL:
            return 0
        return limit if mode is Mode.CONSERVATIVE else max(limit // EMERGENCY_SHARE, 1)

    def telemetry_factor(self) -> int:
        """Factor by which the interval of Nissa's own metrics is longer."""
        return self.control.limits.telemetry_factor

    async def _follow_load(self) -> None:
        while True:
            try:
                self._load = self._read_load()
                change = self.control.observe(self._load, self._steady_ms())
                if change is not None:
                    self._mode_changed(change)
            except Exception:  # the edge: a reading that fails must not end the others
                log.exception("cannot read the load of the process")
            await asyncio.sleep(self._settings.interval_ms / SECOND_MS)

    def _read_load(self) -> Load:
        ingest = self.breakers.named(INGEST_BREAKER)
        sample = LoadSample(self._steady_ms(), cpu_seconds(), ingest.successful_calls, ingest.failed_calls)
        cpu_percent, error_percent = self._window.add(sample)
        return Load(
            cpu_percent=cpu_percent,
            memory_percent=100.0 * resident_bytes() / self._memory_limit_bytes if self._memory_limit_bytes else 0.0,
            queue_percent=100.0 * self._engine.fill,
            error_percent=error_percent,
            half_open=tuple(name for name in self.breakers.half_open() if not name.startswith(OUTGOING)),
            burning=self.burning(),
        )

    def _mode_changed(self, change: ModeChange) -> None:
        normal = change.after is Mode.NORMAL
        self.pace.set_mode(change.after)
        self._engine.conserve(() if normal else self._settings.drop_categories, paused=not normal)
        attributes = {"from": str(change.before), "to": str(change.after), "trigger": change.trigger}
        self.events.note("mode.changed", LEVEL_OF_MODE[change.after], {**attributes, "reason": change.reason})

    # ---- all of them ----

    def status(self) -> dict[str, Any]:
        """Parts of ``/api/status``."""
        return {
            "breakers": self.breakers.facts(),
            "safeguards": {"mode": self.mode_facts(), "shed": self.pressure.facts(), "rates": self.limiter.facts()},
            "own_events": self.events.facts(),
        }

    def _breaker_changed(self, change: Transition) -> None:
        if change.breaker.startswith(OUTGOING) and self._repeated.are(change):
            return  # a sink or a receiver may be dead for days
        attributes = {"breaker": change.breaker, "from": str(change.before), "to": str(change.after)}
        attributes |= {"reason": change.reason} if change.reason else {}
        self.events.note("circuit_breaker.state_changed", LEVEL_OF_STATE[change.after], attributes)

    def _steady_ms(self) -> int:
        return int(self._loop.time() * SECOND_MS)
