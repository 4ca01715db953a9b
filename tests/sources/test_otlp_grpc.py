"""Statuses of OTLP over gRPC, by a real client; storage is tested in tests/journeys/test_otlp_sdk.py."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sources.http.edge_rig import NOW_MS, ThreadIntake

from nissa.config.safeguards import Breakers, PressureLimits, RateLimits
from nissa.config.sources import Otlp
from nissa.model.errors import (
    InvariantBroken,
    JournalFailed,
    Malformed,
    NissaError,
    SourceFailed,
    TooLarge,
    Unavailable,
)
from nissa.model.frame import Codec, Source
from nissa.model.receipt import Receipt
from nissa.safeguards.breaker import Breaker, BreakerState
from nissa.safeguards.door import Door
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.rate_limits import RateLimiter
from nissa.sources.entrance import OPEN, Entrance
from nissa.sources.http.otlp_answers import retry_details
from nissa.sources.inlet import Inlet

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: OTLP over gRPC is not tested")
from nissa.sources.otlp_grpc import LOGS, METRICS, OtlpGrpcSource  # noqa: E402 - behind the check that it is there


def with_server(
    intake: ThreadIntake,
    use: Callable[[OtlpGrpcSource, Any], Awaitable[None]],
    entrance: Entrance = OPEN,
    **settings: Any,
) -> None:
    """Run ``use`` with a source that listens, and a channel to it."""

    async def run() -> None:
        config = Otlp(grpc_listen=("127.0.0.1:0",), **settings)
        source = OtlpGrpcSource(config, Inlet(intake, Source.OTLP_GRPC, lambda: NOW_MS), 1_000, entrance)
        up = asyncio.Event()
        task = asyncio.create_task(source.run(up.set))
        await asyncio.wait_for(up.wait(), 60)
        (address,) = source.facts()["grpc_addresses"]  # type: ignore[misc]
        async with grpc.aio.insecure_channel(address) as channel:
            await use(source, channel)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_requests_become_frames() -> None:
    """Bodies of requests become frames unchanged, also compressed ones; an answer has the count of refused points."""
    intake = ThreadIntake()
    intake.outcome = Receipt(samples=1, refused={"too_old": 2})

    async def use(source: OtlpGrpcSource, channel: Any) -> None:
        for service in (METRICS, LOGS):
            export = channel.unary_unary(f"/{service}/Export")
            answer = await export(b"abc", compression=grpc.Compression.Gzip)
            assert answer[2:5] == b"\x08\x02\x12"
            assert b"too_old: 2 (setting: acceptance.past" in answer
        assert source.facts()["requests"] == 2

    with_server(intake, use)
    assert [(frame.codec, frame.source, frame.body) for frame in intake.frames] == [
        (Codec.OTLP_METRICS, Source.OTLP_GRPC, b"abc"),
        (Codec.OTLP_LOGS, Source.OTLP_GRPC, b"abc"),
    ]


def test_connections_are_bounded() -> None:
    """Connections that are never ready for requests count too; one over the limit is closed at once."""

    async def use(source: OtlpGrpcSource, _channel: Any) -> None:
        (address,) = source.facts()["grpc_addresses"]  # type: ignore[misc]
        host, _, port = address.rpartition(":")
        links = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        read = [asyncio.create_task(reader.read()) for reader, _ in links]  # until the end
        ended, open_ones = await asyncio.wait(read, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert (len(ended), len(open_ones)) == (1, 2)
        for _, writer in links:
            writer.close()
        await asyncio.gather(*read, return_exceptions=True)

    with_server(ThreadIntake(), use, grpc_connections_max=2)


@pytest.mark.parametrize(
    ("outcome", "code", "retry_s"),
    [
        (Malformed("bad"), "INVALID_ARGUMENT", None),
        (TooLarge("samples", got=2, limit=1, setting="x"), "RESOURCE_EXHAUSTED", None),
        (Unavailable("full", 7), "UNAVAILABLE", 7),
        (InvariantBroken("ours"), "UNAVAILABLE", 1),
    ],
)
def test_statuses(outcome: NissaError, code: str, retry_s: int | None) -> None:
    """Faults of a request are final; what passes by itself says when to try again."""
    intake = ThreadIntake()
    intake.outcome = outcome

    async def use(source: OtlpGrpcSource, channel: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await channel.unary_unary(f"/{METRICS}/Export")(b"")
        assert (fault.value.code().name, fault.value.details()) == (code, str(outcome))
        details = dict(fault.value.trailing_metadata()).get("grpc-status-details-bin")
        assert details == (None if retry_s is None else retry_details(14, str(outcome), retry_s))
        assert source.facts()["requests_refused"] == 1

    with_server(intake, use)
    outcome.__traceback__ = None  # pytest keeps the parameter, and with it frames that hold objects of gRPC


def test_the_door() -> None:
    """A full queue refuses requests; a store that fails opens the breaker, which refuses them by their headers."""
    intake = ThreadIntake()
    intake.outcome = JournalFailed("disk")
    fill = [1.0]
    breaker = Breaker("ingest", Breakers())
    door = Door(breaker, Pressure(PressureLimits(), lambda: fill[0]), RateLimiter(RateLimits()))

    async def use(source: OtlpGrpcSource, channel: Any) -> None:
        async def refused() -> str:
            with pytest.raises(grpc.aio.AioRpcError) as fault:
                await channel.unary_unary(f"/{METRICS}/Export")(b"x")
            assert fault.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "grpc-status-details-bin" in dict(fault.value.trailing_metadata())
            return str(fault.value.details())

        assert "full" in await refused()
        assert not intake.frames
        fill[0] = 0.0
        for _ in range(3):
            assert "disk" in await refused()
        assert (len(intake.frames), breaker.state) == (3, BreakerState.OPEN)
        assert "circuit breaker ingest is open" in await refused()
        assert len(intake.frames) == 3
        assert source.facts()["requests_refused"] == 5

    with_server(intake, use, Entrance(door=door))


def test_limits() -> None:
    """A body over the limit is refused for good; a request over the number allowed at once may come again."""
    intake = ThreadIntake()
    intake.manual = True

    async def use(source: OtlpGrpcSource, channel: Any) -> None:
        export = channel.unary_unary(f"/{METRICS}/Export")
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await export(b"x" * 1_001)
        assert fault.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        waiting = export(b"first")
        await asyncio.to_thread(intake.wait, 1)
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await export(b"second")
        assert fault.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "sources.otlp.grpc_requests_max" in str(fault.value.details())
        intake.complete(0, Receipt())
        assert await waiting == b""

    with_server(intake, use, grpc_requests_max=1)


def test_an_address_that_is_taken() -> None:
    """A second source on the same address fails, naming the setting, and may be run again."""

    async def use(source: OtlpGrpcSource, channel: Any) -> None:
        (address,) = source.facts()["grpc_addresses"]  # type: ignore[misc]
        inlet = Inlet(ThreadIntake(), Source.OTLP_GRPC, lambda: NOW_MS)
        with pytest.raises(SourceFailed, match=r"sources\.otlp\.grpc_listen: 127\.0\.0\.1"):
            await OtlpGrpcSource(Otlp(grpc_listen=(address,)), inlet, 1_000).run(lambda: None)

    with_server(ThreadIntake(), use)
