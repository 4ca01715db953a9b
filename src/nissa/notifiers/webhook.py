"""Webhooks: Alertmanager's body of version 4, signed where the receiver has a secret.

X-Nissa-Delivery    id of the notification, the same for every attempt
X-Nissa-Timestamp   Unix seconds of the notification
X-Nissa-Signature   sha256=HMAC-SHA256(secret, timestamp + "." + body), in hexadecimal digits
"""

import hashlib
import hmac
from typing import Any, Final

import orjson

from nissa.alerting.notification import rfc3339_text
from nissa.config.receivers import HttpConfig, WebhookConfig
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import ConfigInvalid
from nissa.model.units import SECOND_MS
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.http_client import HttpPoster, secret
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.text_thread import in_thread
from nissa.notifiers.texts import MessageText

NO_TIME: Final = "0001-01-01T00:00:00Z"  # Go's zero, which receivers expect of an alert that fires


class WebhookNotifier:
    """One webhook."""

    def __init__(self, config: WebhookConfig, setting: str, library: TextLibrary | None = None) -> None:
        """library: texts that the address may include. Raises: ConfigInvalid."""
        self._config, self._setting, self._library = config, setting, library
        if "{{" in config.url:
            self._address(config.url)  # refuses it
        self._poster = HttpPoster(config.http_config or HttpConfig(), setting)

    def counts(self, _message: Message) -> bool:
        """Every message does."""
        return True

    async def send(self, message: Message) -> None:
        """Post the body. Raises: NotDelivered."""
        body = await in_thread(self._body, message)
        at_s = str(message.notification.at_ms // SECOND_MS)
        headers = {"X-Nissa-Delivery": message.id, "X-Nissa-Timestamp": at_s}
        try:
            key = secret(self._config.secret, self._config.secret_file, f"{self._setting}.secret_file")
            url = secret(self._config.url, self._config.url_file, f"{self._setting}.url_file")
        except ConfigInvalid as error:
            raise NotDelivered(str(error)) from None
        if key:
            signature = hmac.new(key.encode(), at_s.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers["X-Nissa-Signature"] = f"sha256={signature}"
        await self._poster.post(await in_thread(self._rendered, url, message), body, headers)

    async def close(self) -> None:
        """Close connections."""
        await self._poster.close()

    def _body(self, message: Message) -> bytes:
        return orjson.dumps(webhook_body(message, self._config.max_alerts))

    def _address(self, url: str) -> MessageText:
        return MessageText(url, f"{self._setting}.url", lambda _: "", library=self._library, bare=True)

    def _rendered(self, url: str, message: Message) -> str:
        """The address for a message. Raises: NotDelivered where its template gives none."""
        if "{{" not in url:
            return url
        try:
            found = self._address(url).render(message)
        except ConfigInvalid as error:
            raise NotDelivered(str(error), retry=False) from None
        if not found.startswith(("http://", "https://")):
            told = message.text_faults or [f"the template {self._setting}.url gives no http://… or https://…"]
            raise NotDelivered(told[-1], retry=False)
        return found


def webhook_body(message: Message, alerts_max: int = 0) -> dict[str, Any]:
    """A notification in Alertmanager's form, version 4. alerts_max: in it, 0 for all; the rest is counted."""
    one = message.notification
    shown = one.alerts[:alerts_max] if alerts_max else one.alerts
    body: dict[str, Any] = {
        "version": "4",
        "groupKey": one.group_key,
        "truncatedAlerts": len(one.alerts) - len(shown),
        "status": one.status,
        "receiver": one.receiver,
        "groupLabels": one.group_labels,
        "commonLabels": one.common_labels,
        "commonAnnotations": one.common_annotations,
        "externalURL": message.external_url,
        "alerts": [_alert_body(alert) for alert in shown],
    }
    return body | ({"digestOf": one.digest_of} if one.digest_of else {})


def _alert_body(alert: Alert) -> dict[str, Any]:
    firing = alert.state is AlertState.FIRING
    return {
        "status": "firing" if firing else "resolved",
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339_text(alert.starts_at_ms),
        "endsAt": NO_TIME if firing else rfc3339_text(alert.ends_at_ms),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }
