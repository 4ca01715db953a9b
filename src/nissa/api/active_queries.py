"""The running PromQL queries, and the log of slow ones."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from nissa.query.api_counts import ApiCounts
from nissa.query.limits import Allowance

EXPRESSION_SHOWN_MAX = 4_096  # characters of an expression in the list and in the log

log = structlog.get_logger()


class ActiveQuery(msgspec.Struct):
    """start_ms and end_ms are equal, and step_ms is 0, at one time. samples_read, resolutions: known at the end."""

    number: int
    expression: str
    start_ms: int
    end_ms: int
    step_ms: int
    client: str
    allowance: Allowance
    samples_read: int = 0
    resolutions: tuple[str, ...] = ()


class ActiveQueries:
    """All of them. Safe from any thread: each change is one operation on a dict."""

    def __init__(self, slow_ms: int, counts: ApiCounts) -> None:
        """slow_ms: a query that takes longer is logged."""
        self._counts = counts
        self._slow_s = slow_ms / 1000
        self._numbers = itertools.count(1)
        self._running: dict[int, ActiveQuery] = {}
        self.slow = 0

    @contextmanager
    def running(
        self, expression: str, span_ms: tuple[int, int, int], client: str, allowance: Allowance
    ) -> Iterator[ActiveQuery]:
        """Listed while inside; logged at the end where it was slow. span_ms: start, end, step."""
        query = ActiveQuery(next(self._numbers), expression[:EXPRESSION_SHOWN_MAX], *span_ms, client, allowance)
        self._running[query.number] = query
        try:
            yield query
        finally:
            del self._running[query.number]
            self._finish(query)

    def shown(self) -> list[dict[str, Any]]:
        """The longest first, in the fields of VictoriaMetrics' list."""
        running = sorted(self._running.copy().values(), key=lambda query: query.number)
        return [
            {
                "id": str(query.number),
                "duration": f"{query.allowance.elapsed_s:.3f}s",
                "remote_addr": query.client,
                "query": query.expression,
                "start": query.start_ms,
                "end": query.end_ms,
                "step": query.step_ms,
                "memory_bytes": query.allowance.taken_bytes,
            }
            for query in running
        ]

    def _finish(self, query: ActiveQuery) -> None:
        self._counts.note(query.allowance.elapsed_s)
        if query.allowance.elapsed_s <= self._slow_s:
            return
        self.slow += 1
        log.warning(
            "slow query",
            expression=query.expression,
            start_ms=query.start_ms,
            end_ms=query.end_ms,
            step_ms=query.step_ms,
            samples_read=query.samples_read,
            resolution=", ".join(query.resolutions),
            seconds=round(query.allowance.elapsed_s, 3),
            client=query.client,
        )
