"""Messages that tests of notifiers send."""

from nissa.alerting.notification import Notification
from nissa.model.alert import Alert, AlertState
from nissa.notifiers.notifier import Message

AT_MS = 1_732_190_000_000


def an_alert(state: AlertState = AlertState.FIRING, **labels: str) -> Alert:
    """An alert with a text and a query."""
    labels = {"alertname": "load", "severity": "critical", **labels}
    ends_ms = 0 if state is AlertState.FIRING else AT_MS
    annotations = {"summary": "too <much> & more"}
    return Alert(labels, annotations, AT_MS - 60_000, ends_ms, AT_MS, "http://q/?a=1", 2.5, state, "f" * 16, "rules")


def a_message(*alerts: Alert, key: str = '{}:{alertname="load"}', message_id: str = "nissa-7") -> Message:
    """A notification about these alerts, or about one that fires."""
    one = Notification("team", "webhook[0]", key, {"alertname": "load"}, alerts or (an_alert(),), AT_MS)
    return Message(message_id, one, "http://nissa:9471")


RESOLVED = AlertState.RESOLVED
