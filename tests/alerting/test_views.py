"""Alerts and groups as the API shows them."""

from pathlib import Path

import pytest
from alerting.routing_twin import ends, fires, router_of

from nissa.alerting.matchers import read_matchers
from nissa.alerting.silences import Silence
from nissa.alerting.views import AlertViews, alert_query, filter_matchers
from nissa.model.errors import BadQuery

ALL = {"active": True, "silenced": True, "inhibited": True, "muted": True}


@pytest.fixture
def views(tmp_path: Path) -> AlertViews:
    """One alert that mutes another, one that a silence mutes, one that has resolved."""
    router = router_of(tmp_path)
    down, load = fires(0, "down", cluster="a"), fires(0, cluster="a", severity="page")
    router.put([down, load, fires(0, "quiet"), fires(0, "old")], 0)
    router.put([ends(10, 0, "old")], 10)
    router.silences.put(Silence("s", read_matchers("alertname=quiet"), 0, 1_000, 0, "", ""))
    router.silences.put(Silence("t", read_matchers("alertname=other"), 0, 500, 0, "", ""))
    router.silences.put(Silence("u", read_matchers("alertname=other"), 0, 50, 0, "", ""))
    return AlertViews(router, lambda: 100)


def test_alerts_have_receivers_and_what_mutes_them(views: AlertViews) -> None:
    """Selected by matchers, receiver and state; resolved ones are not shown."""
    by_name = {one.alert.labels["alertname"]: one for one in views.alerts(alert_query([], "", **ALL))}
    assert set(by_name) == {"down", "load", "quiet"}
    assert by_name["load"].inhibited_by == (by_name["down"].alert.fingerprint,)
    assert by_name["load"].receivers == ("pager", "chat")
    assert by_name["quiet"].silenced_by == ("s",)

    def names(*filters: str, receiver: str = "", **states: bool) -> set[str]:
        found = views.alerts(alert_query(filters, receiver, **{**ALL, **states}))
        return {one.alert.labels["alertname"] for one in found}

    assert names("cluster=a", "alertname!=down") == {"load"}
    assert names(receiver="pag.*") == {"load"}
    assert names(receiver="pager") == {"load"}
    assert names(active=False) == {"load", "quiet"}
    assert names(silenced=False) == {"down", "load"}
    assert names(inhibited=False) == {"down", "quiet"}


def test_groups_are_by_route_and_labels(views: AlertViews) -> None:
    """An alert of two receivers is in two groups."""
    found = views.groups(alert_query(["alertname=load"], "", **ALL))
    assert [(one.labels, one.receiver, len(one.alerts)) for one in found] == [
        ({"alertname": "load"}, "chat", 1),
        ({"alertname": "load"}, "pager", 1),
    ]
    assert views.groups(alert_query([], "nobody", **ALL)) == []


def test_silences_are_listed_by_state(views: AlertViews) -> None:
    """Active ones first, by their end; filters compare with their matchers."""
    assert [one.id for one in views.silences(())] == ["t", "s", "u"]
    assert [one.id for one in views.silences(filter_matchers(["alertname=quiet"]))] == ["s"]
    assert views.silence("x") is None
    with pytest.raises(BadQuery, match="receiver"):
        alert_query([], "(", **ALL)
