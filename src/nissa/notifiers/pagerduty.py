"""PagerDuty's Events API v2: one incident for each group of alerts.

    firing         trigger, with the dedup key of the group: again, it updates the incident
    acknowledged   acknowledge, with the same dedup key
    resolved       resolve, with the same dedup key

The dedup key is a hash of receiver and group key, so an event that is sent twice after a crash changes nothing.
Events that acknowledge or resolve do not count against the hourly limit: an incident must not stay open.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson

from nissa.alerting.notification import rfc3339_text
from nissa.config.receivers import HttpConfig, PagerdutyConfig
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.http_client import HttpPoster, secret
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.text_thread import in_thread
from nissa.notifiers.texts import MessageText, lines_of, title_of

SUMMARY_CHARACTERS_MAX: Final = 1_024
DETAILS_BYTES_MAX: Final = 400 * 1024  # of 512 KiB that an event may have
SEVERITIES: Final = ("critical", "error", "warning", "info")
ALERTS_SHOWN_MAX: Final = 50
DETAILS: Final = ("firing", "resolved", "num_firing", "num_resolved")


class PagerdutyNotifier:
    """One integration of PagerDuty."""

    def __init__(self, config: PagerdutyConfig, setting: str, library: TextLibrary | None = None) -> None:
        """library: texts that its texts may include. Raises: ConfigInvalid."""
        self._config, self._setting = config, setting
        self._poster = HttpPoster(config.http_config or HttpConfig(), setting)

        def text(field: str, default: Callable[[Message], str], name: str = "") -> MessageText:
            template, own = getattr(config, field), f"pagerduty.default.{name}" if name else ""
            place = f"{setting}.{field.rstrip('_')}"
            return MessageText(template, place, default, library=library, name=own, bare=True)

        self._summary = text("description", title_of, "description")
        self._severity = text("severity", _severity_of)
        self._fields = {name: text(name, lambda _: "") for name in ("component", "group", "class_")}
        self._source = text("source", _source_of)
        self._client = text("client", lambda _: "Nissa", "client")
        self._client_url = text("client_url", lambda one: one.external_url, "clientURL")
        self._details = {
            name: MessageText(value, f"{setting}.details.{name}", partial(_detail, name), library=library)
            for name, value in config.details.items()
        }

    def counts(self, message: Message) -> bool:
        """Events that trigger do."""
        return _action_of(message) == "trigger"

    async def send(self, message: Message) -> None:
        """Post the event. Raises: NotDelivered."""
        config = self._config
        try:
            key = secret(config.routing_key, config.routing_key_file, f"{self._setting}.routing_key_file")
        except ConfigInvalid as error:
            raise NotDelivered(str(error)) from None
        event = await in_thread(self._event, key, message)
        await self._poster.post(config.url, orjson.dumps(event), {})

    async def close(self) -> None:
        """Close connections."""
        await self._poster.close()

    def _event(self, key: str, message: Message) -> dict[str, Any]:
        one = message.notification
        event: dict[str, Any] = {
            "routing_key": key,
            "event_action": _action_of(message),
            "dedup_key": dedup_key(one.receiver, one.group_key),
        }
        if event["event_action"] == "trigger":
            event |= {
                "client": self._client.render(message),
                "client_url": self._client_url.render(message),
                "payload": self._payload(message),
                "links": [
                    {"href": alert.generator_url, "text": alert.labels.get("alertname", "alert")}
                    for alert in one.firing[:ALERTS_SHOWN_MAX]
                    if alert.generator_url
                ],
            }
        return event

    def _payload(self, message: Message) -> dict[str, Any]:
        one = message.notification
        severity = self._severity.render(message).lower()
        payload: dict[str, Any] = {
            "summary": (self._summary.render(message).strip() or title_of(message))[:SUMMARY_CHARACTERS_MAX],
            "source": self._source.render(message).strip() or _source_of(message),
            "severity": severity if severity in SEVERITIES else "error",
            "timestamp": rfc3339_text(min(alert.starts_at_ms for alert in one.firing)),
        }
        fields = {name.rstrip("_"): text.render(message) for name, text in self._fields.items()}
        payload |= {name: value for name, value in fields.items() if value}
        return payload | {"custom_details": self._custom_details(message)}

    def _custom_details(self, message: Message) -> dict[str, str]:
        found = {name: _detail(name, message) for name in DETAILS if name not in self._details}
        found |= {name: text.render(message) for name, text in self._details.items()}
        untold = [fault for fault in message.text_faults if not any(fault in text for text in found.values())]
        found |= {"template_errors": "\n".join(untold)} if untold else {}
        if sum(len(value.encode()) for value in found.values()) > DETAILS_BYTES_MAX:
            counts = {name: _detail(name, message) for name in ("num_firing", "num_resolved")}
            return counts | {"error": "too large"}
        return found


def _detail(name: str, message: Message) -> str:
    """The default text of a detail; empty for names that are not among DETAILS."""
    one = message.notification
    if name in ("firing", "resolved"):
        alerts = one.firing if name == "firing" else one.resolved
        return "\n\n".join("\n".join(lines_of(alert)) for alert in alerts[:ALERTS_SHOWN_MAX])
    counts = {"num_firing": len(one.firing), "num_resolved": len(one.resolved)}
    return str(counts[name]) if name in counts else ""


def dedup_key(receiver: str, group_key: str) -> str:
    """The key of the incident of a group: 64 hexadecimal digits."""
    return hashlib.sha256(f"{receiver}\0{group_key}".encode()).hexdigest()


def _action_of(message: Message) -> str:
    one = message.notification
    if not one.firing:
        return "resolve"
    return "acknowledge" if one.acknowledged else "trigger"


def _severity_of(message: Message) -> str:
    known = {alert.labels.get("severity", "").lower() for alert in message.notification.firing}
    if known & {"page", "emergency"}:
        return "critical"
    return next((one for one in SEVERITIES if one in known), "error")


def _source_of(message: Message) -> str:
    labels = message.notification.common_labels
    return labels.get("instance") or labels.get("job") or message.external_url
