"""The gate: limits how many queries run at a time, and provides their threads.

Queries never run on the event loop or on the engine's threads. Short queries and exports have separate gates, so that
slow downloads cannot block a dashboard. Their threads run at a lower priority (``nice``), so that answers give way to
receiving where processors are short. A query that finds its gate full waits for its turn, and is refused
with Retry-After if that takes longer than ``api.query_wait``.

The threads are daemon threads: the process exits without waiting for a running query. Those of
``concurrent.futures`` would be joined when the interpreter ends.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import Any, Final, TypeVar

from nissa.model.errors import Unavailable
from nissa.model.units import SECOND_MS

Answer = TypeVar("Answer")
NICE: Final = 10

Task = tuple[Callable[[], Any], "Future[Any]"]


class Gate:
    """``places`` queries at a time on as many threads."""

    def __init__(self, places: int, name: str, wait_ms: int, waiting_max: int) -> None:
        """name: of the threads. wait_ms: for a place, at most. waiting_max: queries that wait at a time."""
        self._wait_s = wait_ms / SECOND_MS
        self._places = asyncio.Semaphore(places)
        self._waiting_max = waiting_max
        self._waiting = 0
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = [
            Thread(target=_serve, args=(self._tasks,), name=f"nissa-{name}-{number}", daemon=True)
            for number in range(places)
        ]
        for thread in self._threads:
            thread.start()
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
        done: Future[Answer] = Future()
        self._tasks.put((work, done))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Threads end after their current work, without being waited for."""
        for _ in self._threads:
            self._tasks.put(None)

    async def _enter(self) -> None:
        settings = "api.concurrent_queries_max, api.waiting_queries_max"
        if self._waiting < self._waiting_max:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._places.acquire()
                return
            except TimeoutError:
                settings = "api.concurrent_queries_max, api.query_wait"
            finally:
                self._waiting -= 1
        self.refused += 1
        raise Unavailable(f"too many queries at a time ({settings})")


def _serve(tasks: "SimpleQueue[Task | None]") -> None:
    """Work on tasks until there is a None among them."""
    with suppress(OSError):  # a sandbox that forbids it
        thread = get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
    while (task := tasks.get()) is not None:
        work, done = task
        if not done.set_running_or_notify_cancel():
            continue
        try:
            done.set_result(work())
        except BaseException as error:  # it belongs to whoever waits
            done.set_exception(error)
        del task, work, done  # an answer is not kept until the next question
