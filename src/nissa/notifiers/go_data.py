"""The data of a notification, in the form that templates of Alertmanager know.

    .Receiver .Status .ExternalURL .GroupKey .TruncatedAlerts .DigestOf
    .GroupLabels .CommonLabels .CommonAnnotations     KV: SortedPairs, Names, Values, Remove
    .Alerts .Alerts.Firing .Alerts.Resolved           each: Status Labels Annotations StartsAt EndsAt GeneratorURL
                                                            Fingerprint Value

Parts that take time are made when a template asks for them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from nissa.model.alert import ALERT_NAME, Alert, AlertState
from nissa.notifiers.notifier import Message
from nissa.rules.expansion import Lazy, Record
from nissa.rules.template_times import ZERO, moment_of

FIELDS: Final = frozenset(  # of the data
    (
        *("Receiver", "Status", "Alerts", "GroupLabels", "CommonLabels", "CommonAnnotations", "ExternalURL"),
        *("GroupKey", "TruncatedAlerts", "DigestOf"),
    )
)
_QUOTED: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Pairs(list[Record]):
    """Names with their values, in order."""

    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def names(self) -> list[str]:
        """The names."""
        return [pair.fields["Name"] for pair in self]

    def values(self) -> list[str]:
        """The values."""
        return [pair.fields["Value"] for pair in self]

    def go_text(self) -> str:
        """``name=value, name=value``"""
        return ", ".join(f"{pair.fields['Name']}={pair.fields['Value']}" for pair in self)


class TextsByName(dict[str, str]):
    """Labels or annotations: Alertmanager's KV."""

    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def sorted_pairs(self) -> Pairs:
        """In order of their names, ``alertname`` first."""
        names = sorted(self, key=lambda name: (name != ALERT_NAME, name))
        return Pairs(Record(Name=name, Value=self[name]) for name in names)

    def without(self, names: Any) -> "TextsByName":
        """A copy without these names. Raises: ValueError."""
        if not isinstance(names, list):
            raise ValueError("Remove expects a list of names, such as stringSlice gives")
        left = frozenset(names)
        return TextsByName({name: value for name, value in self.items() if name not in left})

    def go_text(self) -> str:
        """As its pairs."""
        return self.sorted_pairs().go_text()


class Alerts(list[Record]):
    """Alerts of a notification."""

    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def with_status(self, status: str) -> "Alerts":
        """Those that are ``firing``, or ``resolved``."""
        return Alerts(alert for alert in self if alert.fields["Status"] == status)


Pairs.METHODS = {"Names": Pairs.names, "Values": Pairs.values, "String": Pairs.go_text}
TextsByName.METHODS = {
    "SortedPairs": TextsByName.sorted_pairs,
    "Names": lambda labels: labels.sorted_pairs().names(),
    "Values": lambda labels: labels.sorted_pairs().values(),
    "Remove": TextsByName.without,
    "String": TextsByName.go_text,
}
Alerts.METHODS = {
    "Firing": lambda alerts: alerts.with_status("firing"),
    "Resolved": lambda alerts: alerts.with_status("resolved"),
}


def data_of(message: Message) -> Record:
    """The data of a message."""
    one = message.notification
    return Record(
        Receiver=_QUOTED.sub(r"\\\g<0>", one.receiver),  # Alertmanager quotes it, for the address of its page
        Status=one.status,
        Alerts=Lazy(lambda: _alerts(one.alerts)),
        GroupLabels=TextsByName(one.group_labels),
        CommonLabels=Lazy(lambda: TextsByName(one.common_labels)),
        CommonAnnotations=Lazy(lambda: TextsByName(one.common_annotations)),
        ExternalURL=message.external_url,
        GroupKey=one.group_key,
        TruncatedAlerts=0,
        DigestOf=one.digest_of,
    )


def _alerts(alerts: Iterable[Alert]) -> Alerts:
    return Alerts(map(_alert, alerts))


def _alert(alert: Alert) -> Record:
    fires = alert.state is AlertState.FIRING
    return Record(
        Status="firing" if fires else "resolved",
        Labels=TextsByName(alert.labels),
        Annotations=TextsByName(alert.annotations),
        StartsAt=moment_of(alert.starts_at_ms),
        EndsAt=ZERO if fires else moment_of(alert.ends_at_ms),
        GeneratorURL=alert.generator_url,
        Fingerprint=alert.fingerprint,
        Value=alert.value,
    )
