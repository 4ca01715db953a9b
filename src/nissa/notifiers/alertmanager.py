"""Another Alertmanager, by its API v2: it gets alerts as Prometheus sends them, and groups them itself.

A firing alert is sent again with every flush of its group, and ends ``HELD_INTERVALS`` times the group interval later
(of at least a minute) unless it is: the timing of Prometheus. So it ends by itself where this daemon is gone.
"""

from typing import Any, Final

import orjson

from nissa.alerting.notification import rfc3339_text
from nissa.config.receivers import AlertmanagerConfig, HttpConfig
from nissa.model.alert import Alert, AlertState
from nissa.notifiers.http_client import HttpPoster
from nissa.notifiers.notifier import Message

ALERTS_PATH: Final = "/api/v2/alerts"
HELD_INTERVALS: Final = 4
INTERVAL_MS_MIN: Final = 60_000
ALERTS_MAX: Final = 500  # in one request


class AlertmanagerNotifier:
    """One Alertmanager."""

    def __init__(self, config: AlertmanagerConfig, setting: str) -> None:
        """Raises: ConfigInvalid."""
        self._url = config.url.rstrip("/").removesuffix(ALERTS_PATH) + ALERTS_PATH
        self._poster = HttpPoster(config.http_config or HttpConfig(), setting)

    def counts(self, _message: Message) -> bool:
        """False: no message counts, as the state of an alert must not be lost."""
        return False

    async def send(self, message: Message) -> None:
        """Post the alerts. Raises: NotDelivered."""
        one = message.notification
        held_until_ms = one.at_ms + HELD_INTERVALS * max(one.interval_ms, INTERVAL_MS_MIN)
        alerts = [_posted(alert, held_until_ms) for alert in one.alerts]
        for start in range(0, len(alerts), ALERTS_MAX):
            await self._poster.post(self._url, orjson.dumps(alerts[start : start + ALERTS_MAX]), {})

    async def close(self) -> None:
        """Close connections."""
        await self._poster.close()


def _posted(alert: Alert, held_until_ms: int) -> dict[str, Any]:
    ends_ms = held_until_ms if alert.state is AlertState.FIRING else alert.ends_at_ms
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339_text(alert.starts_at_ms),
        "endsAt": rfc3339_text(ends_ms),
        "generatorURL": alert.generator_url,
    }
