"""Outcomes from many threads to one loop."""

import asyncio
import threading

import uvloop

from nissa.sources.mailbox import Mailbox


def test_nothing_is_lost_between_threads() -> None:
    """Everything posted by several threads at once is delivered once, each thread's items in their order."""
    threads, each = 4, 5_000
    got: list[tuple[int, int]] = []

    async def run() -> None:
        done = asyncio.Event()

        def deliver(item: tuple[int, int]) -> None:
            got.append(item)
            if len(got) == threads * each:
                done.set()

        mailbox: Mailbox[tuple[int, int]] = Mailbox(asyncio.get_running_loop(), deliver)
        posters = [
            threading.Thread(target=lambda number=number: [mailbox.post((number, index)) for index in range(each)])
            for number in range(threads)
        ]
        for poster in posters:
            poster.start()
        await asyncio.wait_for(done.wait(), 60)
        for poster in posters:
            poster.join()

    uvloop.run(run())
    for number in range(threads):
        assert [index for poster, index in got if poster == number] == list(range(each))


def test_one_wake_up_per_batch() -> None:
    """Items posted while the loop is busy wake it once."""

    async def run() -> int:
        loop = asyncio.get_running_loop()
        woken = 0

        def call_soon_threadsafe(*arguments: object) -> None:
            nonlocal woken
            woken += 1
            wake(*arguments)

        wake = loop.call_soon_threadsafe
        seen: list[int] = []
        mailbox: Mailbox[int] = Mailbox(loop, seen.append)
        mailbox._loop = type("Loop", (), {"call_soon_threadsafe": staticmethod(call_soon_threadsafe)})()
        poster = threading.Thread(target=lambda: [mailbox.post(index) for index in range(100)])
        poster.start()
        poster.join()
        await asyncio.sleep(0.01)
        assert seen == list(range(100))
        return woken

    assert asyncio.run(run()) == 1


def test_posting_after_the_loop_is_closed() -> None:
    """A frame may settle after the server is gone."""
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(loop, lambda _: None)
    loop.close()
    mailbox.post(1)
