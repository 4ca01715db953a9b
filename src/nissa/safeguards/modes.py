"""Modes under load: normal, conservative, emergency.

                a trigger                            memory or errors far beyond their trigger
    NORMAL ────────────────────► CONSERVATIVE ────────────────────────► EMERGENCY
       ▲                          │        ▲                               │
       └── dwell over, all clear ─┘        └────── dwell over, all clear ──┘

A mode is entered at once. It is left for the next milder one after the dwell time, when every value is below its
trigger by ``hysteresis_percent`` points: values around a trigger do not change the mode back and forth.

A mode that an operator has forced stays until it is released; observing goes on, and the triggers of now apply then.
The current time is an argument, in milliseconds of a monotonic clock. Everything belongs to one thread.
"""

from enum import IntEnum
from typing import Final

import msgspec

from nissa.config.safeguards import ConservativeMode
from nissa.safeguards.load import Load


class Mode(IntEnum):
    """A mode; the numbers are those of the gauge ``nissa_mode``."""

    NORMAL = 0
    CONSERVATIVE = 1
    EMERGENCY = 2

    def __str__(self) -> str:
        return self.name.lower()


class ModeLimits(msgspec.Struct, frozen=True):
    """Limits of one mode, as the specification has them, and how much less often Nissa measures itself.

    batch_max: messages read from a bus at a time. delay_ms: between two reads.
    """

    batch_max: int
    delay_ms: int
    telemetry_factor: int


LIMITS_OF_MODE: Final = {
    Mode.NORMAL: ModeLimits(batch_max=1_000, delay_ms=0, telemetry_factor=1),
    Mode.CONSERVATIVE: ModeLimits(batch_max=100, delay_ms=10, telemetry_factor=10),
    Mode.EMERGENCY: ModeLimits(batch_max=10, delay_ms=100, telemetry_factor=60),
}


class ModeChange(msgspec.Struct, frozen=True):
    """One change of the mode. reason: in words. trigger: one word for metrics; ``clear`` when a mode is left."""

    before: Mode
    after: Mode
    trigger: str
    reason: str


class ModeControl:
    """The mode in force, and why."""

    def __init__(self, settings: ConservativeMode) -> None:
        self.settings = settings
        self.mode = Mode.NORMAL
        self.reason = ""
        self.forced = False
        self.since_ms = 0
        self.changes: dict[str, int] = {}

    @property
    def limits(self) -> ModeLimits:
        """Limits of the mode in force."""
        return LIMITS_OF_MODE[self.mode]

    def observe(self, load: Load, now_ms: int) -> ModeChange | None:
        """Note the load at ``now_ms``. Returns the change of the mode that follows, if any."""
        if self.forced:
            return None
        wanted, trigger, reason = self._wanted(load, 0)
        if wanted > self.mode:
            return self._enter(wanted, trigger, reason, now_ms)
        if self.mode is Mode.NORMAL or now_ms - self.since_ms < self.settings.dwell_ms:
            return None
        if self._wanted(load, self.settings.hysteresis_percent)[0] < self.mode:
            milder = Mode(self.mode - 1)
            return self._enter(milder, "clear", f"the load has been below the triggers of {self.mode} mode", now_ms)
        return None

    def force(self, mode: Mode | None, reason: str, now_ms: int) -> ModeChange | None:
        """Force a mode, or release a forced one (None): it is left then as if it had been entered now.

        reason: of the operator, in words. Returns the change, None where the mode stays the same.
        """
        if mode is None:
            self.forced, self.since_ms = False, now_ms - self.settings.dwell_ms
            return None
        self.forced = True
        words = f"forced by the operator{': ' if reason else ''}{reason}"
        if mode is self.mode:
            self.reason = words
            return None
        return self._enter(mode, "forced", words, now_ms)

    def facts(self, now_ms: int) -> dict[str, object]:
        """Mode, reason and age for ``/api/status`` and the metrics."""
        return {
            "mode": str(self.mode),
            "gauge": int(self.mode),
            "reason": self.reason or None,
            "forced": self.forced,
            "for_ms": max(now_ms - self.since_ms, 0) if self.mode is not Mode.NORMAL else None,
            "changes": dict(self.changes),
        }

    def _enter(self, mode: Mode, trigger: str, reason: str, now_ms: int) -> ModeChange:
        before, self.mode, self.since_ms = self.mode, mode, now_ms
        self.reason = reason if mode is not Mode.NORMAL else ""
        self.changes[trigger] = self.changes.get(trigger, 0) + 1
        return ModeChange(before, mode, trigger, reason)

    def _wanted(self, load: Load, below: int) -> tuple[Mode, str, str]:
        """The mode that the load asks for, with trigger and reason. below: points to subtract from each trigger."""
        own = self.settings
        beyond = (
            ("memory", "memory", load.memory_percent, own.emergency_memory_percent, "emergency_memory_percent"),
            ("errors", "error rate", load.error_percent, own.emergency_error_percent, "emergency_error_percent"),
        )
        above = (
            ("cpu", "CPU", load.cpu_percent, own.cpu_percent, "cpu_percent"),
            ("memory", "memory", load.memory_percent, own.memory_percent, "memory_percent"),
            ("queue", "queue", load.queue_percent, own.queue_percent, "queue_percent"),
            ("errors", "error rate", load.error_percent, own.error_percent, "error_percent"),
        )
        for mode, rows in ((Mode.EMERGENCY, beyond), (Mode.CONSERVATIVE, above)):
            for trigger, name, value, limit, setting in rows:
                if value > max(limit - below, limit / 2):
                    where = f"safeguards.conservative_mode.{setting}"
                    return mode, trigger, f"{name} at {value:.0f} % is above {limit} % ({where})"
        if load.half_open and own.half_open_breakers:
            return Mode.CONSERVATIVE, "breaker", f"circuit breaker {', '.join(load.half_open)} is half-open"
        if load.burning:
            return Mode.CONSERVATIVE, "slo", f"error budget of {', '.join(load.burning)} burns too fast"
        return Mode.NORMAL, "clear", ""
