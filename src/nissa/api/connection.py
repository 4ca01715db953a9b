"""A connection to the API, with its limits of time.

    state        next                          bound
    waiting      the whole head and body       api.idle_timeout to the first byte, then api.request_timeout
    answering    the answer, on its way        none here: queries have their own
    unread       the reader takes bytes        READER_BYTES_MIN in each api.query_timeout, counted by bytes

The number of connections is limited (``api.connections_max``), because files need descriptors too. Beyond the limit a
new connection replaces the one that has waited longest, so idle connections block nobody.

h11 limits the head of a request, httptools does not. While bytes of an answer are buffered, the bytes still held by
the transport and the kernel are measured: a slow reader makes progress, and only one that reads next to nothing is
disconnected.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Collection

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from nissa.config.tree import Api
from nissa.model.units import KIB, SECOND_MS

HEAD_BYTES_MAX = 256 * KIB  # request line and headers; selectors in a query string are long at times
READER_BYTES_MIN = KIB
REFUSED_AT_ONCE_MAX = 16
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


log = structlog.get_logger()


class Bounded(H11Protocol):
    """The protocol of a connection under ``limits``. waiting: those without a whole request, the longest first."""

    limits: Api
    waiting: "dict[Bounded, None]"
    streams: Collection[object] = ()
    _request_due: asyncio.TimerHandle | None = None  # while a request is on its way
    _reader_due: asyncio.TimerHandle | None = None  # while an answer is held back
    _unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_s = self.limits.idle_timeout_ms / SECOND_MS
        self._request_s = self.limits.request_timeout_ms / SECOND_MS
        self._reader_s = self.limits.query_timeout_ms / SECOND_MS
        self.timeout_keep_alive = self._idle_s  # type: ignore[assignment]  # for call_later, which takes parts of seconds
        if len(self.connections) - len(self.streams) > self.limits.connections_max:
            longest = next(iter(self.waiting), None)
            if longest is None:
                if len(self.connections) - len(self.streams) > self.limits.connections_max + REFUSED_AT_ONCE_MAX:
                    transport.abort()  # over TLS each one that reads why stays for a while
                    return
                transport.write(_FULL)
                transport.close()
                return
            longest.give_way()
        self.waiting[self] = None
        self.timeout_keep_alive_task = self.loop.call_later(self._idle_s, self.timeout_keep_alive_handler)

    def give_way(self) -> None:
        """End: another connection needs the place."""
        self.waiting.pop(self, None)
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # it came whole, or is refused
            self.waiting.pop(self, None)
            self._drop_request_due()
        elif self._request_due is None:
            self._request_due = self.loop.call_later(self._request_s, self.transport.close)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self.waiting[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_bytes = self._count_unread()
        self._reader_due = self.loop.call_later(self._reader_s, self._look_at_reader)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drop_reader_due()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        self._drop_request_due()
        self._drop_reader_due()
        super().connection_lost(exc)

    def _look_at_reader(self) -> None:
        unread_bytes = self._count_unread()
        if self._unread_bytes - unread_bytes < READER_BYTES_MIN:
            log.warning("connection closed: the client does not read its response", unread_bytes=unread_bytes)
            self.transport.abort()
            return
        self._unread_bytes = unread_bytes
        self._reader_due = self.loop.call_later(self._reader_s, self._look_at_reader)

    def _count_unread(self) -> int:
        """Bytes of answers that the reader's machine has not acknowledged."""
        held = int(self.transport.get_write_buffer_size())
        queued = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
        return held + int(struct.unpack("i", queued)[0])

    def _drop_request_due(self) -> None:
        if self._request_due is not None:
            self._request_due.cancel()
            self._request_due = None

    def _drop_reader_due(self) -> None:
        if self._reader_due is not None:
            self._reader_due.cancel()
            self._reader_due = None


def bounded(limits: Api, streams: Collection[object] = ()) -> type[Bounded]:
    """The protocol of the connections of one server. streams: those that have become WebSockets, with a limit of
    their own."""
    return type("BoundedByLimits", (Bounded,), {"limits": limits, "waiting": {}, "streams": streams})
