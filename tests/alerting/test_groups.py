"""Groups of alerts: their keys, and when they are due."""

from nissa.alerting.groups import Groups, group_key
from nissa.alerting.route_tree import compile_routes
from nissa.config.alertmanager_file import RouteConfig
from nissa.config.scrape_configs import Milliseconds
from nissa.model.alert import Alert, AlertState, label_fingerprint
from nissa.model.errors import ConfigInvalid

ROOT = compile_routes(
    RouteConfig("r", ("a",), group_wait=Milliseconds(100), group_interval=Milliseconds(1_000)), ConfigInvalid
)


def alert(starts_at_ms: int, **labels: str) -> Alert:
    return Alert(
        labels, {}, starts_at_ms, 0, starts_at_ms, "", 1.0, AlertState.FIRING, label_fingerprint(labels), "api"
    )


def test_a_group_is_due_after_group_wait_of_its_first_alert() -> None:
    """The second alert of the group does not put it off; another group has its own time."""
    groups = Groups()
    groups.put(alert(1_000, a="1", b="1"), ROOT, 1_000)
    groups.put(alert(1_050, a="1", b="2"), ROOT, 1_050)
    groups.put(alert(1_050, a="2"), ROOT, 1_050)
    assert (len(groups), groups.next_ms()) == (2, 1_100)
    assert groups.due(1_099, 10) == []
    (first,) = groups.due(1_100, 10)
    assert (first.key, len(first.alerts)) == ('{}:{a="1"}', 2)
    assert groups.next_ms() == 1_150
    groups.schedule(first, 2_100)
    assert [one.key for one in groups.due(9_999, 10)] == ['{}:{a="2"}', '{}:{a="1"}']
    assert groups.next_ms() is None


def test_an_alert_that_has_waited_elsewhere_does_not_wait_again() -> None:
    """Its group is due at once, also where it joins one that waits; not after the first flush."""
    groups = Groups()
    groups.put(alert(1_000, a="1", b="1"), ROOT, 1_000)
    groups.put(alert(500, a="1", b="2"), ROOT, 1_050)
    (group,) = groups.due(1_050, 10)
    group.flushed = True
    groups.schedule(group, 2_050)
    groups.put(alert(500, a="1", b="3"), ROOT, 1_060)
    assert groups.next_ms() == 2_050


def test_keys_are_those_of_alertmanager() -> None:
    """Path of the route and labels, quoted as Go does."""
    child = compile_routes(RouteConfig("r", routes=(RouteConfig(matchers=('s="x"',)),)), ConfigInvalid).routes[0]
    assert group_key(child, {}) == '{}/{s="x"}:{}'
    assert group_key(child, {"a": 'q"\\', "b": "2"}) == '{}/{s="x"}:{a="q\\"\\\\", b="2"}'
