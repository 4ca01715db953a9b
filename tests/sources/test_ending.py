"""Tasks are ended for certain."""

import asyncio
import contextlib

import pytest

from nissa.sources import ending
from nissa.sources.ending import end_tasks


def test_a_task_that_swallows_a_cancellation_is_canceled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on, one that fails and one that has ended are all ended afterwards."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def failing() -> None:
        raise ValueError("ours")

    async def scenario() -> None:
        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
        await asyncio.sleep(0)
        await end_tasks(tasks)
        assert all(task.done() for task in tasks)
        await end_tasks([])

    asyncio.run(asyncio.wait_for(scenario(), 60))
