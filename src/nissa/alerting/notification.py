"""A notification: the alerts of one group, as they are sent to one channel at one time."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from nissa.model.alert import Alert, AlertState

DIGEST_KEY: Final = "digest"


class Notification(msgspec.Struct, frozen=True):
    """News for one channel. receiver, channel: names such as ``on-call`` and ``webhook[0]``.

    alerts: firing and resolved ones, of which none is muted; firing ones have no end. at_ms: when it was decided, Unix
    milliseconds. digest_of: of a digest, the number of notifications that it stands for. interval_ms: of the route, its
    ``group_interval``. acknowledged: the news is that all that fire were acknowledged.
    """

    receiver: str
    channel: str
    group_key: str
    group_labels: dict[str, str]
    alerts: tuple[Alert, ...]
    at_ms: int
    digest_of: int = 0
    interval_ms: int = 0
    acknowledged: bool = False

    @property
    def path(self) -> str:
        """Receiver and channel: ``on-call/webhook[0]``."""
        return channel_path(self.receiver, self.channel)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Alerts that fire."""
        return tuple(alert for alert in self.alerts if alert.state is AlertState.FIRING)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """Alerts that have resolved."""
        return tuple(alert for alert in self.alerts if alert.state is not AlertState.FIRING)

    @property
    def status(self) -> str:
        """``firing`` while one alert fires, else ``resolved``."""
        return "firing" if self.firing else "resolved"

    @property
    def common_labels(self) -> dict[str, str]:
        """Labels that all alerts share."""
        return _common(alert.labels for alert in self.alerts)

    @property
    def common_annotations(self) -> dict[str, str]:
        """Annotations that all alerts share."""
        return _common(alert.annotations for alert in self.alerts)


def channel_path(receiver: str, channel: str) -> str:
    """The name of a channel among those of all receivers."""
    return f"{receiver}/{channel}"


def digest(notifications: Iterable[Notification], at_ms: int) -> Notification:
    """One notification for several of one channel: each alert in the state that the last of them has."""
    all_of_them = list(notifications)
    latest = {alert.fingerprint: alert for one in all_of_them for alert in one.alerts}
    count = sum(max(one.digest_of, 1) for one in all_of_them)
    last = all_of_them[-1]
    return Notification(last.receiver, last.channel, DIGEST_KEY, {}, tuple(latest.values()), at_ms, count)


def rfc3339_text(time_ms: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _common(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] | None = None
    for one in mappings:
        if found is None:
            found = dict(one)
        elif found:
            found = {name: value for name, value in found.items() if one.get(name) == value}
    return dict(sorted((found or {}).items()))
