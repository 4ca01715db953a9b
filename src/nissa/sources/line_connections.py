"""Connections that send lines and get no answer: whole lines are passed on, an incomplete line waits for its line feed.

    socket ── bytes ──► rest of a line + bytes ──► whole lines ──► take
                        at most line_bytes_max, or the line is skipped and counted

The last line of a connection may lack its line feed, as scripts send it.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import cast

from nissa.config.listen import Listen
from nissa.model.errors import SourceFailed
from nissa.sources.http.listener import open_listener

BACKLOG = 1_024


class LineConnections:
    """All connections of one listening socket. Lives on the loop."""

    def __init__(
        self, take: Callable[[bytes], None], *, connections_max: int, line_bytes_max: int, idle_timeout_s: float
    ) -> None:
        """take: called with whole lines, each with its line feed. idle_timeout_s: a silent connection is closed."""
        self._connections: set[_Connection] = set()
        self._connections_max = connections_max
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._idle_timeout_s = idle_timeout_s
        self.address = ""
        self.take = take
        self.line_bytes_max = line_bytes_max
        self.paused = False
        self.refused = 0
        self.long_lines = 0

    async def open(self, listen: Listen, path: str) -> None:
        """Listen. path: of the setting. Raises: SourceFailed where the address cannot be had."""
        try:
            listener = open_listener(listen, BACKLOG)
        except OSError as error:
            raise SourceFailed(f"cannot listen on {listen} ({path}): {error}") from error
        host, port = listener.getsockname()[:2]
        self.address = str(Listen(host, port))
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=listener)
        self._sweep()

    def close(self) -> None:
        """Accept no more, and close every connection; what each has read is taken."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.end()

    def pause(self, paused: bool) -> None:
        """Stop reading from every connection, or go on."""
        self.paused = paused
        for connection in self._connections:
            connection.pause(paused)

    def facts(self) -> Mapping[str, object]:
        """Numbers for the status."""
        return {
            "address": self.address,
            "connections": len(self._connections),
            "connections_refused": self.refused,
            "long_lines": self.long_lines,
        }

    def join(self, connection: "_Connection") -> bool:
        """Take a new connection; False where there are too many."""
        if len(self._connections) >= self._connections_max:
            self.refused += 1
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: "_Connection") -> None:
        """Forget a connection that ended."""
        self._connections.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest_s = loop.time() - self._idle_timeout_s
        for connection in list(self._connections):
            if connection.read_s < oldest_s and not self.paused:
                connection.end()
        self._sweeper = loop.call_later(min(max(self._idle_timeout_s / 4, 0.05), 10.0), self._sweep)


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, connections: LineConnections) -> None:
        self._all = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._skipping = False
        self.read_s = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part, or be closed at once."""
        if not self._all.join(self):
            transport.close()
            return
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's own class
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._all.paused:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Hand on whole lines."""
        self.read_s = self._loop.time()
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return
        lines = self._rest + data[:end]
        if self._skipping:
            lines = lines[lines.find(b"\n") + 1 :]
            self._skipping = False
        self._rest = b""
        if lines:
            self._all.take(lines)
        self._hold(data[end:])

    def _hold(self, part: bytes) -> None:
        """Keep the beginning of a line, unless it is too long already."""
        if self._skipping:
            return
        self._rest += part
        if len(self._rest) > self._all.line_bytes_max:
            self._rest, self._skipping = b"", True
            self._all.long_lines += 1

    def eof_received(self) -> None:
        """Take a last line without its line feed; the transport closes."""
        self._finish()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection. A line that a fault has cut off is none."""
        self._all.leave(self)

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        if self._transport is None or self._transport.is_closing():
            return
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def end(self) -> None:
        """Take what is there, and close."""
        self._finish()
        if self._transport is not None:
            self._transport.close()

    def _finish(self) -> None:
        if self._rest:
            self._all.take(self._rest + b"\n")
            self._rest = b""
