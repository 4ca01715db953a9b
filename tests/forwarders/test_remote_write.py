"""A sink of remote write behind an engine: everything arrives, whatever the sink does."""

from pathlib import Path

import pytest
from forwarders.conftest import SinkRig, sink_config

from nissa.forwarders.remote_write import HALVINGS_MAX
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.relabel import RelabelRule
from oracle.bodies import field
from oracle.engine import NOW_MS, ONE, Sample
from oracle.sink import SinkReply, StubSink


def some(first: int, count: int, ts_ms: int = NOW_MS) -> list[Sample]:
    """Samples of different series."""
    return [(f"m{number}", ts_ms, ONE + number) for number in range(first, first + count)]


@pytest.mark.parametrize(("speaks_2", "protocol"), [(True, "auto"), (False, "auto"), (True, "1.0"), (True, "2.0")])
def test_every_sample_arrives(tmp_path: Path, stub: StubSink, speaks_2: bool, protocol: str) -> None:
    """Bit for bit, in both versions; the version that a sink does not take is sent once, also after a restart."""
    stub.speaks_2 = speaks_2
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, protocol=protocol, batch_samples_max=7, connections=3))
    expected = "2.0" if speaks_2 and protocol != "1.0" else "1.0"

    async def scenario() -> None:
        for minute in range(3):
            rig.keep(some(0, 30, NOW_MS + minute))
        await rig.until_delivered()
        assert stub.values() == rig.rows
        assert rig.sinks.status()["s"]["protocol"] == expected

    rig.go(scenario)
    fallen = stub.versions.count("2.0") if expected == "1.0" else 0
    assert (fallen > 0) == (protocol == "auto" and not speaks_2)

    async def again() -> None:
        rig.keep(some(0, 30, NOW_MS + 10))
        await rig.until_delivered()

    rig.go(again)
    assert stub.values() == rig.rows
    assert stub.order_faults == 0
    assert stub.versions.count("2.0") == fallen or expected == "2.0"
    rig.engine.close()


def test_a_sink_of_one_version_that_does_not_take_it_is_blocked(tmp_path: Path, stub: StubSink) -> None:
    """The setting is named, nothing is given up."""
    stub.speaks_2 = False
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, protocol="2.0"))

    async def scenario() -> None:
        rig.keep(some(0, 3))
        await rig.until(lambda: rig.sinks.status()["s"]["state"] == "blocked")
        assert "sinks.s.protocol" in rig.sinks.status()["s"]["error"]
        assert rig.sinks.status()["s"]["backlog_frames"] == 1

    rig.go(scenario)
    rig.engine.close()


def test_bodies_that_no_rule_touches_are_passed_through(tmp_path: Path, stub: StubSink) -> None:
    """Bodies of frames that share no series are sent unchanged; later ones of a series follow, in order."""
    stub.speaks_2 = False
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, protocol="1.0"))
    for minute in range(4):
        for first in range(0, 30, 10):
            rig.keep(some(first, 10, NOW_MS + minute))
    about = field(3, b"\x08\x01" + field(2, b"m1") + field(4, b"Help."))
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, about)
    assert isinstance(rig.submit_frame(frame).get(timeout=60), Receipt)

    async def scenario() -> None:
        rig.keep(some(0, 5, NOW_MS + 9))
        await rig.until_delivered()
        assert stub.values() == rig.rows
        assert stub.metadata == {"m1": (1, "Help.", "")}

    rig.config = rig.config.__class__(
        **{
            **{name: getattr(rig.config, name) for name in rig.config.__struct_fields__},
            "sinks": {"s": sink_config(stub, protocol="1.0", backfill=True)},
        }
    )
    rig.go(scenario)
    assert stub.order_faults == 0
    rig.engine.close()


def test_rules_choose_and_change_series(tmp_path: Path, stub: StubSink) -> None:
    """Matchers, external labels and write_relabel_configs; samples left out are counted."""
    rules = (
        RelabelRule(source_labels=("__name__",), regex="m1[0-4]", action="drop"),
        RelabelRule(source_labels=("__name__",), regex="m(.*)", target_label="number"),
    )
    config = sink_config(
        stub, matchers=('{__name__=~"m1.*"}',), write_relabel_configs=rules, external_labels={"cluster": "east"}
    )
    rig = SinkRig(tmp_path / "d", s=config)

    async def scenario() -> None:
        rig.keep(some(0, 30))
        await rig.until_delivered()
        found = {dict(series)["__name__"]: dict(series) for series, _ in stub.samples}
        assert sorted(found) == ["m1", "m15", "m16", "m17", "m18", "m19"]
        assert found["m15"] == {"__name__": "m15", "cluster": "east", "number": "15"}
        counts = rig.sinks.status()["s"]
        assert (counts["samples"], counts["delivered"], counts["filtered"]) == (30, 6, 24)

    rig.go(scenario)
    rig.engine.close()


@pytest.mark.parametrize("protocol", ["1.0", "2.0"])
def test_only_what_is_refused_is_set_aside(tmp_path: Path, stub: StubSink, protocol: str) -> None:
    """One bad sample of many: the others are delivered, and it is a dead letter with the reason."""
    stub.refuses = lambda labels: labels["__name__"] in ("m17", "m333")
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, protocol=protocol, connections=1))

    async def scenario() -> None:
        rig.keep(some(0, 500))
        await rig.until_delivered()
        gone = {key: bits for key, bits in rig.rows.items() if key[0] not in ("m17", "m333")}
        assert stub.values() == gone
        counts = rig.sinks.status()["s"]
        assert (counts["delivered"], counts["dead"], counts["dead_letters"]) == (498, 2, 2)
        assert counts["state"] == "up"

    rig.go(scenario)
    text = (tmp_path / "d" / "dead-letters" / "s.jsonl").read_text()
    assert text.count("\n") == 2
    assert "the sink answers HTTP status 400: out of order sample" in text
    rig.engine.close()


def test_a_sink_that_refuses_everything_does_not_hold_things_up(tmp_path: Path, stub: StubSink) -> None:
    """The number of requests for one that is refused is bounded; the rest of it is set aside whole."""
    stub.refuses = lambda labels: True
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, protocol="1.0", connections=1))

    async def scenario() -> None:
        rig.keep(some(0, 2_000))
        await rig.until_delivered()
        counts = rig.sinks.status()["s"]
        assert (counts["dead"], counts["delivered"], counts["halvings"]) == (2_000, 0, HALVINGS_MAX)
        assert counts["requests"] <= 2 * HALVINGS_MAX + 1
        assert (counts["state"], counts["up"]) == ("refusing", 0)
        stub.refuses = lambda labels: labels["__name__"] == "m1"
        rig.keep(some(0, 3, NOW_MS + 1))
        await rig.until_delivered()
        assert rig.sinks.status()["s"]["state"] == "up"

    rig.go(scenario)
    rig.engine.close()


def test_retries_go_on_until_the_sink_is_back(tmp_path: Path, stub: StubSink) -> None:
    """500, 429 with Retry-After, an answer that is lost after the samples were stored: everything arrives, once."""
    plan = [SinkReply(500), SinkReply(429, {"Retry-After": "0.05"}), SinkReply(503, stored=True)]
    stub.reply = lambda: plan.pop() if plan else None
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, connections=2))

    async def scenario() -> None:
        for minute in range(5):
            rig.keep(some(0, 20, NOW_MS + minute))
        await rig.until_delivered()
        assert stub.values() == rig.rows
        counts = rig.sinks.status()["s"]
        assert (counts["retries"], counts["failures"], counts["state"]) == (3, 3, "up")

    rig.go(scenario)
    assert stub.order_faults == 0
    rig.engine.close()


def test_wrong_credentials_are_not_retried_for_ever(tmp_path: Path, stub: StubSink) -> None:
    """401 and a redirect: the state says so, tries are a minute apart, and nothing is lost."""
    for status in (401, 302):
        stub.reply = lambda status=status: SinkReply(status, {"Location": "http://127.0.0.1:1/"})
        stub.requests.clear()
        rig = SinkRig(tmp_path / str(status), s=sink_config(stub))

        async def scenario(rig: SinkRig = rig, status: int = status) -> None:
            rig.keep(some(0, 3))
            await rig.until(lambda: rig.sinks.status()["s"]["state"] == "blocked")
            assert f"HTTP status {status}" in rig.sinks.status()["s"]["error"]
            assert rig.sinks.status()["s"]["backlog_frames"] == 1

        rig.go(scenario)
        assert len(stub.requests) == 1
        rig.engine.close()


def test_metadata_goes_with_its_series(tmp_path: Path, stub: StubSink) -> None:
    """Metadata of a 1.0 sender reaches a sink of 2.0 with the next samples of its series, known ones too."""
    rig = SinkRig(tmp_path / "d", s=sink_config(stub))
    about = field(3, b"\x08\x02" + field(2, b"m1") + field(4, b"How much.") + field(5, b"bytes"))
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, about)

    async def scenario() -> None:
        rig.keep(some(0, 3))
        await rig.until_delivered()
        assert isinstance(rig.submit_frame(frame).get(timeout=60), Receipt)
        await rig.until_delivered()
        rig.keep(some(0, 3, NOW_MS + 1))
        await rig.until_delivered()
        assert stub.metadata == {"m1": (2, "How much.", "bytes")}

    rig.go(scenario)
    rig.engine.close()
