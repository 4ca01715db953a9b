"""Ends tasks for certain: a library may swallow the first cancellation of a task that waits inside of it."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

AGAIN_S: Final = 0.5


async def end_tasks(tasks: "Collection[asyncio.Task[Any]]") -> None:
    """Cancel tasks, again while they go on, and wait until all have ended; their results and errors are dropped."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
