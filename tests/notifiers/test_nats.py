"""A subject of a real nats-server."""

import asyncio
import json
from pathlib import Path

import nats
import pytest
from journeys.brokers import NatsServer

from nissa.config.receivers import NatsConfig
from nissa.config.scrape_configs import Milliseconds
from nissa.notifiers.nats import NatsNotifier
from nissa.notifiers.notifier import NotDelivered
from oracle.messages_out import a_message


@pytest.mark.needs_debian("nats-server")
def test_a_notification_is_published(tmp_path: Path) -> None:
    """To those who listen; JetStream stores one that is sent twice once; a server that is gone is retried."""
    server = NatsServer(tmp_path / "nats")

    async def work() -> None:
        client = await nats.connect(server.url)
        heard = await client.subscribe("alert.events")
        plain = NatsNotifier(NatsConfig(servers=(server.url,), timeout=Milliseconds(2_000)), "s")
        await plain.send(a_message())
        message = await heard.next_msg(10)
        assert json.loads(message.data)["groupLabels"] == {"alertname": "load"}
        assert message.headers == {"Nats-Msg-Id": "nissa-7"}
        await client.jetstream().add_stream(name="ALERTS", subjects=["stored.>"])
        stored = NatsNotifier(NatsConfig(servers=(server.url,), subject="stored.x", jetstream=True), "s")
        for one in ("nissa-1", "nissa-1", "nissa-2"):
            await stored.send(a_message(message_id=one))
        assert (await client.jetstream().stream_info("ALERTS")).state.messages == 2
        await client.close()
        server.kill()
        for notifier in (plain, stored, plain):
            with pytest.raises(NotDelivered) as found:
                await notifier.send(a_message())
            assert found.value.retry
        await plain.close()
        await stored.close()

    try:
        asyncio.run(work())
    finally:
        server.kill()
