"""One sender's connection: bytes in, requests to the intake, answers out in order.

    phase     what the next byte belongs to           deadline
    IDLE      the next request                        ingest.idle_timeout (the first: ingest.header_timeout)
    HEADER    request line and headers                ingest.header_timeout from the first byte
    BODY      body, chunk framing, trailers           ingest.body_timeout from the end of the headers
    DEAF      nothing: the last answer is decided     LINGER_S, so that the sender can read it

llhttp (httptools) reads HTTP, in its strict mode: it refuses Transfer-Encoding beside Content-Length, two
Content-Lengths, lone CR or LF, NUL, folded headers and bad chunk sizes. ``head.py`` and ``body.py`` check what a
grammar cannot. After a byte that is not HTTP a connection reads no further request, to prevent request smuggling.

Reading is paused while the intake is under pressure, while the sender does not read its answers, and while too many
of its requests wait. TCP then pushes back on the sender.

Bytes are received into one buffer shared by all connections (each read is parsed before the next one begins); the
parser copies pieces of bodies out of it, so nothing points into it afterwards.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from nissa.sources.http.answers import CONTINUE
from nissa.sources.http.body import Body
from nissa.sources.http.exchange import Exchange
from nissa.sources.http.fault import RequestError
from nissa.sources.http.head import CHUNKED, RequestHead
from nissa.sources.http.routes import OTHER, find_route

if TYPE_CHECKING:
    from nissa.sources.http.endpoint import Endpoint

# Phases. Plain numbers: members of an enumeration cost a look-up each on this path.
IDLE: Final = 0
HEADER: Final = 1
BODY: Final = 2
DEAF: Final = 3

# Reasons to hold reading; bits.
PRESSURE: Final = 1
UNREAD_ANSWERS: Final = 2
PIPELINED: Final = 4

PIPELINED_MAX: Final = 128  # requests of one connection that wait for an answer before it is no longer read
LINGER_S: Final = 2.0  # how long a refused sender is given to read why
PASSED_BODY_BYTES_MAX: Final = 256 * 1024  # a refused body up to this is read past; a longer one ends the connection

_NO_BODY: Final = Body(0, chunked=False, kept=False)


class Connection(asyncio.BufferedProtocol):
    """The protocol of one connection. Everything runs on the loop."""

    def __init__(self, endpoint: "Endpoint", *, otlp_only: bool = False) -> None:
        """endpoint: shared with all connections. otlp_only: there are no other paths than those of OTLP."""
        self.endpoint = endpoint
        self.otlp_only = otlp_only
        self.deadline_s = 0.0
        self.shows_certificate = False  # of an authority in ingest.tls.client_ca_file
        self._transport: asyncio.Transport | None = None
        self._phase = IDLE
        self._holds = 0
        self._pending: deque[Exchange] = deque()  # requests in order of arrival, until their answer is written
        self._exchange: Exchange | None = None  # the one whose body is arriving
        self._body = _NO_BODY
        self._head = RequestHead(endpoint.header_bytes_max)
        self.on_header = self._head.add_field  # the parser calls it once per header: no method in between
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._plain_head = b""  # of a request that offers an upgrade, until it is parsed without the offer
        self._phase_bytes = 0  # received since the phase began, framing included
        self._buffered_bytes = 0  # of an unfinished body, as counted at the endpoint
        self._half_closed = False  # the sender said that it will send no more

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A sender connected: take it, or tell it that there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self.shows_certificate = bool(transport.get_extra_info("peercert"))
        if self.endpoint.join(self):
            self.deadline_s = self.endpoint.after(self.endpoint.header_timeout_s)
            return
        self._phase = DEAF
        if not self.endpoint.turn_away(self):
            self._transport.abort()
            return
        crowded = self.endpoint.crowded
        self._transport.write(b"".join((crowded.line, self.endpoint.date(), crowded.close)))
        self._transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop gives it
        """The buffer for the next bytes received."""
        return self.endpoint.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` were received into the buffer."""
        if self._phase == DEAF:
            self._phase_bytes += nbytes
            if self._phase_bytes > self.endpoint.body_bytes_max:
                self.abort()
            return
        if self._phase == IDLE:
            self._enter(HEADER, self.endpoint.header_timeout_s)
        try:
            self._feed(self.endpoint.receive_buffer[:nbytes])
            if self._phase == HEADER or self._phase == BODY:
                self._check_unfinished(nbytes)
        except HttpParserError as error:
            self._parser_stopped(error)
        except RequestError as refused:
            self._fail(refused.status, refused.text)
        if self._pending:
            self.flush()

    def _feed(self, data: memoryview) -> None:
        """Parse ``data``.

        The parser takes what follows an offer of an upgrade for another protocol. No offer is taken up here, so a new
        parser gets the head again without it, and goes on with the body.
        """
        while len(data):
            body_at = self._stopped_at(data)
            if body_at is None:
                return
            data = data[body_at:]
            head, self._plain_head = self._plain_head, b""
            self._head.reset()
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(head)

    def _stopped_at(self, data: memoryview) -> int | None:
        """Parse ``data``. Returns: how much of it was parsed where the parser stopped at an offer; None otherwise."""
        try:
            cast(HttpRequestParser, self._parser).feed_data(data)
        except HttpParserUpgrade as offer:
            return int(offer.args[0])
        return None

    def eof_received(self) -> bool:
        """The sender has closed its half: answer complete requests. True keeps our half open until then, which TLS
        cannot."""
        self._half_closed = True
        self._phase = DEAF
        self._forget_unfinished()
        if not self._pending or self._transport is None or not self._transport.can_write_eof():
            return False
        self._pending[-1].close = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop gives it
        """The connection is closed; frames it submitted are still processed."""
        self._phase = DEAF
        self._forget_unfinished()
        self._pending.clear()
        self._transport = None
        self._parser = None  # it holds our bound methods: break the cycle
        self.endpoint.leave(self)

    def pause_writing(self) -> None:
        """The sender does not read its answers: take nothing more from it."""
        self.deadline_s = self.endpoint.after(self.endpoint.body_timeout_s)
        self.hold(UNREAD_ANSWERS)

    def resume_writing(self) -> None:
        """The sender reads again."""
        self.release(UNREAD_ANSWERS)
        self.flush()

    # Called by the parser, in the order of a request. What they raise stops it.

    def on_url(self, piece: bytes) -> None:
        """A piece of the request target."""
        if self._phase == IDLE:  # a request right behind another one
            self._enter(HEADER, self.endpoint.header_timeout_s)
        self._head.add_target(piece)

    def on_headers_complete(self) -> None:
        """The head is whole: answer at once what needs no body; else get ready for the body."""
        endpoint, head, parser = self.endpoint, self._head, cast(HttpRequestParser, self._parser)
        method, version = parser.get_method(), parser.get_http_version()
        if parser.should_upgrade() and method != b"CONNECT":
            self._plain_head = head.plain(method, version, keep_alive=parser.should_keep_alive())
            return
        route = find_route(head.target)
        if self.otlp_only and not route.otlp:
            route = OTHER
        exchange = self._exchange = Exchange(self, route, endpoint.draining or not parser.should_keep_alive())
        self._pending.append(exchange)
        if method == b"CONNECT":
            raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "CONNECT is not supported")
        head.check_version(version)
        if version == "1.0":
            exchange.close = True
        length = head.body_bytes(version)
        endpoint.open(exchange, method, head, length)
        kept = exchange.answer is None
        if length:
            waits = head.expects_continue()
            exchange.wants_continue = waits and kept
            if not kept and (waits or not CHUNKED < length <= PASSED_BODY_BYTES_MAX):
                raise RequestError(HTTPStatus.BAD_REQUEST, "answered before the body")
        self._body = Body(endpoint.body_bytes_max, chunked=length == CHUNKED, kept=kept)
        head.complete()
        self._enter(BODY, endpoint.body_timeout_s)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._body.add(piece)

    def on_message_complete(self) -> None:
        """The request is whole: hand it on."""
        if self._plain_head:  # its head comes again
            return
        exchange, body = cast(Exchange, self._exchange), self._body
        self._exchange = None
        self._head.reset()
        if exchange.answer is None:
            self.endpoint.submit(exchange, body.join())
        if exchange.close:
            self._enter(DEAF, LINGER_S)
            if not self._pending and self._transport is not None:
                self._transport.close()  # answered before its body had come
            return
        self._enter(IDLE, self.endpoint.idle_timeout_s)
        if len(self._pending) >= PIPELINED_MAX:
            self.hold(PIPELINED)

    # Answers.

    def flush(self) -> None:
        """Write every answer whose turn it is."""
        transport, pending = self._transport, self._pending
        if transport is None or self._holds & UNREAD_ANSWERS:
            return
        ready: list[bytes] = []
        last = False
        while pending and not last:
            exchange = pending[0]
            if exchange.answer is None:
                if exchange.wants_continue:
                    exchange.wants_continue = False
                    ready.append(CONTINUE)
                break
            pending.popleft()
            last = exchange.close
            answer = exchange.answer
            ready += (answer.line, self.endpoint.date(), answer.close if last else answer.keep)
        if ready:
            transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if last:
            self._finish(transport)
        elif self._holds & PIPELINED and len(pending) < PIPELINED_MAX // 2:
            self.release(PIPELINED)

    def _finish(self, transport: asyncio.Transport) -> None:
        """The last answer is on its way. A sender still sending gets time to read it: closing would cut it off."""
        self._pending.clear()
        cut_short = self._exchange is not None and not self._half_closed
        self._forget_unfinished()
        self._enter(DEAF, LINGER_S)
        if cut_short and transport.can_write_eof():
            transport.write_eof()
        else:  # over TLS it reads on by itself: there is no half of a connection to close
            transport.close()

    # Time, pressure and drain: called by the endpoint.

    def expire(self) -> str | None:
        """The deadline has passed. Returns: the phase to count it under; None where the sender is not to blame."""
        if self._holds & UNREAD_ANSWERS:
            self.abort()
            return "write"
        if self._holds or (self._pending and self._phase in (IDLE, DEAF)):  # it waits for us
            self.deadline_s = self.endpoint.after(self.endpoint.idle_timeout_s)
            return None
        if self._phase == DEAF:
            self.abort()
            return None
        if self._phase == IDLE:
            cast(asyncio.Transport, self._transport).close()
            return "idle"
        phase = "header" if self._phase == HEADER else "body"
        # Not 408: senders of remote write take every 4xx but 429 for final, and drop the batch.
        self._fail(HTTPStatus.SERVICE_UNAVAILABLE, f"the {phase} took too long (ingest.{phase}_timeout)")
        self.flush()
        return phase

    def hold(self, reason: int) -> None:
        """Stop reading for ``reason``."""
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= reason

    def release(self, reason: int) -> None:
        """Read again, unless another reason holds. The sender gets its time anew: it was we who waited."""
        held, self._holds = self._holds, self._holds & ~reason
        if not held or self._holds or self._transport is None or self._transport.is_closing():
            return
        endpoint = self.endpoint
        self.deadline_s = endpoint.after(endpoint.idle_timeout_s if self._phase == IDLE else endpoint.body_timeout_s)
        self._transport.resume_reading()

    def drain(self) -> None:
        """Take no new request: finish the one that is arriving, answer those waiting, close."""
        if self._exchange is not None:
            self._exchange.close = True
        elif self._phase == IDLE:
            self._enter(DEAF, LINGER_S)
            if self._pending:
                self._pending[-1].close = True
            elif self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """End at once, answered or not."""
        if self._transport is not None:
            self._transport.abort()

    # Requests that end early.

    def _parser_stopped(self, error: HttpParserError) -> None:
        if self._phase == DEAF:
            return  # bytes behind a request that was the last one
        cause = error.__context__
        if isinstance(cause, RequestError):
            self._fail(cause.status, cause.text)
        elif isinstance(error, HttpParserCallbackError):
            self.endpoint.internal_error(cause)
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        else:
            self.endpoint.cells.malformed += 1
            self._fail(HTTPStatus.BAD_REQUEST, f"not HTTP/1.1: {error}")

    def _fail(self, status: HTTPStatus, text: str) -> None:
        """Answer the request that is arriving with an error, unless it has its answer; read nothing after it."""
        exchange = self._exchange
        if exchange is None:
            exchange = self._exchange = Exchange(self, OTHER, close=True)
            self._pending.append(exchange)
        exchange.close = True
        self._enter(DEAF, LINGER_S)
        if exchange.answer is None:
            self.endpoint.answer_error(exchange, status, text)
        elif not self._pending and self._transport is not None:
            self._transport.close()  # its answer is out: nothing is left to say

    def _check_unfinished(self, nbytes: int) -> None:
        """Limits on a request that is not whole yet: the parser may hold bytes that it has not shown."""
        endpoint = self.endpoint
        self._phase_bytes += nbytes
        if self._phase == HEADER:
            if self._phase_bytes > endpoint.header_bytes_max + len(endpoint.receive_buffer):
                raise self._head.too_large()
            return
        if self._phase_bytes > 2 * endpoint.body_bytes_max + len(endpoint.receive_buffer):
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "chunk framing is larger than the body")
        added = self._body.size - self._buffered_bytes
        self._buffered_bytes += added
        if not endpoint.buffer(added):
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many unfinished bodies (ingest.queue_size_max)")

    def _forget_unfinished(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._drop_body()
        if exchange is not None and self._pending and self._pending[-1] is exchange:
            self._pending.pop()

    def _enter(self, phase: int, timeout_s: float) -> None:
        self._phase = phase
        self._phase_bytes = 0
        self.deadline_s = self.endpoint.after(timeout_s)
        if phase != BODY:
            self._drop_body()

    def _drop_body(self) -> None:
        self._body = _NO_BODY
        if self._buffered_bytes:
            self.endpoint.buffer(-self._buffered_bytes)
            self._buffered_bytes = 0
