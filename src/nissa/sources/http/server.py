"""The ingest port: an HTTP/1.1 server for frames, metrics and health checks.

    POST      /api/v1/write       remote write 1.0 and 2.0                       negotiate.py
    POST      /api/v1/telemetry   Leyline and nissa.v2 messages                  negotiate.py
    PUT POST DELETE  /metrics/job/…  groups of the Pushgateway API        ../push_groups.py
    GET HEAD  /metrics            Nissa's own metrics, text or OpenMetrics       selfmetrics/exposition.py
    GET HEAD  /-/healthy          the process serves
    GET HEAD  /-/ready            frames are taken; 503 while starting and draining
    OPTIONS   each of them        its methods

    http.py        listen, drain, close
    endpoint.py    what all connections share
    connection.py  bytes in, answers out in order         head.py, body.py   one request while it arrives
    exchange.py    one request and its answer             answers.py         response bytes
    routes.py      paths and methods                      ../mailbox.py      outcomes from the commit thread

The body of a frame is passed on as it was received; the engine thread decompresses and decodes it.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

import msgspec

from nissa.access.certificates import Certificates
from nissa.access.handshakes import SecureListener
from nissa.config.listen import ANY, Listen, parse_listen
from nissa.config.tree import Ingest
from nissa.model.intake import Intake
from nissa.model.units import SECOND_MS
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.entrance import OPEN, Entrance
from nissa.sources.http.connection import Connection
from nissa.sources.http.endpoint import Endpoint, Exposition
from nissa.sources.http.listener import open_listener, open_listeners
from nissa.sources.http.pushes import Pushes

_BACKLOG = 1_024

Listener = asyncio.Server | SecureListener


class HttpServer:
    """A hot endpoint that is listening.

    address: host and port in use; the port is a real one where 0 was asked for. otlp_addresses: of the listeners that
    have the paths of OTLP only.
    """

    def __init__(self, listeners: Sequence[Listener], endpoint: Endpoint, drain_timeout_s: float) -> None:
        """listeners: the first has all paths, others those of OTLP. endpoint: of all of them."""
        self._listeners = listeners
        self._endpoint = endpoint
        self._drain_timeout_s = drain_timeout_s
        self.address, *self.otlp_addresses = (_address_of(listener) for listener in listeners)

    async def drain(self) -> int:
        """Stop accepting, answer what is under way, close. The intake must settle frames until this returns.

        Returns: how many connections were cut off because ``ingest.drain_timeout`` had passed.
        """
        self._stop_listening()
        cut_off = await self._endpoint.drain(self._drain_timeout_s)
        self.close()
        return cut_off

    def close(self) -> None:
        """End at once. Frames that were submitted live on; their senders get no answer."""
        self._stop_listening()
        self._endpoint.abort()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()


async def serve_http(
    config: Ingest,
    intake: Intake,
    now_ms: Callable[[], int],
    cells: HttpCells,
    expose: Exposition,
    missing: Callable[[], Sequence[str]] = list,
    pushes: Pushes | None = None,
    otlp: Sequence[str] = (),
    entrance: Entrance = OPEN,
    passed: socket.socket | None = None,
) -> HttpServer:
    """Listen on ``config.listen`` (port 0: any free one).

    now_ms: wall clock, Unix milliseconds. cells: where requests are counted. expose: answers GET /metrics.
    missing: one line for each source that is not up, for GET /-/ready. pushes: where pushes go.
    otlp: further addresses, for the paths of OTLP only. entrance: checks of senders and frames.
    passed: a socket that listens already, in place of ``config.listen``.
    Raises: ConfigInvalid for an address that cannot be read; OSError for one that cannot be listened on.
    """
    ingest = parse_listen(config.listen, "ingest.listen")
    others = [parse_listen(each, "sources.otlp.listen") for each in otlp]
    endpoint = Endpoint(config, intake, now_ms, cells, expose, missing, pushes, entrance)
    listeners: list[Listener] = []
    try:
        secured = _Secured(config, entrance.certificates, endpoint.count_refused)
        listeners.append(await _listen(ingest, lambda: Connection(endpoint), secured, passed))
        for each in others:
            listeners.append(await _listen(each, lambda: Connection(endpoint, otlp_only=True), secured))
    except OSError:
        endpoint.abort()
        for listener in listeners:
            listener.close()
        raise
    return HttpServer(listeners, endpoint, config.drain_timeout_ms / SECOND_MS)


class _Secured(msgspec.Struct, frozen=True):
    """TLS of listeners. certificates: None for none. gave_way: counts a handshake that ended for another."""

    config: Ingest
    certificates: Certificates | None
    gave_way: Callable[[], None]

    def listener(
        self, certificates: Certificates, sockets: Sequence[socket.socket], connect: Callable[[], Connection]
    ) -> SecureListener:
        """A listener with TLS on sockets."""
        timeout_s = self.config.header_timeout_ms / SECOND_MS
        handshakes_max = self.config.tls.handshakes_max
        return SecureListener(sockets, connect, certificates, handshakes_max, timeout_s, self.gave_way)


async def _listen(
    listen: Listen, connect: Callable[[], Connection], secured: _Secured, passed: socket.socket | None = None
) -> Listener:
    loop = asyncio.get_running_loop()
    sockets = [passed] if passed is not None else [open_listener(listen, _BACKLOG)] if listen.host == ANY else []
    if secured.certificates is not None:
        sockets = sockets or await asyncio.to_thread(open_listeners, listen, _BACKLOG)
        return secured.listener(secured.certificates, sockets, connect)
    if sockets:
        return await loop.create_server(connect, sock=sockets[0], backlog=_BACKLOG)
    return await loop.create_server(connect, listen.host, listen.port, backlog=_BACKLOG)  # every address of a name


def _address_of(listener: Listener) -> tuple[str, int]:
    host, port = listener.sockets[0].getsockname()[:2]
    return host, port
