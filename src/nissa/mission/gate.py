"""The gate: how many queries may run at a time, and the threads they run on.

Queries never run on the event loop nor on the engine's threads. Short questions and exports have a gate each, so that
slow downloads cannot shut out a dashboard. Who finds a gate full waits a moment, and is then told to come again:
nothing queues without bound.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from nissa.model.errors import Unavailable

Answer = TypeVar("Answer")
WAIT_S = 1.0
WAITING_PER_PLACE_MAX = 16


class Gate:
    """``places`` queries at a time on as many threads."""

    def __init__(self, places: int, name: str) -> None:
        self._places = asyncio.Semaphore(places)
        self._waiting_max = places * WAITING_PER_PLACE_MAX
        self._waiting = 0
        self._pool = ThreadPoolExecutor(places, thread_name_prefix=f"nissa-{name}")
        self.running = 0
        self.refused = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one place. Raises Unavailable where none comes free in time."""
        await self._enter()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """``work()`` on a thread of this gate."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Start nothing more; threads end after what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _enter(self) -> None:
        if self._waiting < self._waiting_max:
            self._waiting += 1
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._places.acquire()
                return
            except TimeoutError:
                pass
            finally:
                self._waiting -= 1
        self.refused += 1
        raise Unavailable("too many queries at a time (api.concurrent_queries_max)")
