"""Passes outcomes from the commit thread to the loop, with one wake-up per batch.

    commit thread   post(a) post(b) post(c)          a deque, and one call_soon_threadsafe while none is under way
    loop            ........ deliver(a) deliver(b) deliver(c)

Why no wake-up is lost: the loop clears ``_woken`` before it drains the deque, and a poster appends before it looks at
``_woken``. What is appended behind the drain's back was therefore appended by a poster that sees it clear, and wakes
the loop anew.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """A deque that any thread may post to and the loop empties."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[Item], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._items: deque[Item] = deque()
        self._woken = False

    def post(self, item: Item) -> None:
        """Hand ``item`` to the loop. Any thread; never blocks. After the loop is closed it goes nowhere."""
        self._items.append(item)
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        self._woken = False
        items = self._items
        for _ in range(len(items)):
            self._deliver(items.popleft())
