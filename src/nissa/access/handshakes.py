"""Accepts the connections of a port with TLS, and bounds those whose handshake is under way.

    connect ──► kernel's backlog ──► handshake (at most handshakes_max) ──► the protocol's connection_made
                     ▲                   │ fails, or takes longer than timeout_s
                     └── waits ◄─────────┘ all places taken: one that has lasted GRACE_S gives way to the next

A protocol hears of its connection after the handshake alone, so its own limits do not count whoever only connects:
without a bound of their own such connections take every file descriptor, also those of the journal. Senders that come
back all at once wait in the backlog, and none gives way before GRACE_S.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from nissa.access.certificates import Certificates

GRACE_S: Final = 1.0
SHUTDOWN_TIMEOUT_S: Final = 2.0  # for the other side to say goodbye too; meanwhile what it sends is read past
EXHAUSTED_PAUSE_S: Final = 1.0  # without free descriptors
ACCEPTED_AT_ONCE: Final = 32


class SecureListener:
    """Listening sockets of one port, in use until ``close``. Has what servers need of ``asyncio.Server``."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        connect: Callable[[], asyncio.BaseProtocol],
        certificates: Certificates,
        handshakes_max: int,
        timeout_s: float,
        gave_way: Callable[[], None] = lambda: None,
    ) -> None:
        """sockets: listening. connect: makes the protocol of a connection. handshakes_max: at once.

        timeout_s: of a handshake. gave_way: called for each one that ended for another.
        """
        self.sockets = tuple(sockets)
        self._connect, self._certificates = connect, certificates
        self._handshakes_max, self._timeout_s, self._gave_way = handshakes_max, timeout_s, gave_way
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[asyncio.Task[Any], float] = {}  # task -> when it began, the oldest first
        self._pause: asyncio.TimerHandle | None = None  # while none is accepted
        self._listens = True
        for each in self.sockets:
            each.setblocking(False)
        self._watch()

    @property
    def handshakes(self) -> int:
        """Handshakes under way."""
        return len(self._under_way)

    def close(self) -> None:
        """Accept no more; handshakes under way end."""
        if not self._listens:
            return
        self._listens = False
        self._wait(None)
        for each in self.sockets:
            each.close()
        for task in list(self._under_way):
            task.cancel()

    def _watch(self) -> None:
        for each in self.sockets:
            self._loop.add_reader(each, self._accept, each)

    def _wait(self, pause_s: float | None) -> None:
        """Accept none for so long; None: until further notice."""
        for each in self.sockets:
            self._loop.remove_reader(each)
        if self._pause is not None:
            self._pause.cancel()
        self._pause = None if pause_s is None else self._loop.call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        """Accept again. The oldest handshake gives way where all places are still taken."""
        if not self._listens or self._pause is None:
            return
        self._pause.cancel()
        self._pause = None
        if self.handshakes >= self._handshakes_max:
            oldest, began_s = next(iter(self._under_way.items()))
            left_s = began_s + GRACE_S - self._loop.time()
            if left_s > 0:
                self._wait(left_s)
                return
            del self._under_way[oldest]
            oldest.cancel()
            self._gave_way()
        self._watch()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self.handshakes >= self._handshakes_max:
                self._wait(0.0)
                return
            try:
                connected, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is free
                self._wait(EXHAUSTED_PAUSE_S)
                return
            self._begin(connected)

    def _begin(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        secured = self._loop.connect_accepted_socket(
            self._connect,
            connected,
            ssl=self._certificates.context,
            ssl_handshake_timeout=self._timeout_s,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        task = self._loop.create_task(secured)
        self._under_way[task] = self._loop.time()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled():
            task.exception()  # a handshake that fails is its client's affair
        if self._pause is not None and self.handshakes < self._handshakes_max:
            self._go_on()
