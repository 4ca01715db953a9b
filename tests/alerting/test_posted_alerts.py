"""Alerts and silences as they are posted."""

import json
from typing import Any

import pytest

from nissa.alerting.posted_alerts import faults_text, read_posted_alerts, read_posted_silence
from nissa.config.alerting import Alerting
from nissa.model.alert import AlertState
from nissa.model.errors import BadQuery
from nissa.model.matcher import MatchOp

NOW_MS = 1_732_190_000_000  # 2024-11-21T11:53:20Z
LIMITS = Alerting(labels_max=3, label_bytes_max=64, annotations_max=3, annotation_bytes_max=64)


def read(*posted: dict[str, Any]) -> tuple[list[Any], list[str]]:
    return read_posted_alerts(json.dumps(posted).encode(), LIMITS, 300_000, NOW_MS)


def test_an_alert_is_read() -> None:
    """Go's zero and a missing time mean now and ``resolve_timeout``; empty labels are no labels."""
    one = {"labels": {"alertname": "x", "b": ""}, "annotations": {"c": "d"}, "generatorURL": "http://q"}
    (alert,), faults = read({**one, "startsAt": "0001-01-01T00:00:00Z"})
    assert not faults
    assert (alert.labels, alert.annotations, alert.generator_url) == ({"alertname": "x"}, {"c": "d"}, "http://q")
    assert (alert.starts_at_ms, alert.ends_at_ms, alert.state) == (NOW_MS, NOW_MS + 300_000, AlertState.FIRING)
    times = {"startsAt": "2024-11-21T11:00:00.123456789Z", "endsAt": "2024-11-21T12:53:19+01:00"}
    (alert,), _ = read({**one, **times})
    assert (alert.ends_at_ms, alert.state) == (NOW_MS - 1_000, AlertState.RESOLVED)
    assert alert.starts_at_ms % 1_000 == 123


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        ({"labels": {}}, "alerts[1].labels: at least one is needed"),
        ({"labels": {"": "x"}}, "alerts[1].labels: a name is empty"),
        ({"labels": {"a": "x\0y"}}, "alerts[1].labels: the zero character is not allowed"),
        ({"labels": {"x\0y": "a"}}, "alerts[1].labels: the zero character is not allowed"),
        (
            {"labels": {"a": "1"}, "annotations": dict.fromkeys("abcd", "1")},
            "alerts[1].annotations: 4 are over the limit of 3 (alerting.annotations_max)",
        ),
        ({"labels": dict.fromkeys("abcd", "1")}, "alerts[1].labels: 4 are over the limit of 3 (alerting.labels_max)"),
        (
            {"labels": {"a": "x" * 64}},
            "alerts[1].labels.a: 65 bytes are over the limit of 64 (alerting.label_size_max)",
        ),
        (
            {"labels": {"a": "1"}, "annotations": {"b": "x" * 1_000_000}},
            "alerts[1].annotations.b: 1000001 bytes are over",
        ),
        ({"labels": {"a": "1"}, "startsAt": "noon"}, "alerts[1].startsAt: 'noon' is not a time"),
        (
            {"labels": {"a": "1"}, "startsAt": "2024-11-21T12:00:00Z", "endsAt": "2024-11-21T11:00:00Z"},
            "alerts[1].endsAt: start time must be before",
        ),
    ],
)
def test_an_alert_at_fault_is_told_by_its_place(one: dict[str, Any], fault: str) -> None:
    """The others of the request are taken."""
    alerts, faults = read({"labels": {"ok": "1"}}, one, {"labels": {"ok": "2"}})
    assert len(alerts) == 2
    assert faults_text(faults).startswith(fault)


@pytest.mark.parametrize("body", [b"", b"{}", b'[{"labels": 1}]', b"[" * 5_000, b'[{"labels": {"a": "\xff"}}]'])
def test_what_is_no_list_of_alerts_is_refused(body: bytes) -> None:
    """A body that is no list of alerts is refused as a whole."""
    with pytest.raises(BadQuery, match="cannot be read"):
        read_posted_alerts(body, LIMITS, 1, NOW_MS)


def test_a_silence_is_read() -> None:
    """Its matchers have flags for pattern and negation."""
    matchers = [
        {"name": "a", "value": "b.*", "isRegex": True},
        {"name": "c", "value": "d", "isRegex": False, "isEqual": False},
    ]
    posted = {"matchers": matchers, "startsAt": "2024-11-21T11:53:20Z", "endsAt": "2024-11-21T11:53:21Z"}
    one = read_posted_silence(json.dumps({**posted, "createdBy": "ann", "comment": "why"}).encode())
    assert [(each.op, each.value) for each in one.matchers] == [(MatchOp.FITS, "b.*"), (MatchOp.NOT_EQUAL, "d")]
    assert (one.starts_at_ms, one.ends_at_ms) == (NOW_MS, NOW_MS + 1_000)
    matchers[0]["value"] = "("
    with pytest.raises(BadQuery, match="pattern"):
        read_posted_silence(json.dumps({**posted, "createdBy": "ann", "comment": "why"}).encode())
