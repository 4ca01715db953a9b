"""A router over a configuration text, with alerts that are quick to write."""

from math import nan
from pathlib import Path

from nissa.alerting.router import Flush, Router
from nissa.alerting.routing import Routing, read_routing_file
from nissa.alerting.silences import Silences
from nissa.model.alert import Alert, AlertState, label_fingerprint

MINUTE_MS = 60_000
CONFIG = """
route:
  receiver: chat
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 1h
  routes:
    - {matchers: [severity="page"], receiver: pager, continue: true}
    - {matchers: [severity="page"], receiver: chat}
receivers:
  - name: chat
    slack_configs: [{api_url: http://127.0.0.1:9/}]
  - name: pager
    webhook_configs: [{url: http://127.0.0.1:9/}]
inhibit_rules: [{source_matchers: [alertname="down"], target_matchers: [alertname!="down"], equal: [cluster]}]
"""


def routing_of(folder: Path, text: str = CONFIG) -> Routing:
    """The routing that a configuration text stands for."""
    path = folder / "alertmanager.yml"
    path.write_text(text)
    return read_routing_file(path)


def router_of(folder: Path, text: str = CONFIG, alerts_max: int = 100) -> Router:
    """A router without a past."""
    return Router(routing_of(folder, text), Silences((), 100), {}, alerts_max)


def fires(now_ms: int, name: str = "load", until_ms: int = 0, **labels: str) -> Alert:
    """An alert that fires since ``now_ms``, until further notice."""
    labels = {"alertname": name, **labels}
    mark = label_fingerprint(labels)
    return Alert(labels, {}, now_ms, until_ms, now_ms, "", nan, AlertState.FIRING, mark, "api")


def ends(now_ms: int, start_ms: int, name: str = "load", **labels: str) -> Alert:
    """The same alert, resolved."""
    alert = fires(start_ms, name, now_ms, **labels)
    return Alert(**{**{field: getattr(alert, field) for field in alert.__struct_fields__}, "updated_at_ms": now_ms})


def flushed(router: Router, now_ms: int) -> list[tuple[str, str, list[str]]]:
    """Flush and settle; returns (path, status, alerts) of each due notification, ``name!`` for a resolved alert."""
    flush: Flush = router.flush(now_ms)
    router.settle(flush)
    return [
        (
            one.path,
            one.status,
            [each.labels["alertname"] + ("" if each.state is AlertState.FIRING else "!") for each in one.alerts],
        )
        for one in flush.notifications
    ]
