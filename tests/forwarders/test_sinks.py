"""All sinks together: one does not concern another, and what operators decide is remembered."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from forwarders.conftest import SinkRig, sink_config

from nissa.config.sinks import ElasticsearchSink, RemoteWriteSink
from nissa.forwarders.dead_letters import DeadLetters, RefusedEvent, RefusedSamples
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS, KIB
from oracle.bulk_server import bulk_server
from oracle.engine import NOW_MS, ONE
from oracle.sink import SinkReply, StubSink, stub_sink


def test_a_dead_sink_costs_another_nothing(tmp_path: Path, stub: StubSink) -> None:
    """One is down, one refuses, one has no address that leads anywhere: the fourth has everything."""
    with stub_sink() as down, stub_sink() as refusing:
        down.reply = lambda: SinkReply(503)
        refusing.refuses = lambda _: True
        rig = SinkRig(
            tmp_path / "d",
            down=sink_config(down),
            refusing=sink_config(refusing),
            nowhere=RemoteWriteSink(url="http://no-such-host.invalid/", linger_ms=0),
            good=sink_config(stub),
        )

        async def scenario() -> None:
            for number in range(20):
                rig.keep([(f"m{number}", NOW_MS + number, ONE)])
            await rig.until_delivered("good")
            assert stub.values() == rig.rows
            await rig.until_delivered("refusing")
            found = rig.sinks.status()
            assert found["refusing"]["dead"] == 20
            assert found["down"]["delivered"] == found["nowhere"]["delivered"] == 0

        rig.go(scenario)
        rig.engine.close()


def test_a_paused_sink_stays_paused(tmp_path: Path, stub: StubSink) -> None:
    """It stays paused over a restart, until it is resumed; then it gets the waiting frames."""
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))

    async def pause() -> None:
        await rig.sinks.pause("s")
        rig.keep([("a", NOW_MS, ONE)])
        assert rig.sinks.status()["s"]["state"] == "paused"

    rig.go(pause)
    rig.restart()

    async def resume() -> None:
        rig.keep([("b", NOW_MS, ONE)])
        assert (rig.sinks.status()["s"]["state"], stub.requests) == ("paused", [])
        await rig.sinks.resume("s")
        await rig.until_delivered()

    rig.go(resume)
    assert stub.values() == rig.rows
    rig.engine.close()


def test_unknown_sinks_are_named(tmp_path: Path, stub: StubSink) -> None:
    """The error for an unknown sink names the known ones."""
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))

    async def scenario() -> None:
        with pytest.raises(BadQuery, match="there is no sink 't'; configured are: s"):
            await rig.sinks.pause("t")

    rig.go(scenario)
    rig.engine.close()


def test_dead_letters_are_replayed(tmp_path: Path, stub: StubSink) -> None:
    """Dead letters that the sink takes now are removed; those it still refuses stay, with one attempt more."""
    refused = {"m1", "m2", "m3"}
    stub.refuses = lambda labels: labels["__name__"] in refused
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))

    async def scenario() -> None:
        rig.keep([(f"m{number}", NOW_MS, ONE + number) for number in range(5)])
        await rig.until_delivered()
        letters = await rig.sinks.dead_letters("s")
        assert sorted(one.labels["__name__"] for one in letters) == ["m1", "m2", "m3"]
        refused.remove("m2")
        assert await rig.sinks.replay("s", None) == (1, 2)
        left = await rig.sinks.dead_letters("s")
        assert sorted((one.labels["__name__"], one.attempts) for one in left) == [("m1", 2), ("m3", 2)]
        refused.clear()
        assert await rig.sinks.replay("s", [left[0].id]) == (1, 0)
        assert await rig.sinks.drop("s", None) == 1
        assert await rig.sinks.dead_letters("s") == []

    rig.go(scenario)
    gone = {"m1", "m3"} - {name for name, _ in stub.values()}
    assert len(gone) == 1
    rig.engine.close()


def test_a_removed_sink_is_forgotten_when_it_is_told_so(tmp_path: Path, stub: StubSink) -> None:
    """Until then its backlog is shown; a configured one is not forgotten."""
    stub.reply = lambda: SinkReply(503)
    rig = SinkRig(tmp_path / "d", s=sink_config(stub), t=sink_config(stub))

    async def before() -> None:
        rig.keep([("a", NOW_MS, ONE)])
        with pytest.raises(BadQuery, match="the sink s is configured"):
            await rig.sinks.forget("s")

    rig.go(before)
    rig.config = msgspec.structs.replace(rig.config, sinks={"t": sink_config(stub)})

    async def afterwards() -> None:
        assert (rig.sinks.status()["s"]["state"], rig.sinks.status()["s"]["backlog_frames"]) == ("removed", 1)
        with pytest.raises(BadQuery, match="there is no removed sink 'x'; there are: s"):
            await rig.sinks.forget("x")
        await rig.sinks.forget("s")
        assert list(rig.sinks.status()) == ["t"]

    rig.go(afterwards)
    rig.restart()
    assert "sink:s" not in rig.engine.followers.facts()["cursors"]
    rig.engine.close()


def test_letters_of_another_kind_stay(tmp_path: Path, stub: StubSink) -> None:
    """A sink of samples that has the name of one of events before it does not take its letters for delivered."""
    letters = DeadLetters(tmp_path / "d" / "dead-letters" / "s.jsonl", 64 * KIB, DAY_MS)
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    letters.add([RefusedEvent("k", {"description": "x"}, "too long")], NOW_MS)

    async def samples() -> None:
        assert await rig.sinks.replay("s", None) == (0, 1)
        assert [one.key for one in await rig.sinks.dead_letters("s")] == ["k"]

    rig.go(samples)
    letters.drop()
    letters.add([RefusedSamples({"__name__": "m"}, np.array([NOW_MS]), np.array([1.0]), "too old")], NOW_MS)
    with bulk_server() as server:
        rig.config = msgspec.structs.replace(rig.config, sinks={"s": ElasticsearchSink(url=server.url)})

        async def events() -> None:
            assert await rig.sinks.replay("s", None) == (0, 1)
            assert [one.labels for one in await rig.sinks.dead_letters("s")] == [{"__name__": "m"}]

        rig.go(events)
        assert server.documents == {}
    rig.engine.close()


def test_one_replay_runs_at_a_time(tmp_path: Path, stub: StubSink) -> None:
    """The second is refused, so that no letter is sent twice; a later one is not."""
    letters = DeadLetters(tmp_path / "d" / "dead-letters" / "s.jsonl", 64 * KIB, DAY_MS)
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    letters.add([RefusedSamples({"__name__": "m"}, np.array([NOW_MS]), np.array([1.0]), "too old")], NOW_MS)

    async def scenario() -> None:
        first, second = await asyncio.gather(
            rig.sinks.replay("s", None), rig.sinks.replay("s", None), return_exceptions=True
        )
        assert first == (1, 0)
        assert isinstance(second, BadQuery)
        assert "are being replayed" in str(second)
        assert await rig.sinks.replay("s", None) == (0, 0)

    rig.go(scenario)
    assert len(stub.values()) == 1
    rig.engine.close()


def test_a_sink_whose_dead_letters_cannot_be_written_is_failing(tmp_path: Path, stub: StubSink) -> None:
    """It answers, and is not up all the same: nothing moves until the disk takes them."""
    stub.refuses = lambda _: True
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    (tmp_path / "d" / "dead-letters").write_text("a file is in the way")

    async def scenario() -> None:
        rig.keep([("m", NOW_MS, ONE)])
        await rig.until(lambda: rig.sinks.status()["s"]["state"] == "failing")
        status = rig.sinks.status()["s"]
        assert (status["up"], status["backlog_frames"], status["dead"]) == (0, 1, 0)
        assert "dead letters cannot be written" in status["error"]

    rig.go(scenario)
    rig.engine.close()
