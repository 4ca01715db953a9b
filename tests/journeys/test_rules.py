"""Rules of a running daemon: results are stored, alerts live over kill -9, reload takes all or nothing."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import pytest
from journeys.rig import Daemon, connect, post, running
from journeys.rig import send as send_message

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa._proto.telemetry_pb2 import TelemetryEvent

DEADLINE_S = 60
RULES = """
groups:
- name: training
  interval: 200ms
  rules:
  - record: job:latency_ms:max
    expr: max by (job) (latency_ms)
  - alert: LatencyHigh
    expr: job:latency_ms:max > 18
    for: 400ms
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.job }} takes {{ $value }} ms"}
"""


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise RuntimeError("waited in vain")


def send(daemon: Daemon, value: float) -> None:
    """One sample of latency_ms, now."""
    request = WriteRequest()
    series = request.timeseries.add()
    for name, text in (("__name__", "latency_ms"), ("job", "a")):
        series.labels.add(name=name, value=text)
    series.samples.add(value=value, timestamp=time.time_ns() // 1_000_000)
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    assert post(connect(daemon.ingest_url), body) == 204


def alerts(daemon: Daemon, state: str) -> list[dict[str, Any]]:
    """Alerts in a state."""
    found = daemon.get("/api/v1/alerts")["data"]["alerts"]
    return [alert for alert in found if alert["state"] == state]


def transitions(daemon: Daemon) -> list[str]:
    """States that the alert has entered, oldest first."""
    found = daemon.get("/api/v1/alerts/history")["data"]["transitions"]
    return [one["to_state"] for one in reversed(found)]


def post_form(daemon: Daemon, path: str, **form: str) -> tuple[int, str]:
    """Status and answer of a POST to the API."""
    request = urllib.request.Request(f"{daemon.api_url}{path}", urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.long
def test_an_alert_fires_over_a_kill_and_resolves(tmp_path: Path) -> None:
    """An alert fires on recorded data, is acknowledged, still fires after kill -9, and resolves: it fired once."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    environment = {"NISSA_RULES__FILES": json.dumps([str(rules)]), "NISSA_RULES__RESTORE_GRACE": "2s"}
    with running(tmp_path / "data", environment=environment) as daemon:
        send(daemon, 25)
        (alert,) = wait_for(lambda: alerts(daemon, "firing"))
        assert alert["labels"] == {"alertname": "LatencyHigh", "job": "a", "severity": "critical"}
        assert (alert["annotations"], alert["value"]) == ({"summary": "a takes 25 ms"}, "2.5e+01")
        path = f"/api/alerts/{alert['fingerprint']}/ack"
        assert post_form(daemon, path, user="ann", comment="I look")[0] == 200
        assert post_form(daemon, "/api/v1/alerts/f00/acknowledge", user="ann")[0] == 400
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        wait_for(lambda: daemon.get("/api/status")["rules"]["evaluations"])
        (again,) = wait_for(lambda: alerts(daemon, "firing"))
        assert again["activeAt"] == alert["activeAt"]
        assert again["acknowledgement"]["user"] == "ann"
        send(daemon, 3)
        (group,) = wait_for(
            lambda: [
                group
                for group in daemon.get("/api/v1/rules")["data"]["groups"]
                if group["rules"][1]["state"] == "inactive"
            ]
        )
        assert [rule["health"] for rule in group["rules"]] == ["ok", "ok"]
        wait_for(lambda: transitions(daemon)[2:])
        assert transitions(daemon) == ["pending", "firing", "resolved"]
        query = urlencode({"query": 'count_over_time(ALERTS{alertstate="firing"}[5m])'})
        assert daemon.get(f"/api/v1/query?{query}")["data"]["result"]
        wait_for(lambda: daemon.get("/api/v1/query?query=ALERTS")["data"]["result"] == [])
        _reload(daemon, rules)
        assert daemon.stop() == 0


@pytest.mark.long
def test_critical_events_fire_alerts(tmp_path: Path) -> None:
    """An event that is stored raises an alert with its dedup key; others of lower levels raise none."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("event_alerts: [{name: Crash, by: [worker], expiry: 1h, description: '{{ $labels.event }}'}]")
    environment = {"NISSA_RULES__FILES": json.dumps([str(rules)]), "NISSA_RULES__INTERVAL": "200ms"}
    with running(tmp_path / "data", environment=environment) as daemon:
        for level, worker in ((4, "w1"), (4, "w1"), (1, "w2")):
            event = TelemetryEvent(event_id="crash", description="process_crash", source="sim", level=level)
            event.timestamp_ms = time.time_ns() // 1_000_000
            event.attributes.add(name="worker", value=worker)
            body = event.SerializeToString()
            assert send_message(connect(daemon.ingest_url), "nissa.v2.TelemetryEvent", body)[0] == 204
        (alert,) = wait_for(lambda: alerts(daemon, "firing"))
        assert alert["labels"] == {"alertname": "Crash", "source": "sim", "event": "process_crash", "worker": "w1"}
        assert alert["annotations"] == {"description": "process_crash"}


def _reload(daemon: Daemon, rules: Path) -> None:
    """A file with a fault changes nothing; one without it is taken."""
    rules.write_text(RULES.replace("max by", "mox by"))
    status, answer = post_form(daemon, "/-/reload")
    assert status >= 400, answer
    assert "line 7" in answer
    assert daemon.get("/api/status")["rules"]["rules"] == 2
    rules.write_text(RULES.replace("LatencyHigh", "Slow"))
    assert post_form(daemon, "/-/reload")[0] == 200
    wait_for(lambda: daemon.get("/api/v1/rules?rule_name[]=Slow")["data"]["groups"])
