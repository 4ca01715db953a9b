"""How much one query may take. A deadline is looked at between slices of work; its clock is given, never read here."""

from collections.abc import Callable

from nissa.model.errors import QueryTimeout


class Deadline:
    """The moment a query must be done. ``now_s`` is any monotonic clock in seconds."""

    def __init__(self, now_s: Callable[[], float], timeout_ms: int) -> None:
        self._now_s = now_s
        self.timeout_ms = timeout_ms
        self._end_s = now_s() + timeout_ms / 1000

    def check(self) -> None:
        """Raise QueryTimeout where the time is over."""
        if self._now_s() > self._end_s:
            raise QueryTimeout(f"query took longer than {self.timeout_ms} ms (api.query_timeout_ms)")

    def extend(self) -> None:
        """Begin the time anew: a stream is limited per chunk, as its length is not known to be a fault."""
        self._end_s = self._now_s() + self.timeout_ms / 1000
