"""Messages are made beside the loop."""

import asyncio
import threading

import pytest

from nissa.notifiers.text_thread import in_thread


def test_the_loop_runs_while_a_message_is_made() -> None:
    """One is made at a time; one whose attempt has ended is not made at all, and errors reach the channel."""
    may_end, made = threading.Event(), []
    began = asyncio.Event()

    def make(name: str, loop: asyncio.AbstractEventLoop) -> str:
        made.append(name)
        loop.call_soon_threadsafe(began.set)
        return name if may_end.wait(30) else "the loop did not run"

    def fail() -> None:
        raise ValueError("broken")

    async def work() -> None:
        loop = asyncio.get_running_loop()
        first, second = (asyncio.create_task(in_thread(make, name, loop)) for name in ("first", "second"))
        await began.wait()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        may_end.set()
        assert await first == "first"
        with pytest.raises(ValueError, match="broken"):
            await in_thread(fail)
        assert made == ["first"]

    asyncio.run(work())
