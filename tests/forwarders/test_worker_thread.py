"""The worker thread: work is done in turn beside the loop, and its end waits for nobody."""

import asyncio
import threading

import pytest

from nissa.forwarders.worker_thread import WorkerThread


def test_work_is_done_in_turn_on_one_thread() -> None:
    """Results and errors come back to the one who asked, and the thread is not that of the loop."""
    seen: list[tuple[int, int]] = []

    def note(number: int) -> int:
        seen.append((number, threading.get_ident()))
        return 100 // number

    async def main() -> None:
        worker = WorkerThread("test")
        found = await asyncio.gather(*(worker.run(note, number) for number in (1, 2, 0, 4)), return_exceptions=True)
        worker.end()
        assert [found[0], found[1], found[3]] == [100, 50, 25]
        assert isinstance(found[2], ZeroDivisionError)

    asyncio.run(main())
    assert [number for number, _ in seen] == [1, 2, 0, 4]
    assert len({thread for _, thread in seen} | {threading.get_ident()}) == 2


def test_what_was_to_follow_is_cancelled_at_the_end() -> None:
    """The work under way is finished."""

    async def main() -> None:
        worker, going_on, begun = WorkerThread("test"), threading.Event(), threading.Event()

        def work() -> bool:
            begun.set()
            return going_on.wait(60)

        first, second = asyncio.create_task(worker.run(work)), asyncio.create_task(worker.run(int))
        await asyncio.to_thread(begun.wait, 60)
        worker.end()
        going_on.set()
        assert await first
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(main())
