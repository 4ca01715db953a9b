"""Nissas as stores of Thanos, and as senders to it. Where there is no Thanos, the requests that its sidecar makes."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import httpx
import pytest
import yaml
from journeys.go_programs import Server, sidecars_and_query, thanos
from journeys.rig import Daemon, Ledger, connect, post, running
from journeys.test_prometheus import free_port
from journeys.test_sinks import wait_for
from prometheus_client.parser import text_string_to_metric_families

from nissa._proto.remote_read_pb2 import LabelMatcher, Query, ReadRequest
from oracle.xor_twin import read_chunk, read_frames

CLAIMS = 60
VALUES = "ledger_value[1h]"
READ_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-stream-protobuf",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
    "User-Agent": "thanos/0.40.1",
}


def settings(directory: Path, name: str, tree: dict[str, Any]) -> tuple[str, str]:
    """Arguments of a Nissa with these settings."""
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(tree))
    return "--config", str(path)


def replica(name: str) -> dict[str, Any]:
    """Settings of one of a pair."""
    return {"api": {"external_labels": {"replica": name, "site": "lab"}}}


def feed(ledger: Ledger, daemons: list[Daemon], places: dict[int, tuple[int, ...]]) -> None:
    """Send claims: number % 3 says to which of the daemons; wait until they are visible."""
    with contextlib.ExitStack() as closing:
        links = [closing.enter_context(contextlib.closing(connect(daemon.ingest_url))) for daemon in daemons]
        counts = [0] * len(daemons)
        for number in range(CLAIMS):
            claim = ledger.claim()
            for place in places[number % 3]:
                assert post(links[place], ledger.body(claim)) == 204
                counts[place] += 20
            ledger.oblige(claim)
    for daemon, count in zip(daemons, counts, strict=True):
        wait_for(lambda daemon=daemon, count=count: sum(map(len, daemon.export().values())) == count)


def owed(ledger: Ledger) -> dict[tuple[tuple[str, str], ...], tuple[int, float]]:
    """Labels -> time and value; every series of the ledger has one sample."""
    return {labels: (ts_ms, value) for claim in ledger.acknowledged for labels, ts_ms, value in ledger.samples(claim)}


def found_by(query: Server, expression: str, **parameters: str) -> dict[tuple[tuple[str, str], ...], tuple[int, float]]:
    """Labels -> time and value of the samples of a range."""
    found = {}
    for one in query.query(expression, **parameters):
        ((at_s, value),) = one["values"]
        found[tuple(sorted(one["metric"].items()))] = round(at_s * 1000), float(value)
    return found


@pytest.mark.long
def test_requests_of_the_sidecar(tmp_path: Path) -> None:
    """What Thanos' sidecar asks for, in the form it asks: it would start, and answer series, names and values."""
    ledger = Ledger(61)
    with running(tmp_path / "data", *settings(tmp_path, "nissa", replica("a"))) as daemon:
        feed(ledger, [daemon], dict.fromkeys(range(3), (0,)))
        with httpx.Client(base_url=daemon.api_url, timeout=60) as client:
            config = client.get("/api/v1/status/config").json()["data"]["yaml"]
            assert yaml.safe_load(config)["global"]["external_labels"] == {"replica": "a", "site": "lab"}
            flags = client.get("/api/v1/status/flags").json()["data"]
            assert all(isinstance(value, str) for value in flags.values())
            assert client.get("/api/v1/status/buildinfo").json()["data"]["version"]
            families = list(text_string_to_metric_families(client.get("/metrics").text))
            assert any(family.name.startswith("nissa_") for family in families)
            assert client.get("/-/ready").status_code == 200
            span = {"start": ledger.base_ms / 1000, "end": ledger.base_ms / 1000 + 3_600, "match[]": "ledger_value"}
            names = client.get("/api/v1/labels?" + urlencode(span)).json()["data"]
            assert set(names) == {"__name__", "claim", "index", "job"}
            values = client.get("/api/v1/label/claim/values?" + urlencode(span)).json()["data"]
            assert set(values) == {str(claim % 97) for claim in ledger.acknowledged}
            series = client.get("/api/v1/series?" + urlencode({**span, "limit": 0})).json()["data"]
            assert {tuple(sorted(one.items())) for one in series} == owed(ledger).keys()
            for path in ("rules?type=alert", "rules?type=record", "alerts", "metadata", "targets?state=any"):
                assert client.get(f"/api/v1/{path}").json()["status"] == "success"
            assert client.get("/api/v1/query_exemplars?query=up&start=1&end=2").json()["status"] == "success"
            check_chunks(client, ledger)
        assert daemon.stop() == 0


def check_chunks(client: httpx.Client, ledger: Ledger) -> None:
    """Remote read gives chunks, series in order of their labels, with external labels."""
    matcher = LabelMatcher(type=LabelMatcher.Type.EQ, name="__name__", value="ledger_value")
    query = Query(start_timestamp_ms=ledger.base_ms, end_timestamp_ms=int(time.time() * 1000), matchers=[matcher])
    body = ReadRequest(queries=[query], accepted_response_types=[1]).SerializeToString()
    answer = client.post("/api/v1/read", content=bytes(cramjam.snappy.compress_raw(body)), headers=READ_HEADERS)
    assert answer.headers["content-type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    series = [one for frame in read_frames(answer.content) for one in frame.chunked_series]
    labels = [tuple((label.name, label.value) for label in one.labels) for one in series]
    assert labels == sorted(labels)
    external = (("replica", "a"), ("site", "lab"))
    assert set(labels) == {tuple(sorted((*own, *external))) for own in owed(ledger)}
    times = {read_chunk(chunk.data)[0][0] for one in series for chunk in one.chunks}
    assert times == {ts_ms for ts_ms, _ in owed(ledger).values()}


@pytest.mark.slow
def test_thanos_queries_two(tmp_path: Path) -> None:
    """Sidecars over two Nissas: series of both with their external labels, and those of a pair once."""
    ledger = Ledger(62)
    with (
        running(tmp_path / "a", *settings(tmp_path, "a", replica("a"))) as a,
        running(tmp_path / "b", *settings(tmp_path, "b", replica("b"))) as b,
    ):
        feed(ledger, [a, b], {0: (0,), 1: (1,), 2: (0, 1)})
        with sidecars_and_query(tmp_path / "thanos", [a.api_url, b.api_url], "replica") as query:
            expected = {(*labels, ("site", "lab")): row for labels, row in owed(ledger).items()}
            assert found_by(query, VALUES, dedup="true") == expected
            copies = found_by(query, VALUES, dedup="false")
            assert len(copies) == len(expected) * 4 // 3
            assert {dict(labels)["replica"] for labels in copies} == {"a", "b"}
            of_a = found_by(query, 'ledger_value{replica="a"}[1h]', dedup="false")
            assert len(of_a) == len(copies) // 2
            (total,) = query.query("sum(count_over_time(ledger_value[1h]))", dedup="true")
            assert int(total["value"][1]) == len(expected)
            names = json.loads(query.get("/api/v1/labels?" + urlencode({"match[]": "ledger_value"})) or b"{}")["data"]
            assert set(names) == {"__name__", "claim", "index", "job", "replica", "site"}
        assert a.stop() == b.stop() == 0


@pytest.mark.slow
def test_a_pair_sends_to_thanos_receive(tmp_path: Path) -> None:
    """Two Nissas with the same samples and a replica label in their sinks: Thanos has both, and answers one."""
    ledger, port = Ledger(63), free_port()
    where = [f"--remote-write.address=127.0.0.1:{port}", '--label=receive="0"', "--tsdb.path=data"]
    where += [
        "--tsdb.retention=15d",
        f"--receive.local-endpoint=127.0.0.1:{port}",
        "--tsdb.out-of-order.time-window=1h",
    ]
    receive = thanos(tmp_path / "receive", "receive", *where)
    try:
        receive.wait_ready()
        sinks = [
            {"sinks": {"thanos": {"type": "remote_write", "url": f"http://127.0.0.1:{port}/api/v1/receive",
             "external_labels": {"__replica__": name}, "matchers": ["ledger_value"]}}}
            for name in "ab"
        ]  # fmt: skip
        query = thanos(tmp_path / "q", "query", "--query.replica-label=__replica__", f"--endpoint={receive.grpc}")
        try:
            with (
                running(tmp_path / "a", *settings(tmp_path, "a", sinks[0])) as a,
                running(tmp_path / "b", *settings(tmp_path, "b", sinks[1])) as b,
            ):
                feed(ledger, [a, b], dict.fromkeys(range(3), (0, 1)))
                query.wait_ready()
                wait_for(lambda: len(found_by(query, VALUES, dedup="false")) == 2 * len(owed(ledger)))
                found = found_by(query, VALUES, dedup="true")
                inner = [("receive", "0"), ("tenant_id", "default-tenant")]
                assert found == {tuple(sorted((*key, *inner))): row for key, row in owed(ledger).items()}
                assert a.stop() == b.stop() == 0
        finally:
            query.kill()
    finally:
        receive.kill()
