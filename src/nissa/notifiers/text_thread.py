"""The thread that makes messages out of templates, so that a text which takes its time holds up no work of the loop.

It is one for all channels. An attempt whose time is up while it waits does not have its message made.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple

_THREAD: Final = ThreadPoolExecutor(1, "nissa-texts")  # begins with the first message

Made = TypeVar("Made")
Given = TypeVarTuple("Given")


async def in_thread(work: Callable[[*Given], Made], *arguments: *Given) -> Made:
    """The result of ``work``. Raises: what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work, *arguments)
