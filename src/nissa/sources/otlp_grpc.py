"""OpenTelemetry's protocol over gRPC: the services MetricsService and LogsService, method Export.

    sender ── Export ──► grpcio (HTTP/2, gzip, limits) ── bytes of the request ──► Inlet ──► journal
    sender ◄─ response of otlp_answers, or a status ────────────── receipt ◄──────────┘

A request is answered after its frame is durable. Messages are not parsed here: their bytes are the frame.

    outcome                 status                          a sender
    Receipt                 OK, with a partial success      goes on
    Malformed               INVALID_ARGUMENT                drops the request
    TooLarge                RESOURCE_EXHAUSTED              drops the request: there is no RetryInfo
    Unavailable, any other  UNAVAILABLE with RetryInfo      sends it again
    Unauthorized            UNAUTHENTICATED                 drops the request

Tokens and the breaker are looked at when the headers of a request have come (``_Gatekeeper``). TLS is that of the
ingest port (``ingest.tls``). gRPC in Python cannot ask for a certificate without requiring it, so none is asked for
where they are optional; one that is required admits a sender without a token.

Over ``grpc_requests_max`` requests at once are answered as Unavailable, so memory is bounded by so many bodies.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio

from nissa.access.certificates import Certificates, Pems
from nissa.config.listen import parse_listen
from nissa.config.sources import Otlp
from nissa.model.errors import (
    Malformed,
    NissaError,
    SourceFailed,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.sources.entrance import OPEN, Entrance
from nissa.sources.http.answers import refusal_words
from nissa.sources.http.otlp_answers import export_body, retry_details
from nissa.sources.inlet import Inlet
from nissa.sources.source import Connected

LISTEN: Final = "sources.otlp.grpc_listen"
METRICS: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
LOGS: Final = "opentelemetry.proto.collector.logs.v1.LogsService"

DRAIN_TIMEOUT_S: Final = 5.0  # for requests under way when the daemon stops
HANDSHAKE_TIMEOUT_MS: Final = 10 * SECOND_MS  # of a connection, until it is ready for requests
_DETAILS: Final = "grpc-status-details-bin"
_UNAVAILABLE: Final = 14


class OtlpGrpcSource:
    """The gRPC server of ``sources.otlp.grpc_listen``."""

    path: Final = "sources.otlp"

    def __init__(self, config: Otlp, inlet: Inlet, body_bytes_max: int, entrance: Entrance = OPEN) -> None:
        """body_bytes_max: of a request, decompressed. entrance: checks of senders and frames.

        Raises: ConfigInvalid for an address that cannot be read.
        """
        self._entrance = entrance
        self._listen = [parse_listen(text, f"{LISTEN}[{place}]") for place, text in enumerate(config.grpc_listen)]
        self._inlet = inlet
        self._requests_max = config.grpc_requests_max
        self._connections_max = config.grpc_connections_max
        self._body_bytes_max = body_bytes_max
        self._under_way = 0
        self._counts = {"requests": 0, "requests_refused": 0}
        self._addresses: list[str] = []

    async def run(self, connected: Connected) -> None:
        """Receive until cancelled. Raises: SourceFailed where an address cannot be had."""
        server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", self._body_bytes_max),
                ("grpc.max_allowed_incoming_connections", self._connections_max),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
                ("grpc.so_reuseport", 0),  # an address that another process has is a fault
            ),
            interceptors=(_Gatekeeper(self._entrance, self._count_refused),),
        )
        server.add_generic_rpc_handlers((self._service(METRICS, of_logs=False), self._service(LOGS, of_logs=True)))
        try:
            self._addresses = _bind(server, [str(each) for each in self._listen], self._entrance.certificates)
            await server.start()
            connected()
            await server.wait_for_termination()
        finally:
            await server.stop(DRAIN_TIMEOUT_S)

    def facts(self) -> Mapping[str, object]:
        """Addresses in use, requests answered, refused and under way."""
        return {**self._counts, "requests_under_way": self._under_way, "grpc_addresses": list(self._addresses)}

    def _service(self, name: str, *, of_logs: bool) -> grpc.GenericRpcHandler:
        codec = Codec.OTLP_LOGS if of_logs else Codec.OTLP_METRICS

        async def export(body: bytes, context: Any) -> bytes:
            return await self._export(codec, body, context)

        method = grpc.unary_unary_rpc_method_handler(export)  # without serializers: bytes in, bytes out
        return grpc.method_handlers_generic_handler(name, {"Export": method})

    async def _export(self, codec: Codec, body: bytes, context: Any) -> bytes:
        self._counts["requests"] += 1
        fault: NissaError
        if self._under_way >= self._requests_max:
            fault = Unavailable(f"{self._requests_max} requests are under way (sources.otlp.grpc_requests_max)")
        else:
            self._under_way += 1
            try:
                receipt = await self._sent(codec, body)
                of_logs = codec == Codec.OTLP_LOGS
                return export_body(receipt, refusal_words(receipt, of_logs=of_logs), of_logs=of_logs, json=False)
            except NissaError as error:
                fault = error
            finally:
                self._under_way -= 1
        self._counts["requests_refused"] += 1
        await _refuse(context, fault)
        raise fault  # never reached: a refused request is aborted

    async def _sent(self, codec: Codec, body: bytes) -> Receipt:
        """Send a request past the door. Raises: NissaError."""
        door = self._entrance.door
        if door is None:
            return await self._inlet.send(codec, body)
        frame = Frame(codec, Encoding.IDENTITY, Source.OTLP_GRPC, 0, body)
        refusal = door.admit(frame, None, (), _steady_ms())  # rates are the inlet's affair
        if refusal is not None:
            raise refusal
        outcome: Receipt | NissaError = Unavailable("the request was abandoned")
        try:
            outcome = await self._inlet.send(codec, body)
            return outcome
        except NissaError as error:
            outcome = error
            raise
        finally:
            door.settled(outcome, (), _steady_ms())

    def _count_refused(self) -> None:
        self._counts["requests"] += 1
        self._counts["requests_refused"] += 1


class _Gatekeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses requests by their headers; of these the body is not waited for."""

    def __init__(self, entrance: Entrance, count: Callable[[], None]) -> None:
        """count: counts a request that is refused."""
        self._entrance = entrance
        self._count = count

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """The handler of a request with these headers, or one that refuses it."""
        fault = self._fault(details)
        if fault is None:
            return await continuation(details)

        async def refuse(_requests: Any, context: Any) -> bytes:
            self._count()
            await _refuse(context, fault)
            raise fault  # never reached: a refused request is aborted

        return grpc.stream_unary_rpc_method_handler(refuse)

    def _fault(self, details: Any) -> NissaError | None:
        certificates, tokens, door = self._entrance.certificates, self._entrance.tokens, self._entrance.door
        try:
            if tokens is not None and not (certificates is not None and certificates.needs_clients):
                metadata = dict(details.invocation_metadata or ())
                tokens.check(str(metadata.get("authorization", "")).encode("latin-1", "replace"))
        except NissaError as error:
            return error
        codec = Codec.OTLP_LOGS if LOGS in details.method else Codec.OTLP_METRICS
        return None if door is None else door.closed(Source.OTLP_GRPC, codec, None, _steady_ms())


def _steady_ms() -> int:
    return int(asyncio.get_running_loop().time() * SECOND_MS)


async def _refuse(context: Any, fault: NissaError) -> None:
    """End a request with the status of a fault."""
    if isinstance(fault, Malformed | UnsupportedMedia):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(fault))
    elif isinstance(fault, TooLarge):
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(fault))
    elif isinstance(fault, Unauthorized):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(fault))
    retry_s = fault.retry_after_s if isinstance(fault, Unavailable) else 1
    details = ((_DETAILS, retry_details(_UNAVAILABLE, str(fault), retry_s)),)
    await context.abort(grpc.StatusCode.UNAVAILABLE, str(fault), details)


def _bind(server: Any, addresses: Sequence[str], certificates: Certificates | None) -> list[str]:
    """Listen on addresses. Returns them with the ports in use. Raises: SourceFailed."""
    found = []
    credentials = None if certificates is None else _credentials(certificates)
    for address in addresses:
        port = 0
        with suppress(RuntimeError):  # what it says is in gRPC's own log
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        if not port:
            raise SourceFailed(f"{LISTEN}: {address} cannot be listened on; another process may have it")
        found.append(f"{address.rpartition(':')[0]}:{port}")
    return found


def _credentials(certificates: Certificates) -> Any:
    """Credentials that each handshake asks anew."""
    needed = certificates.needs_clients
    given: list[Pems] = [certificates.pems]

    def configuration(pems: Pems) -> Any:
        pairs = [(pems.key, pems.certificate)]
        return grpc.ssl_server_certificate_configuration(pairs, pems.client_ca if needed else None)

    def newest() -> Any:
        """None where nothing has changed since the last handshake."""
        if certificates.pems == given[0]:
            return None
        given[0] = certificates.pems
        return configuration(given[0])

    first = configuration(given[0])
    return grpc.dynamic_ssl_server_credentials(first, newest, require_client_authentication=needed)
