"""Admission by priority while the queue of the engine fills.

    share of the queue   0 ········ .50 ········ .75 ···· .85 ···· .95 ·· 1
    low                  ███████████
    normal               ███████████████████████
    high                 ████████████████████████████████
    critical             ██████████████████████████████████████████

A frame of a class that is no longer admitted is refused at a door where senders push (503 with Retry-After), and waits
at a source that pulls. Each refusal is counted by source, priority and reason.
"""

from collections.abc import Callable
from typing import Final

from nissa.config.safeguards import PressureLimits
from nissa.model.errors import Unavailable
from nissa.safeguards.priority import Priority

RETRY_SPREAD_S: Final = 3  # Retry-After cycles through 1 to this, so that refused senders do not return together


class Pressure:
    """The queue of the engine as doors see it. Lives on the loop; ``shed`` may be read from any thread."""

    def __init__(self, settings: PressureLimits, fill: Callable[[], float]) -> None:
        """fill: the share of the queue that is taken."""
        self._fill = fill
        self._percents = {
            Priority.LOW: settings.low_percent,
            Priority.NORMAL: settings.normal_percent,
            Priority.HIGH: settings.high_percent,
            Priority.CRITICAL: settings.critical_percent,
        }
        self._calm = settings.low_percent / 100
        self._told = 0
        self.shed: dict[tuple[str, str, str], int] = {}

    @property
    def calm(self) -> bool:
        """True while frames of every priority are admitted: then nobody need know a priority."""
        return self._fill() < self._calm

    def admits(self, priority: Priority) -> bool:
        """True while frames of this priority are admitted."""
        return self._fill() < self._percents[priority] / 100

    def refusal(self, priority: Priority) -> Unavailable | None:
        """The refusal of a frame of this priority; None where it is admitted."""
        if self.admits(priority):
            return None
        limit, full = self._percents[priority], round(100 * self._fill())
        where = f"safeguards.pressure.{priority}_percent"
        self._told = self._told % RETRY_SPREAD_S + 1
        words = f"the queue is {full} % full, frames of priority {priority} are refused from {limit} % on ({where})"
        return Unavailable(words, self._told)

    def count(self, source: str, priority: Priority, reason: str) -> None:
        """Count a frame that was refused. source: its key in the accounting. reason: one word."""
        key = source, str(priority), reason
        self.shed[key] = self.shed.get(key, 0) + 1

    def facts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Refused frames by source, priority and reason. Safe from any thread."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (source, priority, reason), count in sorted(self.shed.copy().items()):
            found.setdefault(source, {}).setdefault(priority, {})[reason] = count
        return found
