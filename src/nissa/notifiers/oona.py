"""Oona, Esper's bus on Redis Streams: a ``nissa.v2.AlertNotification`` for each alert, all of a notification or none.

payload    the message, serialised
type       nissa.v2.AlertNotification
delivery   id of the notification, the same for every attempt
"""

from math import isnan
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from nissa.codec.messages import MessageCodec
from nissa.config.receivers import OonaConfig
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import ConfigInvalid
from nissa.model.secrets import hide_in_urls
from nissa.model.units import SECOND_MS
from nissa.notifiers.notifier import Message, NotDelivered

TYPE: Final = "nissa.v2.AlertNotification"
SEVERITIES: Final = {"info": 1, "warning": 2, "error": 3, "critical": 4, "page": 4}
STATES: Final = {AlertState.PENDING: 1, AlertState.FIRING: 2, AlertState.RESOLVED: 3}


class OonaNotifier:
    """One stream."""

    def __init__(self, config: OonaConfig, setting: str) -> None:
        """Raises: ConfigInvalid for a URL that cannot be read."""
        self._config = config
        self._codec = MessageCodec()
        timeout_s = config.timeout / SECOND_MS
        try:
            self._redis: Any = Redis.from_url(
                config.url,
                protocol=2,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigInvalid(f"{setting}.url", str(error)) from None

    def counts(self, _message: Message) -> bool:
        """No message does: programs read them."""
        return False

    async def send(self, message: Message) -> None:
        """Add the entries. Raises: NotDelivered."""
        config = self._config
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                for alert in message.notification.alerts:
                    fields = {"payload": self._encoded(alert, message), "type": TYPE, "delivery": message.id}
                    pipe.xadd(config.stream, fields, maxlen=config.stream_entries_max, approximate=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise NotDelivered(hide_in_urls(f"Redis: {type(error).__name__}: {error}")[:200]) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    def _encoded(self, alert: Alert, message: Message) -> bytes:
        fields: dict[str, Any] = {
            "alert_id": alert.fingerprint,
            "name": alert.labels.get("alertname", "alert"),
            "severity": SEVERITIES.get(alert.labels.get("severity", "").lower(), 0),
            "state": STATES[alert.state],
            "summary": alert.annotations.get("summary", "") or alert.annotations.get("description", ""),
            "source": alert.labels.get("job", ""),
            "labels": [{"name": name, "value": value} for name, value in alert.labels.items()],
            "annotations": [{"name": name, "value": value} for name, value in alert.annotations.items()],
            "timestamp_ms": message.notification.at_ms,
            "starts_at_ms": alert.starts_at_ms,
            "routes": [message.notification.receiver],
        }
        if not isnan(alert.value):
            fields["value"] = alert.value
        if alert.state is AlertState.RESOLVED:
            fields["ends_at_ms"] = alert.ends_at_ms
        return self._codec.encode_message("alert_notification", fields)
