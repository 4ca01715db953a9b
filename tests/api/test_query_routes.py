"""Questions for series, labels and metadata over HTTP."""

import csv
import io
import json

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nissa.api.query_routes import unescaped
from nissa.config.tree import Api
from nissa.model.columns import Metadata, SampleBatch
from nissa.model.units import MIB
from oracle.backend_twin import BackendTwin, regular

LABELS = [
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "up", "job": "db"},
    {"__name__": "seen_total", "job": "api", "path": 'q"\n\\日本😀'},
]


@pytest.fixture
def client(serve) -> httpx.Client:
    """Samples of the first series at 1732190000 to 009, of the second a thousand seconds later, none of the third."""
    early = regular(1, 10)
    late = regular(1, 10, first_ms=1_732_191_000_000)
    series = np.repeat(np.array([0, 1], np.uint32), 10)
    batch = SampleBatch(series, np.concatenate([early.ts_ms, late.ts_ms]), np.concatenate([early.value, late.value]))
    return serve(BackendTwin(LABELS, batch))


def test_series_by_get_and_post(client):
    """Both methods answer alike; selectors are united; the envelope is Prometheus'."""
    parameters = {"match[]": ['up{job="api"}', "seen_total"]}
    by_get = client.get("/api/v1/series", params=parameters)
    by_post = client.post("/api/v1/series", data=parameters)
    assert by_get.status_code == by_post.status_code == 200
    assert by_get.headers["content-type"] == "application/json"
    assert by_get.json() == by_post.json() == {"status": "success", "data": [LABELS[0], LABELS[2]]}


def test_series_in_a_time_range(client):
    """With start or end, series without a sample inside are left out; both ends are inside."""

    def names(**times: str) -> list[str]:
        answer = client.get("/api/v1/series", params={"match[]": '{job!=""}', **times})
        return [labels["job"] for labels in answer.json()["data"]]

    assert names() == ["api", "db", "api"]
    assert names(end="1732190500") == ["api"]
    assert names(start="2024-11-21T12:10:00Z") == ["db"]
    assert names(start="1732190009", end="1732191000") == ["api", "db"]
    assert names(start="1732190009.001", end="1732190999.999") == []


def test_labels_and_values(client):
    """Names and values are sorted, of all series or of those selected."""
    assert client.get("/api/v1/labels").json()["data"] == ["__name__", "instance", "job", "path"]
    assert client.post("/api/v1/labels", data={"match[]": "seen_total"}).json()["data"] == ["__name__", "job", "path"]
    assert client.get("/api/v1/label/job/values").json()["data"] == ["api", "db"]
    assert client.get("/api/v1/label/__name__/values").json()["data"] == ["seen_total", "up"]
    assert client.get("/api/v1/label/job/values", params={"match[]": '{path!=""}'}).json()["data"] == ["api"]
    assert client.get("/api/v1/label/path/values").json()["data"] == [LABELS[2]["path"]]
    assert client.get("/api/v1/label/nowhere/values").json()["data"] == []


def test_limits_cut_with_a_warning(client):
    """A list that was cut says so; one that just fits does not."""
    cut = client.get("/api/v1/labels", params={"limit": "2"}).json()
    assert cut == {
        "status": "success",
        "data": ["__name__", "instance"],
        "warnings": ["results truncated due to limit"],
    }
    assert "warnings" not in client.get("/api/v1/labels", params={"limit": "4"}).json()
    series = client.get("/api/v1/series", params={"match[]": '{job!=""}', "limit": "1"}).json()
    assert series["data"] == [LABELS[0]]
    assert series["warnings"]


def test_the_configured_cap_cuts_series(serve):
    """Nobody gets more series than ``api.query_series_max``."""
    client = serve(BackendTwin(LABELS, regular(3, 1)), Api(query_series_max=2))
    answer = client.get("/api/v1/series", params={"match[]": '{job!=""}', "limit": "100"}).json()
    assert len(answer["data"]) == 2
    assert answer["warnings"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/series", {}),
        ("/api/v1/series", {"match[]": "{}"}),
        ("/api/v1/series", {"match[]": 'up{job=~"("}'}),
        ("/api/v1/series", {"match[]": "sum(up)"}),
        ("/api/v1/series", {"match[]": "up", "start": "yesterday"}),
        ("/api/v1/series", {"match[]": "up", "start": "2", "end": "1"}),
        ("/api/v1/series", {"match[]": "up", "limit": "-1"}),
        ("/api/v1/labels", {"limit": "1e3"}),
        ("/api/v1/labels", {"match[]": "(" * 2_000}),
        ("/api/v1/export", {}),
        ("/api/v1/export", {"match[]": "up", "format": "xml"}),
    ],
)
def test_bad_questions_are_the_authors_fault(client, path, parameters):
    """400 with bad_data and a reason, by GET and by POST."""
    for answer in (client.get(path, params=parameters), client.post(path, data=parameters)):
        assert answer.status_code == 400
        body = answer.json()
        assert (body["status"], body["errorType"]) == ("error", "bad_data")
        assert body["error"]


def test_bytes_that_are_no_text(client):
    """Invalid UTF-8, a form of another type, and forms that are too long are refused."""
    assert client.get("/api/v1/labels?match[]=%ff").status_code == 400
    assert client.post("/api/v1/labels", json={"match[]": "up"}).status_code == 400
    assert client.post("/api/v1/labels", data={"match[]": "u" * 2_000_000}).status_code == 400


def test_times_relative_to_now(client):
    """An export since some seconds, series in a range that ends before now, and a range query from -9s to now."""
    lines = client.get("/api/v1/export", params={"match[]": 'up{job="api"}', "since": "3s", "end": "now"}).text
    assert json.loads(lines)["timestamps"] == [1_732_190_000_000 + 1_000 * at for at in range(6, 10)]
    known = client.get("/api/v1/series", params={"match[]": "up", "start": "-1h", "end": "now+1m"}).json()["data"]
    assert [one["job"] for one in known] == ["api"]
    found = client.get("/api/v1/query_range", params={"query": "1", "start": "-9s", "end": "now", "step": "9s"}).json()
    assert found["data"]["result"][0]["values"] == [[1_732_190_000, "1"], [1_732_190_009, "1"]]
    both = client.get("/api/v1/export", params={"match[]": "up", "since": "3s", "start": "-1h"})
    assert (both.status_code, "either start or since" in both.json()["error"]) == (400, True)


def test_metadata(client):
    """Type, help and unit by metric; one metric or some of them on demand."""
    known = client.get("/api/v1/metadata").json()["data"]
    assert known["up"] == [{"type": "gauge", "help": "Is it up?", "unit": ""}]
    assert list(client.get("/api/v1/metadata", params={"metric": "seen_total"}).json()["data"]) == ["seen_total"]
    assert len(client.get("/api/v1/metadata", params={"limit": "1"}).json()["data"]) == 1
    assert client.get("/api/v1/metadata", params={"limit": "0"}).json()["data"] == {}
    assert client.get("/api/v1/metadata", params={"limit_per_metric": "x"}).status_code == 400


def test_metadata_is_bounded_in_memory(serve):
    """More entries than a query may hold are refused, and one of them is given."""

    class Talkative(BackendTwin):
        def metadata(self) -> list[Metadata]:
            return [Metadata(f"m{one}", "gauge", "x" * 1_000, "") for one in range(2_000)]

    client = serve(Talkative(LABELS, regular(1, 1)), Api(query_memory_bytes_max=MIB))
    refused = client.get("/api/v1/metadata")
    assert (refused.status_code, refused.json()["errorType"]) == (422, "execution")
    assert list(client.get("/api/v1/metadata", params={"metric": "m7"}).json()["data"]) == ["m7"]


def test_what_is_not_there(client):
    """Unknown paths get 404 and wrong methods 405, in the envelope."""
    missing = client.get("/api/v1/nothing")
    assert (missing.status_code, missing.json()["errorType"]) == (404, "not_found")
    wrong = client.delete("/api/v1/series")
    assert wrong.status_code == 405
    assert wrong.json()["errorType"] == "method_not_allowed"
    assert "allow" in wrong.headers
    assert client.post("/api/v1/label/job/values").status_code == 405


def test_every_answer_carries_the_security_headers(client):
    """Answers, also errors, forbid browsers to sniff, frame and cache; the server does not name itself."""
    for path in ("/api/v1/labels", "/nowhere", "/-/healthy"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_a_slow_question_ends_at_its_deadline(serve):
    """A question over its time is answered 503 with the kind timeout."""
    many = [{"__name__": f"m{at}", "v": f"{at}" * 20} for at in range(20_000)]
    client = serve(BackendTwin(many, regular(1, 1)), Api(query_timeout_ms=1))
    answer = client.get("/api/v1/series", params={"match[]": '{v=~".*1.*2.*3.*4x"}'})
    assert answer.status_code == 503
    assert answer.json()["errorType"] == "timeout"


def test_escaped_label_names():
    """Names in a path may be escaped as in Prometheus; an invalid escape stays as it is."""
    assert unescaped("U__my_2e_dotted") == "my.dotted"
    assert unescaped("U__a__b_20_c") == "a_b c"
    assert unescaped("U___1F600_") == "😀"
    assert unescaped("U__bad_zz_") == "U__bad_zz_"
    assert unescaped("U__surrogate_d800_") == "U__surrogate_d800_"


@pytest.mark.parametrize(("name", "value"), [("resolution", "7m"), ("step", "soon"), ("quantiles", "2")])
def test_an_export_of_windows_that_cannot_be(client, name, value):
    """Refused with the parameter's name, before anything is sent."""
    query = {"match[]": "up", "resolution": "auto"} | {name: value}
    answer = client.get("/api/v1/export", params=query)
    assert answer.status_code == 400
    assert f"'{name}'" in answer.json()["error"]


def test_an_export_of_windows(client):
    """Lines of a tier, by GET and POST."""
    query = {"match[]": 'up{job="api"}', "resolution": "5m", "quantiles": "0.9"}
    by_get, by_post = client.get("/api/v1/export", params=query), client.post("/api/v1/export", data=query)
    assert by_get.status_code == 200
    assert by_get.text == by_post.text
    line = by_get.json()
    assert (line["resolution"], line["timestamps"], line["count"]) == ("5m", [1_732_189_800_000], [10])
    assert "p90" in line


@pytest.mark.parametrize(("form", "media_type"), [("csv", "text/csv"), ("parquet", "parquet"), ("arrow", "arrow")])
def test_an_export_of_windows_as_a_table(client, form, media_type):
    """The forms that samples have, windows have."""
    query = {"match[]": 'up{job="api"}', "resolution": "5m", "quantiles": "0.9", "format": form}
    answer = client.get("/api/v1/export", params=query)
    assert answer.status_code == 200
    assert media_type in answer.headers["content-type"]
    assert f"nissa-export.{form}" in answer.headers["content-disposition"]
    if form == "csv":
        header, row = answer.text.splitlines()
        assert dict(zip(header.split(","), next(csv.reader([row])), strict=True))["count"] == "10"
        return
    content = io.BytesIO(answer.content)
    table = parquet.read_table(content) if form == "parquet" else pa.ipc.open_stream(content).read_all()
    assert table.select(["resolution", "count", "exact"]).to_pylist() == [
        {"resolution": "5m", "count": 10, "exact": True}
    ]
