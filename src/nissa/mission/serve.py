"""Serving the control API on a socket that is already bound, in the loop that runs, until told to stop.

Importing this file brings FastAPI and uvicorn, half a second of work: the daemon does it on another thread, once it
receives.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nissa.config.tree import Api
from nissa.mission.app import app_of
from nissa.mission.state import Mission
from nissa.model.units import SECOND_MS
from nissa.query.backend import Backend

HEAD_BYTES_MAX = 256 * 1024  # request line and headers; selectors in a query string are long at times
DRAIN_TIMEOUT_S = 5
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Server(uvicorn.Server):
    """uvicorn without signal handlers: the daemon has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave all signals to the daemon."""
        yield


async def serve_api(
    backend: Backend, limits: Api, listening: socket.socket, stopping: asyncio.Event, facts: Mapping[str, Any]
) -> None:
    """Answer queries on ``listening`` until ``stopping`` is set; then let answers end, for 5 s at most, and return.

    facts: what ``/api/status`` and ``buildinfo`` add to what the backend says; ``version`` is one of them.
    """
    mission = Mission(backend, limits, facts)
    settings = uvicorn.Config(
        app_of(mission),
        http=_bounded(limits),
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # failures are logged where they are counted
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    server = Server(settings)

    async def stop_when_told() -> None:
        await stopping.wait()
        server.should_exit = True

    waiting = asyncio.create_task(stop_when_told())
    try:
        await server.serve(sockets=[listening])
    finally:
        waiting.cancel()
        mission.close()


def _bounded(limits: Api) -> type[H11Protocol]:
    """The protocol of a connection. So many may be open at once, or files would lack descriptors; none holds its place
    without asking something.

    h11 bounds the head of a request, httptools does not.
    """
    request_s, idle_s = limits.request_timeout_ms / SECOND_MS, limits.idle_timeout_ms / SECOND_MS

    class Bounded(H11Protocol):
        _request_due: asyncio.TimerHandle | None = None  # while a request is on its way

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.timeout_keep_alive = idle_s  # type: ignore[assignment]  # for call_later, which takes parts of seconds
            if len(self.connections) > limits.connections_max:
                transport.write(_FULL)
                transport.close()
            else:
                self.timeout_keep_alive_task = self.loop.call_later(idle_s, self.timeout_keep_alive_handler)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # it came whole, or is refused
                self._drop_request_due()
            elif self._request_due is None:
                self._request_due = self.loop.call_later(request_s, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._drop_request_due()
            super().connection_lost(exc)

        def _drop_request_due(self) -> None:
            if self._request_due is not None:
                self._request_due.cancel()
                self._request_due = None

    return Bounded
