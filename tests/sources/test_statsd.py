"""The StatsD source: datagrams and connections add up, flushes and events are frames, the end flushes."""

import asyncio
import socket
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.config.lines import Statsd
from nissa.config.listen import Listen
from nissa.model.errors import ConfigInvalid, SourceFailed
from nissa.model.frame import Codec, Source
from nissa.sources import datagrams
from nissa.sources.inlet import Inlet
from nissa.sources.statsd import StatsdSource
from oracle.intake import Intake


def test_lines_of_both_sockets_are_flushed() -> None:
    """The same counter over UDP and TCP is one series; malformed lines are logged and counted."""
    intake = Intake()

    async def scenario() -> dict[str, object]:
        now_ms = 1_758_000_000_000
        config = Statsd(listen="127.0.0.1:0", flush_interval_ms=3_600_000)
        source = StatsdSource(config, Inlet(intake, Source.STATSD, lambda: now_ms))
        up = asyncio.Event()
        task = asyncio.create_task(source.run(up.set))
        await asyncio.wait_for(up.wait(), 60)
        host, _, port = str(source.facts()["address"]).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a:1|c\nbad\n_e{1,1}:t|x\n_e{9,9}:t|x", (host, int(port)))
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"a:2|c\n")
        for _ in range(6_000):
            if source.facts()["lines"] == 3:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return dict(source.facts())

    with capture_logs() as entries:
        facts = asyncio.run(scenario())
    metrics, events = intake.frames
    assert (metrics.codec, metrics.source, events.codec, events.delimited) == (
        *(Codec.REMOTE_WRITE_1, Source.STATSD, Codec.NISSA_EVENT, True),
    )
    (series, latest) = WriteRequest.FromString(metrics.body).timeseries
    assert (series.samples[0].value, latest.samples[0].value) == (0.0, 3.0)
    assert (facts["lines_refused"], facts["datagrams"], facts["datagrams_dropped"]) == (2, 1, 0)
    assert [entry["line"] for entry in entries] == ["bad", "_e{9,9}:t|x"]


def test_settings_that_cannot_be_are_refused() -> None:
    """The error names the setting."""

    async def scenario(config: Statsd) -> None:
        StatsdSource(config, Inlet(Intake(), Source.STATSD, lambda: 0))

    with pytest.raises(ConfigInvalid, match=r"sources\.statsd\.quantiles"):
        asyncio.run(scenario(Statsd(listen="127.0.0.1:0", quantiles=(0.5, 2.0))))
    with pytest.raises(ConfigInvalid, match=r"sources\.statsd\.listen"):
        asyncio.run(scenario(Statsd(listen="8125")))


def test_a_port_that_is_taken_in_tcp_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With port 0, a UDP port whose TCP port is taken is given up for another one; with a named port it is an error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = [port, 0]
        real = datagrams._bound
        monkeypatch.setattr(datagrams, "_bound", lambda listen: real(Listen(listen.host, listen.port or ports.pop(0))))

        async def address(listen: str) -> str:
            source = StatsdSource(Statsd(listen=listen), Inlet(Intake(), Source.STATSD, lambda: 0))
            await source._open()
            found = str(source.facts()["address"])
            source._connections.close()
            source._datagrams.close()
            return found

        assert not asyncio.run(address("127.0.0.1:0")).endswith(f":{port}")
        assert ports == []
        with pytest.raises(SourceFailed, match=r"sources\.statsd\.listen"):
            asyncio.run(address(f"127.0.0.1:{port}"))
