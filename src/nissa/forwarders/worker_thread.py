"""One thread beside the loop: what may take long, or must be done in turn, is awaited there."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class WorkerThread:
    """The thread, which starts with the first call."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """The result of ``work``, which is done after all that was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def end(self) -> None:
        """End after the work that is being done; what was to follow is cancelled. Does not wait."""
        self._executor.shutdown(wait=False, cancel_futures=True)
