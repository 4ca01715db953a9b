"""What all connections of the hot endpoint share: limits, the intake, the answers, one sweep of deadlines.

    Connection ── open / submit ──► Endpoint ── Frame ──► intake
    Connection ◄── flush ── Mailbox ◄── settle (commit thread) ──┘

There is one timer for all deadlines (``_sweep``), however many connections there are, and one for pressure, which runs
only while somebody is held. Everything here runs on the loop.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from nissa.config.tree import Ingest
from nissa.model.errors import InvariantBroken, NissaError, TooLarge, Unavailable
from nissa.model.frame import Frame, Source
from nissa.model.intake import Intake
from nissa.model.units import KIB, SECOND_MS
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.answers import Answer, Answers, build
from nissa.sources.connection import PRESSURE, Connection
from nissa.sources.exchange import Exchange
from nissa.sources.head import ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE
from nissa.sources.mailbox import Mailbox
from nissa.sources.negotiate import Negotiated, negotiate_telemetry, negotiate_write
from nissa.sources.routes import HEALTHY, METRICS, OTHER, READY, WRITE, Route

RECEIVE_BUFFER_BYTES: Final = 256 * KIB
PRESSURE_POLL_S: Final = 0.005
SWEEP_S_MIN: Final = 0.02
SWEEP_S_MAX: Final = 1.0
_NEGOTIATED_MAX: Final = 256  # header pairs remembered; senders use a handful


class Exposition(Protocol):
    """What GET /metrics needs: (Accept, Accept-Encoding) → (headers, body)."""

    def __call__(self, accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]: ...


class Endpoint:
    """The state behind one listening address."""

    def __init__(
        self, config: Ingest, intake: Intake, now_ms: Callable[[], int], cells: HttpCells, expose: Exposition
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._now_ms = now_ms
        self._expose = expose
        self._connections_max = config.connections_max
        self._buffered_bytes_max = config.queue_bytes_max
        self._connections: set[Connection] = set()
        self._held: set[Connection] = set()
        self._answers = Answers(intake.durability)
        self._negotiated: dict[tuple[Route, bytes | None, bytes | None], Negotiated] = {}
        self._empty: asyncio.Event = asyncio.Event()
        self._empty.set()
        self.intake = intake
        self.cells = cells
        self.draining = False
        self.header_bytes_max = config.header_bytes_max
        self.body_bytes_max = config.body_bytes_max
        self.header_timeout_s = config.header_timeout_ms / SECOND_MS
        self.body_timeout_s = config.body_timeout_ms / SECOND_MS
        self.idle_timeout_s = config.idle_timeout_ms / SECOND_MS
        self.receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self.mailbox: Mailbox[Exchange] = Mailbox(self._loop, self._settled)
        crowded = Unavailable(f"{self._connections_max} connections are open (ingest.connections_max)")
        self.crowded = self._answers.error(crowded, OTHER)
        self._sweep_s = min(max(self._shortest_timeout_s() / 4, SWEEP_S_MIN), SWEEP_S_MAX)
        self._sweep_timer = self._loop.call_later(self._sweep_s, self._sweep)

    # Connections.

    def after(self, timeout_s: float) -> float:
        """The moment ``timeout_s`` from now, on the loop's clock."""
        return self._loop.time() + timeout_s

    def join(self, connection: Connection) -> bool:
        """Take a new connection. False where there are too many, or none is taken any more."""
        if self.draining or len(self._connections) >= self._connections_max:
            self.cells.connections_refused += 1
            return False
        self._connections.add(connection)
        self.cells.connections = len(self._connections)
        self._empty.clear()
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that ended."""
        self._connections.discard(connection)
        self._held.discard(connection)
        self.cells.connections = len(self._connections)
        if not self._connections:
            self._empty.set()

    def buffer(self, added_bytes: int) -> bool:
        """Count bytes of unfinished bodies, over all connections. False where they are over the limit."""
        self.cells.buffered_bytes += added_bytes
        return self.cells.buffered_bytes <= self._buffered_bytes_max

    # Requests.

    def open(self, exchange: Exchange, method: bytes, fields: list[bytes | None], length: int) -> None:
        """The head of a request is whole: answer it where its body changes nothing, else note how to read the body."""
        route = exchange.route
        if method not in route.allow or not route.ingests:
            self._answered(exchange, self._direct(route, method, fields))
            return
        try:
            exchange.negotiated = self._negotiate(route, fields[CONTENT_TYPE], fields[CONTENT_ENCODING])
            if length > self.body_bytes_max:
                raise TooLarge("body", got=length, limit=self.body_bytes_max, setting="ingest.body_bytes_max")
        except NissaError as error:
            self._answered(exchange, self._current_answers().error(error, route))

    def submit(self, exchange: Exchange, body: bytes) -> None:
        """The request is whole: give its frame to the intake, and hold its connection where the intake has enough."""
        negotiated = exchange.negotiated
        if negotiated is None:  # an exchange without one has its answer already
            return
        exchange.begun_s = self._loop.time()
        self.cells.body_bytes += len(body)
        frame = Frame(negotiated.codec, negotiated.encoding, Source.HTTP, self._now_ms(), body, negotiated.delimited)
        try:
            self.intake.submit(frame, exchange.settle)
        except NissaError as error:
            exchange.settle(error)
        except Exception as error:  # an edge: whatever broke, the sender is answered and the next request is served
            self.internal_error(error)
            exchange.settle(InvariantBroken("the intake broke"))
        if self.intake.pressure:
            self._relieve(exchange.connection)

    def answer_error(self, exchange: Exchange, status: HTTPStatus, text: str) -> None:
        """Answer a request that is wrong in itself."""
        headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if exchange.route is WRITE:
            headers |= self._answers.written(0, 0, 0)
        self._answered(exchange, self._current_answers().text(status, text, headers))

    def internal_error(self, cause: BaseException | None) -> None:
        """Something of ours broke while it read a request: count it, and let the loop log it."""
        self.cells.internal_errors += 1
        self._loop.call_exception_handler({"message": "hot endpoint: a request broke the reader", "exception": cause})

    def _settled(self, exchange: Exchange) -> None:
        """An outcome came back from the intake."""
        if exchange.outcome is None or exchange.answer is not None:
            return
        self.cells.latency.observe(self._loop.time() - exchange.begun_s)
        try:
            self._answered(exchange, self._current_answers().outcome(exchange.outcome, exchange.route))
            exchange.connection.flush()
        except Exception as error:  # an edge: one answer that cannot be given must not hold up the others
            self.internal_error(error)
            exchange.connection.abort()

    def _answered(self, exchange: Exchange, answer: Answer) -> None:
        exchange.answer = answer
        self.cells.requests[exchange.route.label, answer.status] += 1

    def _current_answers(self) -> Answers:
        durability = self.intake.durability
        if self._answers.durability != durability:
            self._answers = Answers(durability)
        return self._answers

    def _negotiate(self, route: Route, content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
        key = (route, content_type, content_encoding)
        negotiated = self._negotiated.get(key)
        if negotiated is None:
            negotiate = negotiate_write if route is WRITE else negotiate_telemetry
            negotiated = negotiate(content_type, content_encoding)
            if len(self._negotiated) < _NEGOTIATED_MAX:
                self._negotiated[key] = negotiated
        return negotiated

    def _direct(self, route: Route, method: bytes, fields: list[bytes | None]) -> Answer:
        """The answer to everything that is not a frame."""
        body_sent = method != b"HEAD"
        answers = self._current_answers()
        if not route.allow:
            return answers.text(HTTPStatus.NOT_FOUND, "no such path", body_sent=body_sent)
        if method not in route.allow:
            allow = b", ".join(route.allow).decode()
            text = f"this path takes {allow}"
            return answers.text(HTTPStatus.METHOD_NOT_ALLOWED, text, {"Allow": allow}, body_sent=body_sent)
        if route is METRICS:
            headers, body = self._expose(_words(fields[ACCEPT]), _words(fields[ACCEPT_ENCODING]))
            return build(HTTPStatus.OK, headers, body, body_sent=body_sent)
        if route is READY and (self.draining or not self.intake.ready):
            text = "draining" if self.draining else "starting"
            return answers.text(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "1"}, body_sent=body_sent)
        return answers.text(HTTPStatus.OK, "healthy" if route is HEALTHY else "ready", body_sent=body_sent)

    # Pressure.

    def _relieve(self, connection: Connection) -> None:
        """Stop reading ``connection`` until the intake's queue has room."""
        if connection not in self._held:
            self.cells.pauses += 1
            connection.hold(PRESSURE)
            self._held.add(connection)
            if len(self._held) == 1:
                self._loop.call_later(PRESSURE_POLL_S, self._poll_pressure)

    def _poll_pressure(self) -> None:
        if not self._held:
            return
        if self.intake.pressure:
            self._loop.call_later(PRESSURE_POLL_S, self._poll_pressure)
            return
        held, self._held = self._held, set()
        for connection in held:
            connection.release(PRESSURE)

    # Time.

    def _shortest_timeout_s(self) -> float:
        return min(self.header_timeout_s, self.body_timeout_s, self.idle_timeout_s)

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for connection in [each for each in self._connections if each.deadline_s <= now_s]:
            phase = connection.expire()
            if phase is not None:
                self.cells.timeouts[phase] += 1
        self._sweep_timer = self._loop.call_later(self._sweep_s, self._sweep)

    # End.

    async def drain(self, timeout_s: float) -> int:
        """Answer what is under way and close. Returns: how many connections had to be cut off at ``timeout_s``."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return self.abort()
        return 0

    def abort(self) -> int:
        """Cut off every connection. Returns: how many there were."""
        self.draining = True
        self._sweep_timer.cancel()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)


def _words(value: bytes | None) -> str:
    return (value or b"").decode("latin-1")
