"""Shows the names of threads to the kernel, for ``top -H``, ``perf`` and ``/proc/PID/task``.

Python 3.14 does that itself; versions before it leave every thread with the name of the process.
"""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

INTERVAL_S = 10.0  # threads of pools start with their first work
PREFIX = "nissa-"


def name_threads(known: set[int]) -> None:
    """Name all threads but the main one and those in ``known``, native ids, which the new ones are added to.

    The kernel keeps 15 bytes, so the prefix that all names share is left out.
    """
    threads = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    known.intersection_update(threads)
    for number in threads.keys() - known - {threading.main_thread().native_id}:
        with suppress(OSError):  # it has ended, or /proc is not there
            Path(f"/proc/self/task/{number}/comm").write_text(threads[number].removeprefix(PREFIX)[:15])
        known.add(number)


async def keep_threads_named() -> None:
    """Name new threads until cancelled."""
    known: set[int] = set()
    while True:
        name_threads(known)
        await asyncio.sleep(INTERVAL_S)
