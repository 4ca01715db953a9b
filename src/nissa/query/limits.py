"""Limits of a query: time and memory of its own, and memory of all queries together.

    Allowance ── check(bytes) ──►  its deadline        QueryTimeout     api.query_timeout
                                   its own bytes       TooLarge         api.query_memory_size_max
                                   Ration of all       Unavailable      api.queries_memory_size_max
                                   the end of it all   Unavailable      the daemon stops
                                   its client gone     QueryCanceled

Every loop of a query calls ``check``, so each of these ends it within one slice of work. Bytes are those of the arrays
and texts a query holds, as their owners count them: the bound is on growth with the question, not on every object.
The clock is given, never read here.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from nissa.model.errors import QueryCanceled, QueryTimeout, TooLarge, Unavailable


class MemoryBudget:
    """Memory for all queries together. Safe from any thread."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self.taken_bytes = 0
        self.stopping = False

    def take(self, taken_bytes: int) -> None:
        """Count bytes more, or fewer where negative. Raises Unavailable, nothing counted, where they are too many."""
        with self._lock:
            held = self.taken_bytes + taken_bytes
            if taken_bytes > 0 and held > self._bytes_max:
                limit = f"the limit of {self._bytes_max} (api.queries_memory_size_max)"
                raise Unavailable(f"all queries together would use {held} bytes, more than {limit}")
            self.taken_bytes = held

    def stop(self) -> None:
        """End every query at its next check."""
        self.stopping = True


class Allowance:
    """Time and memory of one query; what it holds is given back at the end of ``with``.

    now_s: any monotonic clock in seconds.
    """

    def __init__(self, now_s: Callable[[], float], timeout_ms: int, bytes_max: int, ration: MemoryBudget) -> None:
        """Limit the time and memory of one query; the memory it holds is released at the end of ``with``.

        now_s: any monotonic clock in seconds. timeout_ms: maximum duration. bytes_max: maximum of memory. ration:
        budget of all queries together.
        """
        self._now_s = now_s
        self._timeout_ms = timeout_ms
        self._bytes_max = bytes_max
        self._ration = ration
        self._begin_s = now_s()
        self._end_s = self._begin_s + timeout_ms / 1000
        self._canceled = False
        self.taken_bytes = 0

    def check(self, taken_bytes: int = 0, /) -> None:
        """``model.allowance.Check``. Raises: QueryTimeout, QueryCanceled, TooLarge, Unavailable."""
        if taken_bytes:
            if self.taken_bytes + taken_bytes > self._bytes_max:
                raise TooLarge(
                    "memory of one query",
                    got=self.taken_bytes + taken_bytes,
                    limit=self._bytes_max,
                    setting="api.query_memory_size_max",
                )
            self._ration.take(taken_bytes)
            self.taken_bytes += taken_bytes
        if self._ration.stopping:
            raise Unavailable("the daemon is stopping")
        if self._canceled:
            raise QueryCanceled("the client went away before the answer")
        if self._now_s() > self._end_s:
            settings = "api.query_timeout, or its parameter timeout"
            raise QueryTimeout(f"query took longer than {self._timeout_ms} ms ({settings})")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the query began."""
        return self._now_s() - self._begin_s

    def cancel(self) -> None:
        """End the query at its next check. Safe from any thread."""
        self._canceled = True

    def shorten(self, timeout_ms: int) -> None:
        """Bound the time by ``timeout_ms`` from the beginning, where that is sooner."""
        if timeout_ms < self._timeout_ms:
            self._timeout_ms = timeout_ms
            self._end_s = self._begin_s + timeout_ms / 1000

    def extend(self) -> None:
        """Restart the timeout: a stream is limited per chunk, as its length is not known to be a fault."""
        self._end_s = self._now_s() + self._timeout_ms / 1000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ration.take(-self.taken_bytes)
        self.taken_bytes = 0
