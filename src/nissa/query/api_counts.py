"""Counts of the API of the process, for its metrics and objectives."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

LATE_S: Final = 0.150
REFUSALS: Final = (401, 403, 429)


class ApiCounts:
    """total: PromQL queries that have ended. late: those that took longer than ``LATE_S``. refused: requests by status.

    streams: clients that wanted a stream. streams_failed: those that got none because there are too many, or lost it
    because they read too slowly. stream_clients: connected now.
    range_cache: gives facts of the range cache. Safe from any thread but for races that lose a count.
    """

    def __init__(self) -> None:
        self.total = self.late = 0
        self.streams = self.streams_failed = self.stream_clients = 0
        self.range_cache: Callable[[], dict[str, Any]] = dict
        self.refused: Counter[int] = Counter(dict.fromkeys(REFUSALS, 0))

    def note(self, elapsed_s: float) -> None:
        """A query has ended after so many seconds."""
        self.total += 1
        self.late += elapsed_s > LATE_S

    def facts(self) -> dict[str, Any]:
        """Sections for the status."""
        return {
            "range_cache": self.range_cache(),
            "query_counts": {"total": self.total, "late": self.late},
            "streams": {"clients": self.stream_clients, "total": self.streams, "failed": self.streams_failed},
            "requests_refused": {str(status): count for status, count in self.refused.items()},
        }
