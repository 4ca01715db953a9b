"""Exports over HTTP: forms, completeness, limits, and clients that go away."""

import gzip
import io
import socket
import time

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nissa.config.tree import Api
from nissa.model.columns import STALE_BITS, SampleBatch
from oracle.backend_twin import BackendTwin, regular
from oracle.json_lines import read_json_lines

LABELS = [{"__name__": "up", "job": "api"}, {"__name__": "up", "job": 'q"\n\\日本😀'}]
UP = {"match[]": "up"}


class Faulty(BackendTwin):
    """A backend whose samples cannot be had."""

    def snapshot(self):
        raise RuntimeError("no such luck")


def lines_of(answer: httpx.Response) -> list[tuple[str, list[int], list[int]]]:
    assert answer.status_code == 200, answer.text
    return [
        (line.metric["job"], line.timestamps.tolist(), line.values.view(np.uint64).tolist())
        for line in read_json_lines(answer.content)
    ]


def test_an_export_gives_back_every_bit(serve):
    """Labels, times and values of all series, NaN payloads and the staleness marker too."""
    bits = np.array([0x3FF0000000000000, STALE_BITS, 0x7FF8000000000001, 0xFFF8000000000123, 1 << 63, 1], np.uint64)
    batch = SampleBatch(np.array([0, 0, 0, 1, 1, 1], np.uint32), np.array([1, 2, 3, 1, 2, 3]), bits.view(np.float64))
    client = serve(BackendTwin(LABELS, batch))
    expected = [("api", [1], bits[:1]), ("api", [2, 3], bits[1:3])]
    expected += [(LABELS[1]["job"], [2, 3], bits[4:]), (LABELS[1]["job"], [1], bits[3:4])]
    expected = [(job, times, part.tolist()) for job, times, part in expected]
    assert lines_of(client.get("/api/v1/export", params={**UP, "stale": "split"})) == expected
    assert lines_of(client.post("/api/v1/export", data={**UP, "stale": "split"})) == expected
    assert lines_of(client.get("/api/v1/export", params=UP)) == [expected[0], expected[2]]


def test_both_ends_of_the_range_are_inside(serve):
    """start and end include samples at these very milliseconds."""
    client = serve(BackendTwin(LABELS, regular(2, 10)))
    answer = client.get("/api/v1/export", params={**UP, "start": "1732190002", "end": "2024-11-21T11:53:24Z"})
    assert [[ts - 1_732_190_000_000 for ts in line[1]] for line in lines_of(answer)] == [[2_000, 3_000, 4_000]] * 2


def test_nothing_selected_is_an_empty_answer(serve):
    """200 and no lines where no series or no sample fits."""
    client = serve(BackendTwin(LABELS, regular(2, 10)))
    assert client.get("/api/v1/export", params={"match[]": "down"}).content == b""
    assert client.get("/api/v1/export", params={**UP, "end": "5"}).content == b""


def test_a_long_export_is_complete(serve):
    """A million samples arrive, in order, in lines of bounded length."""
    client = serve(BackendTwin(LABELS, regular(2, 500_000)))
    seen = {"api": 0, LABELS[1]["job"]: 0}
    for job, timestamps, _ in lines_of(client.get("/api/v1/export", params=UP)):
        assert len(timestamps) <= 20_000
        assert timestamps[0] == 1_732_190_000_000 + 1_000 * seen[job]
        seen[job] += len(timestamps)
    assert set(seen.values()) == {500_000}


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ],
)
def test_other_forms(serve, form, media_type):
    """format= chooses; the answer says its media type and suggests a file name."""
    client = serve(BackendTwin(LABELS, regular(2, 1_000)))
    answer = client.get("/api/v1/export", params={**UP, "format": form})
    assert answer.headers["content-type"] == media_type
    assert f"nissa-export.{form}" in answer.headers["content-disposition"]
    rows = {
        "csv": lambda data: len(data.splitlines()) - 1,
        "parquet": lambda data: parquet.read_table(io.BytesIO(data)).num_rows,
        "arrow": lambda data: pa.ipc.open_stream(data).read_all().num_rows,
    }
    content = answer.content.replace(b"\\n", b"")
    assert rows[form](answer.content if form != "csv" else content) >= 2_000


def test_gzip_for_those_who_take_it(serve):
    """Texts are compressed only where the client says it reads gzip."""
    client = serve(BackendTwin(LABELS, regular(2, 1_000)))
    plain = client.get("/api/v1/export", params=UP, headers={"accept-encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", "/api/v1/export", params=UP, headers={"accept-encoding": "br, gzip"}) as zipped:
        assert zipped.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(zipped.iter_raw())) == plain.content


def test_a_fault_before_the_first_sample_is_told(serve):
    """Before the stream begins, a failure has its status code; the next request is answered."""
    client = serve(Faulty(LABELS, regular(1, 1)))
    answer = client.get("/api/v1/export", params=UP)
    assert (answer.status_code, answer.json()["errorType"]) == (500, "internal")
    assert "luck" not in answer.text
    assert client.get("/api/status").json()["queries"]["failed"] == {"RuntimeError": 1}
    assert client.get("/api/v1/labels").status_code == 200


def test_exports_beyond_the_limit_are_told_to_come_again(serve):
    """An export held open fills a gate of one: the next gets 503 with Retry-After, short questions still pass."""
    client = serve(BackendTwin(LABELS, regular(2, 1_000_000)), Api(concurrent_queries_max=1))
    with client.stream("GET", "/api/v1/export", params=UP, headers={"accept-encoding": "identity"}) as held:
        assert held.status_code == 200
        refused = httpx.get(f"{client.base_url}/api/v1/export", params=UP, timeout=60)
        assert (refused.status_code, refused.json()["errorType"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{client.base_url}/api/v1/labels", timeout=60).status_code == 200
    _until(lambda: client.get("/api/status").json()["queries"]["exports_running"] == 0)
    assert client.get("/api/v1/export", params={**UP, "end": "1732190001"}).status_code == 200


def test_a_client_that_goes_away_gives_its_place_back(serve):
    """A connection cut in the middle of an export ends the work behind it."""
    client = serve(BackendTwin(LABELS, regular(2, 2_000_000)), Api(concurrent_queries_max=1))
    with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
        raw.sendall(b"GET /api/v1/export?match[]=up HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 200")
    _until(lambda: client.get("/api/status").json()["queries"]["exports_running"] == 0)


def _until(holds) -> None:
    """Wait until ``holds()``; the test's own timeout is the limit."""
    while not holds():
        time.sleep(0.02)
