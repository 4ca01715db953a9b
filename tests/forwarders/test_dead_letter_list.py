"""Dead letters in a list of Redis: beside their files, in order, bounded, over an outage of Redis."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from forwarders.conftest import SinkRig, sink_config
from journeys.brokers import RedisServer

from nissa.config.sinks import DeadLetterRedis
from nissa.forwarders.dead_letter_list import WAITING_MAX, DeadLetterList
from nissa.forwarders.dead_letters import DeadLetter
from oracle.engine import NOW_MS, ONE
from oracle.sink import StubSink


@pytest.mark.needs_debian("redis-server")
def test_dead_letters_are_in_the_list_too(tmp_path: Path, stub: StubSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters of an outage of Redis follow when it is back; the list is bounded."""
    monkeypatch.setattr("nissa.forwarders.dead_letter_list.PAUSE_S_MAX", 0.1)
    monkeypatch.setattr("nissa.forwarders.dead_letter_list.PAUSE_S_MIN", 0.05)
    server = RedisServer(tmp_path / "redis")
    stub.refuses = lambda labels: True
    rig = SinkRig(tmp_path / "d", s=sink_config(stub, connections=1))
    redis = DeadLetterRedis(url=server.url, entries_max=4, timeout_ms=1_000)
    rig.config = msgspec.structs.replace(rig.config, dead_letters_redis=redis)

    def entries() -> list[dict[str, Any]]:
        return [json.loads(line) for line in server.client.execute_command("LRANGE", redis.list, 0, -1)]

    async def scenario() -> None:
        rig.keep([(f"m{number}", NOW_MS, ONE) for number in range(3)])
        await rig.until(lambda: rig.sinks.list_facts()["mirrored"] == 3)
        assert {one["labels"]["__name__"] for one in entries()} == {"m0", "m1", "m2"}
        assert entries()[0]["sink"] == "s"
        server.kill()
        rig.keep([("late0", NOW_MS, ONE), ("late1", NOW_MS, ONE)])
        await rig.until(lambda: bool(rig.sinks.list_facts()["error"]))
        server.start()
        await rig.until(lambda: rig.sinks.list_facts()["mirrored"] == 5)
        assert {"late0", "late1"} <= {one["labels"]["__name__"] for one in entries()}
        assert len(entries()) == 4
        assert len(await rig.sinks.dead_letters("s")) == 5

    try:
        rig.go(scenario)
    finally:
        server.kill()
    rig.engine.close()


def test_what_waits_is_bounded() -> None:
    """The oldest are left out, and counted; they are in their files."""
    found = DeadLetterList(DeadLetterRedis(url="redis://127.0.0.1:1/0"))
    found.note("s", [DeadLetter(number, 0, 1, "no") for number in range(WAITING_MAX + 3)])
    assert (found.facts()["waiting"], found.facts()["left_out"]) == (WAITING_MAX, 3)
