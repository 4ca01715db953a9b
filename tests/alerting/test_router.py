"""The router against a simulated clock."""

from pathlib import Path

import msgspec
import pytest
from alerting.routing_twin import CONFIG, MINUTE_MS, ends, fires, flushed, router_of, routing_of

from nissa.alerting.matchers import read_matchers
from nissa.alerting.router import LogEntry, Router
from nissa.alerting.silences import Silence, Silences
from nissa.model.alert import AlertState
from nissa.model.errors import Unavailable

PAGER, CHAT = "pager/webhook[0]", "chat/slack[0]"


def test_a_life_of_an_alert(tmp_path: Path) -> None:
    """Told once it has waited, again after ``repeat_interval``, and when it has resolved: then it is forgotten."""
    router = router_of(tmp_path)
    router.put([fires(0, severity="page")], 0)
    assert flushed(router, 9_999) == []
    assert sorted(flushed(router, 10_000)) == [(CHAT, "firing", ["load"]), (PAGER, "firing", ["load"])]
    for minute in range(1, 60):
        router.put([fires(minute * MINUTE_MS, severity="page")], minute * MINUTE_MS)
        assert flushed(router, 10_000 + minute * MINUTE_MS) == []
    assert len(flushed(router, 10_000 + 60 * MINUTE_MS)) == 2
    router.put([ends(61 * MINUTE_MS, 0, severity="page")], 61 * MINUTE_MS)
    assert flushed(router, 10_000 + 61 * MINUTE_MS) == [(PAGER, "resolved", ["load!"])]  # chat: send_resolved is false
    assert router.alerts == {}
    assert router.next_ms() is None
    assert len(router.expired_entries(10**12)) == 2


def test_new_alerts_of_a_group_are_told_with_its_others(tmp_path: Path) -> None:
    """At the next ``group_interval``; an alert that resolves before the first flush is never notified."""
    router = router_of(tmp_path)
    router.put([fires(0, b="1"), fires(0, b="3")], 0)
    router.put([ends(5_000, 0, b="3")], 5_000)
    assert flushed(router, 10_000) == [(CHAT, "firing", ["load"])]
    router.put([fires(20_000, b="2")], 20_000)
    assert flushed(router, 69_999) == []
    assert flushed(router, 70_000) == [(CHAT, "firing", ["load", "load"])]


def test_an_alert_whose_sender_is_silent_resolves(tmp_path: Path) -> None:
    """An alert resolves at its end; sent again in time, it goes on with its first start."""
    router = router_of(tmp_path)
    router.put([fires(0, until_ms=30_000, severity="page")], 0)
    flushed(router, 10_000)
    router.put([fires(20_000, until_ms=90_000, severity="page")], 20_000)
    assert flushed(router, 70_000) == []
    (alert,) = router.alerts.values()
    assert alert.starts_at_ms == 0
    assert flushed(router, 130_000) == [(PAGER, "resolved", ["load!"])]
    router.put([ends(140_000, 0, severity="page")], 140_000)  # the sender says so too late: known
    assert router.next_ms() is None


def test_muted_alerts_are_told_once_they_are_not(tmp_path: Path) -> None:
    """Inhibition mutes while its source fires, a silence until it ends; then the alerts are notified."""
    router = router_of(tmp_path)
    router.silences.put(Silence("s", read_matchers("alertname=down"), 0, 100_000, 0, "", ""))
    router.put([fires(0, "down", cluster="a"), fires(0, cluster="a"), fires(0, cluster="b")], 0)
    assert flushed(router, 10_000) == [(CHAT, "firing", ["load"])]  # cluster b
    router.put([ends(60_000, 0, "down", cluster="a")], 60_000)
    assert flushed(router, 70_000) == [(CHAT, "firing", ["load", "load"])]
    router.put([fires(80_000, "down", cluster="a")], 80_000)
    assert flushed(router, 90_000) == []
    assert flushed(router, 150_000) == [(CHAT, "firing", ["down"])]


def test_a_flush_that_is_not_stored_comes_again(tmp_path: Path) -> None:
    """The next flush makes the same decisions."""
    router = router_of(tmp_path)
    router.put([fires(0)], 0)
    flush = router.flush(10_000)
    router.put_back(flush, 11_000)
    assert flushed(router, 10_500) == []
    assert flushed(router, 11_000) == [(CHAT, "firing", ["load"])]


def test_after_a_restart_nobody_is_told_again(tmp_path: Path) -> None:
    """Alerts that fired have time to be sent again; one that is not then has resolved."""
    before = router_of(tmp_path)
    before.put([fires(0, severity="page"), fires(0, b="1", severity="page")], 0)
    flushed(before, 10_000)
    after = Router(routing_of(tmp_path), Silences((), 1), before.log, 100)
    after.restore(before.changed.values(), 1_000_000)
    assert flushed(after, 1_010_000) == []
    after.put([fires(1_020_000, severity="page")], 1_020_000)
    assert flushed(after, 1_310_000) == [(PAGER, "firing", ["load", "load!"])]


def test_only_changes_are_worth_a_write(tmp_path: Path) -> None:
    """An alert that is put again with a later end is none; one that has resolved is, until it is gone."""
    router = router_of(tmp_path)
    router.put([fires(0, until_ms=60_000, severity="page")], 0)
    assert [one.state for one in router.changed.values()] == [AlertState.FIRING]
    router.changed.clear()
    router.put([fires(1, until_ms=70_000, severity="page")], 1)
    assert router.changed == {}
    router.put([ends(5_000, 0, severity="page")], 5_000)
    assert [one.state for one in router.changed.values()] == [AlertState.RESOLVED]
    assert list(router.flush(10_000).changed.values()) == [None]


def test_alerts_are_limited(tmp_path: Path) -> None:
    """Known alerts are always taken; new ones beyond the limit are refused."""
    router = router_of(tmp_path, alerts_max=2)
    with pytest.raises(Unavailable, match=r"1 alerts were not taken.*alerting\.alerts_max"):
        router.put([fires(0, b="1"), fires(0, b="2"), fires(0, b="3")], 0)
    router.put([fires(9, b="1")], 9)
    assert len(router.alerts) == 2


def test_another_configuration_keeps_times_and_log(tmp_path: Path) -> None:
    """A group that stays is due as before and not notified again; a new receiver is notified."""
    router = router_of(tmp_path)
    router.put([fires(0)], 0)
    flushed(router, 10_000)
    other = CONFIG.replace("receiver: chat\n  group_by", "receiver: both\n  group_by")
    other = other.replace(
        "receivers:\n", "receivers:\n  - {name: both, webhook_configs: [{url: http://127.0.0.1:9/}]}\n"
    )
    router.replace_routing(routing_of(tmp_path), 20_000)
    assert router.next_ms() == 70_000
    assert flushed(router, 70_000) == []
    router.replace_routing(routing_of(tmp_path, other), 80_000)
    assert flushed(router, 130_000) == [("both/webhook[0]", "firing", ["load"])]


def test_an_alertmanager_is_told_with_every_flush(tmp_path: Path) -> None:
    """Without repetitions an Alertmanager would take the alert for resolved."""
    text = "route: {receiver: r, group_wait: 0s, group_interval: 1m}\n"
    text += "receivers: [{name: r, alertmanager_configs: [{url: http://127.0.0.1:9/}]}]\n"
    router = router_of(tmp_path, text)
    router.put([fires(0)], 0)
    assert [len(flushed(router, minute * MINUTE_MS)) for minute in range(3)] == [1, 1, 1]


def test_acknowledged_alerts_are_not_repeated(tmp_path: Path) -> None:
    """A group whose firing alerts are all acknowledged is not repeated; new and resolved alerts are still notified."""
    router = router_of(tmp_path)
    seen = msgspec.structs.replace(fires(10 * MINUTE_MS, a="1", severity="page"), acknowledged=True)
    router.put([fires(0, a="1", severity="page"), fires(0, a="2", severity="page")], 0)
    assert len(flushed(router, MINUTE_MS)) == 2
    router.changed.clear()
    router.put([seen], 10 * MINUTE_MS)
    assert [one.acknowledged for one in router.changed.values()] == [True]
    assert sorted(flushed(router, 61 * MINUTE_MS)) == [  # one is not acknowledged
        (CHAT, "firing", ["load", "load"]),
        (PAGER, "firing", ["load", "load"]),
    ]
    router.put([ends(62 * MINUTE_MS, 0, a="2", severity="page")], 62 * MINUTE_MS)
    assert flushed(router, 63 * MINUTE_MS) == [(PAGER, "firing", ["load", "load!"])]
    assert flushed(router, 500 * MINUTE_MS) == []
    router.put([ends(501 * MINUTE_MS, 0, a="1", severity="page")], 501 * MINUTE_MS)
    assert flushed(router, 502 * MINUTE_MS) == [(PAGER, "resolved", ["load!"])]
    router.put([fires(503 * MINUTE_MS, a="1", severity="page")], 503 * MINUTE_MS)  # another firing
    assert len(flushed(router, 504 * MINUTE_MS)) == 2
    assert len(flushed(router, 565 * MINUTE_MS)) == 2


def test_pagerduty_is_told_of_an_acknowledgement_once(tmp_path: Path) -> None:
    """Also after a restart; an alert that is acknowledged before its first notification triggers first."""
    text = "route: {receiver: r, group_wait: 0s, group_interval: 1m, repeat_interval: 1h}\n"
    text += "receivers: [{name: r, pagerduty_configs: [{routing_key: k}]}]\n"
    router = router_of(tmp_path, text)

    def news(now_ms: int) -> list[bool]:
        flush = router.flush(now_ms)
        router.settle(flush)
        return [one.acknowledged for one in flush.notifications]

    router.put([msgspec.structs.replace(fires(0), acknowledged=True)], 0)
    assert [news(0), news(MINUTE_MS), news(2 * MINUTE_MS), news(90 * MINUTE_MS)] == [[False], [True], [], []]
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(list(router.log.values())), type=list[LogEntry])
    after = Router(router.routing, Silences((), 1), dict(zip(router.log, stored, strict=True)), 100)
    after.restore(router.alerts.values(), 91 * MINUTE_MS)
    router = after
    assert news(92 * MINUTE_MS) == []
    seen = msgspec.structs.replace(fires(93 * MINUTE_MS), acknowledged=True)
    router.put([seen, fires(93 * MINUTE_MS, b="1")], 93 * MINUTE_MS)
    assert news(94 * MINUTE_MS) == [False]
    router.put([msgspec.structs.replace(fires(95 * MINUTE_MS, b="1"), acknowledged=True)], 95 * MINUTE_MS)
    assert [news(96 * MINUTE_MS), news(97 * MINUTE_MS)] == [[True], []]
    router.put([ends(98 * MINUTE_MS, 93 * MINUTE_MS, b="1"), ends(98 * MINUTE_MS, 0)], 98 * MINUTE_MS)
    assert news(99 * MINUTE_MS) == [False]
