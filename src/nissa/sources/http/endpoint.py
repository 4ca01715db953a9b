"""State shared by all connections of the ingest port: limits, the intake, the answers, and one timer for deadlines.

    Connection ── open / submit ──► Endpoint ── Frame ──► intake
    Connection ◄── flush ── Mailbox ◄── settle (commit thread) ──┘

There is one timer for all deadlines (``_sweep``), and one for pressure, which runs only while connections are paused.
Everything here runs on the loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from nissa.config.tree import Ingest
from nissa.model.errors import InvariantBroken, NissaError, TooLarge, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Intake, Outcome
from nissa.model.units import KIB, SECOND_MS
from nissa.safeguards.priority import read_priority
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.entrance import OPEN, Entrance
from nissa.sources.http.answers import Answer, Answers, build, date_line
from nissa.sources.http.connection import PRESSURE, Connection
from nissa.sources.http.exchange import Exchange
from nissa.sources.http.head import (
    ACCEPT,
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    PRIORITY,
    TENANT,
    RequestHead,
)
from nissa.sources.http.negotiate import (
    WRITE_2_PROTO,
    Negotiated,
    negotiate_import,
    negotiate_lines,
    negotiate_otlp,
    negotiate_push,
    negotiate_telemetry,
    negotiate_write,
    of_json,
)
from nissa.sources.http.pushes import Pushes, push_request, push_status
from nissa.sources.http.routes import (
    HEALTHY,
    IMPORT,
    INFLUX_3,
    METRICS,
    OTHER,
    OTLP,
    PING,
    PUSH,
    READY,
    ROUTES,
    WRITE,
    Route,
    canonical,
    find_route,
    path_of,
    query_of,
)
from nissa.sources.mailbox import Mailbox
from nissa.sources.push_target import grouping_key

RECEIVE_BUFFER_BYTES: Final = 256 * KIB
PRESSURE_POLL_S: Final = 0.005
TURNED_AWAY_MAX: Final = 64
SWEEP_S_MIN: Final = 0.02
SWEEP_S_MAX: Final = 1.0
_METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS")  # of all paths together
INFLUXDB_VERSION: Final = "1.8.0"  # of /ping: clients of version 1 read it, and nothing depends on it
_NEGOTIATED_MAX: Final = 256  # header pairs remembered; senders use a handful


class Exposition(Protocol):
    """Renders GET /metrics: (Accept, Accept-Encoding) → (headers, body)."""

    def __call__(self, accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]: ...


class Endpoint:
    """The state behind one listening address."""

    def __init__(
        self,
        config: Ingest,
        intake: Intake,
        now_ms: Callable[[], int],
        cells: HttpCells,
        expose: Exposition,
        missing: Callable[[], Sequence[str]] = list,
        pushes: Pushes | None = None,
        entrance: Entrance = OPEN,
    ) -> None:
        """missing: one line for each source that is not up, for GET /-/ready. pushes: where pushes go; None: no such
        path. entrance: checks of senders and frames."""
        self._tokens = entrance.tokens
        self._loop = asyncio.get_running_loop()
        self._now_ms = now_ms
        self._expose = expose
        self._missing = missing
        self._pushes = pushes
        self._door = entrance.door
        self._pushing: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly
        self._connections_max = config.connections_max
        self._buffered_bytes_max = config.queue_bytes_max
        self._connections: set[Connection] = set()
        self._held: set[Connection] = set()
        self._turned_away: set[Connection] = set()
        self._answers = Answers(intake.durability)
        self._date_s, self._date = -1, b""
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
        self.mailbox: Mailbox[Exchange] = Mailbox(self._loop, self._completed)
        crowded = Unavailable(f"{self._connections_max} connections are open (ingest.connections_max)")
        self.crowded = self._answers.error(crowded, second=False)
        self._sweep_s = min(max(self._shortest_timeout_s() / 4, SWEEP_S_MIN), SWEEP_S_MAX)
        self._sweep_timer = self._loop.call_later(self._sweep_s, self._sweep)

    # Connections.

    def after(self, timeout_s: float) -> float:
        """The moment ``timeout_s`` from now, on the loop's clock."""
        return self._loop.time() + timeout_s

    def date(self) -> bytes:
        """The header Date as of now, made once a second."""
        now_s = self._now_ms() // SECOND_MS
        if now_s != self._date_s:
            self._date_s, self._date = now_s, date_line(now_s)
        return self._date

    def join(self, connection: Connection) -> bool:
        """Take a new connection. False where there are too many, or none is taken any more."""
        if self.draining or len(self._connections) >= self._connections_max:
            self.count_refused()
            return False
        self._connections.add(connection)
        self.cells.connections = len(self._connections)
        self._empty.clear()
        return True

    def turn_away(self, connection: Connection) -> bool:
        """Let a connection that was not taken read why. False where too many do: over TLS that takes a while."""
        if len(self._turned_away) >= TURNED_AWAY_MAX:
            return False
        self._turned_away.add(connection)
        return True

    def count_refused(self) -> None:
        """Count a connection that was not taken."""
        self.cells.connections_refused += 1

    def leave(self, connection: Connection) -> None:
        """Forget a connection that ended."""
        self._turned_away.discard(connection)
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

    def open(self, exchange: Exchange, method: bytes, head: RequestHead, length: int) -> None:
        """Handle a complete request head: answer at once if the body does not matter, else prepare to read the body.

        exchange: of the request. method: in capitals. head: the headers. length: of the body, bytes.
        """
        route, fields = exchange.route, head.fields
        pushed = route is PUSH and self._pushes is not None and method in (b"PUT", b"POST", b"DELETE")
        if (method != b"POST" or not route.ingests or route is PUSH) and not pushed:
            self._answered(exchange, self._direct(route, method, head, otlp_only=exchange.connection.otlp_only))
            return
        try:
            if self._tokens is not None and not exchange.connection.shows_certificate:
                self._tokens.check(fields[AUTHORIZATION])
            if pushed:
                exchange.push = method, grouping_key(path_of(head.target))
            kind = query_of(head.target) if route.lines and route is not IMPORT else fields[CONTENT_TYPE]
            exchange.negotiated = self._negotiate(route, kind, fields[CONTENT_ENCODING])
            if length > self.body_bytes_max:
                raise TooLarge("body", got=length, limit=self.body_bytes_max, setting="ingest.body_size_max")
            if fields[PRIORITY] is not None:
                exchange.priority = read_priority(fields[PRIORITY])
            if fields[TENANT] is not None:
                exchange.tenant = fields[TENANT].decode("latin-1")
            self._check_door(exchange, exchange.negotiated.codec)
        except NissaError as error:
            second, json = of_second(exchange, fields[CONTENT_TYPE]), of_json(fields[CONTENT_TYPE])
            self._answered(exchange, self._current_answers().outcome(error, route, second, json=json))

    def submit(self, exchange: Exchange, body: bytes) -> None:
        """The request is whole: give its frame to the intake, and hold its connection where the intake has enough."""
        negotiated = exchange.negotiated
        if negotiated is None:  # an exchange without one has its answer already
            return
        exchange.begun_s = self._loop.time()
        self.cells.body_bytes += len(body)
        if exchange.push is not None and self._pushes is not None:
            task = self._loop.create_task(self._push(exchange, self._pushes, *exchange.push, body))
            self._pushing.add(task)
            task.add_done_callback(self._pushing.discard)
            return
        now_ms, context = self._now_ms(), negotiated.context
        source = _source_of_route(exchange.route)
        frame = Frame(negotiated.codec, negotiated.encoding, source, now_ms, body, negotiated.delimited, context)
        if self._door is not None:
            steady_ms = self._steady_ms()
            exchange.buckets = self._door.buckets(frame, exchange.tenant, steady_ms)
            refusal = self._door.admit(frame, exchange.priority, exchange.buckets, steady_ms)
            if refusal is not None:
                self._answered(exchange, self._answer_to(exchange, refusal))
                return
        try:
            self.intake.submit(frame, exchange.complete)
        except NissaError as error:
            exchange.complete(error)
        except Exception as error:  # an edge: after any error the sender is answered and the next request is served
            self.internal_error(error)
            exchange.complete(InvariantBroken("the intake broke"))
        if self.intake.pressure:
            self._relieve(exchange.connection)

    async def _push(
        self, exchange: Exchange, pushes: Pushes, method: bytes, labels: dict[str, str], body: bytes
    ) -> None:
        """Apply a push, and answer it."""
        encoding = Encoding.IDENTITY if exchange.negotiated is None else exchange.negotiated.encoding
        outcome: Outcome
        try:
            outcome = await pushes.apply(push_request(method, labels, body, encoding, pushes.body_bytes_max))
        except NissaError as error:
            outcome = error
        except Exception as error:  # an edge: after any error the sender is answered and the next request is served
            self.internal_error(error)
            outcome = InvariantBroken("the push broke")
        self.cells.latency.observe(self._loop.time() - exchange.begun_s)
        if exchange.answer is None:
            self._answered(exchange, self._current_answers().pushed(outcome, push_status(method)))
            exchange.connection.flush()

    def answer_error(self, exchange: Exchange, status: HTTPStatus, text: str) -> None:
        """Answer an invalid request.

        exchange: of the request. status: HTTP status. text: the fault.
        """
        headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if exchange.route.otlp:
            json = exchange.negotiated is not None and exchange.negotiated.json
            self._answered(exchange, self._current_answers().otlp_error(status, text, headers, json=json))
            return
        if of_second(exchange):
            headers |= self._answers.written(0, 0, 0)
        self._answered(exchange, self._current_answers().text(status, text, headers))

    def internal_error(self, cause: BaseException | None) -> None:
        """Something of ours broke while it read a request: count it, and let the loop log it."""
        self.cells.internal_errors += 1
        self._loop.call_exception_handler({"message": "hot endpoint: a request broke the reader", "exception": cause})

    def _completed(self, exchange: Exchange) -> None:
        """An outcome came back from the intake."""
        if exchange.outcome is None or exchange.answer is not None:
            return
        self.cells.latency.observe(self._loop.time() - exchange.begun_s)
        try:
            if self._door is not None:
                self._door.settled(exchange.outcome, exchange.buckets, self._steady_ms())
            self._answered(exchange, self._answer_to(exchange, exchange.outcome))
            exchange.connection.flush()
        except Exception as error:  # an edge: one answer that cannot be given must not hold up the others
            self.internal_error(error)
            exchange.connection.abort()

    def _check_door(self, exchange: Exchange, codec: Codec) -> None:
        """Raises: Unavailable while the breaker is open."""
        if self._door is not None:
            source = _source_of_route(exchange.route)
            refusal = self._door.closed(source, codec, exchange.priority, self._steady_ms())
            if refusal is not None:
                raise refusal

    def _steady_ms(self) -> int:
        return int(self._loop.time() * SECOND_MS)

    def _answer_to(self, exchange: Exchange, outcome: Outcome) -> Answer:
        second, json = of_second(exchange), exchange.negotiated is not None and exchange.negotiated.json
        return self._current_answers().outcome(outcome, exchange.route, second, json=json)

    def _answered(self, exchange: Exchange, answer: Answer) -> None:
        exchange.answer = answer
        self.cells.requests[exchange.route.label, answer.status] += 1

    def _current_answers(self) -> Answers:
        durability = self.intake.durability
        if self._answers.durability != durability:
            self._answers = Answers(durability)
        return self._answers

    def _negotiate(self, route: Route, kind: bytes | None, content_encoding: bytes | None) -> Negotiated:
        """kind: the content type; of InfluxDB lines, the query of the URL."""
        key = (route, kind, content_encoding)
        negotiated = self._negotiated.get(key)
        if negotiated is None:
            if route is PUSH:
                negotiated = negotiate_push(kind, content_encoding)
            elif route is IMPORT:
                negotiated = negotiate_import(kind, content_encoding)
            elif route.lines:
                precision = "auto" if route is INFLUX_3 else "ns"
                negotiated = negotiate_lines(kind or b"", content_encoding, precision=precision)
            elif route.otlp:
                negotiated = negotiate_otlp(kind, content_encoding, of_logs=route.logs)
            else:
                negotiate = negotiate_write if route is WRITE else negotiate_telemetry
                negotiated = negotiate(kind, content_encoding)
            if len(self._negotiated) < _NEGOTIATED_MAX:
                self._negotiated[key] = negotiated
        return negotiated

    def _direct(self, route: Route, method: bytes, head: RequestHead, *, otlp_only: bool) -> Answer:
        """The answer to everything that is not a frame."""
        body_sent = method != b"HEAD"
        answers = self._current_answers()
        if route is PUSH and self._pushes is None:
            route = OTHER
        if not route.allow and not (method == b"OPTIONS" and head.target == b"*"):
            return self._no_such_path(head.target, OTLP if otlp_only else ROUTES, body_sent=body_sent)
        allow = b", ".join(route.allow or _METHODS).decode()
        if method == b"OPTIONS":
            return build(HTTPStatus.NO_CONTENT, {"Allow": allow}, b"")
        if method not in route.allow:
            text = f"this path takes {allow}"
            return answers.text(HTTPStatus.METHOD_NOT_ALLOWED, text, {"Allow": allow}, body_sent=body_sent)
        if route is PING:
            return build(HTTPStatus.NO_CONTENT, {"X-Influxdb-Version": INFLUXDB_VERSION}, b"")
        if route is METRICS:
            fields = head.fields
            headers, body = self._expose(_words(fields[ACCEPT]), _words(fields[ACCEPT_ENCODING]))
            return build(HTTPStatus.OK, headers, body, body_sent=body_sent)
        if route is READY and (self.draining or not self.intake.ready):
            text = "draining" if self.draining else "starting"
            return answers.text(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "1"}, body_sent=body_sent)
        if route is HEALTHY:
            return answers.text(HTTPStatus.OK, "healthy", body_sent=body_sent)
        text = "\n".join(["ready", *(f"source is not up: {line}" for line in self._missing())])
        return answers.text(HTTPStatus.OK, text, body_sent=body_sent)

    def _no_such_path(self, target: bytes, routes: Sequence[Route], *, body_sent: bool) -> Answer:
        """A redirect where only slashes are wrong (the method and the body go with it), else the paths there are."""
        meant = canonical(target)
        if meant is not None and find_route(meant) in routes:
            location = {"Location": meant.decode("latin-1")}
            text = f"this path is spelled {location['Location']}"
            return self._current_answers().text(HTTPStatus.PERMANENT_REDIRECT, text, location, body_sent=body_sent)
        paths = ", ".join(route.label for route in routes)
        return self._current_answers().text(
            HTTPStatus.NOT_FOUND, f"no such path; there are {paths}", body_sent=body_sent
        )

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


def of_second(exchange: Exchange, content_type: bytes | None = None) -> bool:
    """True if the sender speaks remote write 2.0. content_type: where nothing is negotiated yet, or cannot be."""
    if exchange.negotiated is None:
        return exchange.route is WRITE and WRITE_2_PROTO in (content_type or b"")
    return exchange.negotiated.codec == Codec.REMOTE_WRITE_2


def _source_of_route(route: Route) -> Source:
    if route is PUSH:
        return Source.PUSH
    return Source.IMPORT if route is IMPORT else Source.HTTP


def _words(value: bytes | None) -> str:
    return (value or b"").decode("latin-1")
