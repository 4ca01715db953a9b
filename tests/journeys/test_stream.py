"""The live stream of a running daemon: events with resumption, alerts that are acknowledged, the summary."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from journeys.rig import Daemon, running
from journeys.test_rules import RULES, alerts, send, wait_for
from websockets.sync.client import ClientConnection, connect

STREAM = {"NISSA_API__STREAM__INTERVAL": "200ms", "NISSA_API__STREAM__EVENTS_INTERVAL": "200ms"}


def asked(daemon: Daemon, path: str, **form: str) -> Any:
    """The answer of a POST."""
    connection = http.client.HTTPConnection(urlsplit(daemon.api_url).netloc, timeout=60)
    connection.request("POST", path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, content
    return content["data"]


@contextmanager
def opened(daemon: Daemon, **subscription: str) -> Iterator[ClientConnection]:
    """A stream with a subscription."""
    with connect(daemon.api_url.replace("http", "ws") + "/ws/stream", open_timeout=60) as stream:
        stream.send(json.dumps({"type": "subscribe", **subscription}))
        yield stream


def event(stream: ClientConnection, mode: str) -> dict[str, Any]:
    """The message with the event of a change to this mode."""
    while True:
        found: dict[str, Any] = json.loads(stream.recv(timeout=60))
        if found["type"] == "events" and any(mode in str(one["attributes"]) for one in found["events"]):
            return found


def test_events_go_on_where_they_stopped(tmp_path: Path) -> None:
    """Events are pushed; events that happen while no client is connected follow the cursor."""
    with running(tmp_path / "data", environment=STREAM) as daemon:
        with opened(daemon, id="e", channel="events") as stream:
            assert json.loads(stream.recv(timeout=60))["type"] == "status"
            asked(daemon, "/api/v1/mode", mode="conservative")
            cursor = event(stream, "conservative")["cursor"]
        asked(daemon, "/api/v1/mode", mode="emergency")
        with opened(daemon, id="e", channel="events", cursor=cursor) as stream:
            assert "conservative" not in str(event(stream, "emergency")["events"][0]["attributes"].get("to", ""))


def test_an_alert_is_seen_live_and_acknowledged(tmp_path: Path) -> None:
    """The stream counts and shows it; the acknowledgement is in the stream, the summary and the audit log."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    settings = {**STREAM, "NISSA_RULES__FILES": json.dumps([str(rules)])}
    with (
        running(tmp_path / "data", environment=settings) as daemon,
        opened(daemon, id="a", channel="alerts") as stream,
    ):
        send(daemon, 25.0)
        fires = wait_for(lambda: alerts(daemon, "firing"))
        fingerprint = fires[0]["fingerprint"]
        while json.loads(stream.recv(timeout=60)).get("alert_count") != 1:
            pass
        assert asked(daemon, f"/api/alerts/{fingerprint}/ack", user="ann", comment="mine")["user"] == "ann"
        while "ann" not in str(stream.recv(timeout=60)):
            pass
        summary = daemon.get("/api/metrics/summary")
        assert summary["top_alerts"][0]["acknowledgement"]["user"] == "ann"
        assert summary["alerts"]["LatencyHigh"]["metric"] == "LatencyHigh"
        assert summary["training_throughput"]["epochs_per_second"] is None
        assert daemon.get("/api/status")["active_alerts"] == 1
        entry = daemon.get("/api/v1/audit?action=alert")["data"]["entries"][0]
        assert (entry["action"], entry["target"], entry["after"]["comment"]) == (
            "alert.acknowledge",
            fingerprint,
            "mine",
        )
