"""Connections to PostgreSQL on which nothing waits for ever.

A server that is stopped, or a network that swallows packets, ends a transaction after ``SILENCE_S``.

psycopg looks at its socket every 0.1 s, an interval given to its generators. Nothing else bounds a read: TCP counts a
stopped process as alive, and limits of the server count only while it runs.
"""

from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg import OperationalError
from psycopg.waiting import Ready

SILENCE_S: Final = 10
LOOKS_PER_S: Final = 10

Steps = Generator[Any, Any, Any]


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed where the server says nothing for ``SILENCE_S`` while it owes an answer."""

    def wait(self, gen: Steps, *arguments: Any, **options: Any) -> Any:
        """As psycopg's. Raises: OperationalError after the silence; the connection is closed then."""
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: Steps) -> Steps:
        looks = 0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                looks = 0 if ready != Ready.NONE else looks + 1
                if looks > SILENCE_S * LOOKS_PER_S:
                    self.pgconn.finish()
                    raise OperationalError(f"no answer for {SILENCE_S} s; the connection is closed")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
