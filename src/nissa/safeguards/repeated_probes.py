"""Distinguishes changes of circuit breakers that are news from those of one outage that goes on.

closed ──► open ──► half-open ──► open ──► half-open ──► open ──► … ──► half-open ──► closed
  news      news                  the outage goes on                                  news
"""

from nissa.safeguards.breaker import BreakerState, Transition


class RepeatedProbes:
    """The breakers whose probes have failed since they opened. For one thread."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def are(self, change: Transition) -> bool:
        """True if this change only says that a probe failed, or that the next one begins."""
        if change.after is BreakerState.CLOSED:
            self._names.discard(change.breaker)
            return False
        if change.before is BreakerState.HALF_OPEN:
            self._names.add(change.breaker)
            return True
        return change.breaker in self._names and change.after is BreakerState.HALF_OPEN
