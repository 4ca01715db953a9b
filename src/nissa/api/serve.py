"""Serves the control API on a bound socket in the running loop.

Importing this file loads FastAPI and uvicorn, which takes half a second: the daemon does it on another thread, after
the ingest port is ready.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from nissa.access.certificates import Certificates
from nissa.access.handshakes import SecureListener
from nissa.api.app import app_of
from nissa.api.connection import HEAD_BYTES_MAX, bounded
from nissa.api.facts import Facts
from nissa.api.state import ApiState
from nissa.api.stream_protocol import MESSAGE_BYTES_MAX, PING_INTERVAL_S, StreamProtocol, of_streams
from nissa.config.tree import Api
from nissa.model.units import SECOND_MS
from nissa.query.backend import Backend

DRAIN_TIMEOUT_S = 5
TLS = "api.tls"
TICKS_PER_S = 10  # by which uvicorn counts


class Server(uvicorn.Server):
    """uvicorn without signal handlers: the daemon has its own. It looks at the time once per second, not ten times."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: asyncio.Event,
        limits: Api,
        certificates: Certificates | None = None,
    ) -> None:
        """stopping: ends serving. limits: settings of the API. certificates: of TLS."""
        super().__init__(config)
        self._certificates = certificates
        self._limits = limits
        self._secure: SecureListener | None = None
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. uvicorn knows no bound on handshakes, so a listener with one takes its place where there is TLS."""
        if self._certificates is None:
            await super().startup(sockets)
            return
        await super().startup([])

        def connect() -> asyncio.BaseProtocol:
            protocol: asyncio.BaseProtocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return protocol

        handshakes_max, timeout_s = self._limits.tls.handshakes_max, self._limits.request_timeout_ms / SECOND_MS
        self._secure = SecureListener(sockets or [], connect, self._certificates, handshakes_max, timeout_s)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and wait for answers under way."""
        self.stop_listening()
        await super().shutdown(sockets)

    def stop_listening(self) -> None:
        """Accept no further connection with TLS."""
        if self._secure is not None:
            self._secure.close()

    async def main_loop(self) -> None:
        """Renew the date of answers every second, until it is time to end."""
        seconds = 0
        while not (self._stopping.is_set() or await self.on_tick(seconds * TICKS_PER_S)):
            seconds += 1
            if self._certificates is not None:
                await asyncio.to_thread(self._certificates.read_again)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave all signals to the daemon."""
        yield


async def serve_api(
    backend: Backend, limits: Api, listening: socket.socket, stopping: asyncio.Event, facts: Facts
) -> None:
    """Serve the control API until ``stopping`` is set; then wait for answers under way, for 5 s at most.

    backend: where queries read. limits: settings of the API. listening: a bound socket. facts: state of the process.
    """
    api_state = ApiState(backend, limits, facts)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited: a body does not wait for an ACK
    open_streams: set[StreamProtocol] = set()
    certificates = Certificates(limits.tls, TLS) if limits.tls.certificate_file else None
    settings = uvicorn.Config(
        app_of(api_state),
        http=bounded(limits, open_streams),
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        ws=of_streams(open_streams),
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=PING_INTERVAL_S,
        ws_per_message_deflate=False,
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # failures are logged where they are counted
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    server = Server(settings, stopping, limits, certificates)
    try:
        await server.serve(sockets=[listening])
    finally:
        server.stop_listening()
        api_state.close()
