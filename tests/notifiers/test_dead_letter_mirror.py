"""Dead letters in a list of a real Redis."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from journeys.brokers import RedisServer

from nissa.alerting.routing_store import OutboxEntry
from nissa.config.sinks import DeadLetterRedis
from nissa.notifiers.dead_letter_mirror import DeadLetterMirror
from oracle.messages_out import AT_MS, a_message


@pytest.mark.needs_debian("redis-server")
def test_dead_letters_are_listed(tmp_path: Path) -> None:
    """The latest last, up to a number; a Redis that is gone stops nothing, and an empty address is none."""
    server = RedisServer(tmp_path / "redis")

    async def work() -> None:
        settings = DeadLetterRedis(server.url, list="dead", entries_max=2, timeout_ms=2_000)
        mirror = DeadLetterMirror(settings)
        for number in range(3):
            await mirror.add(OutboxEntry(number, a_message().notification, AT_MS, AT_MS, 3, "gone"), "http://nissa")
        letters = [json.loads(one) for one in server.client.lrange("dead", 0, -1)]
        assert [one["id"] for one in letters] == [1, 2]
        assert (letters[1]["channel"], letters[1]["reason"]) == ("team/webhook[0]", "gone")
        assert letters[0]["notification"]["groupLabels"] == {"alertname": "load"}
        server.kill()
        await mirror.add(OutboxEntry(4, a_message().notification, AT_MS), "http://nissa")
        assert mirror.failures == 1
        keyless = DeadLetterMirror(msgspec.structs.replace(settings, password_file=str(tmp_path / "none")))
        await keyless.add(OutboxEntry(5, a_message().notification, AT_MS), "http://nissa")
        assert keyless.failures == 1
        nothing = DeadLetterMirror(DeadLetterRedis())
        await nothing.add(OutboxEntry(6, a_message().notification, AT_MS), "http://nissa")
        assert nothing.failures == 0

    try:
        asyncio.run(work())
    finally:
        server.kill()
