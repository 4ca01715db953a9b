"""A stream of a real Redis."""

import asyncio
from pathlib import Path

import pytest
from journeys.brokers import RedisServer

from nissa.codec.messages import MessageCodec
from nissa.config.receivers import OonaConfig
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.notifier import NotDelivered
from nissa.notifiers.oona import OonaNotifier
from oracle.messages_out import AT_MS, RESOLVED, a_message, an_alert


@pytest.mark.needs_debian("redis-server")
def test_each_alert_is_an_entry(tmp_path: Path) -> None:
    """A ``nissa.v2.AlertNotification``; none of them where Redis is gone."""
    server = RedisServer(tmp_path / "redis")

    async def work() -> None:
        notifier = OonaNotifier(OonaConfig(url=server.url), "s")
        await notifier.send(a_message(an_alert(job="tolaria"), an_alert(RESOLVED)))
        first, second = [fields for _, fields in server.client.xrange("alert.events")]
        assert (first[b"type"], first[b"delivery"]) == (b"nissa.v2.AlertNotification", b"nissa-7")
        read = MessageCodec().decode_message("alert_notification", first[b"payload"])
        assert (read["name"], read["source"], read["severity"], read["state"]) == ("load", "tolaria", 4, 2)
        assert (read["value"], read["routes"]) == (2.5, ["team"])
        ended = MessageCodec().decode_message("alert_notification", second[b"payload"])
        assert (ended["state"], ended["ends_at_ms"]) == (3, AT_MS)
        server.kill()
        with pytest.raises(NotDelivered, match="Redis") as found:
            await notifier.send(a_message())
        assert found.value.retry
        await notifier.close()

    try:
        asyncio.run(work())
    finally:
        server.kill()
    with pytest.raises(ConfigInvalid, match=r"^s\.url: "):
        OonaNotifier(OonaConfig(url="nonsense"), "s")
