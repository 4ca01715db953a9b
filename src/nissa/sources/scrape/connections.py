"""Connections to targets: HTTP/1.1 requests for one address after the other, each on a connection that stays open.

    ask ──► idle connection of the place, or a new one ──► request ──► parser ──► Reply
                 ▲                                                        │
                 └───────────── unless the target closes it ◄─────────────┘

A connection serves one request at a time. A target may close an idle connection at the moment it is used again: such a
request, of which no byte was answered, is sent once more on a new connection. Bodies are not decompressed here. Knows
no proxies (``proxied.py``), no redirects and no credentials (``fetch.py``).
"""

import asyncio
import os
import ssl
from typing import Final, cast

import httptools
import msgspec

from nissa.model.errors import SourceFailed
from nissa.model.units import KIB

IDLE_S_MAX: Final = 300.0  # of a connection that is not used: longer than most intervals
SWEEP_S: Final = 30.0  # between two looks for connections that have been idle for too long
HEAD_BYTES_MAX: Final = 256 * KIB  # of status line and headers, looked at after each piece
_KEPT_HEADERS: Final = frozenset((b"content-type", b"content-encoding", b"content-length", b"location"))


class Place(msgspec.Struct, frozen=True):
    """host, port: to connect to. tls: None for plain HTTP. server_name: that the certificate is to have."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class Reply(msgspec.Struct):
    """An answer. headers: those that matter here, names in lower case. body: as received."""

    status: int = 0
    reason: str = ""
    headers: dict[bytes, str] = {}
    body: bytes = b""


class Connections:
    """Open connections of one loop. ``close`` ends those that are idle."""

    def __init__(self) -> None:
        self._idle: dict[Place, list[_Connection]] = {}
        self._loop = asyncio.get_running_loop()
        self._swept_s = self._loop.time()

    async def ask(self, place: Place, request: bytes, bytes_max: int) -> Reply:
        """Send ``request`` to ``place``. bytes_max: of the body of the answer.

        Raises: SourceFailed where there is no connection or no complete answer.
        """
        idle = self._idle.get(place)
        if idle:
            connection = idle.pop()
            try:
                return await self._asked(connection, place, request, bytes_max)
            except _ClosedUnused:
                pass
        connection = await _connected(self._loop, place)
        try:
            return await self._asked(connection, place, request, bytes_max)
        except _ClosedUnused:
            raise SourceFailed("the target closes the connection without an answer") from None

    async def _asked(self, connection: "_Connection", place: Place, request: bytes, bytes_max: int) -> Reply:
        try:
            reply = await connection.ask(request, bytes_max)
        except BaseException:  # also a time-out: what comes now would answer the next request
            connection.end()
            raise
        if connection.reusable:
            connection.idle_since_s = self._loop.time()
            self._idle.setdefault(place, []).append(connection)
            self._sweep(connection.idle_since_s)
        else:
            connection.end()
        return reply

    def _sweep(self, now_s: float) -> None:
        if now_s - self._swept_s < SWEEP_S:
            return
        self._swept_s = now_s
        for place, connections in list(self._idle.items()):
            useful = [one for one in connections if one.reusable and now_s - one.idle_since_s < IDLE_S_MAX]
            for one in connections:
                if one not in useful:
                    one.end()
            if useful:
                self._idle[place] = useful
            else:
                del self._idle[place]

    def close(self) -> None:
        """End all idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.end()
        self._idle.clear()


class _ClosedUnused(Exception):
    """The other side closed the connection before it answered a byte."""


async def _connected(loop: asyncio.AbstractEventLoop, place: Place) -> "_Connection":
    name = (place.server_name or place.host) if place.tls else None
    try:
        _, connection = await loop.create_connection(
            _Connection, place.host, place.port, ssl=place.tls, server_hostname=name
        )
    except ssl.SSLCertVerificationError as error:
        raise SourceFailed(f"the certificate is not accepted: {error.verify_message or error}") from error
    except ssl.SSLError as error:
        raise SourceFailed(f"no TLS with {place.host}:{place.port}: {error.reason or error}") from error
    except OSError as error:
        raise SourceFailed(_no_connection(place, error)) from error
    except UnicodeError as error:
        raise SourceFailed(f"the host {place.host} is not known") from error
    return connection


def _no_connection(place: Place, error: OSError) -> str:
    if type(error).__name__ == "gaierror":
        return f"the host {place.host} is not known"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"no connection to {place.host}:{place.port}: {reason}"


class _Connection(asyncio.Protocol):
    """One connection; also what its parser calls."""

    def __init__(self) -> None:
        self.reusable = True
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._begin(0)

    def _begin(self, bytes_max: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._parts: list[bytes] = []
        self._bytes_max = bytes_max
        self._body_bytes = 0
        self._received_bytes = 0
        self._in_body = False
        self._chunked = False

    async def ask(self, request: bytes, bytes_max: int) -> Reply:
        """The answer to one request. Raises: SourceFailed; _ClosedUnused."""
        if self._transport is None or not self.reusable:
            raise _ClosedUnused
        self._begin(bytes_max)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def end(self) -> None:
        """Close it at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # ---- what the transport calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; data without a request ends the connection."""
        if self._waiting is None:
            self.end()
            return
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if not self._in_body and self._received_bytes > HEAD_BYTES_MAX:
                raise SourceFailed(f"the headers of the answer have more than {HEAD_BYTES_MAX} bytes")
        except SourceFailed as error:
            self._fail(error)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, SourceFailed) else error)
        except httptools.HttpParserUpgrade:
            self._fail(SourceFailed("the target switches to another protocol"))
        except httptools.HttpParserError as error:
            self._fail(SourceFailed(f"the answer is not HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by either side. An answer without a length ends here."""
        self.reusable = False
        self._transport = None
        if self._waiting is None or self._waiting.done():
            return
        if not self._received_bytes:
            self._fail(_ClosedUnused())
        elif error is None and self._in_body and self._ends_with_connection():
            self._complete()
        else:
            self._fail(SourceFailed("the connection ended before the answer was complete"))

    def _ends_with_connection(self) -> bool:
        return b"content-length" not in self._reply.headers and not self._chunked

    # ---- what the parser calls ----

    def on_message_begin(self) -> None:
        """A first byte."""
        if self._waiting is None or self._waiting.done():
            self.reusable = False  # a second answer to one request

    def on_status(self, status: bytes) -> None:
        """Words behind the status code."""
        self._reply.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        lower = name.lower()
        if lower in _KEPT_HEADERS:
            self._reply.headers[lower] = value.decode("latin-1")
        elif lower == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._reply.status = self._parser.get_status_code()
        self._in_body = self._reply.status >= 200
        length = self._reply.headers.get(b"content-length", "")
        if self._in_body and length.isdecimal() and int(length) > self._bytes_max:
            raise SourceFailed(f"the answer has {length} bytes, over the limit of {self._bytes_max}")

    def on_body(self, part: bytes) -> None:
        """Part of the body."""
        self._body_bytes += len(part)
        if self._body_bytes > self._bytes_max:
            raise SourceFailed(f"the answer has more than {self._bytes_max} bytes, the limit")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """The end of an answer, or of an interim one, which the answer follows."""
        if not self._in_body:
            self._reply = Reply()
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._complete()

    def _complete(self) -> None:
        reply, self._reply = self._reply, Reply()
        reply.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.end()
