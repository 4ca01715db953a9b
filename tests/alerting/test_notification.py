"""Notifications: what alerts share, and digests of several."""

from nissa.alerting.notification import DIGEST_KEY, Notification, digest, rfc3339_text
from nissa.model.alert import Alert, AlertState


def alert(name: str, state: AlertState = AlertState.FIRING) -> Alert:
    return Alert({"alertname": name, "job": "j"}, {"summary": name}, 1, 0, 1, "", 1.0, state, name, "api")


def test_what_all_alerts_share() -> None:
    """Labels and annotations with one value; a notification fires while one alert does."""
    one = Notification("r", "webhook[0]", "g", {}, (alert("a"), alert("b", AlertState.RESOLVED)), 5)
    assert (one.common_labels, one.common_annotations, one.status, one.path) == (
        {"job": "j"},
        {},
        "firing",
        "r/webhook[0]",
    )
    assert [each.fingerprint for each in (*one.firing, *one.resolved)] == ["a", "b"]


def test_a_digest_has_the_last_state_of_each_alert() -> None:
    """A digest counts its notifications, also those of digests in it."""
    first = Notification("r", "c", "g", {}, (alert("a"), alert("b")), 5)
    second = Notification("r", "c", "h", {}, (alert("a", AlertState.RESOLVED),), 6)
    found = digest([digest([first, first], 6), second], 7)
    assert (found.group_key, found.digest_of, found.at_ms) == (DIGEST_KEY, 3, 7)
    assert {each.fingerprint: each.state for each in found.alerts} == {"a": AlertState.RESOLVED, "b": AlertState.FIRING}


def test_times_are_rfc_3339() -> None:
    """Times are written in UTC, with milliseconds."""
    assert rfc3339_text(1_732_190_000_001) == "2024-11-21T11:53:20.001Z"
