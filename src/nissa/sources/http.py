"""The hot endpoint: an HTTP/1.1 server of our own, for frames and for what watches over them.

    POST      /api/v1/write       remote write 1.0 and 2.0                       negotiate.py
    POST      /api/v1/telemetry   Leyline and nissa.v2 messages                  negotiate.py
    GET HEAD  /metrics            Nissa's own metrics, text or OpenMetrics       selfmetrics/exposition.py
    GET HEAD  /-/healthy          the process serves
    GET HEAD  /-/ready            frames are taken; 503 while starting and draining

    http.py        listen, drain, close
    endpoint.py    what all connections share
    connection.py  bytes in, answers out in order         head.py, body.py   one request while it arrives
    exchange.py    one request and its answer             answers.py         response bytes
    mailbox.py     outcomes from the commit thread        routes.py          paths and methods

A frame's body goes on as it was received: it is decompressed and decoded on the engine's thread.
"""

import asyncio
from collections.abc import Callable

from nissa.config.listen import parse_listen
from nissa.config.tree import Ingest
from nissa.model.intake import Intake
from nissa.model.units import SECOND_MS
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.connection import Connection
from nissa.sources.endpoint import Endpoint, Exposition

_BACKLOG = 1_024


class HttpServer:
    """A hot endpoint that is listening.

    address: host and port in use; the port is a real one where 0 was asked for.
    """

    def __init__(self, listener: asyncio.Server, endpoint: Endpoint, drain_timeout_s: float) -> None:
        self._listener = listener
        self._endpoint = endpoint
        self._drain_timeout_s = drain_timeout_s
        host, port = listener.sockets[0].getsockname()[:2]
        self.address: tuple[str, int] = (host, port)

    async def drain(self) -> int:
        """Stop accepting, answer what is under way, close. The intake must settle frames until this returns.

        Returns: how many connections were cut off because ``ingest.drain_timeout_ms`` had passed.
        """
        self._listener.close()
        cut_off = await self._endpoint.drain(self._drain_timeout_s)
        self.close()
        return cut_off

    def close(self) -> None:
        """End at once. Frames that were submitted live on; their senders get no answer."""
        self._listener.close()
        self._endpoint.abort()


async def serve_http(
    config: Ingest, intake: Intake, now_ms: Callable[[], int], cells: HttpCells, expose: Exposition
) -> HttpServer:
    """Listen on ``config.listen`` (port 0: any free one).

    now_ms: wall clock, Unix milliseconds. cells: where requests are counted. expose: answers GET /metrics.
    Raises: ConfigInvalid for an address that cannot be read; OSError for one that cannot be listened on.
    """
    listen = parse_listen(config.listen, "ingest.listen")
    endpoint = Endpoint(config, intake, now_ms, cells, expose)
    try:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Connection(endpoint), listen.host, listen.port, backlog=_BACKLOG)
    except OSError:
        endpoint.abort()
        raise
    return HttpServer(listener, endpoint, config.drain_timeout_ms / SECOND_MS)
