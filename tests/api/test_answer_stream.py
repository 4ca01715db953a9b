"""Answers of any size, and clients that go away before them."""

import gzip
import json
import socket
import time
from urllib.parse import quote

from nissa.api.answer_stream import WHOLE_BYTES
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular

FIRST_S = 1_732_190_000
HEAVY = "sum(quantile_over_time(0.5, up[400s]))"  # some hundred series of 11,000 steps per slice of work


def series(count: int) -> list[dict[str, str]]:
    return [{"__name__": "up", "instance": f"host-{at}"} for at in range(count)]


def test_a_large_answer_is_a_stream_that_is_complete(serve):
    """Every sample once, compressed or not, without a length; a small one has its length."""
    client = serve(BackendTwin(series(40), regular(40, 2_000)))
    question = {"query": "up[1h]", "time": str(FIRST_S + 1_999)}
    plain = client.get("/api/v1/query", params=question, headers={"Accept-Encoding": "identity"})
    zipped = client.get("/api/v1/query", params=question, headers={"Accept-Encoding": "gzip"})
    assert len(plain.content) > WHOLE_BYTES
    assert "content-length" not in plain.headers
    assert plain.json() == zipped.json()
    assert [len(one["values"]) for one in plain.json()["data"]["result"]] == [2_000] * 40
    small = client.get("/api/v1/query", params={"query": "1"})
    assert int(small.headers["content-length"]) == len(small.content)


def test_the_first_bytes_of_a_compressed_stream_can_be_read(serve):
    """The coding is of the whole stream, not of each chunk."""
    client = serve(BackendTwin(series(40), regular(40, 2_000)))
    question = {"query": "up[1h]", "time": str(FIRST_S + 1_999)}
    with client.stream("GET", "/api/v1/query", params=question, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert json.loads(gzip.decompress(raw))["status"] == "success"


def test_a_client_that_goes_away_ends_its_query_and_frees_its_memory(serve):
    """The work ends at its next check, long before it would be done; its place and its memory are free again."""
    client = serve(BackendTwin(series(4_000), regular(4_000, 400)), Api(concurrent_queries_max=1))
    query = f"/api/v1/query_range?query={quote(HEAVY)}&start={FIRST_S}&end={FIRST_S + 10_000}&step=1"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
        raw.sendall(f"GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        _until(lambda: [one["query"] for one in client.get("/api/v1/status/active_queries").json()["data"]] == [HEAVY])
    _until(lambda: client.get("/api/v1/status/active_queries").json()["data"] == [])
    answer = client.get("/api/v1/query", params={"query": "1"})
    assert answer.status_code == 200
    load = client.get("/api/status").json()["queries"]
    assert load["failed"] == {"QueryCanceled": 1}
    assert load["memory_bytes"] == 0


def test_a_reader_of_a_large_answer_shuts_no_question_out(serve):
    """Its place among the questions is free once its answer is a stream."""
    client = serve(BackendTwin(series(100), regular(100, 5_000)), Api(concurrent_queries_max=1))
    with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
        query = f"/api/v1/query?query=up[2h]&time={FIRST_S + 5_000}"
        raw.sendall(f"GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert raw.recv(12) == b"HTTP/1.1 200"
        _until(lambda: client.get("/api/status").json()["queries"]["exports_running"] == 1)
        assert client.get("/api/v1/query", params={"query": "1"}).status_code == 200
    _until(lambda: client.get("/api/status").json()["queries"]["exports_running"] == 0)


def _until(holds) -> None:
    """Wait until ``holds()``; the test's own timeout is the limit."""
    while not holds():
        time.sleep(0.01)
