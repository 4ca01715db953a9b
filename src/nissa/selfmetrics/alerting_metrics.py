"""Metrics of routing and notifications: facts of the section ``alerting`` in the status."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _alerting(name: str, kind: Kind, help: str, path: str) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=f"alerting.{path}")


ALERTING: Final = (
    _alerting("nissa_alerting_alerts", "gauge", "Alerts that fire, or whose resolution is not notified yet.", "alerts"),
    _alerting("nissa_alerting_received_total", "counter", "Alerts received since start, with repetitions.", "received"),
    _alerting("nissa_notifications_total", "counter", "Notifications put into the outbox.", "notifications"),
    _alerting("nissa_notifications_waiting", "gauge", "Notifications that wait to be delivered.", "waiting"),
    _alerting("nissa_notifications_delivered_total", "counter", "Notifications delivered since start.", "delivered"),
    _alerting(
        "nissa_notification_failures_total",
        "counter",
        "Attempts to deliver notifications that failed since start.",
        "failed_attempts",
    ),
    _alerting(
        "nissa_notification_text_failures_total",
        "counter",
        "Texts of delivered notifications since start whose template failed, so that the default text was sent.",
        "text_failures",
    ),
    _alerting(
        "nissa_notification_digests_total", "counter", "Digests made since start because of hourly limits.", "digests"
    ),
    _alerting(
        "nissa_notification_dead_letters_total",
        "counter",
        "Notifications given up since start; they can be replayed.",
        "dead_letters",
    ),
    _alerting(
        "nissa_notification_dead_letters_dropped_total",
        "counter",
        "Dead letters of notifications dropped since start, by age or number.",
        "dead_letters_dropped",
    ),
)
