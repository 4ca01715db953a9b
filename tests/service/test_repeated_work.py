"""Work that is repeated on worker threads."""

import asyncio
import threading

from nissa.model.errors import Unavailable
from nissa.service.repeated_work import RepeatedWork


def test_a_turn_that_fails_is_counted_and_repeated() -> None:
    """Errors of the house and others; each turn is on another thread than the loop."""
    turns: list[bool] = []
    counts = {"failures": 0}

    async def run() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def turn() -> None:
            turns.append(threading.current_thread() is threading.main_thread())
            if len(turns) <= 2:
                raise (Unavailable("away"), ValueError("wrong"))[len(turns) - 1]
            loop.call_soon_threadsafe(done.set)

        work = RepeatedWork("turns", turn, lambda: 1, counts)
        work.start()
        await done.wait()
        await work.stop()

    asyncio.run(run())
    assert counts == {"failures": 2}
    assert len(turns) >= 3
    assert not any(turns)


def test_a_stop_waits_for_the_turn_under_way() -> None:
    """Nothing of it is lost, and no turn follows; without a start there is nothing to stop."""
    ended: list[int] = []

    async def run() -> None:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def turn() -> None:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait()
            ended.append(1)

        work = RepeatedWork("turns", turn, lambda: 1, {"failures": 0})
        await work.stop()
        work.start()
        await begun.wait()
        stopping = asyncio.create_task(work.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        await stopping
        assert ended == [1]

    asyncio.run(run())
    assert ended == [1]
