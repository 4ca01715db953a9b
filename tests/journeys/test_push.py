"""The Pushgateway API of the running daemon, driven by prometheus_client's own functions."""

import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from journeys.rig import Daemon, running
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import delete_from_gateway, push_to_gateway, pushadd_to_gateway

SETTINGS = {"NISSA_SOURCES__PUSH__INTERVAL": "200ms"}


def ask(daemon: Daemon, query: str) -> dict[str, str]:
    """An instant query: value by labels without the name, as JSON."""
    found: list[Any] = daemon.get(f"/api/v1/query?query={quote(query)}")["data"]["result"]
    labels = [{name: text for name, text in each["metric"].items() if name != "__name__"} for each in found]
    return {json.dumps(pairs, sort_keys=True): each["value"][1] for pairs, each in zip(labels, found, strict=True)}


def value(daemon: Daemon, query: str) -> str | None:
    """The only value of an instant query, None where there is none."""
    found = ask(daemon, query)
    assert len(found) < 2
    return next(iter(found.values()), None)


def send(daemon: Daemon, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    link = http.client.HTTPConnection(urlsplit(daemon.ingest_url).netloc, timeout=60)
    link.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
    reply = link.getresponse()
    text = reply.read().decode()
    link.close()
    return reply.status, text


def gauges(**values: float) -> CollectorRegistry:
    """A registry of gauges."""
    registry = CollectorRegistry()
    for name, number in values.items():
        Gauge(name, "Of a test.", registry=registry).set(number)
    return registry


def test_groups_are_there_until_they_are_deleted(tmp_path: Path) -> None:
    """Push, add, kill -9, push again and delete: an instant query sees each at once, and deleted series are stale."""
    data = tmp_path / "data"
    with running(data, environment=SETTINGS) as daemon:
        gateway = daemon.ingest_url
        registry = gauges(rows=7)
        Counter("runs", "Of a test.", registry=registry).inc(3)
        Histogram("took_seconds", "Of a test.", buckets=(1, 2), registry=registry).observe(1.5)
        push_to_gateway(gateway, "nightly", registry, {"place": "a/b c", "none": ""})
        group = json.dumps({"job": "nightly", "place": "a/b c"}, sort_keys=True)
        assert ask(daemon, "rows") == {group: "7"}
        assert value(daemon, 'runs_total{place="a/b c"}') == "3"
        assert value(daemon, 'took_seconds_bucket{le="2.0"}') == "1"
        assert float(value(daemon, "time() - push_time_seconds") or "nan") == pytest.approx(0, abs=60)
        assert value(daemon, "push_failure_time_seconds") == "0"
        push_to_gateway(gateway, "weekly", gauges(rows=1), compression="gzip")
        pushadd_to_gateway(gateway, "nightly", gauges(rows=8, more=1), {"place": "a/b c", "none": ""})
        assert value(daemon, 'rows{job="nightly"}') == "8"
        assert value(daemon, "runs_total") == "3"
        daemon.kill()
    with running(data, environment=SETTINGS) as daemon:
        again = value(daemon, "count_over_time(rows{job='nightly'}[5m])")
        for _ in range(1_200):
            if int(value(daemon, "count_over_time(rows{job='nightly'}[5m])") or 0) > int(again or 0):
                break
            time.sleep(0.05)
        assert daemon.get("/api/status")["sources"]["push"]["groups"] == 2
        push_to_gateway(daemon.ingest_url, "nightly", gauges(rows=9), {"place": "a/b c", "none": ""})
        assert value(daemon, 'rows{job="nightly"}') == "9"
        assert [value(daemon, each) for each in ("runs_total", "more", "took_seconds_count")] == [None, None, None]
        delete_from_gateway(daemon.ingest_url, "nightly", {"place": "a/b c", "none": ""})
        assert ask(daemon, "rows") == {'{"job": "weekly"}': "1"}
        assert len(ask(daemon, "push_time_seconds")) == 1
        assert set(daemon.unaccounted().values()) == {0}
        assert daemon.stop() == 0
    with running(data, environment=SETTINGS) as daemon:
        assert daemon.get("/api/v1/accounting")["data"]["sources"]["push/exposition"]["unaccounted"] == 0
        assert value(daemon, 'rows{job="nightly"}') is None


def test_bad_pushes_change_nothing_but_the_time_of_the_failure(tmp_path: Path) -> None:
    """Each is answered with its fault, and the group stays as it was."""
    with running(tmp_path / "data", environment=SETTINGS) as daemon:
        path = "/metrics/job/j"
        assert send(daemon, "PUT", path, b"x 1\n") == (200, "")
        for body, words in (
            (b"x 1 1758000000000\n", "has a timestamp"),
            (b"x 2", "does not end with a line feed"),
            (b"x 2\r\n", "line 1"),
            (b"x 2\nx 3\n", "stands twice"),
            (b"# TYPE x gauge\nx 2\n# TYPE x counter\n", "a second TYPE"),
            (b"y 1\nx{ 2\n", "line 2"),
        ):
            status, text = send(daemon, "POST", path, body)
            assert status == 400
            assert words in text
        assert send(daemon, "PUT", path, b"x 2\n", Content_Encoding="gzip")[0] == 400
        assert (
            send(daemon, "PUT", path, b"", Content_Type="application/vnd.google.protobuf; encoding=delimited")[0] == 415
        )
        assert send(daemon, "PUT", path, b"y" * 600_000)[0] == 413
        for wrong in (
            "/metrics/job/",
            "/metrics/job",
            "/metrics/job/a/b",
            "/metrics/job@base64/%21",
            "/metrics/job/a/1/2",
        ):
            assert send(daemon, "PUT", wrong, b"x 5\n")[0] == 400
        assert send(daemon, "GET", path)[0] == 405
        assert send(daemon, "DELETE", "/metrics/job/nobody") == (202, "")
        assert ask(daemon, "x") == {'{"job": "j"}': "1"}
        assert float(value(daemon, "time() - push_failure_time_seconds") or "nan") == pytest.approx(0, abs=60)
        facts = daemon.get("/api/status")["sources"]["push"]
        assert (facts["groups"], facts["frames_refused"]) == (1, 0)
        assert set(daemon.unaccounted().values()) == {0}
