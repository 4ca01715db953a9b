"""A subject of NATS: the body of a webhook. With JetStream the server stores it before it answers, and only once.

Without JetStream the server answers that it has the message (a flush), and passes it to those who listen then.
"""

from typing import Any, Final

import nats.errors
import orjson
from nats.aio.client import Client

from nissa.config.receivers import NatsConfig
from nissa.model.units import SECOND_MS
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.webhook import webhook_body

ID_HEADER: Final = "Nats-Msg-Id"


class NatsNotifier:
    """One subject."""

    def __init__(self, config: NatsConfig, _setting: str) -> None:
        self._config = config
        self._client: Client | None = None

    def counts(self, _message: Message) -> bool:
        """Every message does."""
        return True

    async def send(self, message: Message) -> None:
        """Publish the body. Raises: NotDelivered."""
        body = orjson.dumps(webhook_body(message))
        headers = {ID_HEADER: message.id}
        try:
            client = await self._connected()
            if self._config.jetstream:
                await client.jetstream().publish(self._config.subject, body, headers=headers)
            else:
                await client.publish(self._config.subject, body, headers=headers)
                await client.flush(max(int(self._config.timeout / SECOND_MS), 1))
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await self.close()
            raise NotDelivered(f"NATS: {type(error).__name__}: {error}"[:200]) from None

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> Client:
        if self._client is None or not self._client.is_connected:
            client = Client()

            async def unheard(*_: Any) -> None:  # the call that fails says it
                return

            await client.connect(
                servers=list(self._config.servers),
                name="nissa",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(int(self._config.timeout / SECOND_MS), 1),
                error_cb=unheard,
            )
            self._client = client
        return self._client
