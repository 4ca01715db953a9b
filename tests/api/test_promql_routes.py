"""Questions in PromQL over HTTP: shapes, parameters, limits and errors as Prometheus has them."""

import httpx
import msgspec
import numpy as np
import pytest

from nissa.config.tree import Api
from nissa.model.columns import SampleBatch
from nissa.model.units import HOUR_MS
from nissa.store.read import Snapshot
from oracle.backend_twin import BackendTwin, regular

FIRST_S = 1_732_190_000
LABELS = [
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "up", "job": "db"},
    {"__name__": "seen_total", "job": "api"},
]


@pytest.fixture
def client(serve) -> httpx.Client:
    """Ten seconds of three series, each counting from its own number: 0, 100 and 200."""
    batch = regular(3, 10)
    value = np.repeat([0.0, 100.0, 200.0], 10) + np.tile(np.arange(10.0), 3)
    return serve(BackendTwin(LABELS, SampleBatch(batch.series, batch.ts_ms, value)))


def both(client: httpx.Client, path: str, **parameters: str) -> httpx.Response:
    """The answer by GET, which that by POST form equals."""
    by_get, by_post = client.get(path, params=parameters), client.post(path, data=parameters)
    assert by_get.status_code == by_post.status_code
    assert by_get.json() == by_post.json() or "stats" in parameters
    return by_get


def test_a_scalar_at_a_time(client):
    """Grafana's health check: 1+1 at time 4."""
    answer = both(client, "/api/v1/query", query="1+1", time="4")
    assert answer.text == '{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}'
    assert answer.headers["content-type"] == "application/json"


def test_a_vector_now_and_at_a_time(client):
    """Without a time the moment of the request counts."""
    answer = both(client, "/api/v1/query", query='up{job="db"}').json()["data"]
    metric = {"__name__": "up", "job": "db"}
    assert answer == {"resultType": "vector", "result": [{"metric": metric, "value": [FIRST_S + 9, "109"]}]}
    earlier = both(client, "/api/v1/query", query='up{job="db"}', time=f"{FIRST_S + 2}.5").json()["data"]
    assert earlier["result"][0]["value"] == [FIRST_S + 2.5, "102"]


def test_a_matrix(client):
    """A range query by seconds and by durations; a range selector at one time gives samples as they are."""
    spans = [{"step": "2"}, {"step": "2s"}, {"step": "2000ms"}]
    for span in spans:
        answer = both(
            client, "/api/v1/query_range", query="seen_total", start=str(FIRST_S), end="2024-11-21T11:53:24Z", **span
        )
        values = [[FIRST_S, "200"], [FIRST_S + 2, "202"], [FIRST_S + 4, "204"]]
        assert answer.json()["data"] == {"resultType": "matrix", "result": [{"metric": LABELS[2], "values": values}]}
    samples = both(client, "/api/v1/query", query="seen_total[2s]", time=str(FIRST_S + 4)).json()["data"]
    assert samples["resultType"] == "matrix"
    assert samples["result"][0]["values"] == [[FIRST_S + 3, "203"], [FIRST_S + 4, "204"]]


def test_a_string(client):
    """A text is an answer of its own kind."""
    answer = both(client, "/api/v1/query", query='"a\\"b"', time="1.5").json()["data"]
    assert answer == {"resultType": "string", "result": [1.5, 'a"b']}


def test_warnings_and_infos(client):
    """Warnings and infos are beside the data, worded as in Prometheus."""
    at = {"time": str(FIRST_S + 9)}
    warned = both(client, "/api/v1/query", query="quantile(2, up)", **at).json()
    assert warned["warnings"] == ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]
    over = both(client, "/api/v1/query", query="limit_ratio(2, up)", **at).json()
    assert over["warnings"] == ["PromQL warning: ratio value should be between -1 and 1, got 2, capping to 1 (1:13)"]
    informed = both(client, "/api/v1/query", query="rate(up[5s])", **at).json()
    assert informed["infos"][0].startswith("PromQL info: metric might not be a counter")


def test_a_limit_cuts_with_a_warning(client):
    """The first series of vectors, of matrices and of samples; one that just fits does not warn."""
    at = {"time": str(FIRST_S + 9)}
    span = {"start": str(FIRST_S), "end": str(FIRST_S + 9), "step": "1"}
    for path, query in (("query", "up"), ("query", "up[5s]"), ("query_range", "up")):
        times = span if path == "query_range" else at
        cut = both(client, f"/api/v1/{path}", query=query, limit="1", **times).json()
        whole = both(client, f"/api/v1/{path}", query=query, limit="2", **times).json()
        assert cut["warnings"] == ["results truncated due to limit"]
        assert cut["data"]["result"] == whole["data"]["result"][:1]
        assert "warnings" not in whole


class Aged(BackendTwin):
    """Six hours of a counter, whose samples of the first three have expired but are still there in part."""

    def snapshot(self) -> Snapshot:
        return msgspec.structs.replace(super().snapshot(), expired={"raw": HOUR_MS * 3 - 1})


def test_the_rungs_of_an_answer_are_named(serve):
    """A header names the rungs, and an info tiers; each step is answered by one of them."""
    ts_ms = np.arange(0, 6 * HOUR_MS, 60_000)
    client = serve(Aged(LABELS[2:], SampleBatch(np.zeros(len(ts_ms), np.uint32), ts_ms, ts_ms / 1000)))
    kept = "samples are retained from 1970-01-01T03:00:00.000Z on"
    span = {"query": "increase(seen_total[1h])", "start": "3600", "end": "21600", "step": "1h"}
    for names, resolution, says in (
        ({}, "raw, 1h", [f"answered in part from windows of 1h, as {kept}"]),
        ({"resolution": "auto"}, "raw, 1h", 1),
        ({"max_source_resolution": "auto"}, "raw, 1h", 1),
        ({"resolution": "5m"}, "5m", ["answered from windows of 5m"]),
        ({"max_source_resolution": "5m"}, "5m", 1),
        ({"resolution": "raw"}, "raw", []),
        ({"max_source_resolution": "0s"}, "raw", []),
    ):
        answer = both(client, "/api/v1/query_range", **span, **names)
        assert answer.headers["x-nissa-resolution"] == resolution
        infos = answer.json().get("infos", [])
        assert len(infos) == says if isinstance(says, int) else infos == [f"PromQL info: {one} (1:1)" for one in says]
        values = [float(value) for _, value in answer.json()["data"]["result"][0]["values"]]
        assert values == pytest.approx([3540, *[3600] * 5], abs=61 if resolution == "raw" else 0.1)
    refused = client.get("/api/v1/query", params={"query": "deriv(seen_total[1h])", "resolution": "5m"})
    assert (refused.status_code, refused.json()["errorType"]) == (422, "execution")
    assert refused.json()["error"] == "1:7: deriv needs samples: resolution=5m has none, raw or auto may"
    assert "x-nissa-resolution" not in both(client, "/api/v1/query", query="1+1").headers


def test_lookback_and_statistics(client):
    """lookback_delta bounds the age of samples; stats says how many were read."""
    late = {"query": "up", "time": str(FIRST_S + 20)}
    assert len(both(client, "/api/v1/query", **late).json()["data"]["result"]) == 2
    assert both(client, "/api/v1/query", **late, lookback_delta="10s").json()["data"]["result"] == []
    stats = both(client, "/api/v1/query", query="up[5s]", time=str(FIRST_S + 9), stats="all").json()["data"]["stats"]
    samples = stats["samples"]
    assert samples["totalQueryableSamplesPerStep"] == [[FIRST_S + 9, samples["totalQueryableSamples"]]]
    assert samples["totalQueryableSamples"] == 10
    assert samples["peakSamples"] >= 10
    some = both(client, "/api/v1/query", query="up[5s]", time=str(FIRST_S + 9), stats="true").json()["data"]["stats"]
    assert set(some["samples"]) == {"totalQueryableSamples", "peakSamples"}
    assert stats["timings"]["evalTotalTime"] >= 0


@pytest.mark.parametrize("accepted", ["gzip", "zstd", "gzip;q=0.5, zstd", "identity"])
def test_answers_are_compressed_as_accepted(client, accepted):
    """The coding that the client prefers, named in the header."""
    span = {"query": "vector(1)", "start": "0", "end": "1000", "step": "1"}
    answer = client.get("/api/v1/query_range", params=span, headers={"Accept-Encoding": accepted})
    expected = {"gzip": "gzip", "identity": None}.get(accepted, "zstd")
    assert answer.headers.get("content-encoding") == expected
    assert answer.headers["vary"] == "Accept-Encoding"
    if expected != "zstd":
        assert len(answer.json()["data"]["result"][0]["values"]) == 1_001


BAD = [
    ("query", {}, "no expression found"),
    ("query", {"query": "up{"}, "parse error"),
    ("query", {"query": "nosuch(up)"}, "unknown function"),
    ("query", {"query": "rate(up)"}, "expected type"),
    ("query", {"query": 'up{job=~"("}'}, "parse error"),
    ("query", {"query": "up", "time": "yesterday"}, "cannot parse 'yesterday' to a valid timestamp"),
    ("query", {"query": "up", "lookback_delta": "-5m"}, "lookback_delta"),
    ("query", {"query": "up", "timeout": "soon"}, "timeout"),
    ("query", {"query": "up", "limit": "-1"}, "limit"),
    ("query", {"query": "up", "resolution": "7m"}, "'7m' is none of raw, 1m, 5m, 1h, 1d, auto"),
    ("query", {"query": "up", "max_source_resolution": "30m"}, "'30m' is none of raw, 1m, 5m, 1h, 1d, auto"),
    ("query", {"query": "up", "resolution": "5m", "max_source_resolution": "1h"}, "'1h' beside resolution=5m"),
    ("query", {"query": "(" * 5_000 + "1" + ")" * 5_000}, "nested"),
    ("query", {"query": "+".join(["1"] * 100_000)}, "operators"),
    ("query", {"query": "-" * 100_000 + "1"}, ""),
    ("query_range", {"query": "up"}, "start"),
    ("query_range", {"query": "up", "start": "2", "end": "1", "step": "1"}, "end timestamp must not be before start"),
    ("query_range", {"query": "up", "start": "1", "end": "2", "step": "0"}, "zero or negative query resolution step"),
    ("query_range", {"query": "up", "start": "1", "end": "2", "step": "-5"}, "zero or negative query resolution step"),
    ("query_range", {"query": "up", "start": "1", "end": "2"}, "step"),
    ("query_range", {"query": "up", "start": "1", "end": "2", "step": "NaN"}, "cannot parse 'NaN' to a valid duration"),
    ("query_range", {"query": "up", "start": "1", "end": "2", "step": "Inf"}, "cannot parse 'Inf' to a valid duration"),
    ("query", {"query": "up", "timeout": "NaN"}, "cannot parse 'NaN' to a valid duration"),
    ("query", {"query": "up[1e300]"}, "not a valid duration"),
    ("query", {"query": "up offset NaN"}, "not a valid duration"),
    (
        "query_range",
        {"query": "up", "start": "0", "end": "1000000000", "step": "1"},
        "exceeded maximum resolution",
    ),
    ("query_range", {"query": "up[5m]", "start": "0", "end": "1", "step": "1"}, "invalid expression type"),
    ("format_query", {"query": "up{"}, "parse error"),
    ("parse_query", {"query": ""}, "no expression found"),
    ("query_exemplars", {"query": "up{"}, "parse error"),
]


@pytest.mark.parametrize(("path", "parameters", "reason"), BAD)
def test_bad_questions_are_the_authors_fault(client, path, parameters, reason):
    """400 with bad_data and a reason, by GET and by POST."""
    by_post = client.post(f"/api/v1/{path}", data=parameters)
    answers = [by_post] if len(str(parameters)) > 5_000 else [by_post, client.get(f"/api/v1/{path}", params=parameters)]
    for answer in answers:
        assert answer.status_code == 400, answer.text[:500]
        body = answer.json()
        assert (body["status"], body["errorType"]) == ("error", "bad_data")
        assert reason in body["error"]


def test_an_expression_of_10_megabytes(client):
    """The form is refused at its limit, whatever is in it."""
    answer = client.post("/api/v1/query", data={"query": "up+" * 3_500_000 + "up"})
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")


@pytest.mark.parametrize(
    "query",
    [
        'label_replace(up, "a", "$1", "job", "(((((.*)*)*)*)*)*x")',
        'up{job=~"(a*)*(b*)*(c*)*(d*)*$"}',
        'up{job=~"((a{1,100}){1,100}){1,100}"}',
    ],
)
def test_catastrophic_patterns_end(client, query):
    """A pattern that other engines never finish is answered or refused at once."""
    answer = client.post("/api/v1/query", data={"query": query, "timeout": "5s"})
    assert answer.status_code in (200, 400, 422)
    assert answer.json()["status"] in ("success", "error")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("up + on(nothing) group_left() seen_total + on() up", "many-to-many matching not allowed"),
        ("sum_over_time(up[100y:1ms])", "limit"),
        (r'count_values("bad\xff", up)', r'invalid label name "bad\udcff"'),
        ('label_replace(up, "job", "x", "", "")', ""),
    ],
)
def test_data_that_do_not_fit_are_an_execution_error(client, query, reason):
    """422 with execution: duplicate matches, too many steps, label sets that meet."""
    answer = both(client, "/api/v1/query", query=query, time=str(FIRST_S + 9))
    if answer.status_code == 200:
        assert reason == ""
        return
    assert (answer.status_code, answer.json()["errorType"]) == (422, "execution")
    assert reason in answer.json()["error"]


def test_a_query_over_its_time(serve):
    """503 with timeout, by the setting and by the parameter."""
    many = [{"__name__": f"m{at}", "v": f"{at}" * 20} for at in range(20_000)]
    backend = BackendTwin(many, regular(1, 1))
    question = {"query": '{v=~".*1.*2.*3.*4x"}'}
    by_setting = serve(backend, Api(query_timeout_ms=1)).post("/api/v1/query", data=question)
    by_parameter = serve(backend).post("/api/v1/query", data={**question, "timeout": "1ms"})
    for answer in (by_setting, by_parameter):
        assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")


def test_a_query_over_its_memory(serve):
    """422 with execution, and the memory is given back."""
    client = serve(BackendTwin(LABELS, regular(2, 100_000)), Api(query_memory_bytes_max=1024 * 1024))
    answer = client.get("/api/v1/query", params={"query": "up[2d]", "time": str(FIRST_S + 100_000)})
    assert (answer.status_code, answer.json()["errorType"]) == (422, "execution")
    assert client.get("/api/status").json()["queries"]["memory_bytes"] == 0


def test_times_at_the_ends_of_time(client):
    """Times at the ends of the range do not overflow: the answer is empty."""
    for time in ("-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z", "9e300", "-9e18"):
        answer = both(client, "/api/v1/query", query="up[100y] offset -100y", time=time)
        assert answer.status_code == 200, answer.text
        assert both(client, "/api/v1/query", query="rate(up[1m:1s])", time=time).json()["data"]["result"] == []


def test_expressions_are_formatted_and_parsed(client):
    """Expressions are formatted as by Prometheus, and parsed into its tree."""
    assert both(client, "/api/v1/format_query", query="sum(up)by(job)").json()["data"] == "sum by (job) (up)"
    tree = both(client, "/api/v1/parse_query", query="1 + up").json()["data"]
    assert (tree["type"], tree["op"], tree["matching"]) == ("binaryExpr", "+", None)
    assert tree["rhs"]["matchers"] == [{"name": "__name__", "value": "up", "type": "="}]
    deep = client.post("/api/v1/parse_query", data={"query": "+".join(["up"] * 900)})
    assert (deep.status_code, deep.json()["errorType"]) == (400, "bad_data")


def test_no_exemplars_and_no_active_queries(client):
    """Empty lists in the envelope."""
    assert both(client, "/api/v1/query_exemplars", query="up", start="1", end="2").json()["data"] == []
    assert client.get("/api/v1/status/active_queries").json() == {"status": "success", "data": []}
