"""Incidents of a running daemon: an alert opens one with evidence, over kill -9, and a receiver hears of it."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cramjam
import pytest
from journeys.rig import Daemon, connect, nissa_command, post, running
from journeys.test_alerting import Hook, settings, wait_for
from journeys.test_rules import post_form

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from oracle.databases import server

RULES = """
groups:
- name: api
  interval: 200ms
  rules:
  - alert: TooSlow
    expr: latency_ms > 18
    labels: {severity: critical, incident: "true"}
    annotations: {summary: "{{ $labels.service }} is slow"}
"""


@pytest.fixture
def hook() -> Any:
    """A webhook that takes everything."""
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def send(daemon: Daemon, value: float) -> None:
    """Samples of a service, now."""
    request = WriteRequest()
    for name in ("latency_ms", "depth"):
        series = request.timeseries.add()
        for label, text in (("__name__", name), ("service", "api")):
            series.labels.add(name=label, value=text)
        series.samples.add(value=value, timestamp=time.time_ns() // 1_000_000)
    assert post(connect(daemon.ingest_url), bytes(cramjam.snappy.compress_raw(request.SerializeToString()))) == 204


def incidents(daemon: Daemon, query: str = "") -> list[dict[str, Any]]:
    """Incidents, the newest first."""
    return daemon.get(f"/api/v1/incidents?{query}")["data"]["incidents"]


def post_event(daemon: Daemon, **event: Any) -> tuple[int, dict[str, Any]]:
    """Status and answer of the Events API."""
    request = urllib.request.Request(f"{daemon.api_url}/api/events", json.dumps(event).encode())
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def post_alert(daemon: Daemon, labels: dict[str, str], *, ended: bool = False) -> int:
    """Status of an alert that has fired since a fixed time, posted as a Prometheus does."""
    alert = {"labels": labels, "startsAt": "2024-11-21T11:53:20Z"}
    if ended:
        alert["endsAt"] = "2024-11-21T12:53:20Z"
    request = urllib.request.Request(f"{daemon.api_url}/api/v2/alerts", json.dumps([alert]).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as reply:
        return int(reply.status)


def environment_of(folder: Path, hook: Hook) -> dict[str, str]:
    """A rule that opens incidents, a receiver, and quick turns."""
    rules = folder / "rules.yaml"
    rules.write_text(RULES)
    own = {
        "NISSA_RULES__FILES": json.dumps([str(rules)]),
        "NISSA_RULES__RESTORE_GRACE": "2s",
        "NISSA_INCIDENTS__INTERVAL": "100ms",
        "NISSA_INCIDENTS__ESCALATE_AFTER": "1s",
    }
    return own | settings(folder, hook)


@pytest.mark.long
def test_an_alert_opens_an_incident_over_kills(tmp_path: Path, hook: Hook) -> None:
    """One incident with evidence and a pin, escalated and announced; it resolves with the alert, and announces that."""
    environment = environment_of(tmp_path, hook)
    with running(tmp_path / "data", environment=environment) as daemon:
        send(daemon, 25)
        wait_for(lambda: incidents(daemon))
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        send(daemon, 25)
        (one,) = incidents(daemon)
        facts = [one[name] for name in ("state", "service", "severity", "title")]
        assert facts == ["open", "api", "critical", "api is slow"]
        path = f"/api/v1/incidents/{one['id']}"
        evidence = wait_for(lambda: daemon.get(path)["data"]["evidence"])
        assert [graph["expression"] for graph in evidence["graphs"]] == ["latency_ms"]
        assert evidence["graphs"][0]["last_day"]  # with what has opened it, a moment ago
        assert evidence["missing"] == []
        assert any(alert["rule"] == "TooSlow" for alert in evidence["alerts"])
        wait_for(lambda: [pin for pin in daemon.get("/api/v1/pins")["data"] if pin["name"] == f"incident {one['id']}"])
        wait_for(lambda: daemon.get(path)["data"]["escalation"])
        told = wait_for(lambda: [body for _, body in hook.posted if "escalation" in json.dumps(body)])
        assert told[0]["alerts"][0]["labels"]["incident_id"] == str(one["id"])
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        send(daemon, 25)
        assert post_form(daemon, f"{path}/acknowledge", user="ann", comment="on it")[0] == 200
        status, answer = post_form(daemon, f"{path}/acknowledge", user="bob")
        assert (status, "it is acknowledged" in answer) == (400, True)
        send(daemon, 3)
        wait_for(lambda: incidents(daemon, "incident_state=resolved"))
        room = daemon.get(path)["data"]
        kinds = [entry["kind"] for entry in room["timeline"]]
        assert kinds.index("opened") < kinds.index("escalated") < kinds.index("acknowledged") < kinds.index("resolved")
        assert (room["responder"], [alert["labels"]["alertname"] for alert in room["alerts"]]) == ("ann", ["TooSlow"])
        wait_for(lambda: hook.states().get("Incident") == "resolved")
        text = nissa_command("incidents", "postmortem", str(one["id"]), "--api", daemon.api_url).decode()
        assert "**acknowledged** by ann: on it" in text
        assert daemon.get("/api/v1/incidents/summary?service=api")["data"]["resolved"] == 1
        assert len(incidents(daemon)) == 1
        assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.needs_debian("postgresql")
def test_other_systems_and_people_open_incidents(tmp_path: Path, hook: Hook) -> None:
    """By the Events API, over and over with one effect, by hand, merged and reopened; in PostgreSQL, and audited."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(server())
        own = environment_of(tmp_path, hook) | {
            "NISSA_DATABASE__URL": url,
            "NISSA_INCIDENTS__EVENTS_PER_MINUTE_MAX": "9",
        }
        daemon = stack.enter_context(running(tmp_path / "data", environment=own))
        payload = {"summary": "disk full", "source": "db-1", "severity": "warning"}
        for _ in range(2):
            status, answer = post_event(daemon, event_action="trigger", dedup_key="d", payload=payload, client="cr\0on")
            assert (status, answer["dedup_key"]) == (202, "d")
        (one,) = incidents(daemon)
        assert (one["urgency"], one["service"], one["source"]) == ("medium", "db-1", "events")
        assert post_event(daemon, event_action="acknowledge", dedup_key="d")[0] == 202
        assert post_event(daemon, event_action="acknowledge", dedup_key="d")[0] == 202
        assert post_event(daemon, event_action="resolve", dedup_key="other")[0] == 202
        assert post_event(daemon, event_action="trigger", payload={**payload, "severity": "bad"})[0] == 400
        assert post_event(daemon, event_action="explode")[0] == 400
        status, answer = post_form(daemon, "/api/v1/incidents", title="by hand", severity="critical", user="ann")
        by_hand = json.loads(answer)["data"]
        assert (status, by_hand["new"], by_hand["urgency"]) == (200, True, "high")
        path = f"/api/v1/incidents/{by_hand['id']}"
        assert post_form(daemon, f"/api/v1/incidents/{one['id']}/merge", into=str(by_hand["id"]))[0] == 200
        assert post_event(daemon, event_action="resolve", dedup_key="d")[1]["incident_id"] == by_hand["id"]
        assert post_form(daemon, f"{path}/reopen", comment="not yet")[0] == 200
        assert post_form(daemon, path, severity="info")[0] == 200
        assert post_form(daemon, "/api/v1/incidents/999/resolve")[0] == 404
        room = daemon.get(path)["data"]
        assert (room["state"], room["severity"], room["timeline"][-1]["text"]) == (
            "open",
            "info",
            "severity: critical to info",
        )
        labels = {"alertname": "Posted", "service": "mail", "severity": "warning", "incident": "true"}
        for _ in range(2):
            assert post_alert(daemon, labels) == 200
        assert post_alert(daemon, {**labels, "incident": "false", "service": "other"}) == 200
        (posted,) = incidents(daemon, "service=mail")
        assert (posted["key"], posted["severity"], posted["source"]) == ("alert:Posted:mail", "warning", "alert")
        assert post_alert(daemon, labels, ended=True) == 200
        assert [found["state"] for found in incidents(daemon, "service=mail")] == ["resolved"]
        assert incidents(daemon, "service=other") == []
        actions = {entry["action"] for entry in daemon.get("/api/v1/audit?action=incident")["data"]["entries"]}
        assert {"incident.open", "incident.merge", "incident.reopen", "incident.change"} <= actions
        assert post_event(daemon, event_action="trigger", dedup_key="e", payload=payload)[0] == 202
        wait_for(lambda: post_event(daemon, event_action="trigger", dedup_key="e", payload=payload)[0] == 429)
        listed = nissa_command("incidents", "list", "--json", "--state", "open", "--api", daemon.api_url)
        assert len(listed.splitlines()) == 2
        assert daemon.stop() == 0


def test_commands_take_an_incident_through_its_life(tmp_path: Path) -> None:
    """Opened by hand once for one title, commented on, merged, assigned; faults of the caller end with exit code 2."""
    with running(tmp_path / "data") as daemon:

        def command(*arguments: str) -> str:
            return nissa_command("incidents", *arguments, "--api", daemon.api_url).decode()

        options = ("--service", "disks", "--severity", "warning", "--responder", "ada")
        assert command("open", "the disk fills", *options) == "incident 1 is open\n"
        assert command("open", "the disk fills") == "incident 1 is open: it has the same key\n"
        assert command("open", "writes fail", "--key", "writes", "--urgency", "high") == "incident 2 is open\n"
        assert command("comment", "1", "a volume is on its way") == "incident 1 has the comment\n"
        assert command("merge", "2", "--into", "1") == "incident 2 is merged into 1\n"
        assert command("assign", "1", "bob") == "incident 1 is open; responder: bob\n"
        assert command("assign", "1", "") == "incident 1 is open; responder: nobody\n"
        room = daemon.get("/api/v1/incidents/1")["data"]
        assert [room[name] for name in ("service", "severity", "urgency", "responder")] == [
            *("disks", "warning", "medium", ""),
        ]
        kinds = [(entry["kind"], entry["text"]) for entry in room["timeline"]][1:]
        assert kinds == [
            ("comment", "a volume is on its way"),
            ("merged", "with incident 2"),
            ("changed", "responder: ada to bob"),
            ("changed", "responder: bob to none"),
        ]
        command_line = [sys.executable, "-m", "nissa.cli.main", "incidents", "merge", "1", "--into", "1"]
        done = subprocess.run([*command_line, "--api", daemon.api_url], capture_output=True, check=False)
        assert (done.returncode, b"cannot be merged into itself" in done.stderr) == (2, True)
        assert daemon.stop() == 0
