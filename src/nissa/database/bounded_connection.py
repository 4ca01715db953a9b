"""Connections to PostgreSQL on which nothing waits for ever.

A statement is ended by the server after ``database.timeout``; a server that is stopped, or a network that swallows
packets, ends the connection a little later.

psycopg looks at its socket every 0.1 s, an interval given to its generators. Nothing else bounds a read: TCP counts a
stopped process as alive, and limits of the server count only while it runs.
"""

from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg import OperationalError
from psycopg.waiting import Ready

from nissa.model.units import SECOND_MS

LOOKS_PER_S: Final = 10
MARGIN_MS: Final = 2 * SECOND_MS  # for the answer of a server that has ended a statement by itself

Steps = Generator[Any, Any, Any]


class ServerSilent(OperationalError):
    """The server said nothing for longer than it may."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed where the server owes an answer and says nothing for ``silence_ms``."""

    silence_ms = 10 * SECOND_MS + MARGIN_MS

    @classmethod
    def connect_within(cls, timeout_ms: int, *arguments: Any, **options: Any) -> "BoundedConnection":
        """A connection on which a statement takes ``timeout_ms`` at most. Raises: OperationalError."""
        connection = cls.connect(*arguments, **{"connect_timeout": timeout_ms // SECOND_MS, **options})
        connection.silence_ms = timeout_ms + MARGIN_MS
        connection.execute(f"SET statement_timeout = {timeout_ms}")
        connection.commit()
        return connection

    def wait(self, gen: Steps, *arguments: Any, **options: Any) -> Any:
        """As psycopg's. Raises: ServerSilent; the connection is closed then."""
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: Steps) -> Steps:
        looks = 0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                looks = 0 if ready != Ready.NONE else looks + 1
                if looks > self.silence_ms / SECOND_MS * LOOKS_PER_S:
                    self.pgconn.finish()
                    raise ServerSilent(
                        f"no answer for {self.silence_ms / SECOND_MS:g} s (database.timeout); the connection is closed"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def is_silence(error: BaseException | None) -> bool:
    """True if the server did not answer in time, neither with a result nor with an error."""
    return isinstance(error, ServerSilent | psycopg.errors.ConnectionTimeout)
