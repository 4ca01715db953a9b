"""Tokens of senders on the ingest port (``ingest.tokens_required``): API tokens of the scope ``ingest``, in memory.

The hot endpoint asks no database: digests are read every ``REFRESH_S``, so a new token counts after that time, and one
that was removed is refused after it. While the database is away those known before go on.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from nissa.config.tree import Ingest
from nissa.model.errors import NissaError, Unauthorized, Unavailable

if TYPE_CHECKING:
    from nissa.database.database import Database

REFRESH_S: Final = 2.0
SCHEME: Final = "bearer "

log = structlog.get_logger()


class IngestTokens:
    """Digests of tokens and their ends. Lives on the loop."""

    def __init__(self, database: "Callable[[], Database]", now_ms: Callable[[], int]) -> None:
        """database: opens it; called in a worker thread. now_ms: wall clock, Unix milliseconds."""
        self._database = database
        self._now_ms = now_ms
        self._expires_ms: dict[str, int] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the tokens, and go on reading them."""
        await self._refresh()
        self._task = asyncio.create_task(self._repeat(), name="ingest.tokens")

    def check(self, authorization: bytes | None) -> None:
        """Look at the header of a request. Raises: Unauthorized, or Unavailable while tokens are unknown."""
        from nissa.access.secret_tokens import digest_of

        if self._expires_ms is None:
            raise Unavailable("the database of tokens is not open yet")
        text = (authorization or b"").decode("latin-1")
        if text[: len(SCHEME)].lower() == SCHEME:
            expires_ms = self._expires_ms.get(digest_of(text[len(SCHEME) :].strip()))
            if expires_ms is not None and not 0 < expires_ms <= self._now_ms():
                return
        raise Unauthorized("a token of the scope ingest is needed: Authorization: Bearer nissa_... (nissa tokens add)")

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            self._expires_ms = await asyncio.to_thread(self._read)
        except NissaError as error:
            log.warning("tokens of senders are not read", reason=str(error))

    def _read(self) -> dict[str, int]:
        from nissa.access.tokens import ingest_digests

        return ingest_digests(self._database())


async def started_tokens(
    ingest: Ingest, database: "Callable[[], Database]", now_ms: Callable[[], int]
) -> IngestTokens | None:
    """Tokens that are read; None where senders need none."""
    if not ingest.tokens_required:
        return None
    tokens = IngestTokens(database, now_ms)
    await tokens.start()
    return tokens
