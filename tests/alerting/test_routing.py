"""The configuration of routing: the file, the short form, time intervals."""

from pathlib import Path

import pytest

from nissa.alerting.routing import read_routing
from nissa.config.alerting import Alerting
from nissa.model.errors import ConfigInvalid

FILE = """
global: {resolve_timeout: 1m, slack_api_url: "https://hooks.example/secret"}
route:
  receiver: chat
  routes:
    - {matchers: [severity="page"], receiver: chat, mute_time_intervals: [nights]}
    - {matchers: [severity="info"], active_time_intervals: [nights]}
receivers:
  - name: chat
    slack_configs: [{channel: "#alerts"}]
time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]
"""
MIDNIGHT_MS, NOON_MS = 1_732_147_200_000, 1_732_190_400_000


def test_time_intervals_mute_routes(tmp_path: Path) -> None:
    """``mute`` inside of its intervals, ``active`` outside of them."""
    (tmp_path / "am.yml").write_text(FILE)
    routing = read_routing(Alerting(str(tmp_path / "am.yml")))
    assert routing is not None
    page, info = routing.root.routes
    assert routing.is_muted_by_time(page, MIDNIGHT_MS)
    assert not routing.is_muted_by_time(page, NOON_MS)
    assert routing.is_muted_by_time(info, NOON_MS)
    assert not routing.is_muted_by_time(info, MIDNIGHT_MS)
    assert not routing.is_muted_by_time(routing.root, NOON_MS)
    assert routing.resolve_timeout_ms == 60_000
    assert "hooks.example" not in routing.original
    assert "<secret>" in routing.original


def test_a_time_interval_at_fault_is_told_by_its_place(tmp_path: Path) -> None:
    """A fault of a time interval is named with the line in the file."""
    (tmp_path / "am.yml").write_text(FILE.replace("06:00", "26:00"))
    with pytest.raises(ConfigInvalid, match=r"am.yml, line 13: time_intervals\[0\].time_intervals\[0\]: times: "):
        read_routing(Alerting(str(tmp_path / "am.yml")))


def test_the_short_form_is_a_tree() -> None:
    """Alerts go to the receivers of their label ``routes``, others to those of ``alerting.routes``."""
    receivers = {
        "pagerduty": {"type": "pagerduty", "routing_key": "k" * 32},
        "slack": {"type": "slack", "api_url": "https://hooks.example/x"},
        "mail-2": {"type": "email", "to": "a@b", "from": "c@d", "smarthost": "localhost:25"},
    }
    routing = read_routing(Alerting(routes=("slack", "pagerduty"), receivers=receivers))
    assert routing is not None
    assert [one.receiver for one in routing.root.match({"alertname": "x"})] == ["slack", "pagerduty"]
    assert [one.receiver for one in routing.root.match({"routes": "mail-2"})] == ["mail-2"]
    assert [one.receiver for one in routing.root.match({"routes": "slack,mail-2"})] == ["slack", "mail-2"]
    assert routing.receivers["pagerduty"].pagerduty_configs[0].url == "https://events.pagerduty.com/v2/enqueue"
    assert "k" * 32 not in routing.original
    assert read_routing(Alerting()) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Alerting(routes=("x",), receivers={"y": {"type": "webhook", "url": "http://h"}}), "alerting.routes: .*'x'"),
        (Alerting(receivers={"y": {"type": "pigeon"}}), "alerting.receivers.y.type: expected one of webhook"),
        (Alerting(receivers={"Y!": {"type": "webhook"}}), "alerting.receivers: 'Y!'"),
        (Alerting(receivers={"y": {"type": "webhook"}}), "alerting.receivers.y: url or url_file is missing"),
        (Alerting(receivers={"y": {"type": "webhook", "url": "ftp://h"}}), r"alerting.receivers.y.url: expected http"),
        (Alerting(receivers={"y": {"type": "webhook", "urll": "1"}}), r"alerting.receivers.y.urll: unknown setting"),
        (Alerting("x.yml", receivers={"y": {}}), "alerting.config_file: is set beside"),
    ],
)
def test_a_short_form_at_fault_is_told_by_its_path(settings: Alerting, message: str) -> None:
    """The path is that of the settings, not that of the tree made of it."""
    with pytest.raises(ConfigInvalid, match=f"^{message}"):
        read_routing(settings)
