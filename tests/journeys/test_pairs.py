"""A pair: two Prometheus scrape the same targets and send to a Nissa each, with a label that tells them apart.

Readers see one: Prometheus by remote read of both, and VictoriaMetrics, to which both send on.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import pytest
from journeys.rig import Daemon, Export, connect, parse_export, post, running
from journeys.test_prometheus import free_port
from journeys.test_scaling import READERS, ask, prometheus
from journeys.test_sinks import wait_for

from nissa._proto import remote_write_v1_pb2 as pb

STEP_S = 15
STEPS = 120  # half an hour
OFFSETS_S = {"a": 0, "b": 4}  # a pair scrapes at different moments
GAP = range(40, 80)  # steps that Prometheus a was down
RATES = {"read": 2, "write": 3}  # per second


def send(daemon: Daemon, name: str, base_s: int) -> int:
    """Counters of half an hour, as one of the pair has them; returns the number of samples."""
    request, count = pb.WriteRequest(), 0
    for method, rate in RATES.items():
        one = request.timeseries.add()
        for label, text in (("__name__", "calls_total"), ("__replica__", name), ("method", method)):
            one.labels.add(name=label, value=text)
        for step in range(STEPS):
            if name != "a" or step not in GAP:
                after_s = step * STEP_S + OFFSETS_S[name]
                one.samples.add(value=1_000 + rate * after_s, timestamp=(base_s + after_s) * 1000)
        count += len(one.samples)
    with contextlib.closing(connect(daemon.ingest_url)) as link:
        assert post(link, bytes(cramjam.snappy.compress_raw(request.SerializeToString()))) // 100 == 2
    wait_for(lambda: sum(map(len, daemon.export("calls_total").values())) == count)
    return count


def result(url: str, query: str, at_s: float) -> dict[str, float]:
    """Method -> value of an instant query, of which no series has a replica."""
    body = ask(url, "/api/v1/query?" + urlencode({"query": query, "time": at_s}))
    found: list[dict[str, Any]] = json.loads(body or b"{}")["data"]["result"]
    assert all(set(one["metric"]) <= {"__name__", "method"} for one in found), found
    return {one["metric"]["method"]: float(one["value"][1]) for one in found}


@pytest.mark.long
@pytest.mark.needs_debian("prometheus")
def test_prometheus_reads_a_pair(tmp_path: Path) -> None:
    """The maximum over the replica label is the rate, also while one of the pair was down."""
    base_s = int(time.time()) // 60 * 60 - 2_400
    with running(tmp_path / "a") as a, running(tmp_path / "b") as b:
        for daemon, name in ((a, "a"), (b, "b")):
            send(daemon, name, base_s)
        with prometheus(tmp_path / "prometheus", READERS.format(a.api_url, b.api_url)) as url:
            for step in (20, 60, 110):
                query = "max without (__replica__) (rate(calls_total[2m]))"
                assert result(url, query, base_s + step * STEP_S) == pytest.approx(RATES)
            replicas = json.loads(ask(url, "/api/v1/query?" + urlencode(
                {"query": "count by (__replica__) (calls_total)", "time": base_s + 20 * STEP_S})) or b"{}")  # fmt: skip
            assert {one["metric"]["__replica__"] for one in replicas["data"]["result"]} == {"a", "b"}
        assert a.stop() == b.stop() == 0


@contextlib.contextmanager
def victoria_metrics(directory: Path, *arguments: str) -> Iterator[str]:
    """A server; its address."""
    directory.mkdir()
    url = f"http://127.0.0.1:{free_port()}"
    command = ["victoria-metrics", f"-httpListenAddr={url.removeprefix('http://')}", "-storageDataPath=data"]
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen([*command, *arguments], cwd=directory, stdout=log, stderr=log)
    try:
        wait_for(lambda: ask(url, "/health") is not None)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
@pytest.mark.needs_debian("victoria-metrics")
def test_a_pair_sends_to_victoria_metrics(tmp_path: Path) -> None:
    """Both sinks drop the replica label; the store keeps one sample of a series in each scrape interval."""
    base_s = int(time.time()) // 60 * 60 - 2_400
    with victoria_metrics(tmp_path / "store", f"-dedup.minScrapeInterval={STEP_S}s") as url:
        sink = {"type": "remote_write", "url": f"{url}/api/v1/write", "matchers": ["calls_total"]}
        sink["write_relabel_configs"] = [{"action": "labeldrop", "regex": "__replica__"}]
        (tmp_path / "nissa.yaml").write_text(json.dumps({"sinks": {"store": sink}}))
        arguments = ("--config", str(tmp_path / "nissa.yaml"))
        with running(tmp_path / "a", *arguments) as a, running(tmp_path / "b", *arguments) as b:
            for daemon, name in ((a, "a"), (b, "b")):
                count = send(daemon, name, base_s)
                wait_for(lambda daemon=daemon, count=count: delivered(daemon) == count)
            end_s = base_s + STEPS * STEP_S
            query = {"query": f"count_over_time(calls_total[{STEPS * STEP_S}s])", "time": end_s, "nocache": "1"}

            def one_in_each_interval() -> bool:  # what was written is found a little later
                found = json.loads(ask(url, "/api/v1/query?" + urlencode(query)) or b"{}")["data"]["result"]
                counts = {one["metric"]["method"]: int(one["value"][1]) for one in found}
                return counts.keys() == RATES.keys() and all(abs(one - STEPS) <= 1 for one in counts.values())

            wait_for(one_in_each_interval)
            for step in (20, 60, 110):
                assert result(url, "rate(calls_total[2m])", base_s + step * STEP_S) == pytest.approx(RATES, rel=0.2)
            assert a.stop() == b.stop() == 0


@pytest.mark.long
@pytest.mark.needs_debian("victoria-metrics")
def test_equal_samples_are_one_in_victoria_metrics(tmp_path: Path) -> None:
    """Two Nissas that got the same samples send both; the store keeps each once, and has exactly what a Nissa has."""
    base_s = int(time.time()) // 60 * 60 - 2_400
    with victoria_metrics(tmp_path / "store", "-dedup.minScrapeInterval=1ms") as url:
        sink = {"type": "remote_write", "url": f"{url}/api/v1/write", "matchers": ["calls_total"]}
        (tmp_path / "nissa.yaml").write_text(json.dumps({"sinks": {"store": sink}}))
        arguments = ("--config", str(tmp_path / "nissa.yaml"))
        with running(tmp_path / "a", *arguments) as a, running(tmp_path / "b", *arguments) as b:
            for daemon in (a, b):
                count = send(daemon, "b", base_s)
                wait_for(lambda daemon=daemon, count=count: delivered(daemon) == count)
            expected = a.export("calls_total")
            path = "/api/v1/export?" + urlencode({"match[]": "calls_total", "start": base_s})
            wait_for(lambda: sum(map(len, rows_of(ask(url, path)).values())) >= 2 * STEPS)
            assert rows_of(ask(url, path)) == expected == b.export("calls_total")
            assert a.stop() == b.stop() == 0


def rows_of(body: bytes | None) -> Export:
    """The export of the store. Raises where a sample is in it twice."""
    return parse_export(body or b"")


def delivered(daemon: Daemon) -> int:
    """Samples that the sink has delivered."""
    return int(daemon.get("/api/v1/accounting")["data"]["sinks"]["store"]["delivered"])
