"""The files sink against a real S3 server: what it copies is read like a data directory, over outages and kills."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, running
from journeys.s3_server import BUCKET, S3Server
from journeys.test_sinks import Sender, wait_for

import nissa
from nissa.model.errors import NissaError


def rows_in(folder: Path) -> dict[tuple[str, int], float]:
    """(label i, ts_ms) -> value of the metric ``copied`` in a copy of the bucket."""
    try:
        with nissa.open(folder) as data:
            rows = data.samples("copied", label_columns=["i"]).to_pylist()
    except (NissaError, OSError):  # before the first copy, or while files are replaced
        return {}
    return {(row["i"], round(row["timestamp"].timestamp() * 1000)): row["value"] for row in rows}


def facts(daemon: Daemon, sink: str) -> dict[str, Any]:
    """Status of a sink."""
    found: dict[str, Any] = daemon.get("/api/status")["sinks"][sink]
    return found


@pytest.mark.slow
def test_a_bucket_holds_what_is_sealed(tmp_path: Path) -> None:
    """Files arrive; the server is killed, Nissa too: both go on, the bucket has every sample; another has no bucket."""
    server = S3Server(tmp_path / "s3")
    try:
        config = tmp_path / "nissa.json"
        sink = {"type": "files", "url": f"s3://{BUCKET}/prefix", "interval": "1s"}
        wrong = {"type": "files", "url": "s3://missing/prefix", "interval": "1s"}
        storage = {"seal_interval": "1s"}
        config.write_text(json.dumps({"sinks": {"archive": sink, "wrong": wrong}, "storage": storage}))
        sender = Sender("copied", int(time.time() * 1000) - 60_000)
        arguments = tmp_path / "data", "--config", str(config)

        with running(*arguments, environment=server.environment) as daemon:
            sender.send(daemon, 10)
            daemon.wait_sealed()
            wait_for(lambda: rows_in(server.folder / "prefix") == sender.rows)
            server.kill()
            sender.send(daemon, 10)
            wait_for(lambda: facts(daemon, "archive")["state"] == "failing")
            assert "Connection refused" in facts(daemon, "archive")["error"]
            daemon.kill()
        with running(*arguments, environment=server.environment) as daemon:
            server.start()
            daemon.wait_sealed()
            wait_for(lambda: rows_in(server.folder / "prefix") == sender.rows)
            wait_for(lambda: facts(daemon, "archive")["state"] == "up")
            wait_for(lambda: "NoSuchBucket" in str(facts(daemon, "wrong")["error"]))
            assert daemon.stop() == 0
    finally:
        server.kill()
