"""Another Alertmanager as a channel."""

import asyncio

from nissa.alerting.notification import rfc3339_text
from nissa.config.receivers import AlertmanagerConfig
from nissa.notifiers.alertmanager import AlertmanagerNotifier
from oracle.http_receiver import http_receiver
from oracle.messages_out import AT_MS, RESOLVED, a_message, an_alert


def test_alerts_are_sent_as_prometheus_sends_them() -> None:
    """One that fires ends four intervals later unless it is sent again; large groups in several requests."""

    async def work() -> None:
        async with http_receiver() as receiver:
            notifier = AlertmanagerNotifier(AlertmanagerConfig(url=receiver.url), "s")
            await notifier.send(a_message(an_alert(), an_alert(RESOLVED)))
            await notifier.send(a_message(*(an_alert(n=str(one)) for one in range(501))))
            await notifier.close()
            first, second = receiver.bodies[0]
            assert first["endsAt"] == rfc3339_text(AT_MS + 240_000)
            assert second["endsAt"] == rfc3339_text(AT_MS)
            assert [len(body) for body in receiver.bodies] == [2, 500, 1]
            assert not notifier.counts(a_message())

    asyncio.run(work())
