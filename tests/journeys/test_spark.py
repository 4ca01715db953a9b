"""Spark reads the Iceberg tables of two Nissas; jobs over both have what Nissa itself answers.

The server of Spark Connect runs on Java, out of Maven artifacts; the client is PySpark.
"""

import importlib.util
import io
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import cramjam
import numpy as np
import pytest
from journeys.iceberg_catalogues import SqlCatalogue
from journeys.java_servers import JavaServer
from journeys.rig import Daemon, connect, post, running
from journeys.test_iceberg import wait_copied
from journeys.test_prometheus import free_port
from journeys.test_sinks import wait_for

from nissa._proto import remote_write_v1_pb2 as pb

HOUR_MS = 3_600_000
JOBS = Path(__file__).parents[2] / "deploy" / "spark" / "nissa_jobs.py"
SETTINGS = {"NISSA_STORAGE__SEAL_INTERVAL": "400ms", "NISSA_LADDER__GRACE": "0"}
SKETCH_ERROR = 0.011  # relative, docs/promql.md
PACKAGES = (  # of Java, which Spark reaches into
    "java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent "
    "java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar"
)


@contextmanager
def spark(directory: Path, catalogue: dict[str, str], warehouse: Path) -> Iterator[Any]:
    """A session of a server with this catalogue, named nissa."""
    pytest.importorskip("pyspark", reason="pyspark-client is missing: Spark is NOT tested")
    from pyspark.sql import SparkSession

    port = free_port()
    settings = {
        "master": "local[2]",
        "ui.enabled": "false",
        "connect.grpc.binding.port": str(port),
        "sql.session.timeZone": "UTC",
        "sql.shuffle.partitions": "2",
        "driver.host": "127.0.0.1",
        "driver.bindAddress": "127.0.0.1",
        "sql.catalog.nissa": "org.apache.iceberg.spark.SparkCatalog",
        "sql.catalog.nissa.warehouse": str(warehouse),
        **{f"sql.catalog.nissa.{name}": value for name, value in catalogue.items()},
    }
    arguments = ["-Xmx1g", *(f"--add-opens=java.base/{one}=ALL-UNNAMED" for one in PACKAGES.split())]
    arguments += [f"-Dspark.{name}={value}" for name, value in settings.items()]
    main = "org.apache.spark.sql.connect.service.SparkConnectServer"
    server = JavaServer("spark", [*arguments, main], directory, prints=False)
    try:
        wait_for(lambda: server.process.poll() is not None or is_open(port))
        assert server.process.poll() is None, (directory / "log").read_text()[-3_000:]
        session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        yield session
        session.stop()
    finally:
        server.kill()


def is_open(port: int) -> bool:
    """True once a server listens there."""
    import socket

    with closing(socket.socket()) as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def jobs() -> ModuleType:
    """The jobs that are deployed."""
    spec = importlib.util.spec_from_file_location("nissa_jobs", JOBS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(daemon: Daemon, **question: str) -> list[dict[str, Any]]:
    """Lines of an export of the metric."""
    status, body = daemon.request("GET", "/api/v1/export?" + urlencode({"match[]": "request_seconds", **question}))
    assert status == 200, body[:300]
    return [json.loads(line) for line in io.BytesIO(body)]


def key_of(labels: dict[str, str]) -> tuple[str, ...]:
    """A series."""
    return tuple(sorted(f"{name}={text}" for name, text in labels.items()))


def body_of(rows: list[tuple[dict[str, str], int, float]]) -> bytes:
    """A remote write body of (labels, ts_ms, value)."""
    request = pb.WriteRequest()
    for labels, ts_ms, value in rows:
        one = request.timeseries.add()
        for name, text in sorted(labels.items()):
            one.labels.add(name=name, value=text)
        one.samples.add(value=value, timestamp=ts_ms)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def send(daemon: Daemon, node: str, base_ms: int, draw: random.Random) -> None:
    """Two hours of three services on a node, and of one that both nodes have, as an HA pair does."""
    pair = random.Random(8)
    with closing(connect(daemon.ingest_url)) as link:
        for first_ms in range(base_ms, base_ms + 2 * HOUR_MS, HOUR_MS // 2):
            rows = []
            for ts_ms in range(first_ms, first_ms + HOUR_MS // 2, 15_000):
                for service in ("api", "login", "search"):
                    labels = {"__name__": "request_seconds", "service": service, "node": node}
                    rows.append((labels, ts_ms, draw.lognormvariate(-2, 1)))
                rows.append(({"__name__": "request_seconds", "service": "both"}, ts_ms, pair.lognormvariate(-2, 1)))
            assert post(link, body_of(rows)) // 100 == 2


def windows_of(daemons: list[Daemon], resolution: str) -> dict[tuple[tuple[str, ...], int], dict[str, Any]]:
    """(series, start) -> window, as the Nissas export them."""
    found: dict[tuple[tuple[str, ...], int], dict[str, Any]] = {}
    for daemon in daemons:
        for line in lines(daemon, resolution=resolution, quantiles="0.5,0.99"):
            for at, start_ms in enumerate(line["timestamps"]):
                window = {name: line[name][at] for name in line if name not in ("metric", "resolution", "timestamps")}
                found[key_of(line["metric"]), start_ms] = window
    return found


def check_downsampling(session: Any, daemons: list[Daemon]) -> int:
    """The job has the windows of 5 minutes of both; returns their number."""
    found = {
        (key_of(row.labels), round(row.start.timestamp() * 1000)): row
        for row in jobs().downsample(session, "request_seconds", 300).collect()
    }
    expected = windows_of(daemons, "5m")
    assert found.keys() == expected.keys()
    for key, window in expected.items():
        row = found[key]
        for name in ("count", "min", "max", "first", "last"):
            assert row[name] == window[name], (key, name)
        assert math.isclose(row["sum"], window["sum"], rel_tol=1e-12), key
    return len(found)


def check_percentiles(session: Any, daemons: list[Daemon]) -> None:
    """Over all nodes the job has the quantiles of all samples; of a series those of Nissa's sketches."""
    samples: dict[tuple[str, int], dict[tuple[tuple[str, ...], int], float]] = defaultdict(dict)
    for daemon in daemons:
        for line in lines(daemon):
            for ts_ms, value in zip(line["timestamps"], line["values"], strict=True):
                hour_ms = ts_ms // HOUR_MS * HOUR_MS
                samples[line["metric"]["service"], hour_ms][key_of(line["metric"]), ts_ms] = value
    rows = jobs().percentile(session, "request_seconds", 3_600, ["service"], [0.5, 0.99]).collect()
    found = {(row.service, round(row.start.timestamp() * 1000)): row for row in rows}
    assert found.keys() == samples.keys()
    for group, inside in samples.items():
        assert found[group]["count"] == len(inside)
        assert np.allclose(found[group].quantiles, np.quantile(list(inside.values()), [0.5, 0.99]), rtol=1e-12)
    rows = jobs().percentile(session, "request_seconds", 3_600, ["service", "node"], [0.5, 0.99]).collect()
    of_series = {(row.service, row.node, round(row.start.timestamp())): row.quantiles for row in rows}
    compared = 0
    for daemon, place in ((daemon, place) for daemon in daemons for place in (0, 1)):
        question = {"query": f"quantile_over_time({(0.5, 0.99)[place]}, request_seconds[1h])", "resolution": "1h"}
        for hour_s in sorted({start_s for *_, start_s in of_series}):
            answer = daemon.get(f"/api/v1/query?{urlencode({**question, 'time': hour_s + 3_600})}")
            for one in answer["data"]["result"]:
                key = one["metric"]["service"], one["metric"].get("node"), hour_s
                assert math.isclose(float(one["value"][1]), of_series[key][place], rel_tol=SKETCH_ERROR), key
                compared += 1
    assert compared >= 2 * 2 * 4 * 2


@pytest.mark.slow
@pytest.mark.timeout(900)  # the artifacts are fetched, and Spark takes its time on a busy machine
def test_jobs_over_two_nissas(tmp_path: Path) -> None:
    """Windows and quantiles that Spark computes out of the tables are those of Nissa."""
    lake = tmp_path / "lake"
    lake.mkdir()
    catalogue = SqlCatalogue(lake).properties
    sink = {"type": "iceberg", "warehouse": str(lake), "catalog": catalogue, "interval": "1s"}
    (tmp_path / "nissa.yaml").write_text(json.dumps({"sinks": {"lake": sink}}))
    arguments = ("--config", str(tmp_path / "nissa.yaml"))
    base_ms = (int(time.time() * 1000) - 3 * HOUR_MS) // HOUR_MS * HOUR_MS
    with (
        running(tmp_path / "a", *arguments, environment=SETTINGS) as a,
        running(tmp_path / "b", *arguments, environment=SETTINGS) as b,
    ):
        for daemon, node in ((a, "a"), (b, "b")):
            send(daemon, node, base_ms, random.Random(node))
        for daemon in (a, b):
            wait_copied(daemon)
        with spark(tmp_path / "spark", {"type": "jdbc", "uri": f"jdbc:sqlite:{lake}/catalogue.db"}, lake) as session:
            assert check_downsampling(session, [a, b]) == 7 * 24
            check_percentiles(session, [a, b])
        assert a.stop() == b.stop() == 0
