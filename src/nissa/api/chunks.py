"""Computes the chunks of an answer on worker threads, one at a time, and ends the work when the client disconnects."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from itertools import chain

from starlette.types import Receive

from nissa.api.content_coding import PLAIN_BYTES_MAX, encode
from nissa.query.limits import Allowance


class Chunks:
    """Chunks that are not empty, and a ``close`` that ends the work behind them. One thread at a time gets in."""

    def __init__(self, chunks: Generator[bytes, None, None], allowance: Allowance) -> None:
        self._chunks = chunks
        self._allowance = allowance
        self.closed = False
        self._lock = threading.Lock()  # a cancelled request closes while its thread may still be at the last chunk

    def take(self) -> bytes | None:
        """The next chunk; None at the end."""
        with self._lock:
            return next((chunk for chunk in self._chunks if chunk), None)

    def begin(self, bytes_least: int, coding: str) -> tuple[bytes, str, bool]:
        """The first bytes in a content coding: of so many bytes at least, or of all there are.

        Returns: the bytes, the coding that is in use, which is none for a small answer, and whether these are all.
        Closes at the end and at errors.
        """
        try:
            begun, is_whole = self._take_many(bytes_least)
        except BaseException:  # after any error, what was held is given back
            self.close()
            raise
        if is_whole:
            self.close()
            coding = coding if len(begun) > PLAIN_BYTES_MAX else ""
            return b"".join(encode((begun,), coding)), coding, True
        self._chunks = encode(chain((begun,), self._chunks), coding)
        return self.take() or b"", coding, False

    def _take_many(self, bytes_least: int) -> tuple[bytes, bool]:
        taken: list[bytes] = []
        size = 0
        while size < bytes_least:
            chunk = self.take()
            if chunk is None:
                return b"".join(taken), True
            taken.append(chunk)
            size += len(chunk)
        return b"".join(taken), False

    def close(self) -> None:
        """End the work, and give back what it held."""
        with self._lock, self._allowance:
            self._chunks.close()
            self.closed = True


@asynccontextmanager
async def canceled_by(receive: Receive, allowance: Allowance) -> AsyncIterator[None]:
    """While inside, a client that goes away ends the query at its next check. The body must have been read."""
    watching = asyncio.create_task(_cancel_at_end(receive, allowance))
    try:
        yield
    finally:
        watching.cancel()


async def _cancel_at_end(receive: Receive, allowance: Allowance) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    allowance.cancel()
