"""Rollups of a running daemon: they go on after kill -9, and the janitor runs by the API."""

import json
import time
from pathlib import Path
from typing import Any

import cramjam
import pytest
from journeys.rig import Daemon, connect, post, running
from journeys.test_rules import post_form, wait_for

from nissa._proto.remote_write_v1_pb2 import WriteRequest

SETTINGS = """
silver:
  interval: 1s
  metrics: [{match: latency_ms, tags: [route]}]
"""


def send(daemon: Daemon, value: float) -> None:
    """A sample of each of two instances, now."""
    request = WriteRequest()
    for instance in ("i1", "i2"):
        series = request.timeseries.add()
        labels = {"__name__": "latency_ms", "instance": instance, "route": "/a", "service": "api"}
        for name, text in labels.items():
            series.labels.add(name=name, value=text)
        series.samples.add(value=value, timestamp=time.time_ns() // 1_000_000)
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    assert post(connect(daemon.ingest_url), body) == 204


def total(daemon: Daemon) -> tuple[int, float]:
    """Count and sum of all hours of the service."""
    rows = daemon.get("/api/v1/silver/rollups?service=api&metric=latency_ms")["data"]["rollups"]
    return sum(row["count"] for row in rows), sum(row["sum"] for row in rows)


@pytest.mark.long
def test_rollups_go_on_over_a_kill(tmp_path: Path) -> None:
    """Instances are added up, routes stay; trends; a policy by the API, audited; the janitor deletes nothing young."""
    config = tmp_path / "nissa.yaml"
    config.write_text(SETTINGS)
    with running(tmp_path / "data", "--config", str(config)) as daemon:
        send(daemon, 10)
        wait_for(lambda: total(daemon) == (2, 20))
        send(daemon, 30)
        daemon.kill()
    with running(tmp_path / "data", "--config", str(config)) as daemon:
        wait_for(lambda: total(daemon) == (4, 80))
        rows: list[dict[str, Any]] = daemon.get("/api/v1/silver/rollups?granularity=minute")["data"]["rollups"]
        assert {json.dumps(row["tags"]) for row in rows} == {'{"route": "/a"}'}
        assert daemon.get("/api/v1/silver/trends?period=month&service=api")["status"] == "success"
        path = "/api/v1/system_config/retention_policy"
        assert daemon.request("GET", path)[0] == 404
        assert post_form(daemon, path, value='{"minute_metrics": -1}')[0] == 400
        assert post_form(daemon, path, value='{"minute_metrics": 3}')[0] == 200
        assert daemon.get(path)["data"]["value"] == {"minute_metrics": 3, "hourly_metrics": 0}
        found = json.loads(post_form(daemon, "/api/v1/silver/janitor", dry="true")[1])["data"]
        assert (found["minutes"], found["combinations"]) == (0, 1)
        actions = {one["action"] for one in daemon.get("/api/v1/audit")["data"]["entries"]}
        assert {"system_config.set", "silver.janitor"} <= actions
        assert daemon.stop() == 0
