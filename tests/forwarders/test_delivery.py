"""Delivery: resumes at its cursor, drops a backlog beyond its bounds, skips, and survives internal errors."""

from pathlib import Path

import cramjam
import msgspec
import pytest
from forwarders.conftest import SinkRig, sink_config

from nissa.forwarders.remote_write import RemoteWriteOutlet
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import KIB
from oracle.engine import NOW_MS, ONE, body_of
from oracle.sink import SinkReply, StubSink


def test_it_resumes_after_a_crash(tmp_path: Path, stub: StubSink) -> None:
    """A sink is down, Nissa is killed, both come back: everything arrives, and the counts go on."""
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    down = True
    stub.reply = lambda: SinkReply(503) if down else None

    async def during_the_outage() -> None:
        rig.keep([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
        await rig.until(lambda: rig.sinks.status()["s"]["state"] == "failing")
        status = rig.sinks.status()["s"]
        assert (status["delivered"], status["backlog_frames"]) == (0, 1)
        assert status["backlog_bytes"] > 0

    rig.go(during_the_outage)
    rig.crash()
    down = False

    async def afterwards() -> None:
        rig.keep([("a", NOW_MS + 1, ONE)])
        await rig.until_delivered()
        assert rig.sinks.status()["s"]["delivered"] == 3

    rig.go(afterwards)
    rig.crash()

    async def once_more() -> None:
        await rig.until_delivered()
        counts = rig.sinks.status()["s"]
        assert (counts["delivered"], counts["frames"], counts["backlog_age_ms"]) == (3, 2, 0)

    requests = len(stub.requests)
    rig.go(once_more)
    assert len(stub.requests) == requests
    assert stub.values() == rig.rows
    rig.engine.close()


@pytest.mark.parametrize("backfill", [False, True])
def test_a_new_sink_begins_now_or_at_the_oldest_frame(tmp_path: Path, stub: StubSink, backfill: bool) -> None:
    """A new sink begins as its setting says; frames before its beginning do not count as lost."""
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, backfill=backfill))
    rig.keep([("old", NOW_MS, ONE)])

    async def scenario() -> None:
        rig.keep([("new", NOW_MS, ONE)])
        await rig.until_delivered()
        assert {name for name, _ in stub.values()} == ({"old", "new"} if backfill else {"new"})
        assert rig.sinks.status()["s"]["lost_frames"] == 0

    rig.go(scenario)
    rig.engine.close()


def test_what_is_beyond_the_backlog_is_given_up(
    tmp_path: Path, stub: StubSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest segments are dropped and counted in frames; the rest arrives when the sink is back."""
    monkeypatch.setattr("nissa.forwarders.delivery.PORTION_BYTES", 32 * KIB)
    down = True
    stub.reply = lambda: SinkReply(503) if down else None
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, backlog_bytes_max=128 * KIB))

    async def scenario() -> None:
        nonlocal down
        for number in range(60):
            rig.keep([(f"m{number}_{'x' * 200}{one}", NOW_MS, ONE) for one in range(48)])
        rig.engine.flush()
        await rig.until(lambda: rig.sinks.status()["s"]["lost_frames"] > 0)
        down = False
        await rig.sinks.resume("s")
        rig.keep([("last", rig.now_ms, ONE)])
        await rig.until_delivered()
        status = rig.sinks.status()["s"]
        assert 0 < status["lost_frames"] < 60
        assert 0 < status["delivered"] < len(rig.rows)
        assert ("last", rig.now_ms) in stub.values()

    rig.go(scenario)
    rig.engine.close()


def test_a_backlog_is_skipped(tmp_path: Path, stub: StubSink) -> None:
    """A skip includes frames being sent; skipped frames count as lost, and later ones are delivered."""
    down = True
    stub.reply = lambda: SinkReply(503) if down else None
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))

    async def scenario() -> None:
        nonlocal down
        for number in range(4):
            rig.keep([(f"m{number}", NOW_MS, ONE)])
        await rig.until(lambda: rig.sinks.status()["s"]["state"] == "failing")
        assert await rig.sinks.skip("s") == 4
        down = False
        rig.keep([("last", NOW_MS, ONE)])
        await rig.until_delivered()
        assert set(stub.values()) == {("last", NOW_MS)}
        assert rig.sinks.status()["s"]["lost_frames"] == 4

    rig.go(scenario)
    rig.engine.close()


def test_a_fault_of_ours_is_not_the_end(tmp_path: Path, stub: StubSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error is in the status and in the log, and the sink goes on behind its cursor."""
    faults = [ZeroDivisionError("division by zero")]
    prepare = RemoteWriteOutlet.prepare

    def prepare_or_fail(self: RemoteWriteOutlet, *arguments: object) -> object:
        if faults:
            raise faults.pop()
        return prepare(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(RemoteWriteOutlet, "prepare", prepare_or_fail)
    monkeypatch.setattr("nissa.forwarders.delivery.RETRY_S", 0.2)
    rig = SinkRig(tmp_path / "d", s=sink_config(stub), t=msgspec.structs.replace(sink_config(stub), connections=1))

    async def scenario() -> None:
        rig.keep([("a", NOW_MS, ONE)])
        await rig.until(lambda: any("ZeroDivisionError" in str(one["error"]) for one in rig.sinks.status().values()))
        await rig.until_delivered("s")
        await rig.until_delivered("t")
        assert [one["error"] for one in rig.sinks.status().values()] == [None, None]

    rig.go(scenario)
    assert stub.values() == rig.rows
    rig.engine.close()


def test_a_disk_that_takes_no_dead_letters_holds_the_cursor(
    tmp_path: Path, stub: StubSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is in the status, nothing is lost, and the sink goes on once there is room."""
    monkeypatch.setattr("nissa.forwarders.delivery.RETRY_S", 0.1)
    stub.refuses = lambda labels: labels["__name__"] == "bad"
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    obstacle = tmp_path / "d" / "dead-letters"

    async def scenario() -> None:
        obstacle.write_text("a file where a directory belongs")
        rig.keep([("good", NOW_MS, ONE), ("bad", NOW_MS, ONE)])
        await rig.until(lambda: "dead letters cannot be written" in str(rig.sinks.status()["s"]["error"]))
        assert rig.sinks.status()["s"]["backlog_frames"] == 1
        obstacle.unlink()
        await rig.until_delivered()
        counts = rig.sinks.status()["s"]
        assert (counts["delivered"], counts["dead"], counts["error"]) == (1, 1, None)

    rig.go(scenario)
    rig.engine.close()


def test_what_does_not_fit_a_portion_is_sent_next(
    tmp_path: Path, stub: StubSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that decompress to more samples than a portion takes: each is sent once."""
    monkeypatch.setattr("nissa.forwarders.remote_write.PORTION_SAMPLES_MAX", 1_000)
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    packed = bytes(cramjam.zstd.compress(body_of([("m", NOW_MS, ONE)] * 700)))
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.ZSTD, Source.HTTP, NOW_MS, packed)
    down = True
    stub.reply = lambda: SinkReply(503) if down else None

    async def scenario() -> None:
        nonlocal down
        for _ in range(48):
            outcome = rig.submit_frame(frame).get(timeout=60)
            assert isinstance(outcome, Receipt), outcome
        down = False
        await rig.until(lambda: rig.sinks.status()["s"]["backlog_frames"] == 0)
        counts = rig.sinks.status()["s"]
        assert (counts["frames"], counts["samples"], counts["delivered"]) == (48, 33_600, 33_600)

    rig.go(scenario)
    rig.engine.close()
