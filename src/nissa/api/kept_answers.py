"""Answers of the database, kept for the time that it is away: readers get the last one with its age, without a wait.

asked     the database answers    its answer, which is kept
away      for ``api.database_retry`` it is not asked again: the kept answer with a warning, or Unavailable without one
"""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from nissa.model.errors import Unavailable
from nissa.model.units import SECOND_MS

KEPT_MAX: Final = 64  # answers, the oldest of which goes


class KeptAnswers:
    """Answers by their request. Safe from any thread."""

    def __init__(self, now_ms: Callable[[], int], retry_ms: int) -> None:
        """now_ms: wall clock, Unix milliseconds. retry_ms: for which the database is not asked again once it failed."""
        self._now_ms = now_ms
        self._retry_ms = retry_ms
        self._lock = Lock()
        self._kept: dict[str, tuple[int, Any]] = {}
        self._away: tuple[int, Unavailable] | None = None

    def ask(self, key: str, work: Callable[[], Any]) -> tuple[Any, list[str]]:
        """``work()``, and warnings: none, or since when the answer is stale. key: of the request.

        Raises: Unavailable where the database is away and no such answer is kept; and what ``work`` raises.
        """
        now_ms = self._now_ms()
        with self._lock:
            away = self._away
        if away is None or not away[0] <= now_ms < away[0] + self._retry_ms:
            try:
                found = work()
            except Unavailable as error:
                away = now_ms, error
            else:
                with self._lock:
                    self._away = None
                    self._kept.pop(key, None)
                    self._kept[key] = now_ms, found
                    if len(self._kept) > KEPT_MAX:
                        del self._kept[next(iter(self._kept))]
                return found, []
        with self._lock:
            self._away = away
            kept = self._kept.get(key)
        if kept is None:
            raise away[1]
        since = datetime.fromtimestamp(kept[0] / SECOND_MS, UTC)
        return kept[1], [f"stale since {since:%Y-%m-%dT%H:%M:%SZ}: {away[1]}"]
